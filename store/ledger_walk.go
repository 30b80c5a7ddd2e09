package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"gatehouse/app"
)

// WalkLedger visits the ledger as it stood at one moment.
func (l *Ledger) WalkLedger(ctx context.Context, w app.LedgerWalk) error {
	return l.snapshot(ctx, func(t *tx) error {
		replicas, err := rows(t, scanReplica, `SELECT `+replicaColumns+` FROM usage_replica ORDER BY id`)
		if err == nil {
			err = w.Replicas(replicas)
		}
		if err == nil && w.Pruned != nil {
			err = each(t, prunedScanner(w.Pruned), `SELECT `+prunedColumns+` FROM quota_pruned`)
		}
		if err == nil && w.Block != nil {
			err = t.walkBlocks(w)
		}
		if err == nil {
			err = t.walkSteps(w)
		}
		if err == nil && w.Bucket != nil {
			err = each(t, bucketScanner(w.Bucket), `SELECT `+bucketColumns+` FROM usage_bucket`)
		}
		if err == nil {
			err = t.walkMeters(w)
		}
		return err
	})
}

// walkBlocks goes from replica to replica that has blocks, known or not.
func (t *tx) walkBlocks(w app.LedgerWalk) error {
	for replica := int64(-1); ; {
		var next sql.NullInt64
		err := t.row(`SELECT MIN(replica) FROM usage_block WHERE replica > $1`, replica).Scan(&next)
		if err != nil || !next.Valid {
			return err
		}
		replica = next.Int64
		from := int64(1)
		if w.From != nil {
			from = w.From(replica)
		}
		err = each(t, blockScanner(w.Block), `SELECT replica, seq, body FROM usage_block WHERE replica = $1 AND seq >= $2 ORDER BY seq`, replica, from)
		if err != nil {
			return err
		}
	}
}

func (t *tx) walkSteps(w app.LedgerWalk) error {
	if w.Step != nil {
		err := each(t, stepScanner(w.Step), `SELECT n, replica, from_seq, to_seq FROM usage_applied WHERE n > $1 ORDER BY n`, w.Steps)
		if err != nil {
			return err
		}
	}
	if w.Position == nil {
		return nil
	}
	var n int64
	if err := t.row(`SELECT n FROM usage_position`).Scan(&n); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	return w.Position(n)
}

// Steps passes the steps in which blocks went into the usage buckets after a
// number, in order, at most max, without their times and bytes.
func (l *Ledger) Steps(ctx context.Context, after int64, max int, pass func(app.AppliedRange) error) error {
	return l.snapshot(ctx, func(t *tx) error {
		return each(t, stepScanner(pass), `SELECT n, replica, from_seq, to_seq FROM usage_applied WHERE n > $1 ORDER BY n LIMIT $2`, after, max)
	})
}

func stepScanner(pass func(app.AppliedRange) error) func(scanner) error {
	return func(row scanner) error {
		var r app.AppliedRange
		if err := row.Scan(&r.N, &r.Replica, &r.From, &r.To); err != nil {
			return err
		}
		return pass(r)
	}
}

func (t *tx) walkMeters(w app.LedgerWalk) (err error) {
	if w.Meter != nil {
		err = each(t, meterScanner(w.Meter), `SELECT `+meterBucketColumns+` FROM usage_meter`)
	}
	if err == nil && w.Member != nil {
		err = each(t, memberScanner(w.Member), `SELECT `+memberColumns+` FROM usage_member`)
	}
	if err == nil && w.Held != nil {
		err = each(t, heldScanner(w.Held), `SELECT `+heldColumns+` FROM usage_held`)
	}
	if err == nil && w.Account != nil {
		err = each(t, accountWalker(w.Account), `SELECT `+accountColumns+` FROM quota_account`)
	}
	return err
}
func accountWalker(pass func(app.AccountState) error) func(scanner) error {
	return func(row scanner) error {
		var (
			a               app.AccountState
			opened, updated int64
		)
		err := row.Scan(&a.Org, &a.Key, &a.Meter, &a.Period, &a.Start, &a.End, &a.Spent, &a.Held, &a.Booked, &a.Opening, &opened, &updated)
		if err != nil {
			return err
		}
		a.OpenedAt, a.UpdatedAt = timeOrZero(opened), time.UnixMilli(updated).UTC()
		return pass(a)
	}
}

func heldScanner(pass func(replica int64, d app.Draw) error) func(scanner) error {
	return func(row scanner) error {
		replica, d := int64(0), app.Draw{Account: &app.Account{}}
		a := d.Account
		err := row.Scan(&replica, &a.Org, &a.Key, &a.Meter, &a.Period, &a.Start, &a.End, &d.Held)
		if err != nil {
			return err
		}
		return pass(replica, d)
	}
}

func blockScanner(pass func(replica, seq int64, body []byte) error) func(scanner) error {
	return func(row scanner) error {
		var (
			replica, seq int64
			body         sql.RawBytes
		)
		if err := row.Scan(&replica, &seq, &body); err != nil {
			return err
		}
		return pass(replica, seq, body)
	}
}
