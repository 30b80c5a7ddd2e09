package store

import (
	"context"
	"time"

	"gatehouse/app"
)

// LiveReplicas counts the replicas that count requests now: their own end is
// not noted, and PostgreSQL heard of them within the time. SQLite has one.
func (l *Ledger) LiveReplicas(ctx context.Context, within time.Duration) (n int, err error) {
	if !l.onPostgres() {
		return 1, nil
	}
	err = l.snapshot(ctx, func(t *tx) error {
		return t.row(`SELECT COUNT(*) FROM usage_replica WHERE closed_at = 0 AND fenced_at = 0
			AND seen_at >= `+postgresClock+` - $1 AND node NOT LIKE $2`, within.Milliseconds(), "%"+app.LedgerEventsSuffix).Scan(&n)
	})
	return n, err
}
