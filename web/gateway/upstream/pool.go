// Package upstream forwards requests to the operator's app and copies its
// answers back: HTTP/1.1, HTTP/2, h2c, upgrades, streams and trailers, over
// one or more addresses with health checks and least-connections.
//
// Requests to an HTTP/1.1 upstream with no body or a small one take the direct
// path: a synchronous client of our own (direct.go, conn.go, head.go), because
// net/http's Transport spends two goroutines and several channel operations on
// each request. Everything else takes the stock path, http.Transport
// (stock.go). Both deliver through the same code (deliver.go) and pass the
// same table of cases.
package upstream

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/app"
)

// Options of a pool. The zero value is usable.
type Options struct {
	Log *slog.Logger     // changes of health; nil is silent
	Now func() time.Time // for health and status only; nil is time.Now

	QueueTimeout     time.Duration // longest wait for a connection under MaxConnections; default 5 s
	StreamIdle       time.Duration // a tunnel or an answer's body without a byte ends; default 10 min
	KeepIdle         time.Duration // an idle connection is kept this long; default 60 s
	MaxIdle          int           // idle connections kept per address; default 512
	AnswerHeadBytes  int           // longest head of an answer, 1xx included; default 256 KiB
	KeepUnderscores  bool          // forward header names that hold "_" (see dropped)
	KeepBodyInMemory int           // a request body up to this many bytes is read before it is sent; default 64 KiB
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.QueueTimeout = positive(o.QueueTimeout, 5*time.Second)
	o.StreamIdle = positive(o.StreamIdle, 10*time.Minute)
	o.KeepIdle = positive(o.KeepIdle, time.Minute)
	o.MaxIdle = positive(o.MaxIdle, 512)
	o.AnswerHeadBytes = positive(o.AnswerHeadBytes, 256<<10)
	o.KeepBodyInMemory = positive(o.KeepBodyInMemory, 64<<10)
	return o
}

func positive[T int | time.Duration](value, otherwise T) T {
	if value > 0 {
		return value
	}
	return otherwise
}

// Pool is one upstream: its addresses, their connections and their health.
// All methods may be called at once from any number of goroutines.
type Pool struct {
	options Options
	current atomic.Pointer[generation]
	gate    queue

	exchanges sync.Pool // *exchange
	buffers   sync.Pool // *[]byte of largeBuffer, for long bodies

	mu     sync.Mutex // serializes Reconfigure and Close
	closed bool

	stockOnly bool // tests run every case through the stock path too
}

// generation is the pool between two configurations. A request works on the
// generation that it began with, so a change never drops it.
type generation struct {
	upstream  app.Upstream
	addresses []*address
	transport *http.Transport
	stop      context.CancelFunc
	checks    sync.WaitGroup
}

// NewPool opens a pool; nothing is dialed but what health checks ask for. The
// upstream must have passed its Check.
func NewPool(up app.Upstream, options Options) *Pool {
	p := &Pool{options: options.withDefaults()}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.install(up, nil)
	return p
}

// Reconfigure changes the addresses and settings. Requests that run go on
// where they are; addresses that stay keep their connections, their counts and
// what is known of their health.
func (p *Pool) Reconfigure(up app.Upstream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	old := p.current.Load()
	old.stop()
	old.checks.Wait()
	p.install(up, old)
	old.transport.CloseIdleConnections()
	p.gate.wake()
}

// install makes the next generation current and retires what it leaves out.
func (p *Pool) install(up app.Upstream, old *generation) {
	ctx, stop := context.WithCancel(context.Background())
	g := &generation{upstream: up, transport: newTransport(up, p.options), stop: stop}
	reuse := map[string]*address{}
	if old != nil && old.sameWire(up) {
		for _, a := range old.addresses {
			reuse[a.name] = a
		}
	}
	for _, name := range up.Addresses {
		a := reuse[name]
		if a == nil {
			a = newAddress(name, up, p.options)
		}
		delete(reuse, name)
		a.capacity.Store(up.MaxConnections)
		g.addresses = append(g.addresses, a)
	}
	p.current.Store(g)
	if old != nil {
		for _, a := range old.addresses {
			if !g.holds(a) {
				a.retire()
			}
		}
	}
	g.startChecks(ctx, p)
}

// sameWire reports whether connections of g can serve the changed upstream.
func (g *generation) sameWire(up app.Upstream) bool {
	return g.upstream.Protocol == up.Protocol && g.upstream.InsecureSkipVerify == up.InsecureSkipVerify &&
		g.upstream.ConnectTimeout == up.ConnectTimeout && g.upstream.Guarded() == up.Guarded() && (g.upstream.Health == nil) == (up.Health == nil)
}

func (g *generation) holds(a *address) bool {
	for _, mine := range g.addresses {
		if mine == a {
			return true
		}
	}
	return false
}

// Close refuses new requests and waits until those that run have ended or ctx
// is done; it returns ctx's error in the latter case. It cuts nothing: a
// request ends early when its own context does.
func (p *Pool) Close(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.current.Load()
	if !p.closed {
		p.closed = true
		p.gate.close()
		g.stop()
		g.checks.Wait()
		for _, a := range g.addresses {
			a.retire()
		}
		g.transport.CloseIdleConnections()
	}
	return p.gate.drain(ctx)
}

// AddressStatus is what the console shows of one address.
type AddressStatus struct {
	Address     string        `json:"address"`
	Healthy     bool          `json:"healthy"` // may be chosen
	InFlight    int64         `json:"in_flight"`
	Idle        int           `json:"idle"`                      // idle connections kept (HTTP/1.1)
	Requests    int64         `json:"requests"`                  // since it is known
	Failures    int64         `json:"failures"`                  // requests without a proper answer
	LastError   string        `json:"last_error,omitempty"`      // of a request or a check
	LastErrorAt time.Time     `json:"last_error_at,omitzero"`    //
	LastCheck   time.Time     `json:"last_check,omitzero"`       // zero without active checks
	EjectedTill time.Time     `json:"ejected_till,omitzero"`     // left out after failed requests until then
	Latency     time.Duration `json:"latency_nanoseconds"`       // moving average until an answer's head
	CheckTook   time.Duration `json:"check_latency_nanoseconds"` // of the last check
}

// Status tells the state of each address in the order of the configuration.
func (p *Pool) Status() []AddressStatus {
	g := p.current.Load()
	now := p.options.Now()
	all := make([]AddressStatus, 0, len(g.addresses))
	for _, a := range g.addresses {
		all = append(all, a.status(now))
	}
	return all
}

// Upstream returns the configuration in force.
func (p *Pool) Upstream() app.Upstream { return p.current.Load().upstream }
