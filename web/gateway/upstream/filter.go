package upstream

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// AnswerFilter sees an answer's body on its way to the client. It is used by
// one goroutine.
type AnswerFilter interface {
	// Piece takes the next piece and returns what goes to the client now, valid
	// until the next call. An error breaks the answer off.
	Piece(piece []byte) (pass []byte, err error)
	// End says that the whole answer has come, and returns what was kept back.
	// It may wait: what the client has been sent was flushed. It is not called
	// for an answer that broke off. An error breaks the answer off.
	End() (rest []byte, err error)
}

// drainBytes bounds what is read of an answer for a client that has left.
const drainBytes = 64 << 20

// startDrain lets the work on the upstream outlive the client by out.Drain.
func (e *exchange) startDrain() (stop func()) {
	const never = 1 << 62
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(e.r.Context()))
	patience := time.AfterFunc(never, func() { cancel(errGone) })
	drain := e.out.Drain
	e.work, e.leaving = ctx, func() { patience.Reset(drain) }
	watching := context.AfterFunc(e.r.Context(), e.leaving)
	return func() {
		watching()
		patience.Stop()
		cancel(nil)
	}
}

// gone reports whether nobody waits for the answer any more.
func (e *exchange) gone() bool {
	return e.left || e.out.Drain > 0 && e.r.Context().Err() != nil
}

// leave goes on without the client, where the answer is to be drained; its
// connection failed, which its context may not know yet.
func (e *exchange) leave(err error) error {
	if e.out.Drain <= 0 {
		return errors.Join(errGone, err)
	}
	if !e.left {
		e.left = true
		e.leaving()
	}
	return nil
}

// startFilter asks for the filter of the answer, whose length it may change.
// An answer without a body has none.
func (e *exchange) startFilter(header http.Header) {
	h := &e.head
	if e.out.Filter == nil || e.r.Method == http.MethodHead || h.status == http.StatusNoContent || h.status == http.StatusNotModified {
		return
	}
	if e.filter = e.out.Filter(h.status, header); e.filter != nil {
		delete(header, "Content-Length")
	}
}

// drainUnseen reads an answer whose client left before it was told of it.
func (e *exchange) drainUnseen(body answerBody) error {
	e.left = true
	if err := e.copyBody(body); err != nil {
		return e.fault(err)
	}
	return faultGone(context.Cause(e.r.Context()))
}

// pass sends a piece of the answer to the client, through the filter.
func (e *exchange) pass(piece []byte) (err error) {
	if e.filter != nil {
		if piece, err = e.filter.Piece(piece); err != nil {
			return faultBroken(err)
		}
	}
	return e.send(piece)
}

// send writes to the client, if it is still there.
func (e *exchange) send(piece []byte) error {
	if len(piece) == 0 || e.left {
		return nil
	}
	if e.out.Pass == nil {
		return e.write(piece)
	}
	n, refused := e.out.Pass(false, int64(len(piece)))
	if err := e.write(piece[:n]); err != nil {
		return err
	}
	return refused
}

func (e *exchange) write(piece []byte) error {
	n, err := e.w.Write(piece)
	e.result.BytesOut += int64(n)
	e.unflushed = true
	if err != nil {
		return e.leave(err)
	}
	return nil
}

// drained counts what was read for nobody.
func (e *exchange) drained(piece []byte) error {
	if !e.gone() {
		return nil
	}
	e.left = true
	if e.unseen += len(piece); e.unseen > drainBytes {
		return errGone
	}
	return nil
}

// endFilter lets the filter have the last word.
func (e *exchange) endFilter() error {
	if e.filter != nil {
		e.beforeWait()
		rest, err := e.filter.End()
		if err != nil {
			return err
		}
		if err := e.send(rest); err != nil {
			return err
		}
	}
	if e.left {
		e.result.Drained = true
		return errGone
	}
	return nil
}
