package metering

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
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
)

// EventStore keeps blocks of events, and which events they count.
type EventStore interface {
	BlockStore
	// CountedEvents finds which of the ids are counted.
	CountedEvents(ctx context.Context, ids [][16]byte) (map[[16]byte]app.EventMark, error)
	// AppendEvents writes a block and claims its events' ids, sorted, or does
	// neither: not ok, another block has counted one of them.
	AppendEvents(ctx context.Context, replica, seq int64, body []byte, received time.Time, claims []app.EventMark) (ok bool, err error)
	// ForgetEvents drops ids received before a time, about max of them.
	ForgetEvents(ctx context.Context, before time.Time, max int) (int64, error)
}

// EventsOptions are of a chain of events.
type EventsOptions struct {
	Store EventStore
	Node  string // host and process, for people
	// Draws appends what an event's quantity changes of quotas' accounts; nil:
	// nothing.
	Draws func(ctx context.Context, org app.OrgID, key app.KeyID, meter string, at time.Time, amount int64, dst []app.Draw) []app.Draw
	Now   func() time.Time // default: time.Now
	Log   *slog.Logger     // default: discards
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
}

// eventBatch is what one call reported and may be counted.
type eventBatch struct {
	events []app.Event
	draws  [][]app.Draw // of each event
	at     []int        // where each one's result stands
	result []app.EventResult
	done   chan struct{}
	err    error
}

// OpenEvents starts a chain of events in the store.
func OpenEvents(ctx context.Context, o EventsOptions) (*Events, error) {
	chain, err := newLedger(ctx, Options{Store: o.Store, Node: o.Node + app.LedgerEventsSuffix, Now: o.Now, Log: o.Log}.withDefaults())
	if err != nil {
		return nil, err
	}
	o.Now, o.Log = chain.o.Now, chain.o.Log
	chain.sleep = forAny // its own writer is not there to be woken: this one is
	e := &Events{o: o, store: o.Store, chain: chain, wake: make(chan struct{}, 1)}
	go e.write()
	chain.follow()
	return e, nil
}

// Record counts events and returns what became of each, in their order, when
// that is durable. It fails as a whole, and nothing may be said of any event,
// with ledger_unavailable when the ledger cannot write (send them again:
// nothing is counted twice) and with cancelled when the context ended before.
func (e *Events) Record(ctx context.Context, list []app.Event) ([]app.EventResult, error) {
	b := &eventBatch{result: make([]app.EventResult, len(list)), done: make(chan struct{})}
	for i, ev := range list {
		ev.Source, ev.ID, ev.Type = clean(ev.Source), clean(ev.ID), clean(ev.Type)
		if b.result[i] = e.judge(&ev); b.result[i].Verdict == "" {
			b.events, b.at = append(b.events, ev), append(b.at, i)
			b.draws = append(b.draws, e.draws(ctx, &ev))
		}
	}
	if len(b.events) == 0 {
		return b.result, nil
	}
	if err := e.enqueue(b); err != nil {
		return nil, err
	}
	patience := time.NewTimer(e.chain.o.Patience)
	defer patience.Stop()
	select {
	case <-b.done:
		return b.result, b.err
	case <-patience.C:
		return nil, unavailable(errSlow)
	case <-ctx.Done():
		return nil, cancelled(ctx)
	}
}

// judge rejects what cannot be counted; an event that may be has no verdict.
func (e *Events) judge(ev *app.Event) app.EventResult {
	now := e.o.Now()
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

func (e *Events) draws(ctx context.Context, ev *app.Event) (draws []app.Draw) {
	if e.o.Draws == nil {
		return nil
	}
	for i := range ev.Uses {
		if u := &ev.Uses[i]; !u.Unique {
			draws = e.o.Draws(ctx, ev.Org, ev.Key, u.Meter, ev.Time, u.Value, draws)
		}
	}
	return draws
}

func (e *Events) enqueue(b *eventBatch) error {
	if err := e.chain.Ready(); err != nil {
		return err
	}
	e.mu.Lock()
	full := e.size > 0 && e.size+len(b.events) > MaxEventsPending
	if !full {
		e.queue, e.size = append(e.queue, b), e.size+len(b.events)
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

// take takes the batches of the next block.
func (e *Events) take() (list []*eventBatch) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for n := 0; len(e.queue) > 0 && n < maxEventsBlock; e.queue = e.queue[1:] {
		list, n = append(list, e.queue[0]), n+len(e.queue[0].events)
		e.size -= len(e.queue[0].events)
	}
	return list
}

// Stats is the state of the chain; its Requests are none.
func (e *Events) Stats() Stats { return e.chain.Stats() }

// Fenced is as for a Ledger.
func (e *Events) Fenced() bool { return e.chain.Fenced() }

// Ready fails with ledger_unavailable while events are refused.
func (e *Events) Ready() error { return e.chain.Ready() }

// Close refuses new events, writes and folds what is there, and ends.
func (e *Events) Close(ctx context.Context) error { return e.chain.Close(ctx) }

// write commits block after block until the chain is closed and nothing waits.
func (e *Events) write() {
	defer close(e.chain.drained)
	forget := time.NewTicker(forgetEvery)
	defer forget.Stop()
	for {
		list := e.take()
		if len(list) > 0 {
			e.commit(list)
			continue
		}
		if e.chain.over() {
			return
		}
		select {
		case <-e.wake:
		case <-e.chain.wake: // it closes, or was fenced
		case <-forget.C:
			e.forget()
		}
	}
}

// forget drops ids which nobody can repeat any more.
func (e *Events) forget() {
	for {
		n, err := e.store.ForgetEvents(e.chain.ctx, e.o.Now().Add(-app.EventLife), forgetAtOnce)
		if err != nil && e.chain.ctx.Err() == nil {
			e.o.Log.Warn("ids of old events not forgotten", "err", err)
		}
		if err != nil || n < forgetAtOnce {
			return
		}
	}
}

// eventPlace is where one event stands among batches.
type eventPlace struct {
	batch *eventBatch
	index int
}

// commit writes one block with the events that are new, however often it
// takes, and answers all of them.
func (e *Events) commit(list []*eventBatch) {
	err := e.try(list)
	for _, b := range list {
		b.err = err
		close(b.done)
	}
}

// try fails only when the chain gives up.
func (e *Events) try(list []*eventBatch) error {
	for wait := firstRetry; ; wait = min(2*wait, slowestRetry) {
		err := e.attempt(list)
		switch {
		case err == nil:
			e.chain.recovered()
			e.chain.welcome()
			return nil
		case isFenced(err):
			e.chain.fence(err)
			return unavailable(err)
		case e.chain.ctx.Err() != nil:
			return unavailable(errClosing)
		}
		e.chain.stalled(err)
		e.chain.turnAway(err)
		select {
		case <-time.After(wait):
		case <-e.chain.ctx.Done():
			return unavailable(errClosing)
		}
	}
}

// attempt sorts out what is counted already and writes the rest, until nobody
// else has counted one of them meanwhile. The bytes of a block whose answer was
// lost are written again as they were: it may be there.
func (e *Events) attempt(list []*eventBatch) error {
	for {
		fresh, err := e.sift(list)
		if err != nil || len(fresh) == 0 {
			return err
		}
		ok, err := e.append(fresh)
		if err != nil || ok {
			return err
		}
	}
}

// sift answers duplicates and conflicts, and returns what is new.
func (e *Events) sift(list []*eventBatch) ([]eventPlace, error) {
	first, again := map[[16]byte]eventPlace{}, []eventPlace{}
	var ids [][16]byte
	for _, b := range list {
		for i := range b.events {
			ev := &b.events[i]
			id := app.EventID16(ev.Org, ev.Source, ev.ID)
			if _, twice := first[id]; twice {
				again = append(again, eventPlace{b, i})
				continue
			}
			first[id] = eventPlace{b, i}
			ids = append(ids, id)
		}
	}
	counted, err := e.store.CountedEvents(e.chain.ctx, ids)
	if err != nil {
		return nil, err
	}
	var fresh []eventPlace
	for _, id := range ids {
		p := first[id]
		mark, known := counted[id]
		if !known {
			fresh = append(fresh, p)
			continue
		}
		p.answer(repeated(p.event().Body, mark.Body), mark)
	}
	for _, p := range again {
		ev := p.event()
		id := app.EventID16(ev.Org, ev.Source, ev.ID)
		mark, known := counted[id]
		if !known {
			mark.Body = first[id].event().Body
		}
		p.answer(repeated(ev.Body, mark.Body), mark)
	}
	return fresh, nil
}

func (p eventPlace) event() *app.Event { return &p.batch.events[p.index] }

// answer says what became of the event, and which block counted it, as far as
// that is known.
func (p eventPlace) answer(r app.EventResult, mark app.EventMark) {
	r.Replica, r.Seq = mark.Replica, mark.Seq
	p.batch.result[p.batch.at[p.index]] = r
}

func repeated(body, before [8]byte) app.EventResult {
	if body == before {
		return app.EventResult{Verdict: app.EventDuplicate}
	}
	return app.EventResult{Verdict: app.EventConflict, Reason: "an event with this id and another body was counted before"}
}

// append writes the events as one block and answers them.
func (e *Events) append(fresh []eventPlace) (ok bool, err error) {
	l, w, now := e.chain, &e.chain.writer, e.o.Now()
	block := w.fillEvents(fresh, now)
	body, hash := w.encoder.encode(block)
	claims := make([]app.EventMark, len(block.Events))
	for i := range block.Events {
		claims[i] = app.EventMark{ID: block.Events[i].ID16, Body: block.Events[i].Body, Replica: block.Replica, Seq: block.Seq}
	}
	slices.SortFunc(claims, func(a, b app.EventMark) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	started := l.clock()
	for {
		if ok, err = e.store.AppendEvents(l.ctx, block.Replica, block.Seq, body, now, claims); err == nil {
			break
		}
		if l.ctx.Err() != nil || isFenced(err) {
			return false, err
		}
		l.stalled(err)
		l.turnAway(err)
		select {
		case <-time.After(firstRetry):
		case <-l.ctx.Done():
			return false, err
		}
	}
	if !ok {
		return false, nil
	}
	w.seq, w.link = block.Seq, app.LedgerLink{Replica: block.Replica, Seq: block.Seq, Hash: hash}
	for _, p := range fresh {
		p.answer(app.EventResult{Verdict: app.EventAccepted}, app.EventMark{Replica: block.Replica, Seq: block.Seq})
	}
	l.sums.add(block, progress{w.link, w.openFrom(), -1})
	l.stats.committed(block, len(body), l.clock()-started)
	return true, nil
}

// fillEvents puts events into the writer's block.
func (w *writer) fillEvents(fresh []eventPlace, now time.Time) *Block {
	w.refs, w.meters, w.account = emptied(w.refs), emptied(w.meters), emptied(w.account)
	b := &w.block
	b.empty()
	b.Seq, b.Link, b.Base = w.seq+1, w.link, millis(now.UnixMilli())
	for _, p := range fresh {
		ev := p.event()
		at := millis(ev.Time.UnixMilli())
		b.Events = append(b.Events, Event{Org: app.OrgID(clean(string(ev.Org))), Key: app.KeyID(clean(string(ev.Key))),
			Source: ev.Source, ID: ev.ID, Type: ev.Type, At: at, Received: b.Base,
			ID16: app.EventID16(ev.Org, ev.Source, ev.ID), Body: ev.Body})
		w.unload(&Series{Org: ev.Org, Key: ev.Key}, at, cargo{uses: ev.Uses, draws: p.batch.draws[p.index]})
	}
	return b
}
