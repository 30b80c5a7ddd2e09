package metering

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"gatehouse/app"
)

// beatEvery is how often a replica tells that it lives.
const beatEvery = 2 * time.Second

// errFenced is why a replica writes no more.
var errFenced = &app.Error{Kind: app.KindUnavailable, Code: "ledger_fenced",
	Message: "This process was silent for so long that others have settled what it left; it may count no more.",
	Advice:  "Restart it."}

func isFenced(err error) bool {
	var known *app.Error
	return errors.As(err, &known) && known.Code == errFenced.Code
}

// PulseStore tells that a replica lives.
type PulseStore interface {
	// Beat notes that the replica lives. It fails with ledger_fenced when
	// somebody has taken it over.
	Beat(ctx context.Context, replica int64) error
}

// pulse tells the store that a replica lives, and whether the store knows it.
type pulse struct {
	born  time.Time
	last  atomic.Int64 // the start of the last beat that arrived, since born
	since atomic.Int64 // the start of the first one of those without a failure between, since born
	fresh time.Duration
	gone  atomic.Bool
}

// newPulse begins alive: the replica has just been opened. It counts as fresh
// for half the time after which others take over, so that who asks it, and
// then is slow, has as much left.
func newPulse(deadAfter time.Duration) *pulse {
	return &pulse{born: time.Now(), fresh: deadAfter / 2}
}

func (p *pulse) alive() bool {
	return !p.gone.Load() && time.Since(p.born)-time.Duration(p.last.Load()) < p.fresh
}

// steady reports whether beats have arrived for so long without a failure that
// everybody who lives had time for one. After an outage of the store all are
// silent, and some come back before others: nobody may be taken for dead then.
func (p *pulse) steady() bool {
	return time.Duration(p.last.Load()-p.since.Load()) >= p.fresh
}

// run beats until the context ends, or the replica is fenced.
func (p *pulse) run(ctx context.Context, store PulseStore, replica int64, fenced func(error), log *slog.Logger) {
	tick := time.NewTicker(min(beatEvery, p.fresh/3))
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		started := time.Since(p.born)
		err := store.Beat(ctx, replica)
		switch {
		case err == nil:
			if failing {
				p.since.Store(int64(started))
			}
			p.last.Store(int64(started))
		case isFenced(err):
			fenced(err)
			return
		case !failing && ctx.Err() == nil:
			log.Warn("sign of life did not reach the store", "replica", replica, "err", err)
		}
		failing = err != nil
	}
}

// Alive reports whether the store knows that this replica lives: what it was
// lent of quotas is its own. It is false a while before others take over.
func (l *Ledger) Alive() bool { return l.pulse.alive() }

// Fenced reports whether others have taken this ledger's chain over: it counts
// nothing any more, and only another process can.
func (l *Ledger) Fenced() bool { return l.pulse.gone.Load() }

// fence ends the ledger: somebody has taken its chain over.
func (l *Ledger) fence(cause error) {
	l.pulse.gone.Store(true)
	l.mu.Lock()
	already := l.fenced
	l.fenced, l.refused = true, voidGroup(cause)
	l.settles, l.after = nil, cargo{}
	wake := l.rouse(forIntent)
	l.mu.Unlock()
	if already {
		return
	}
	l.stats.stall(l.o.Now(), cause)
	l.o.Log.Error("ledger was taken over by others, restart this process", "replica", l.replica.ID)
	l.giveUp()
	l.ring(wake)
}

// Tally notes that the gate has given so many successful answers (2xx) more,
// by a count of its own, after it has settled their requests. The proof
// compares it with the outcomes.
func (l *Ledger) Tally(n int64) {
	l.mu.Lock()
	l.answered = max(0, l.answered) + n
	l.mu.Unlock()
}
