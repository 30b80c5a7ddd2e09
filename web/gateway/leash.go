package gateway

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// leash ends a request from beside, when its time is used up.
type leash struct {
	mu      sync.Mutex
	cancel  context.CancelCauseFunc
	control *http.ResponseController
	body    bool  // the client may still send some
	cause   error // why it was ended
	headed  bool  // the head of its answer went out, or is about to
	tunnel  bool  // it is a WebSocket now, which is told why it ends
	over    bool
}

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// restrain lets the request be ended from beside.
func (x *exchange) restrain() {
	if x.leash != nil {
		return
	}
	ctx, cancel := context.WithCancelCause(x.r.Context())
	x.leash = &leash{cancel: cancel, control: http.NewResponseController(x.w), body: x.r.Body != nil && x.r.Body != http.NoBody}
	x.r, x.out.Framed = x.r.WithContext(ctx), true
}

// pull ends the request: what waits for the app, and what waits for the client.
func (l *leash) pull(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil || l.over {
		return
	}
	l.cause = cause
	l.cancel(cause)
	if l.tunnel {
		return
	}
	if l.body {
		l.control.SetReadDeadline(past)
	}
	if l.headed {
		l.control.SetWriteDeadline(past)
	}
}

// head says that the answer begins, unless the request was ended before.
func (l *leash) head() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.headed = true
	return l.cause
}

// upgraded says that the connection is a WebSocket.
func (l *leash) upgraded() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tunnel = true
}

// reason is why the request was ended from beside, or else the error.
func (l *leash) reason(err error) error {
	if l == nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil {
		return l.cause
	}
	return err
}

// slip lets the request go: nothing ends it any more.
func (l *leash) slip() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.cancel(nil)
}
