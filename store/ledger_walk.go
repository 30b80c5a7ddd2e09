package store

import (
	"context"
	"database/sql"
	"time"

	"gatehouse/app"
)

// WalkLedger visits the whole ledger as it stood at one moment.
func (l *Ledger) WalkLedger(ctx context.Context, w app.LedgerWalk) error {
	return l.snapshot(ctx, func(t *tx) error {
		replicas, err := rows(t, scanReplica, `SELECT `+replicaColumns+` FROM usage_replica ORDER BY id`)
		if err == nil {
			err = w.Replicas(replicas)
		}
		if err == nil && w.Block != nil {
			err = each(t, blockScanner(w.Block), `SELECT replica, seq, body FROM usage_block ORDER BY replica, seq`)
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
