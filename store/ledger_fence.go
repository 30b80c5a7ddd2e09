package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gatehouse/app"
)

// On PostgreSQL a block is written under a lock on its replica's row which
// only the lock of Fence keeps out, and not the changes of other columns.
const keyShare = ` FOR KEY SHARE`

// postgresClock is the server's time in Unix milliseconds: processes whose own
// clocks differ agree on it.
const postgresClock = `CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)`

// clock is the database's time in SQL. SQLite is asked by one process at a
// time, whose own clock is the parameter.
func (l *Ledger) clock(parameter string) string {
	if l.onPostgres() {
		return `GREATEST(` + postgresClock + `, CAST(` + parameter + ` AS BIGINT) * 0)` // the parameter needs a use
	}
	return parameter
}

func fencedError(replica int64) error {
	return &app.Error{Kind: app.KindUnavailable, Code: "ledger_fenced",
		Message: fmt.Sprintf("Others have taken replica %d of the ledger over; it may write no more.", replica),
		Advice:  "Restart this process: it begins a chain of its own."}
}

// Beat notes that the replica lives. It is ledger_fenced when somebody has
// taken it over. On SQLite it only looks: nobody asks when it was seen.
func (l *Ledger) Beat(ctx context.Context, replica int64) error {
	ctx, cancel := l.commitContext(ctx)
	defer cancel()
	var fenced int64
	if !l.onPostgres() {
		err := l.db.read.QueryRowContext(ctx, `SELECT fenced_at FROM usage_replica WHERE id = $1`, replica).Scan(&fenced)
		switch {
		case err != nil:
			return asAppError(ctx, found("replica", err))
		case fenced != 0:
			return fencedError(replica)
		}
		return nil
	}
	result, err := l.urgent.write.ExecContext(ctx, `UPDATE main.usage_replica SET seen_at = `+postgresClock+` WHERE id = $1 AND fenced_at = 0`, replica)
	if err != nil {
		return asAppError(ctx, err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return fencedError(replica)
}

// Dead lists the replicas that neither ended nor gave a sign of life for so
// long. One process alone counts on SQLite: there it is every replica of an
// earlier process when this one starts, and later those that it has fenced.
func (l *Ledger) Dead(ctx context.Context, after time.Duration, starting bool) (dead []app.LedgerReplica, err error) {
	err = l.snapshot(ctx, func(t *tx) error {
		if l.onPostgres() {
			dead, err = rows(t, scanReplica, `SELECT `+replicaColumns+` FROM usage_replica
				WHERE closed_at = 0 AND (fenced_at > 0 OR seen_at < `+postgresClock+` - $1) ORDER BY id`, after.Milliseconds())
			return err
		}
		list, err := rows(t, scanReplica, `SELECT `+replicaColumns+` FROM usage_replica WHERE closed_at = 0 ORDER BY id`)
		for _, r := range list {
			if l.dead(r, starting) {
				dead = append(dead, r)
			}
		}
		return err
	})
	return dead, err
}

// dead is the rule of SQLite.
func (l *Ledger) dead(r app.LedgerReplica, starting bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.mine[r.ID] && (starting || !r.FencedAt.IsZero())
}

// Fence keeps a dead replica from writing for ever: it waits for a block that
// is being written, and every later one finds the fence. It is not fenced when
// it lives, or when its end was noted meanwhile.
func (l *Ledger) Fence(ctx context.Context, id int64, after time.Duration, starting bool) (fenced bool, err error) {
	ctx, cancel := l.commitContext(ctx)
	defer cancel()
	err = l.db.system(ctx, ledgerReason, func(t *tx) error {
		r, err := scanReplica(t.row(`SELECT `+replicaColumns+` FROM usage_replica WHERE id = $1`+t.dialect.lockRow, id))
		if err != nil || !r.ClosedAt.IsZero() {
			return found("replica", err)
		}
		if fenced = !r.FencedAt.IsZero(); fenced {
			return nil
		}
		if !l.onPostgres() {
			if fenced = l.dead(r, starting); fenced {
				_, err = t.exec(`UPDATE main.usage_replica SET fenced_at = $2 WHERE id = $1`, id, l.db.now().UnixMilli())
			}
			return err
		}
		n, err := t.exec(`UPDATE main.usage_replica SET fenced_at = `+postgresClock+` WHERE id = $1 AND seen_at < `+postgresClock+` - $2`,
			id, after.Milliseconds())
		fenced = n == 1
		return err
	})
	return fenced && err == nil, err
}

// Remains is what a fenced replica left, as it stood at one moment; it passes
// the blocks that may hold requests without outcome.
func (l *Ledger) Remains(ctx context.Context, id int64, block func(replica, seq int64, body []byte) error) (r app.LedgerRemains, err error) {
	err = l.snapshot(ctx, func(t *tx) error {
		r.Replica, err = scanReplica(t.row(`SELECT `+replicaColumns+` FROM usage_replica WHERE id = $1`, id))
		if err != nil {
			return found("replica", err)
		}
		from := min(r.Replica.OpenFrom, r.Replica.Applied.Seq) // the last one is always read: it tells where the chain ends
		err := each(t, blockScanner(block), `SELECT replica, seq, body FROM usage_block WHERE replica = $1 AND seq >= $2 ORDER BY seq`, id, from)
		if err != nil {
			return err
		}
		keep := func(_ int64, d app.Draw) error {
			r.Held = append(r.Held, d)
			return nil
		}
		return each(t, heldScanner(keep), `SELECT `+heldColumns+` FROM usage_held WHERE replica = $1
			ORDER BY org_id, key_id, meter, period, start_at`, id)
	})
	return r, err
}

// AppendFinal writes the last block of a fenced replica, on behalf of it.
func (l *Ledger) AppendFinal(ctx context.Context, replica, seq int64, body []byte) error {
	ctx, cancel := l.commitContext(ctx)
	defer cancel()
	result, err := l.db.write.ExecContext(ctx, `INSERT INTO main.usage_block (replica, seq, body)
		SELECT id, $2, $3 FROM main.usage_replica WHERE id = $1 AND fenced_at > 0 AND closed_at = 0 ON CONFLICT DO NOTHING`, replica, seq, body)
	if err != nil {
		return asAppError(ctx, err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return l.whyNot(ctx, replica, seq, body)
}

// Bury notes the end of a fenced replica, all of whose blocks are applied, and
// gives back what it was lent of quotas. To bury it again does nothing.
func (l *Ledger) Bury(ctx context.Context, id int64) error {
	ctx, cancel := l.commitContext(ctx)
	defer cancel()
	return l.db.system(ctx, ledgerReason, func(t *tx) error {
		n, err := t.exec(`UPDATE main.usage_replica SET closed_at = `+l.clock(`$2`)+` WHERE id = $1 AND fenced_at > 0 AND closed_at = 0
			AND applied_seq >= (SELECT COALESCE(MAX(seq), 0) FROM usage_block WHERE replica = $1)`, id, l.db.now().UnixMilli())
		if err != nil || n == 0 {
			return err
		}
		return t.forgetReplica(id)
	})
}

// forgetReplica ends what a replica without further blocks has of accounts.
func (t *tx) forgetReplica(replica int64) error {
	_, err := t.exec(`DELETE FROM main.usage_held WHERE replica = $1`, replica)
	if err == nil {
		_, err = t.exec(`DELETE FROM main.quota_lease WHERE replica = $1`, replica)
	}
	return err
}

// living fails with ledger_fenced when the replica ended or was taken over. In a
// transaction that lends to it, it keeps others from taking it over meanwhile.
func (t *tx) living(replica int64) error {
	var fenced int64
	err := t.row(`SELECT fenced_at + closed_at FROM usage_replica WHERE id = $1`+t.keyShare(), replica).Scan(&fenced)
	if errors.Is(err, sql.ErrNoRows) {
		return app.NotFound("replica")
	}
	if err == nil && fenced != 0 {
		return fencedError(replica)
	}
	return err
}

func (t *tx) keyShare() string {
	if t.dialect.engine == postgresDialect.engine {
		return keyShare
	}
	return ""
}
