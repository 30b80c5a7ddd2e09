package metering

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"gatehouse/app"
)

// Bounds of the events that wait for a block.
const (
	// MaxEventsPending bounds the events that wait: a second of what a machine
	// counts, so a longer queue means that the disk has stalled. 300 bytes each.
	MaxEventsPending = 100_000
	maxEventsBlock   = 2_000 // events after which a block is full; one call is never split
	forgetEvery      = time.Hour
	forgetAtOnce     = 5_000
	eventMemory      = app.EventLife + app.EventFuture // how long the id of an event that was received is known
)

// EventStore keeps blocks of events, and which events they count.
type EventStore interface {
	BlockStore
	// RecallEvents makes the chain one that counts events, and makes ready
	// which are counted since a time. Where one process alone counts (SQLite),
	// it reads them from blocks of other chains, and fails when another chain
	// may still count.
	RecallEvents(ctx context.Context, replica int64, since time.Time,
		read func(replica, seq int64, body []byte) (received time.Time, marks []app.EventMark, err error)) error
	// CountedEvents finds which of the ids are counted.
	CountedEvents(ctx context.Context, ids [][16]byte) (map[[16]byte]app.EventMark, error)
	// AppendEvents writes a block and claims its events' ids, or does neither:
	// not ok, another block has counted one of them.
	AppendEvents(ctx context.Context, replica, seq int64, body []byte, received time.Time, claims []app.EventMark) (ok bool, err error)
	// ForgetEvents drops ids received before a time, about max of them.
	ForgetEvents(ctx context.Context, before time.Time, max int) (int64, error)
}

// EventsOptions are of a chain of events.
type EventsOptions struct {
	Store EventStore
	Node  string // host and process, for people
	// Draws appends what an event's quantity changes of quotas' accounts; nil:
	// nothing. When it fails, none of the call's events is counted.
	Draws    func(ctx context.Context, org app.OrgID, key app.KeyID, meter string, at time.Time, amount int64, dst []app.Draw) ([]app.Draw, error)
	Patience time.Duration    // how long a call waits for its block; default: DefaultPatience
	Now      func() time.Time // default: time.Now
	Log      *slog.Logger     // default: discards
}

// Events counts what the operator's app reports, each event once however often
// it is sent. They have a chain of blocks of their own, so that large batches
// never share a commit with requests. It is safe for use by many goroutines.
type Events struct {
	o     EventsOptions
	store EventStore
	chain *Ledger // without its writer: what folds the blocks into buckets
	mu    sync.Mutex
	queue []*eventBatch
	size  int // events in queue
	wake  chan struct{}
	sieve sieve // of the goroutine that writes
}

// eventBatch is what one call reported and may be counted.
type eventBatch struct {
	events  []app.Event
	ids     [][16]byte   // of each event
	draws   [][]app.Draw // of each event
	at      []int        // where each one's result stands
	result  []app.EventResult
	adjusts []pendingAdjust // or corrections
	done    chan struct{}
	err     error
}

// OpenEvents starts a chain of events in the store. Chains that earlier
// processes left are ended first, so that nobody counts beside it who does not
// know what it knows.
func OpenEvents(ctx context.Context, o EventsOptions) (*Events, error) {
	chain, err := newLedger(ctx, Options{Store: o.Store, Node: o.Node + app.LedgerEventsSuffix, Patience: o.Patience, Now: o.Now, Log: o.Log}.withDefaults())
	if err != nil {
		return nil, err
	}
	o.Now, o.Log = chain.o.Now, chain.o.Log
	chain.sleep = forAny // its own writer is not there to be woken: this one is
	e := &Events{o: o, store: o.Store, chain: chain, wake: make(chan struct{}, 1)}
	if err := e.recall(ctx); err != nil {
		chain.giveUp()
		return nil, errors.Join(err, o.Store.CloseReplica(context.WithoutCancel(ctx), chain.replica.ID))
	}
	go e.write()
	chain.follow()
	return e, nil
}

// recall makes ready which events are counted.
func (e *Events) recall(ctx context.Context) error {
	if err := e.chain.buryAll(ctx, true); err != nil {
		e.o.Log.Error("chains of other runs are not ended", "err", err) // a fence suffices to go on
	}
	var b Block
	return e.store.RecallEvents(ctx, e.chain.replica.ID, e.o.Now().Add(-eventMemory),
		func(replica, seq int64, body []byte) (received time.Time, marks []app.EventMark, err error) {
			if err := b.read(replica, seq, body); err != nil {
				// What it counts is lost, as its usage is; Check says so too.
				e.o.Log.Error("events of a damaged block may be counted again", "replica", replica, "seq", seq, "err", err)
				return received, nil, nil
			}
			received, marks = b.marks()
			return received, marks, nil
		})
}

// Record counts events and returns what became of each, in their order, when
// that is durable. It fails as a whole, and nothing may be said of any event,
// with ledger_unavailable when the ledger cannot write or quotas cannot be read
// (send them again: nothing is counted twice) and with cancelled when the context ended before.
func (e *Events) Record(ctx context.Context, list []app.Event) ([]app.EventResult, error) {
	b, err := e.batch(ctx, list)
	if err != nil {
		return nil, err
	}
	if len(b.events) == 0 {
		return b.result, nil
	}
	if err := e.await(ctx, b); err != nil {
		return nil, err
	}
	return b.result, nil
}

// await waits until the batch is durable.
func (e *Events) await(ctx context.Context, b *eventBatch) error {
	if err := e.enqueue(b); err != nil {
		return err
	}
	patience := time.NewTimer(e.chain.o.Patience)
	defer patience.Stop()
	select {
	case <-b.done:
		return b.err
	case <-patience.C:
		return unavailable(errSlow)
	case <-ctx.Done():
		return cancelled(ctx)
	}
}

// batch is what may be counted of the events, with what its caller can work out
// of each rather than the one goroutine that writes.
func (e *Events) batch(ctx context.Context, list []app.Event) (b *eventBatch, err error) {
	n, now := len(list), e.o.Now()
	b = &eventBatch{events: make([]app.Event, 0, n), ids: make([][16]byte, 0, n), draws: make([][]app.Draw, 0, n), at: make([]int, 0, n),
		result: make([]app.EventResult, n), done: make(chan struct{})}
	for i, ev := range list {
		ev.Source, ev.ID, ev.Type = clean(ev.Source), clean(ev.ID), clean(ev.Type)
		if b.result[i] = judge(&ev, now); b.result[i].Verdict == "" {
			b.events, b.at = append(b.events, ev), append(b.at, i)
			b.ids = append(b.ids, app.EventID16(ev.Org, ev.Source, ev.ID))
			draws, err := e.draws(ctx, &ev)
			if err != nil {
				return nil, err
			}
			b.draws = append(b.draws, draws)
		}
	}
	return b, nil
}

// judge rejects what cannot be counted; an event that may be has no verdict.
func judge(ev *app.Event, now time.Time) app.EventResult {
	switch {
	case ev.Org == "":
		return app.EventResult{Verdict: app.EventRejected, Reason: "the organization is missing"}
	case ev.ID == "" || len(ev.ID) > maxText || len(ev.Source) > maxText || len(ev.Type) > maxText:
		return app.EventResult{Verdict: app.EventRejected, Reason: fmt.Sprintf("id must be set, and id, source and type have at most %d bytes each", maxText)}
	case ev.Time.After(now.Add(app.EventFuture)):
		return app.EventResult{Verdict: app.EventRejected, Reason: "time lies more than 15 minutes in the future"}
	case !ev.Import && ev.Time.Before(now.Add(-app.EventLife)):
		return app.EventResult{Verdict: app.EventTooOld, Reason: "time lies more than 35 days back; import it"}
	case ev.Time.Year() < 2000:
		return app.EventResult{Verdict: app.EventRejected, Reason: "time lies before the year 2000"}
	}
	return app.EventResult{}
}

// draws is what the event changes of quotas. One whose quotas cannot be read is
// not counted: they would never learn of it.
func (e *Events) draws(ctx context.Context, ev *app.Event) (draws []app.Draw, err error) {
	if e.o.Draws == nil {
		return nil, nil
	}
	for i := range ev.Uses {
		u := &ev.Uses[i]
		if u.Unique {
			continue
		}
		draws, err = e.o.Draws(ctx, ev.Org, ev.Key, u.Meter, ev.Time, u.Value, draws)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return nil, cancelled(ctx)
		default:
			return nil, unavailable(err)
		}
	}
	return draws, nil
}

func (e *Events) enqueue(b *eventBatch) error {
	if err := e.chain.Ready(); err != nil {
		return err
	}
	e.mu.Lock()
	full := e.size > 0 && e.size+b.size() > MaxEventsPending
	if !full {
		e.queue, e.size = append(e.queue, b), e.size+b.size()
	}
	e.mu.Unlock()
	if full {
		return unavailable(errFull)
	}
	select {
	case e.wake <- struct{}{}:
	default:
	}
	return nil
}

func (b *eventBatch) size() int { return len(b.events) + len(b.adjusts) }

// Stats is the state of the chain; its Requests are none.
func (e *Events) Stats() Stats { return e.chain.Stats() }

// Fenced is as for a Ledger.
func (e *Events) Fenced() bool { return e.chain.Fenced() }

// Ready fails with ledger_unavailable while events are refused.
func (e *Events) Ready() error { return e.chain.Ready() }

// Close refuses new events, writes and folds what is there, and ends.
func (e *Events) Close(ctx context.Context) error { return e.chain.Close(ctx) }
