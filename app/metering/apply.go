package metering

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"gatehouse/app"
)

const (
	applyEvery    = 250 * time.Millisecond // the longest that buckets lag behind, while all is well
	applyShare    = 10                     // at most one part in so many of the time is spent applying
	catchUpBlocks = 1000                   // in one transaction: a few megabytes
)

// applier is what the goroutine that folds blocks into buckets keeps.
type applier struct {
	applied int64 // the last block of this replica that the buckets hold, as far as known
	behind  int64 // not 0: blocks up to it must be read again from the store
	took    time.Duration
	err     error           // of the last try
	seen    map[int64]int64 // other replicas with unapplied blocks, and their applied seq, at the last look
}

// apply adds to the buckets what was written, until the ledger is closed.
func (l *Ledger) apply() {
	defer close(l.folded)
	look := time.NewTicker(l.o.TakeOver)
	defer look.Stop()
	for {
		select {
		case <-l.sums.dirty:
			l.applySoon()
		case <-look.C:
			l.takeOver(l.ctx)
		case <-l.drained:
			l.applyNow()
			return
		}
	}
}

// applySoon lets more come, so that a bucket is written once for many requests.
func (l *Ledger) applySoon() {
	wait := time.NewTimer(max(applyEvery, applyShare*l.applier.took))
	defer wait.Stop()
	select {
	case <-wait.C:
		l.applyNow()
	case <-l.drained:
	}
}

// applyNow moves the buckets to the last written block.
func (l *Ledger) applyNow() {
	started := l.clock()
	err := l.tryApply(l.ctx)
	l.applier.took = l.clock() - started
	if err != nil && l.applier.err == nil {
		l.o.Log.Error("usage buckets lag behind the ledger", "replica", l.replica.ID, "err", err)
	}
	l.applier.err = err
	l.stats.applied(l.applier.applied, err)
	if err != nil {
		l.sums.mark() // try again
	}
}

// tryApply adds what is in memory. When that fails, or somebody else applied
// blocks of this replica, memory no longer says what is missing: the blocks do.
func (l *Ledger) tryApply(ctx context.Context) error {
	a := &l.applier
	for {
		if a.behind > 0 {
			if err := l.catchUp(ctx, l.replica.ID, a.behind); err != nil {
				return err
			}
			a.applied, a.behind = a.behind, 0
		}
		taken, at := l.sums.take()
		to := at.to
		if to.Seq <= a.applied {
			return nil
		}
		u := taken.apply(a.applied, to)
		u.OpenFrom, u.Answered = at.openFrom, at.answered
		ok, err := l.o.Store.ApplyUsage(ctx, u)
		if ok && err == nil {
			a.applied = to.Seq
			return nil
		}
		a.behind = to.Seq
		if err != nil {
			return err
		}
	}
}

// catchUp applies the replica's blocks up to a seq from what the store holds.
// Whoever does so, and however many do at once, each block is applied once:
// ApplyUsage moves on only from where the buckets stand.
func (l *Ledger) catchUp(ctx context.Context, replica, upTo int64) error {
	return catchUp(ctx, l.o.Store, replica, upTo)
}

func catchUp(ctx context.Context, store BlockStore, replica, upTo int64) error {
	for {
		from, err := store.Applied(ctx, replica)
		if err != nil || from.Seq >= upTo {
			return err
		}
		folded, to := newSums(), from
		err = store.Blocks(ctx, replica, from.Seq, catchUpBlocks, func(seq int64, body []byte) error {
			if seq > upTo {
				return nil
			}
			to = app.LedgerLink{Replica: replica, Seq: seq, Hash: sha256.Sum256(body)}
			return folded.foldBytes(replica, seq, body)
		})
		if err != nil || to == from {
			return err
		}
		if _, err = store.ApplyUsage(ctx, folded.apply(from.Seq, to)); err != nil {
			return err
		}
	}
}

// foldBytes folds a block as the store gave it.
func (s *sums) foldBytes(replica, seq int64, body []byte) error {
	var b Block
	err := b.Decode(body)
	if err == nil && (b.Replica != replica || b.Seq != seq) {
		err = errShape
	}
	if err != nil {
		return damaged(replica, seq, err)
	}
	s.fold(&b)
	return nil
}

func damaged(replica, seq int64, err error) error {
	return &app.Error{Kind: app.KindInternal, Code: "ledger_damaged",
		Message: fmt.Sprintf("Block %d of replica %d in the usage ledger cannot be read.", seq, replica),
		Advice:  "Restore the usage database from a backup.", Err: err}
}
