package metering

import (
	"context"
	"time"

	"gatehouse/app"
)

// slowly reads a ledger with rests, in the background.
type slowly struct {
	WalkStore
	ctx context.Context
}

// WalkLedger implements WalkStore.
func (s slowly) WalkLedger(ctx context.Context, w app.LedgerWalk) error {
	inner, n := w.Block, 0
	w.Block = func(replica, seq int64, body []byte) error {
		if n++; n%readBlocks == 0 {
			rest := time.NewTimer(readPause)
			defer rest.Stop()
			select {
			case <-s.ctx.Done():
				return context.Cause(s.ctx)
			case <-rest.C:
			}
		}
		return inner(replica, seq, body)
	}
	return s.WalkStore.WalkLedger(ctx, w)
}
