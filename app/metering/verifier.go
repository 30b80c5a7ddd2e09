package metering

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Verifier proves the ledger again and again, and keeps the last result. After
// a reading of every block that held it goes on from there: it reads what came
// since, and compares the tables with both. A block that was proven is read
// again by the next whole reading.
type Verifier struct {
	Store      WalkStore
	Every      time.Duration    // between two readings; 0: never by itself
	WholeEvery time.Duration    // between two of every block; 0: each time
	Clock      func() time.Time // default: time.Now
	Log        *slog.Logger     // default: discards

	hurry   atomic.Int64 // how many wait: nobody rests then
	running sync.Mutex   // one reading at a time; it guards the next two
	proven  *proven      // by the last reading, which held; nil: the next one reads everything
	wholeAt time.Time

	mu    sync.Mutex
	proof Proof
	at    time.Time
	err   error
}

// Run proves the ledger every so often, the first time soon after the start,
// until the context ends.
func (v *Verifier) Run(ctx context.Context) {
	if v.Every <= 0 {
		return
	}
	wait := time.NewTimer(min(v.Every, time.Minute))
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		v.Next(ctx) // the result is kept, and logged
		wait.Reset(v.Every)
	}
}

// Now proves the whole ledger now, without rests. While a reading runs, others
// wait for it, and it rests no more.
func (v *Verifier) Now(ctx context.Context) (Proof, error) {
	v.hurry.Add(1)
	defer v.hurry.Add(-1)
	v.running.Lock()
	defer v.running.Unlock()
	return v.read(ctx, whole)
}

// Next is one of Run's readings: of what is new, or when it is time, or when
// something differs, of everything.
func (v *Verifier) Next(ctx context.Context) (Proof, error) {
	v.running.Lock()
	defer v.running.Unlock()
	if v.proven == nil || v.now().Sub(v.wholeAt) >= v.WholeEvery {
		return v.read(ctx, whole)
	}
	proof, err := v.read(ctx, onlyNew)
	if err == nil && !proof.OK() {
		return v.read(ctx, whole)
	}
	return proof, err
}

// Last is the last reading's result; at is when it ended, and zero before the
// first. The error says that the ledger could not be read.
func (v *Verifier) Last() (proof Proof, at time.Time, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.proof, v.at, v.err
}

func (v *Verifier) now() time.Time {
	if v.Clock == nil {
		return time.Now()
	}
	return v.Clock()
}

// read reads and keeps what it found. The caller holds running.
func (v *Verifier) read(ctx context.Context, all bool) (Proof, error) {
	from := v.proven
	if all {
		from = newProven()
	}
	pace := &pacer{since: time.Now(), hurry: &v.hurry}
	r := newReading(v.Store, from, all)
	r.rest = pace.rest
	proof, err := r.run(ctx)
	switch {
	case err == nil && all:
		v.wholeAt = v.now()
		proof.WholeAt = v.wholeAt
		v.proven = from
	case err == nil:
		proof.WholeAt = v.wholeAt
	}
	if !proof.OK() {
		v.proven = nil
	}
	if ctx.Err() != nil {
		return proof, err // nobody waits any more: it says nothing of the ledger
	}
	v.keep(proof, err)
	return proof, err
}

func (v *Verifier) keep(proof Proof, err error) {
	log := v.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	v.mu.Lock()
	v.proof, v.at, v.err = proof, v.now(), err
	v.mu.Unlock()
	switch {
	case err != nil:
		log.Error("usage ledger could not be proven", "err", err)
	case !proof.OK():
		log.Error("usage ledger contradicts itself", "faults", proof.Faulty, "first", proof.Faults[0].Code, "text", proof.Faults[0].Text)
	}
}
