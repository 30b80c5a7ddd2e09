package upstream

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/app"
)

// address is one place where the upstream listens.
type address struct {
	name    string // as configured: http://host:port
	scheme  string
	origin  string // host or host:port as written, for URLs
	host    string // host:port to dial
	options Options
	dialer  net.Dialer
	tls     *tls.Config // nil for http

	capacity atomic.Int64 // requests at once; 0 is unlimited
	inFlight atomic.Int64
	requests atomic.Int64
	failures atomic.Int64
	latency  atomic.Int64 // nanoseconds, moving average
	health   health

	mu      sync.Mutex
	idle    []*conn // last in, first out: the warmest connection is reused
	pruner  *time.Timer
	retired bool
}

func newAddress(name string, up app.Upstream, options Options) *address {
	u, err := url.Parse(name)
	if err != nil { // Check has refused it; an address that cannot be dialed is the honest rest
		u = &url.URL{Scheme: "http", Host: name}
	}
	a := &address{name: name, scheme: u.Scheme, origin: u.Host, host: hostPort(u), options: options}
	a.dialer = newDialer(up)
	if a.scheme == "https" {
		a.tls = &tls.Config{ServerName: u.Hostname(), InsecureSkipVerify: up.InsecureSkipVerify,
			MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	}
	return a
}

func connectTimeout(up app.Upstream) time.Duration {
	return positive(up.ConnectTimeout.Std(), 5*time.Second)
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// take returns the warmest idle connection, or nil. Each is probed: the
// upstream may have closed it, which a request that must not be repeated cannot
// find out by failing, or sent what nobody asked for, which the next request
// must not get for an answer.
func (a *address) take() *conn {
	for {
		c := a.pop()
		if c == nil || c.alive() {
			return c
		}
		c.close()
	}
}

func (a *address) pop() *conn {
	a.mu.Lock()
	defer a.mu.Unlock()
	last := len(a.idle) - 1
	if last < 0 {
		return nil
	}
	c := a.idle[last]
	a.idle[last] = nil
	a.idle = a.idle[:last]
	return c
}

// park keeps the connection for the next request, or closes it.
func (a *address) park(c *conn) {
	c.parked = time.Now()
	a.mu.Lock()
	if a.retired || len(a.idle) >= a.options.MaxIdle {
		a.mu.Unlock()
		c.close()
		return
	}
	a.idle = append(a.idle, c)
	if a.pruner == nil {
		a.pruner = time.AfterFunc(a.options.KeepIdle, a.prune)
	}
	a.mu.Unlock()
}

// prune closes connections that rested too long. Its timer runs only while
// there are idle connections.
func (a *address) prune() {
	a.mu.Lock()
	defer a.mu.Unlock()
	old := 0
	for old < len(a.idle) && time.Since(a.idle[old].parked) >= a.options.KeepIdle {
		a.idle[old].close()
		old++
	}
	a.idle = append(a.idle[:0], a.idle[old:]...)
	if len(a.idle) == 0 {
		a.pruner = nil
		return
	}
	a.pruner.Reset(a.options.KeepIdle - time.Since(a.idle[0].parked))
}

// retire closes idle connections; those in use are closed when they return.
func (a *address) retire() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.retired = true
	for _, c := range a.idle {
		c.close()
	}
	a.idle = nil
	if a.pruner != nil {
		a.pruner.Stop()
		a.pruner = nil
	}
}

// dial opens a connection, with the TLS handshake where the address has one.
func (a *address) dial(ctx context.Context) (*conn, error) {
	raw, err := a.dialer.DialContext(ctx, "tcp", a.host)
	if err != nil {
		return nil, err
	}
	if a.tls == nil {
		return newConn(raw, raw), nil
	}
	ctx, cancel := context.WithTimeout(ctx, a.dialer.Timeout)
	defer cancel()
	secure := tls.Client(raw, a.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, err
	}
	return newConn(secure, raw), nil
}

// answered notes the time until an answer's head.
func (a *address) answered(took time.Duration) {
	const weight = 8 // the average follows the last dozen answers
	old := a.latency.Load()
	a.latency.Store(old + (int64(took)-old)/weight)
	a.health.success()
}

// failed notes a request that the address itself spoiled.
func (a *address) failed(err error, now time.Time) {
	a.failures.Add(1)
	a.health.failure(err, now)
}

// slow notes an answer that did not come in time. It leaves no address out.
func (a *address) slow(err error, now time.Time) {
	a.failures.Add(1)
	a.health.note(err, now)
}

func (a *address) status(now time.Time) AddressStatus {
	a.mu.Lock()
	idle := len(a.idle)
	a.mu.Unlock()
	s := AddressStatus{Address: a.name, InFlight: a.inFlight.Load(), Idle: idle, Requests: a.requests.Load(),
		Failures: a.failures.Load(), Latency: time.Duration(a.latency.Load())}
	a.health.fill(&s, now)
	return s
}
