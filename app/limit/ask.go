package limit

import (
	"context"
	"sync"
	"sync/atomic"

	"gatehouse/app"
)

// outcome is what became of an ask.
type outcome int32

const (
	waiting outcome = iota
	passed
	refused
	lost      // Redis did not answer
	abandoned // who asked has left
)

// ask is what one request wants of Redis: units of each of the cells, all or
// none. With no units it only tops up leases, or (settle) gives units back.
type ask struct {
	cells   []*Cell
	units   int64
	settle  bool  // only give back
	would   *Cell // a cell in dry-run that would have refused
	granted int64 // when Redis counted the units, its clock, microseconds
	state   atomic.Int32
	done    chan struct{}
}

func newAsk(cells []*Cell, units int64) *ask {
	return &ask{cells: cells, units: units, done: make(chan struct{})}
}

// finish ends an ask; false when nobody waits for it any more.
func (k *ask) finish(as outcome) bool {
	ended := k.state.CompareAndSwap(int32(waiting), int32(as))
	if ended {
		close(k.done)
	}
	return ended
}

// wait answers what became of the ask, or abandons it when the context ends.
func (k *ask) wait(ctx context.Context) outcome {
	select {
	case <-k.done:
	case <-ctx.Done():
		k.finish(abandoned)
	}
	return outcome(k.state.Load())
}

// queue gathers asks. While calls are under way the next ones gather behind
// them and go together: one request alone never waits for others, and many at
// once share a round trip.
type queue struct {
	work    func([]*ask)
	mu      sync.Mutex
	asks    []*ask
	workers int
}

const (
	maxWorkers = 3   // round trips under way at once
	maxBatch   = 128 // asks in one round trip
)

func (q *queue) add(asks ...*ask) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.asks = append(q.asks, asks...)
	if q.workers < maxWorkers {
		q.workers++
		go q.run()
	}
}

func (q *queue) run() {
	for batch := q.next(); batch != nil; batch = q.next() {
		q.work(batch)
	}
}

// next answers the asks of one round trip; nil ends the worker.
func (q *queue) next() []*ask {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.asks), maxBatch)
	if n == 0 {
		q.workers--
		q.asks = nil
		return nil
	}
	batch := q.asks[:n:n]
	q.asks = q.asks[n:]
	return batch
}

// ask asks Redis for the cells of an attempt that have no units in hand.
func (s *Shared) ask(ctx context.Context, a *attempt) Decision {
	need := a.need()
	if s.loss.Lost() {
		return s.decideAlone(a, need)
	}
	asks := s.split(need, a.units)
	s.queue.add(asks...)
	worst, would := passed, (*Cell)(nil)
	for _, k := range asks {
		worst = max(worst, k.wait(ctx))
		if would == nil {
			would = k.would
		}
	}
	if worst == passed {
		return a.pass(would)
	}
	returnPassed(asks)
	switch worst {
	case lost:
		return s.decideAlone(a, need)
	case abandoned:
		a.putBack()
		return Decision{Units: a.units, Err: &app.Error{Kind: app.KindCancelled, Code: "cancelled",
			Message: "The request was cancelled.", Err: ctx.Err()}}
	}
	a.putBack()
	return a.refusal(need)
}

// topUp asks for the next leases of an attempt's cells, before they are needed.
func (s *Shared) topUp(a *attempt) {
	var low []*Cell
	for i, c := range a.cells[:min(len(a.cells), maxHeld)] {
		h := c.leased
		if l := a.held[i]; l != nil && l.low() && h.next.Load() == nil && h.fetching.CompareAndSwap(false, true) {
			low = append(low, c)
		}
	}
	if len(low) > 0 && !s.loss.Lost() {
		s.queue.add(s.split(low, 0)...)
	}
}

// Refresh implements Authority; while Redis is away it does nothing.
func (s *Shared) Refresh(ctx context.Context, cells []*Cell) {
	if s.loss.Lost() || len(cells) == 0 {
		return
	}
	asks := s.split(cells, 0)
	for _, k := range asks {
		k.settle = true
	}
	s.queue.add(asks...)
	for _, k := range asks {
		k.wait(ctx)
	}
}

// flush gives back what leases left unspent.
func (s *Shared) flush() {
	if !s.loss.Lost() {
		s.queue.add(s.unspent(false)...)
	}
}

// giveAllBack ends all leases and gives back what is left in them.
func (s *Shared) giveAllBack(ctx context.Context) {
	asks := s.unspent(true)
	s.queue.add(asks...)
	for _, k := range asks {
		k.wait(ctx)
	}
}

// unspent makes an ask for each cell that has something to give back.
func (s *Shared) unspent(all bool) (asks []*ask) {
	elapsed := s.clock.elapsed(s.clock.now())
	s.each(func(c *Cell) {
		if c.leased.expire(elapsed, all) {
			k := newAsk([]*Cell{c}, 0)
			k.settle = true
			asks = append(asks, k)
		}
	})
	return asks
}

// split makes one ask for the cells of each owner, because only those are sure
// to be in one hash slot. A request usually has one owner.
func (s *Shared) split(cells []*Cell, units int64) []*ask {
	var asks []*ask
	for len(cells) > 0 {
		var mine, rest []*Cell
		for _, c := range cells {
			if owner(c.key) == owner(cells[0].key) {
				mine = append(mine, c)
			} else {
				rest = append(rest, c)
			}
		}
		asks = append(asks, newAsk(mine, units))
		cells = rest
	}
	return asks
}

// returnPassed keeps the units of asks that passed beside one that did not, to
// be given back.
func returnPassed(asks []*ask) {
	for _, k := range asks {
		if outcome(k.state.Load()) == passed {
			k.keepUnits()
		}
	}
}

// keepUnits keeps what was granted and is not needed any more, to be given
// back. What a dry-run counted stays counted: it may have refused.
func (k *ask) keepUnits() {
	for _, c := range k.cells {
		if !c.rule.Load().dryRun {
			c.leased.mu.Lock()
			c.leased.keep(k.units, k.granted)
			c.leased.mu.Unlock()
			c.hold()
		}
	}
}

// refusal answers the decision after Redis refused.
func (a *attempt) refusal(need []*Cell) Decision {
	d := a.fromMemory()
	if d.Refused == nil { // refilled while the answer came
		d.Refused, d.RetryAfter = need[0], 1
	}
	return d
}
