package metering

import (
	"time"

	"gatehouse/app"
)

// writer is what the goroutine that writes blocks keeps to itself.
type writer struct {
	seq     int64          // of the last block
	link    app.LedgerLink // to the last block
	size    int            // requests in the last block
	began   time.Duration  // when its commit began
	commit  time.Duration  // what commits take, smoothed
	block   Block
	encoder encoder
	refs    map[Series]int
	meters  map[MeterSeries]int
	account map[*app.Account]int
	open    []*group // with requests whose worst case is not settled, and some where all are
	kept    int      // how many of open were left when it was last cleared
	batch   batch    // the slices of the last one, to be used again
	timer   *time.Timer
	lost    int // records that could not be written before the end
}

// batch is what one block will hold.
type batch struct {
	group   *group
	intents []pendingIntent
	with    cargo
	adjusts []pendingAdjust
	settles []pendingSettle
	after   cargo
	tally   int64 // successful answers whose outcomes are in this batch or an earlier one
}

func newWriter(r app.LedgerReplica) writer {
	w := writer{link: r.Link, refs: map[Series]int{}, timer: time.NewTimer(time.Hour)}
	w.timer.Stop()
	w.block.Replica = r.ID
	return w
}

// What a sleeping writer is woken by.
const (
	awake uint8 = iota
	forIntent
	forAny
)

// rouse notes that a request came (forIntent) or an outcome (forAny), and
// reports whether to ring for a writer that sleeps for it; the lock is held.
func (l *Ledger) rouse(by uint8) bool {
	if l.sleep < by {
		return false
	}
	l.sleep = awake
	return true
}

// ring wakes the writer. A token that is there already does the same.
func (l *Ledger) ring(wake bool) {
	if !wake {
		return
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// write commits block after block until the ledger is closed and empty.
func (l *Ledger) write() {
	defer close(l.drained)
	for l.await() {
		l.pace()
		l.commit(l.take())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	cause := errClosing
	if l.fenced {
		cause = errFenced
	}
	l.open.end(failed, cause) // it gave up: who waits still shall know
}

// await sleeps until there is something to write. Outcomes alone are written
// after settleDelay: they ride with a request if one comes.
func (l *Ledger) await() bool {
	l.sleepFor(forAny, nil)
	l.mu.Lock()
	alone := l.due() == 0 && !l.closing
	l.mu.Unlock()
	if alone {
		l.writer.timer.Reset(settleDelay)
		l.sleepFor(forIntent, l.writer.timer.C)
		l.writer.timer.Stop()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.intents)+len(l.adjusts)+len(l.settles) > 0 && l.ctx.Err() == nil
}

// sleepFor sleeps until the queue holds what is asked for, the timer fires or
// the ledger closes.
func (l *Ledger) sleepFor(what uint8, timer <-chan time.Time) {
	for {
		l.mu.Lock()
		if l.closing || l.fenced || l.due() > 0 || what == forAny && len(l.settles) > 0 {
			l.sleep = awake
			l.mu.Unlock()
			return
		}
		l.sleep = what
		l.mu.Unlock()
		select {
		case <-l.wake:
		case <-timer:
			l.mu.Lock()
			l.sleep = awake
			l.mu.Unlock()
			return
		}
	}
}

// take closes the open group and starts the next one.
func (l *Ledger) take() batch {
	next, spare := l.newGroup(), l.writer.batch
	if cap(spare.settles) > 2*maxSettles {
		spare.settles = nil // of a stall that is over
	}
	l.mu.Lock()
	b := batch{l.open, l.intents, l.with, l.adjusts, l.settles, l.after, l.answered}
	l.open, l.intents, l.with, l.adjusts = next, spare.intents[:0], spare.with.emptied(), nil
	l.settles, l.after = spare.settles[:0], spare.after.emptied()
	l.urgent = len(b.settles) > maxSettles && l.urgent
	if len(b.settles) > maxSettles {
		rest := b.after.skip(b.settles[:maxSettles])
		l.settles = append(l.settles, b.settles[maxSettles:]...)
		l.after.uses, l.after.draws = append(l.after.uses, rest.uses...), append(l.after.draws, rest.draws...)
		b.settles, b.tally = b.settles[:maxSettles], -1
	}
	l.committing, l.since = b.group, l.clock()
	l.mu.Unlock()
	l.writer.batch = b
	return b
}

// commit writes the batch as one block, however often it takes, and tells who
// waits for it.
func (l *Ledger) commit(b batch) {
	w := &l.writer
	block := w.fill(b, l.o.Now())
	body, hash := w.encoder.encode(block)
	if block.records() == 0 {
		l.finish(b.group)
		return
	}
	l.patient.Reset(l.o.Patience)
	written := l.append(block.Seq, body)
	l.patient.Stop()
	if !written {
		w.lost += len(block.Intents) + len(block.Settles) + len(block.Adjusts)
		l.abandon(b.group)
		return
	}
	w.began = l.since
	took := l.finish(b.group)
	w.seq, w.link = block.Seq, app.LedgerLink{Replica: block.Replica, Seq: block.Seq, Hash: hash}
	w.size, w.commit = len(block.Intents), smooth(w.commit, took)
	l.sums.add(block, progress{w.link, w.openFrom(), b.tally})
	l.stats.committed(block, len(body), took)
}

// append tries until the block is durable, always the same bytes: a try whose
// answer was lost may have succeeded, and the store knows the block again. It
// fails only when the ledger gives up.
func (l *Ledger) append(seq int64, body []byte) bool {
	for wait := firstRetry; ; wait = min(2*wait, slowestRetry) {
		err := l.o.Store.AppendBlock(l.ctx, l.replica.ID, seq, body)
		if err == nil {
			l.recovered()
			return true
		}
		if isFenced(err) {
			l.fence(err)
			return false
		}
		l.stalled(err)
		l.writer.timer.Reset(wait)
		select {
		case <-l.writer.timer.C:
		case <-l.ctx.Done():
			l.writer.timer.Stop()
			return false
		}
	}
}

// finish lets the group's waiters go, and returns what its commit took.
func (l *Ledger) finish(g *group) time.Duration {
	l.mu.Lock()
	took := l.clock() - l.since
	l.committing = nil
	if !l.closing && !l.fenced {
		l.refused = nil
	}
	l.mu.Unlock()
	g.end(durable, nil) // nobody else ends a group that is not committing
	return took
}

// abandon fails the group: the ledger gives up.
func (l *Ledger) abandon(g *group) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.committing = nil
	g.end(failed, l.stats.lastError())
}

// losePatience runs when a commit has taken too long. Who waits for it is
// refused, and so is everybody who comes, until it succeeds. Its block may be
// counted nevertheless, once it is written: with the outcome that the gate
// gave, as any other.
func (l *Ledger) losePatience() {
	if l.relaxed {
		return // nobody waits
	}
	if cause := l.refuseAll(); cause != nil {
		l.o.Log.Error("ledger refuses requests", "replica", l.replica.ID, "err", cause)
	}
}

// refuseAll returns why it refuses, or nil when the commit is over.
func (l *Ledger) refuseAll() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.committing == nil || l.clock()-l.since < l.o.Patience {
		return nil
	}
	cause := l.stats.slow(l.o.Now().Add(l.since - l.clock()))
	l.committing.end(failed, cause)
	l.open.void = true
	l.open.end(failed, cause)
	l.open, l.intents, l.with, l.adjusts = l.newGroup(), l.intents[:0], l.with.emptied(), nil
	if !l.closing && !l.fenced {
		l.refused = voidGroup(cause)
	}
	return cause
}

// stalled notes a failed try.
func (l *Ledger) stalled(err error) {
	if l.stats.stall(l.o.Now(), err) {
		l.o.Log.Error("ledger stalled", "replica", l.replica.ID, "err", err)
	}
}

// recovered notes that a try succeeded.
func (l *Ledger) recovered() {
	if since := l.stats.recover(); !since.IsZero() {
		l.o.Log.Info("ledger recovered", "replica", l.replica.ID, "stalled_for", l.o.Now().Sub(since))
	}
}
