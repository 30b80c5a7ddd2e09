package web

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// doorway lets connections in: as many as the limits allow, guarded, and with
// their TLS handshake done, so that no slow one holds up the next.
type doorway struct {
	net.Listener
	limits *Limits
	tls    *tls.Config // nil is plain
	log    *slog.Logger

	ready  chan net.Conn // TLS connections after their handshake
	failed chan error
	ended  chan struct{}
	close  sync.Once

	mu        sync.Mutex
	open      int
	addresses map[netip.Addr]int // only with PerAddress
}

func newDoorway(l net.Listener, limits *Limits, config *tls.Config, log *slog.Logger) *doorway {
	return &doorway{Listener: l, limits: limits, tls: config, log: log, ready: make(chan net.Conn),
		failed: make(chan error, 1), ended: make(chan struct{}), addresses: map[netip.Addr]int{}}
}

// Accept implements net.Listener.
func (d *doorway) Accept() (net.Conn, error) {
	if d.tls == nil {
		raw, err := d.admit()
		if err != nil {
			return nil, err
		}
		return newGuard(raw, d.limits), nil
	}
	select {
	case c := <-d.ready:
		return c, nil
	case err := <-d.failed:
		return nil, err
	case <-d.ended:
		return nil, net.ErrClosed
	}
}

// start begins to accept TLS connections.
func (d *doorway) start() {
	if d.tls == nil {
		return
	}
	go func() {
		for {
			raw, err := d.admit()
			if err != nil {
				d.failed <- err
				return
			}
			go d.shakeHands(raw)
		}
	}()
}

// Close implements net.Listener.
func (d *doorway) Close() error {
	d.close.Do(func() { close(d.ended) })
	return d.Listener.Close()
}

// admit accepts the next connection that there is room for; others are sent away.
func (d *doorway) admit() (net.Conn, error) {
	for {
		raw, err := d.Listener.Accept()
		if err != nil {
			var temporary interface{ Temporary() bool }
			if errors.As(err, &temporary) && temporary.Temporary() { // out of file descriptors: some will come free
				d.log.Warn("connection not accepted", "error", err)
				time.Sleep(50 * time.Millisecond)
				continue
			}
			return nil, err
		}
		if c := d.count(raw); c != nil {
			return c, nil
		}
		d.turnAway(raw)
	}
}

// turnAway says why, where that can be said at once.
func (d *doorway) turnAway(raw net.Conn) {
	if d.tls == nil {
		raw.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		raw.Write(refusedFull.problem())
	}
	raw.Close()
}

// count takes a place for the connection, or returns nil when there is none.
func (d *doorway) count(raw net.Conn) net.Conn {
	c := &counted{Conn: raw, doorway: d}
	if peer, err := netip.ParseAddrPort(raw.RemoteAddr().String()); err == nil {
		c.peer = peer.Addr().Unmap()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.limits.Connections > 0 && d.open >= d.limits.Connections {
		return nil
	}
	if d.limits.PerAddress > 0 {
		if d.addresses[c.peer] >= d.limits.PerAddress {
			return nil
		}
		d.addresses[c.peer]++
	}
	d.open++
	return c
}

// counted gives its place back when it is closed.
type counted struct {
	net.Conn
	doorway *doorway
	peer    netip.Addr
	once    sync.Once
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.once.Do(func() {
		d := c.doorway
		d.mu.Lock()
		defer d.mu.Unlock()
		d.open--
		if d.limits.PerAddress > 0 {
			if d.addresses[c.peer]--; d.addresses[c.peer] == 0 {
				delete(d.addresses, c.peer)
			}
		}
	})
	return c.Conn.Close()
}

// CloseWrite ends our side of the connection.
func (c *counted) CloseWrite() error { return c.Conn.(*net.TCPConn).CloseWrite() }

// shakeHands makes the TLS connection and hands it over: HTTP/2 as net/http
// wants it, HTTP/1.1 guarded.
func (d *doorway) shakeHands(raw net.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), d.limits.ReadHeader)
	defer cancel()
	secure := tls.Server(raw, d.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		var noTLS tls.RecordHeaderError
		if errors.As(err, &noTLS) && noTLS.Conn != nil && looksLikeHTTP(noTLS.RecordHeader) {
			raw.SetDeadline(time.Now().Add(d.limits.Linger))
			noTLS.Conn.Write(refusedPlain.problem())
			raw.(*counted).CloseWrite()
			io.CopyN(io.Discard, raw, 64<<10)
		}
		raw.Close()
		d.log.Debug("tls handshake failed", "peer", raw.RemoteAddr().String(), "error", err)
		return
	}
	var c net.Conn = secure
	if state := secure.ConnectionState(); state.NegotiatedProtocol != "h2" {
		c = &tlsGuard{newGuard(secure, d.limits), state}
	}
	select {
	case d.ready <- c:
	case <-d.ended:
		c.Close()
	}
}

func looksLikeHTTP(start [5]byte) bool {
	switch string(start[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH":
		return true
	}
	return false
}
