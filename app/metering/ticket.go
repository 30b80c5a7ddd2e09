package metering

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"gatehouse/app"
)

// group is the requests that share a commit, as their tickets see it. It
// holds no records, so a long connection's ticket keeps little alive.
type group struct {
	state   atomic.Uint32
	waited  atomic.Bool   // somebody waits for it
	done    chan struct{} // closed when state is no longer pending
	cause   error         // why it failed; written before state
	born    time.Duration // of its first intent, on the ledger's own clock
	seq     int64         // of its block; the writer's own; 0: in none (yet)
	held    int           // of its requests, how many have a worst case and no outcome; the writer's own
	void    bool          // it will be in no block; under the ledger's lock
	relaxed bool          // its waiters do not wait
}

// States of a group.
const (
	pending uint32 = iota
	durable
	failed // its waiters were told that it is not known to be counted
)

// end tells the waiters, once.
func (g *group) end(state uint32, cause error) {
	if g.state.Load() != pending {
		return
	}
	g.cause = cause
	g.state.Store(state)
	close(g.done)
}

// voidGroup is the group of requests that are refused for the cause.
func voidGroup(cause error) *group {
	g := &group{done: make(chan struct{}), void: true}
	g.end(failed, cause)
	return g
}

// Ticket is the receipt of one Begin. It is a value, to be kept where the
// request is. The zero Ticket belongs to a request that is not metered: it
// waits for nothing and settles nothing.
type Ticket struct {
	ledger *Ledger
	group  *group
	series Series
	at     int64 // Unix milliseconds
	index  int64 // in its group
	held   bool  // its worst case waits for its outcome
}

// Wait returns nil when the request's record is durable (in relaxed mode: at
// once). It fails with
//   - ledger_unavailable (KindUnavailable, with RetryAfter) when the ledger
//     cannot write: the request must not be answered as if it were counted;
//   - cancelled (KindCancelled) when the context ended before.
func (t *Ticket) Wait(ctx context.Context) error {
	g := t.group
	if g == nil {
		return nil
	}
	if t.index == 0 && g.state.Load() != failed {
		t.ledger.upstream.add(t.ledger.clock() - g.born)
	}
	if g.state.Load() == pending && !g.relaxed {
		if !g.waited.Swap(true) {
			t.ledger.tellWaiting()
		}
		select {
		case <-g.done:
		case <-ctx.Done():
			return cancelled(ctx)
		}
	}
	if g.state.Load() == failed {
		return unavailable(g.cause)
	}
	return nil
}

func cancelled(ctx context.Context) error {
	return &app.Error{Kind: app.KindCancelled, Code: "cancelled",
		Message: "The request was cancelled before it was counted.", Err: context.Cause(ctx)}
}

// retryAfter is what a refused client is told: a writer that lags is back
// within a second, or it is broken and a person must look.
const retryAfter = time.Second

func unavailable(cause error) error {
	return &app.Error{Kind: app.KindUnavailable, Code: "ledger_unavailable",
		Message: "Requests cannot be counted at the moment, so they cannot be answered.",
		Advice:  "Try again in a moment.", RetryAfter: retryAfter, Err: cause}
}

// Causes of a refusal that are no error of the store.
var (
	errFull    = errors.New("too many requests wait for the ledger")
	errClosing = errors.New("the ledger is closing")
	errSlow    = errors.New("the ledger's commit takes too long")
)
