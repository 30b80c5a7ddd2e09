package metering

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"gatehouse/app"
)

// recover applies what earlier runs left, crashed or not. A block that cannot
// be read stops its own chain alone; Stats and the log tell.
func (l *Ledger) recover(ctx context.Context) {
	l.inherit(ctx, true, func(app.LedgerReplica) bool { return true })
}

// takeOver applies the blocks of replicas that did not get further between two
// looks: they died, or cannot reach the buckets. The dead it buries.
func (l *Ledger) takeOver(ctx context.Context) {
	now := map[int64]int64{}
	l.inherit(ctx, false, func(r app.LedgerReplica) bool {
		now[r.ID] = r.Applied.Seq
		before, known := l.applier.seen[r.ID]
		return known && before == r.Applied.Seq
	})
	l.applier.seen = now
}

func (l *Ledger) inherit(ctx context.Context, starting bool, due func(app.LedgerReplica) bool) {
	replicas, err := l.o.Store.Unapplied(ctx)
	for _, r := range replicas {
		if r.ID == l.replica.ID || !due(r) {
			continue
		}
		if failure := l.catchUp(ctx, r.ID, math.MaxInt64); failure != nil {
			err = errors.Join(err, fmt.Errorf("replica %d: %w", r.ID, failure))
		}
	}
	err = errors.Join(err, l.buryAll(ctx, starting))
	if err != nil && ctx.Err() == nil {
		l.o.Log.Error("blocks of other runs are not in the usage buckets", "err", err)
	}
	l.stats.inherited(err)
}

// startSilence is how long a replica must have been silent for a process that
// starts: it cannot know whether the database was away, and for whom. What died
// less long ago is taken over by a later look.
const startSilence = time.Hour

// silence is after how long a silent replica is dead.
func (l *Ledger) silence(starting bool) time.Duration {
	if starting {
		return max(startSilence, l.o.DeadAfter)
	}
	return l.o.DeadAfter
}

// buryAll takes over every dead replica.
func (l *Ledger) buryAll(ctx context.Context, starting bool) error {
	if !starting && !l.pulse.steady() {
		return nil
	}
	dead, err := l.o.Store.Dead(ctx, l.silence(starting), starting)
	for _, r := range dead {
		if r.ID == l.replica.ID {
			continue
		}
		if failure := l.bury(ctx, r.ID, starting); failure != nil {
			err = errors.Join(err, fmt.Errorf("take over replica %d: %w", r.ID, failure))
		}
	}
	return err
}

// bury fences a dead replica, so that it can never write again, settles what
// it left with a last block, applies its chain and gives back what it was
// lent. Any number of processes may do so at once, and each step again: they
// write the same bytes.
func (l *Ledger) bury(ctx context.Context, id int64, starting bool) error {
	fenced, err := l.o.Store.Fence(ctx, id, l.silence(starting), starting)
	if err != nil || !fenced {
		return err
	}
	for {
		if err := l.catchUp(ctx, id, math.MaxInt64); err != nil {
			return err
		}
		body, seq, err := l.finalBlock(ctx, id)
		if err != nil {
			return err
		}
		if body == nil {
			break
		}
		if err := l.o.Store.AppendFinal(ctx, id, seq, body); err != nil {
			return err
		}
	}
	if err := l.o.Store.Bury(ctx, id); err != nil {
		return err
	}
	l.o.Log.Info("ledger took over a replica", "replica", l.replica.ID, "dead", id)
	return nil
}

// finalBlock returns the block that settles what the fenced replica left open,
// or none when there is nothing. All of its chain is applied.
func (l *Ledger) finalBlock(ctx context.Context, id int64) ([]byte, int64, error) {
	left := leftovers{open: map[requestKey]*leftover{}}
	remains, err := l.o.Store.Remains(ctx, id, left.block)
	if err != nil || left.last > remains.Replica.Applied.Seq {
		return nil, 0, err // not all of it is applied: whoever appended is about to
	}
	b := left.final(remains)
	if b.records() == 0 {
		return nil, 0, nil
	}
	body, _ := (&encoder{}).encode(b)
	return body, b.Seq, nil
}
