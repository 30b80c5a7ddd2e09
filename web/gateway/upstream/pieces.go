package upstream

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// alarm goes off when nothing moved for a while.
type alarm struct {
	after time.Duration
	timer *time.Timer
	off   atomic.Bool
}

func newAlarm(after time.Duration, ring func()) *alarm {
	return &alarm{after: after, timer: time.AfterFunc(after, ring)}
}

// moved puts the alarm off.
func (a *alarm) moved() {
	if !a.off.Load() {
		a.timer.Reset(a.after)
		if a.off.Load() {
			a.timer.Stop()
		}
	}
}

func (a *alarm) stop() {
	a.off.Store(true)
	a.timer.Stop()
}

// pieceReader is the body of a Transport's answer as deliver wants it.
type pieceReader struct {
	e      *exchange
	answer *http.Response
	buf    *[]byte
	idle   *alarm
	cause  atomic.Bool // the idle time ended it
}

func (e *exchange) pieces(answer *http.Response, cancel context.CancelCauseFunc) *pieceReader {
	buf, _ := e.pool.buffers.Get().(*[]byte)
	if buf == nil {
		fresh := make([]byte, largeBuffer)
		buf = &fresh
	}
	p := &pieceReader{e: e, answer: answer, buf: buf}
	p.idle = newAlarm(e.pool.options.StreamIdle, func() {
		p.cause.Store(true)
		cancel(errIdle)
	})
	return p
}

func (p *pieceReader) next() ([]byte, error) {
	p.e.beforeWait()
	n, err := p.answer.Body.Read(*p.buf)
	p.idle.moved()
	if err != nil && err != io.EOF && p.cause.Load() {
		err = errIdle
	}
	return (*p.buf)[:n], err
}

func (p *pieceReader) trailer() (fields []field) {
	for name, values := range p.answer.Trailer {
		for _, value := range values {
			fields = append(fields, field{name, value})
		}
	}
	return fields
}

func (p *pieceReader) end() {
	p.idle.stop()
	p.e.pool.buffers.Put(p.buf)
}
