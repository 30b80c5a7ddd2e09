package upstream

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"gatehouse/app"
)

// Outgoing says how a request goes out. The pool reads the method, the header,
// the body, the trailer and the context from the request itself: whoever calls
// Serve has edited r.Header already.
type Outgoing struct {
	Path     string // escaped, begins with "/" (or "*" for OPTIONS); sent as it is
	RawQuery string // without "?"; sent as it is
	Host     string // Host towards the app; "" is the upstream's HostHeader, else the client's

	// Keep are canonical header names that the gate has set (X-Gatehouse-* are
	// kept anyway): a client cannot have them removed by naming them in its
	// Connection header.
	Keep []string

	Client      netip.Addr // the decided client address, for X-Real-Ip
	PeerTrusted bool       // the peer is a trusted proxy: what it forwarded is kept and appended to

	Timeout   time.Duration // until the answer's head; for streamed bodies since the last progress; 0 is app.DefaultTimeout
	BodyLimit int64         // bytes of the request's body; 0 is app.DefaultBodyLimit

	// Before is called once, just before the head of the final answer goes to
	// the client, with the client's header map: it may wait, and edit the
	// header. On an error the upstream's answer is discarded, nothing is sent,
	// and Serve returns the error. It may be nil.
	Before func(status int, header http.Header) error

	// Filter is called once for an answer that has a body, before Before, and
	// may edit the header. The filter it returns sees the body; the answer's
	// Content-Length is removed then. It may be nil, and may return nil.
	Filter func(status int, header http.Header) AnswerFilter

	// Drain is how long the answer is still waited for and read, up to 64 MiB
	// of it, when the client has left: so that the filter sees all of it. The
	// upstream does not see that the client left, unless it was before anything
	// was sent. Before is not called for an answer that came too late. 0 cuts
	// the upstream off at once.
	Drain time.Duration

	// Pass is asked before n bytes of a body, or of a tunnel, go on their way,
	// towards the upstream (up) or the client: how many may. With fewer than n
	// it says why not all: those pass still, then the exchange is broken off.
	// The body of a request that is read before it is sent, as its length is
	// known, is not asked about. It may wait, and is called by two goroutines.
	// It may be nil.
	Pass func(up bool, n int64) (allowed int64, err error)

	// Frame is Pass for whole frames of a WebSocket, each with its header, where
	// Framed is set.
	Frame func(up bool, n int64) error

	// Framed says that a WebSocket may be ended by Frame, or by the cause of the
	// request's context being an *app.Error: both sides are told that with a
	// close frame, of status 1008 and the error's code.
	Framed bool

	// Upgraded is called once when a tunnel (WebSocket) begins. It may be nil.
	Upgraded func()
}

// Result is how a request went.
type Result struct {
	Status   int           // of the upstream's answer; 0 when there was none
	BytesIn  int64         // of the request's body, or from the client through the tunnel
	BytesOut int64         // of the answer's body, or to the client through the tunnel
	Waited   time.Duration // from the first byte towards the upstream to the answer's head
	Lasted   time.Duration // of the tunnel
	Address  string        // that answered
	Upgraded bool          // the connection became a tunnel
	Drained  bool          // the client left, and the whole answer was read without it; Err says that it left
	Sent     bool          // the answer's head went to the client: only then is the answer ours no more

	// Err is nil when the whole answer was passed on. While Sent is false it is
	// an *app.Error (or the error of Before) for the caller to answer with.
	// When Sent is true the answer was broken off, and Serve has seen to it
	// that the client notices: the caller only notes it.
	Err error
}

// maxAttempts bounds how many addresses a request tries that reached none.
const maxAttempts = 3

// Serve forwards the request and copies the answer. The response writer must
// be the server's own, or one that unwraps to it.
func (p *Pool) Serve(w http.ResponseWriter, r *http.Request, out *Outgoing) Result {
	if !p.gate.enter() {
		return Result{Err: faultUnavailable(errPoolClosed)}
	}
	defer p.gate.leave()
	e := p.exchange(w, r, out)
	defer p.recycle(e)
	if out.Drain > 0 {
		defer e.startDrain()()
	}
	e.run()
	return e.result
}

// exchange is one request on its way through the pool.
type exchange struct {
	pool    *Pool
	gen     *generation
	w       http.ResponseWriter
	r       *http.Request
	out     *Outgoing
	timeout time.Duration
	result  Result

	named     []string // header names that the client's Connection lists
	upgrade   string   // protocol that the client asks to switch to
	streamed  bool     // the body goes out while it comes in
	head      head
	buf       []byte // the request as the direct path writes it
	body      wireBody
	unflushed bool // the client has not been sent all that was written
	eager     bool // flush before each wait

	filter  AnswerFilter    // nil: the answer passes as it is
	work    context.Context // of what is done at the upstream: the request's, or one that outlives it
	left    bool            // the client is gone, and the answer is read without it
	leaving func()          // lets work end after out.Drain
	unseen  int             // bytes read without a client
	tried   []*address
}

func (p *Pool) exchange(w http.ResponseWriter, r *http.Request, out *Outgoing) *exchange {
	e, _ := p.exchanges.Get().(*exchange)
	if e == nil {
		e = &exchange{}
	}
	e.pool, e.gen, e.w, e.r, e.out = p, p.current.Load(), w, r, out
	e.work = r.Context()
	e.timeout = positive(out.Timeout, app.DefaultTimeout.Std())
	return e
}

// recycle keeps an exchange's memory for the next request.
func (p *Pool) recycle(e *exchange) {
	buf, fields := e.buf[:0], e.head.fields[:0]
	if cap(buf) > p.options.KeepBodyInMemory+largeBuffer {
		buf = nil
	}
	clear(fields[:cap(fields)])
	*e = exchange{buf: buf, head: head{fields: fields}}
	p.exchanges.Put(e)
}

// run picks the road and walks it.
func (e *exchange) run() {
	if err := e.inspect(); err != nil {
		e.result.Err = err
		return
	}
	if e.upgrade == "" && (e.streamed || e.pool.stockOnly || !e.gen.plain()) {
		e.attempt((*exchange).stock)
		return
	}
	if err := e.serialize(); err != nil {
		e.result.Err = err
		return
	}
	e.attempt((*exchange).directly)
}

// plain reports whether the addresses speak HTTP/1.1 for certain. Over TLS
// they might negotiate HTTP/2, which only the stock path speaks, unless the
// upstream is declared http1.
func (g *generation) plain() bool {
	switch g.upstream.Protocol {
	case app.ProtocolHTTP:
		return true
	case app.ProtocolH2, app.ProtocolH2C:
		return false
	}
	for _, a := range g.addresses {
		if a.tls != nil {
			return false
		}
	}
	return true
}

// attempt tries addresses until one takes the request. Only a request of which
// nothing was sent goes to another address.
func (e *exchange) attempt(road func(*exchange, *address) (unsent bool, err error)) {
	var last error
	for range maxAttempts {
		a, err := e.acquire()
		if err != nil {
			if last == nil {
				last = err
			}
			break
		}
		unsent, err := road(e, a)
		e.pool.release(a)
		last = err
		if err == nil || !unsent || e.r.Context().Err() != nil {
			break
		}
		e.tried = append(e.tried, a)
	}
	e.result.Err = last
}

// acquire takes a slot of an address, and waits for one where all are busy.
func (e *exchange) acquire() (*address, error) {
	now := e.pool.options.Now
	a, lack := e.gen.choose(now, e.tried)
	if a == nil && lack == scarcityBusy && len(e.tried) == 0 {
		patience := min(e.pool.options.QueueTimeout, e.timeout)
		e.pool.gate.await(e.r.Context(), patience, func() bool {
			e.gen = e.pool.current.Load() // it may have changed while we waited
			a, lack = e.gen.choose(now, e.tried)
			return lack != scarcityBusy
		})
	}
	switch {
	case a != nil:
		return a, nil
	case e.r.Context().Err() != nil:
		return nil, faultGone(context.Cause(e.r.Context()))
	case lack == scarcityBusy:
		return nil, faultBusy()
	default:
		return nil, faultUnavailable(errAllDown)
	}
}
