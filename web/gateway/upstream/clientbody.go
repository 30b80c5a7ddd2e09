package upstream

import (
	"errors"
	"io"
	"net/http"
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
	progress *alarm

	mu      sync.Mutex
	reading bool
	over    bool
	err     error // the first failure, io.EOF included

	count atomic.Int64
}

func (e *exchange) clientBody() *clientBody {
	r := e.r
	b := &clientBody{e: e, w: e.w, from: r.Body, limit: positive64(e.out.BodyLimit, app.DefaultBodyLimit)}
	b.present = r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0
	if b.present && r.ProtoMajor == 1 {
		// The answer may begin, and even be complete, before the body has ended.
		http.NewResponseController(e.w).EnableFullDuplex()
	}
	return b
}

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
	b.reading = true
	b.mu.Unlock()
	n, err := b.from.Read(p)
	if b.count.Add(int64(n)) > b.limit {
		n, err = 0, faultTooLarge(b.limit)
	}
	if b.progress != nil {
		b.progress.moved()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = false
	b.err = err
	return n, err
}

// Close is called by the Transport, also before another address is tried: the
// body stays open.
func (b *clientBody) Close() error { return nil }

// failure is why the body could not be read to its end.
func (b *clientBody) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var known *app.Error
	switch {
	case b.err == nil, errors.Is(b.err, io.EOF):
		return nil
	case errors.As(b.err, &known):
		return known
	}
	return errors.Join(errGone, b.err)
}

// finish ends the reading. A read that still waits for the client is broken
// off: nobody wants the rest, and the server could not go on before it returns.
func (b *clientBody) finish() {
	b.mu.Lock()
	b.over = true
	waiting := b.reading
	b.mu.Unlock()
	b.e.result.BytesIn += b.count.Load()
	if waiting {
		http.NewResponseController(b.w).SetReadDeadline(time.Unix(1, 0))
	}
}
