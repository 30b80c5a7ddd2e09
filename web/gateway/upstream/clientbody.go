package upstream

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/app"
)

// errOver answers a read that comes after the exchange.
var errOver = errors.New("the exchange is over")

// clientBody is the request's body on its way through the Transport, whose
// goroutine may still read it when the answer is long there.
type clientBody struct {
	e        *exchange
	w        http.ResponseWriter
	from     io.Reader
	present  bool
	limit    int64
	pass     func(up bool, n int64) (int64, error)
	progress *alarm

	mu    sync.Mutex
	over  bool
	err   error // the first failure, io.EOF included
	count atomic.Int64

	ending   sync.Mutex // held while the deadline is set
	finished bool       // the handler returns: w is no longer ours
}

func (e *exchange) clientBody() *clientBody {
	r := e.r
	b := &clientBody{e: e, w: e.w, from: r.Body, limit: positive64(e.out.BodyLimit, app.DefaultBodyLimit), pass: e.out.Pass}
	b.present = r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0
	if b.present && r.ProtoMajor == 1 {
		// The answer may begin, and even be complete, before the body has ended.
		http.NewResponseController(e.w).EnableFullDuplex()
	}
	return b
}

// Read implements io.Reader, for the Transport.
func (b *clientBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	if b.over || b.err != nil {
		err := b.err
		b.mu.Unlock()
		if err == nil {
			err = errOver
		}
		return 0, err
	}
	b.mu.Unlock()
	n, err := b.from.Read(p)
	if n > 0 && b.pass != nil {
		n, err = b.covered(n, err)
	}
	if b.count.Add(int64(n)) > b.limit {
		n, err = 0, faultTooLarge(b.limit)
	}
	if b.progress != nil {
		b.progress.moved()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
	return n, err
}

// covered is how much of what was read may go on.
func (b *clientBody) covered(n int, err error) (int, error) {
	allowed, refused := b.pass(true, int64(n))
	if refused != nil {
		err = refused
	}
	return int(allowed), err
}

// Close is called by the Transport, also before another address is tried: the
// body stays open.
func (b *clientBody) Close() error { return nil }

// failure is why the body could not be read to its end.
func (b *clientBody) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil || errors.Is(b.err, io.EOF) {
		return nil
	}
	return bodyFault(b.err)
}

// bodyFault says what a client did with its body: nothing more in time, left,
// or broke its framing.
func bodyFault(err error) error {
	var known *app.Error
	var broken net.Error
	switch {
	case errors.As(err, &known):
		return known
	case isTimeout(err):
		return faultSlowBody(err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &broken), errors.Is(err, context.Canceled):
		return faultGone(err)
	case strings.Contains(err.Error(), "client disconnected"), strings.Contains(err.Error(), "stream error"):
		return faultGone(err) // of HTTP/2, whose errors have no exported type
	}
	fault := faultInvalid("The body of the request is malformed.")
	fault.Err = err
	return fault
}

// pending reports whether some of the body is still to come.
func (b *clientBody) pending() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.present && !errors.Is(b.err, io.EOF)
}

// closeAfter makes the server close an HTTP/1.1 connection after the answer:
// what comes of the body later must not be read as the next request.
func (b *clientBody) closeAfter() {
	if b.e.r.ProtoMajor == 1 && b.pending() {
		b.w.Header()["Connection"] = []string{"close"}
	}
}

// finish ends the reading and counts it. The client has a moment to end its
// body, so that it is not torn from the answer.
func (b *clientBody) finish() {
	if !b.e.result.Sent {
		b.closeAfter()
	}
	b.ending.Lock()
	b.end(time.Now().Add(lingering))
	b.finished = true
	b.ending.Unlock()
	b.e.result.BytesIn += b.count.Load()
}

// lingering is how long the rest of a body is taken in after the answer.
const lingering = time.Second

// cut ends the reading at once: RoundTrip was cancelled, and waits for it. It
// may come as late as it likes: the context ends on a goroutine of its own.
func (b *clientBody) cut() {
	b.ending.Lock()
	defer b.ending.Unlock()
	if !b.finished {
		b.end(past)
	}
}

// end, under ending, lets no new read begin, and gives one that waits for the client until
// then: nobody wants the rest, and the server cannot go on before it returns.
func (b *clientBody) end(until time.Time) {
	b.mu.Lock()
	b.over = true
	b.mu.Unlock()
	if b.pending() {
		http.NewResponseController(b.w).SetReadDeadline(until)
	}
}
