package quota

import (
	"context"
	"time"

	"gatehouse/app"
)

const (
	// pruneAfter is when an account of a minute, an hour or a day is removed
	// after its end. Events come up to app.EventLife late; what comes later, by
	// an import or a correction, makes the account anew, with an opening of what
	// was used in its period.
	pruneAfter = app.EventLife + 5*24*time.Hour
	pruneEvery = time.Hour
	pruneFirst = time.Minute // after the start
	pruneMost  = 200         // rows in one transaction: a few milliseconds
	prunePause = 100 * time.Millisecond
)

// RunPruning removes what nobody needs any more, until the context ends. Every
// replica may run it.
func (e *Engine) RunPruning(ctx context.Context) {
	wait := time.NewTimer(pruneFirst)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		if err := e.Prune(ctx); err != nil && ctx.Err() == nil {
			e.o.Log.Warn("old accounts of quotas were not removed", "err", err)
		}
		wait.Reset(pruneEvery)
	}
}

// Prune removes accounts of short periods that ended long ago, and notices that
// are older than app.NoticeLife, few at a time.
func (e *Engine) Prune(ctx context.Context) error {
	err := slowly(ctx, func() (int64, error) {
		return e.o.Store.PruneAccounts(ctx, e.o.Now().Add(-pruneAfter), pruneMost)
	})
	if err == nil {
		err = slowly(ctx, func() (int64, error) { return e.o.Store.PruneNotices(ctx, pruneMost) })
	}
	return err
}

// slowly removes until less is left than one transaction takes.
func slowly(ctx context.Context, remove func() (int64, error)) error {
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-rest.C:
		}
		if n, err := remove(); err != nil || n < pruneMost {
			return err
		}
		rest.Reset(prunePause)
	}
}
