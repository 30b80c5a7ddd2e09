package metering

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Verifier proves the whole ledger again and again, and keeps the last result.
type Verifier struct {
	Store WalkStore
	Every time.Duration    // between two readings; 0: never by itself
	Clock func() time.Time // default: time.Now
	Log   *slog.Logger     // default: discards

	running sync.Mutex // one reading at a time
	mu      sync.Mutex
	proof   Proof
	at      time.Time
	err     error
}

// readPause is how long a reading rests after each readBlocks blocks, so that
// requests have the disk and the processor first.
const (
	readBlocks = 256
	readPause  = 5 * time.Millisecond
)

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
		v.read(ctx, slowly{v.Store, ctx})
		wait.Reset(v.Every)
	}
}

// Now proves the ledger now. While a reading runs, others wait for it.
func (v *Verifier) Now(ctx context.Context) (Proof, error) { return v.read(ctx, v.Store) }

// Last is the last reading's result; at is when it ended, and zero before the
// first. The error says that the ledger could not be read.
func (v *Verifier) Last() (proof Proof, at time.Time, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.proof, v.at, v.err
}

func (v *Verifier) read(ctx context.Context, store WalkStore) (Proof, error) {
	v.running.Lock()
	defer v.running.Unlock()
	proof, err := Check(ctx, store)
	if ctx.Err() != nil {
		return proof, err // nobody waits any more: it says nothing of the ledger
	}
	now := v.Clock
	if now == nil {
		now = time.Now
	}
	log := v.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	v.mu.Lock()
	v.proof, v.at, v.err = proof, now(), err
	v.mu.Unlock()
	switch {
	case err != nil:
		log.Error("usage ledger could not be proven", "err", err)
	case !proof.OK():
		log.Error("usage ledger contradicts itself", "faults", proof.Faulty, "first", proof.Faults[0].Code, "text", proof.Faults[0].Text)
	}
	return proof, err
}
