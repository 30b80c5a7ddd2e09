package metering

import (
	"context"
	"sync/atomic"
	"time"
)

// share is the part of the time that a reading in the background takes.
type share int

const (
	blocksShare share = 10 // one part in so many: old blocks, a few in a snapshot
	tablesShare share = 4  // a snapshot is open: it keeps the database from tidying up

	longestRest = 10 * time.Second
)

// pacer rests as long as the work since the last rest asks for, so that
// requests have the disk and the processor first.
type pacer struct {
	since time.Time
	hurry *atomic.Int64 // not 0: somebody waits
}

func (p *pacer) rest(ctx context.Context, s share) error {
	rest := time.Since(p.since) * time.Duration(s-1)
	if p.hurry.Load() == 0 {
		timer := time.NewTimer(min(rest, longestRest))
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
	}
	p.since = time.Now()
	return context.Cause(ctx)
}
