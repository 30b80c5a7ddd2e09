package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// patience is how long the direct path waits for an answer before it watches
// whether the client is still there. The watch costs more than a quick answer,
// and a client that leaves within this time saves the upstream nothing.
const patience = 20 * time.Millisecond

// directly sends the request over a connection of our own and delivers the
// answer. Unsent means that not one byte of it has left.
func (e *exchange) directly(a *address) (unsent bool, err error) {
	began := time.Now()
	until := began.Add(e.timeout)
	c := a.take()
	if c == nil {
		if c, err = e.dial(a, until); err != nil {
			return true, err
		}
	}
	err = e.ask(c, began, until)
	if err != nil && e.again(c, err) {
		c.discard()
		if c, err = e.dial(a, until); err != nil {
			return true, err // what the stale connection swallowed had no effect, or may be repeated
		}
		err = e.ask(c, began, until)
	}
	if err != nil {
		c.discard()
		e.blame(a, err)
		return false, e.fault(err)
	}
	e.answered(a, time.Since(began))
	if e.head.status == http.StatusSwitchingProtocols {
		return false, e.tunnel(c)
	}
	e.body.start(e, c)
	err = e.deliver(&e.body)
	e.body.end()
	if err == nil && e.body.whole() && !e.head.close && c.rest() {
		a.park(c)
	} else {
		c.discard()
	}
	return false, err
}

// answered notes that the address gave an answer.
func (e *exchange) answered(a *address, took time.Duration) {
	e.result.Waited, e.result.Address = took, a.name
	a.answered(took)
}

// again reports whether the failure is that of a connection which the upstream
// closed while it was idle: not one byte came back, and either none went out,
// or the request may be repeated.
func (e *exchange) again(c *conn, err error) bool {
	return c.used && !c.got && !errors.Is(err, errGone) && !isTimeout(err) && (c.wrote == 0 || replayable(e.r))
}

// replayable reports whether sending the request twice does no harm: the
// methods that RFC 9110 calls safe, or a client that says so with a key.
func replayable(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return true
	}
	_, keyed := r.Header["Idempotency-Key"]
	return keyed
}

// dial opens a connection to the address; its failure is the address's.
func (e *exchange) dial(a *address, until time.Time) (*conn, error) {
	ctx, cancel := context.WithDeadline(e.r.Context(), until)
	defer cancel()
	c, err := a.dial(ctx)
	if err == nil {
		return c, nil
	}
	if e.r.Context().Err() != nil {
		return nil, faultGone(err)
	}
	a.failed(err, e.pool.options.Now())
	return nil, faultUnavailable(err)
}

// blame notes a failure that is the address's own: not the client's, and not a
// slow answer, by which one client could have an address ejected.
func (e *exchange) blame(a *address, err error) {
	switch now := e.pool.options.Now(); {
	case errors.Is(err, errSlow):
		a.slow(err, now)
	case errors.Is(err, errGone), e.r.Context().Err() != nil:
	case isTimeout(err):
		a.slow(err, now)
	default:
		a.failed(err, now)
	}
}

// ask writes the request and reads the head of its final answer.
func (e *exchange) ask(c *conn, began, until time.Time) error {
	c.wrote, c.got = 0, false
	if len(e.buf) > smallBuffer { // less fits in the socket's buffer and does not wait
		c.watch(e.work)
		c.raw.SetWriteDeadline(until)
		c.hurried = true
	}
	var failed error
	c.wrote, failed = c.raw.Write(e.buf)
	switch {
	case c.gone.Load():
		return errGone
	case failed != nil && c.wrote == 0:
		return failed
	case failed != nil: // the upstream may have answered early and closed
		until = earlier(until, time.Now().Add(time.Second))
	}
	c.readUntil(earlier(until, began.Add(patience)))
	err := e.readFinal(c, until)
	if failed != nil && err != nil {
		return failed
	}
	e.head.close = e.head.close || failed != nil
	return err
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// readFinal reads heads, passes interim ones on, and stops at the final one.
func (e *exchange) readFinal(c *conn, until time.Time) error {
	limit := e.pool.options.AnswerHeadBytes
	for {
		n, err := e.readHead(c, until, limit)
		if err != nil {
			return err
		}
		limit -= n
		switch status := e.head.status; {
		case status == http.StatusSwitchingProtocols:
			return e.checkSwitch()
		case status >= 200:
			return nil
		}
		e.interim(e.head.status, e.head.fields)
	}
}

// readHead reads one head of at most limit bytes and returns its length.
func (e *exchange) readHead(c *conn, until time.Time, limit int) (int, error) {
	looked := 0
	for {
		data := c.buffered()
		if n := headEnd(data, looked); n > 0 && n <= limit {
			c.pos += n
			return n, e.head.parse(string(data[:n]))
		}
		if len(data) >= limit {
			return 0, errHeadLimit
		}
		looked = max(0, len(data)-2)
		if err := c.reserve(max(limit, smallBuffer)); err != nil {
			return 0, err
		}
		if err := e.fillHead(c, until); err != nil {
			return 0, err
		}
	}
}

// fillHead reads once. When the patience is over it begins to watch the client.
func (e *exchange) fillHead(c *conn, until time.Time) error {
	for {
		err := c.fill()
		switch {
		case err == nil:
			c.got = true
			return nil
		case errors.Is(err, io.EOF) && !c.got:
			return errNoAnswer
		case errors.Is(err, io.EOF):
			return io.ErrUnexpectedEOF
		case !isTimeout(err):
			return err
		case !time.Now().Before(until):
			return errSlow
		}
		c.watch(e.work)
		c.readUntil(until)
	}
}
