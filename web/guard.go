package web

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// guard is a client's connection under watch: requests that could be read in
// two ways do not pass, and a client that neither sends nor takes what it
// announced is cut off. net/http reads and writes it as any connection.
type guard struct {
	net.Conn
	limits  *Limits
	tunnel  atomic.Bool // no HTTP/1.1 any more
	framing framing     // of the reader alone
	within  atomic.Bool // a body is under way, for Close
	refused atomic.Pointer[refusal]
	poison  []byte // what net/http reads in the place of the bad line

	bodyWaited time.Duration // for the running body: what the app takes to read it does not count
	bodyBytes  int64

	mu         sync.Mutex
	readBy     time.Time // deadline that net/http wants
	writeBy    time.Time
	writeUntil time.Time // our own write deadline
}

// poison makes any unfinished line invalid, whatever it is, and ends the head:
// net/http answers 400, in its turn behind the answers that are due before.
const poison = "\x00\r\n\r\n"

// errBadBody ends a body whose framing is wrong.
var errBadBody = errors.New("the request's body is not properly framed")

func newGuard(c net.Conn, limits *Limits) *guard {
	return &guard{Conn: c, limits: limits, framing: framing{limits: *limits}}
}

// Read passes on what is in order.
func (g *guard) Read(p []byte) (int, error) {
	switch {
	case g.tunnel.Load() || g.framing.state == passing:
		return g.Conn.Read(p)
	case g.refused.Load() != nil:
		return g.readPoison(p)
	}
	waiting := g.framing.hasBody()
	var n int
	var err error
	if waiting {
		n, err = g.readBody(p)
	} else {
		n, err = g.Conn.Read(p)
	}
	if n == 0 {
		return n, err
	}
	ok, wrong := g.framing.feed(p[:n])
	if within := g.framing.hasBody(); within != waiting {
		g.within.Store(within)
		g.bodyWaited, g.bodyBytes = 0, 0
	}
	if wrong == nil {
		return n, err
	}
	if !g.framing.hasBody() {
		g.poison = []byte(poison)
	}
	g.refused.Store(wrong)
	if ok > 0 {
		return ok, nil
	}
	return g.readPoison(p)
}

func (g *guard) readPoison(p []byte) (int, error) {
	n := copy(p, g.poison)
	g.poison = g.poison[n:]
	if n == 0 {
		return 0, errBadBody
	}
	return n, nil
}

// readBody reads from within a body: it gives the next bytes until the idle
// time is over, and ends a body that trickles.
func (g *guard) readBody(p []byte) (int, error) {
	if g.framing.state == inBody && g.limits.BodyRate > 0 && g.bodyWaited > g.limits.BodyIdle &&
		float64(g.bodyBytes) < g.bodyWaited.Seconds()*float64(g.limits.BodyRate) {
		return 0, os.ErrDeadlineExceeded
	}
	start := time.Now()
	g.hurry(start.Add(g.limits.BodyIdle))
	n, err := g.Conn.Read(p)
	g.bodyWaited += time.Since(start)
	g.bodyBytes += int64(n)
	return n, err
}

// hurry sets our read deadline where net/http has none or a later one. It holds
// until net/http sets the next, when the body has ended at the latest.
func (g *guard) hurry(own time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.readBy.IsZero() || g.readBy.After(own) {
		g.Conn.SetReadDeadline(own)
	}
}

// Write sends p within the write time, and puts a problem in the place of the
// plain text that net/http answers to what is no proper request.
func (g *guard) Write(p []byte) (int, error) {
	g.keepWriting()
	if own := g.refusalIn(p); own != nil {
		_, err := g.Conn.Write(own.problem())
		return len(p), err
	}
	return g.Conn.Write(p)
}

// keepWriting renews our write deadline when half of it has passed, so that it
// costs nothing on a busy connection.
func (g *guard) keepWriting() {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.writeBy.IsZero() && g.writeUntil.Sub(now) < g.limits.WriteIdle/2 {
		g.writeUntil = now.Add(g.limits.WriteIdle)
		g.Conn.SetWriteDeadline(g.writeUntil)
	}
}

// serverError is how net/http's answers of its own begin behind the status
// line; no handler's answer does, as it has a Date.
var serverError = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")

func (g *guard) refusalIn(p []byte) *refusal {
	const prefix = "HTTP/1.1 "
	if len(p) > 512 || len(p) < len(prefix)+3 || p[len(prefix)] < '4' || string(p[:len(prefix)]) != prefix || g.tunnel.Load() {
		return nil
	}
	if end := bytes.IndexByte(p, '\r'); end < 0 || !bytes.HasPrefix(p[end:], serverError) {
		return nil
	}
	g.refused.CompareAndSwap(nil, refusalFor(string(p[len(prefix):len(prefix)+3])))
	return g.refused.Load()
}

// SetDeadline implements net.Conn.
func (g *guard) SetDeadline(t time.Time) error {
	return errors.Join(g.SetReadDeadline(t), g.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (g *guard) SetReadDeadline(t time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.readBy = t
	return g.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn. To take the deadline away leaves ours.
func (g *guard) SetWriteDeadline(t time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.IsZero() && g.writeBy.IsZero() {
		return nil
	}
	g.writeBy, g.writeUntil = t, time.Time{}
	return g.Conn.SetWriteDeadline(t)
}

// CloseWrite ends our side and leaves the client's open.
func (g *guard) CloseWrite() error {
	if half, ok := g.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// tlsGuard is a guard over TLS.
type tlsGuard struct {
	*guard
	state tls.ConnectionState
}

// ConnectionState lets net/http set Request.TLS.
func (g *tlsGuard) ConnectionState() tls.ConnectionState { return g.state }

// Close ends the connection. When the client may still be sending, what it
// sends is taken in for a moment: to close at once would tear the answer away
// from it.
func (g *guard) Close() error {
	if g.refused.Load() == nil && !g.within.Load() || g.tunnel.Load() || g.CloseWrite() != nil {
		return g.Conn.Close()
	}
	go func() {
		g.Conn.SetReadDeadline(time.Now().Add(g.limits.Linger))
		io.CopyN(io.Discard, g.Conn, 256<<10)
		g.Conn.Close()
	}()
	return nil
}
