package store

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"time"

	"gatehouse/app"
)

const (
	prunedColumns = `org_id, key_id, meter, period, upto, spent, accounts`

	// prunable are accounts a that nobody needs any more, by when they ended and
	// were last drawn on ($1).
	prunable = `a.period IN ('minute', 'hour', 'day') AND a.end_at > 0 AND a.end_at < $1 AND a.updated_at < $1 AND a.held = 0 AND a.booked = 0
		AND NOT EXISTS (SELECT 1 FROM quota_lease l WHERE ` + sameLease + `)`
)

// PruneAccounts removes accounts of minutes, hours and days that ended before
// a time, were not drawn on since, hold nothing and are lent to nobody: at most
// max of them, in one transaction. What was drawn on them is added to their
// sum. It returns how many there were.
func (l *Ledger) PruneAccounts(ctx context.Context, before time.Time, max int) (n int64, err error) {
	err = l.db.system(ctx, leaseReason, func(t *tx) error {
		// Who lends of an account locks it first. One that is locked is passed
		// over, so that nothing waits for anybody.
		skip := ""
		if l.onPostgres() {
			skip = ` FOR UPDATE OF a SKIP LOCKED`
		}
		list, err := rows(t, scanAccount, `SELECT a.org_id, a.key_id, a.meter, a.period, a.start_at, a.end_at FROM quota_account a
			WHERE `+prunable+` ORDER BY a.end_at LIMIT $2`+skip, before.UnixMilli(), max)
		if err != nil {
			return err
		}
		sums := map[app.Account]*app.AccountsPruned{}
		for i := range list {
			if err := t.pruneAccount(&list[i], before, sums); err != nil {
				return err
			}
		}
		for _, a := range slices.SortedFunc(maps.Keys(sums), func(a, b app.Account) int { return a.Compare(&b) }) {
			n += sums[a].Accounts
			if err := t.addPruned(sums[a]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

func scanAccount(row scanner) (a app.Account, err error) {
	return a, row.Scan(&a.Org, &a.Key, &a.Meter, &a.Period, &a.Start, &a.End)
}

// pruneAccount removes a locked account, unless something was lent of it before
// it was locked.
func (t *tx) pruneAccount(a *app.Account, before time.Time, sums map[app.Account]*app.AccountsPruned) error {
	var drawn int64
	err := t.row(`DELETE FROM main.quota_account AS a WHERE `+prunable+` AND a.org_id = $2 AND a.key_id = $3 AND a.meter = $4
		AND a.period = $5 AND a.start_at = $6 RETURNING spent - opening`, accountArgs([]any{before.UnixMilli()}, a)...).Scan(&drawn)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	group := app.Account{Org: a.Org, Key: a.Key, Meter: a.Meter, Period: a.Period}
	if sums[group] == nil {
		sums[group] = &app.AccountsPruned{Org: a.Org, Key: a.Key, Meter: a.Meter, Period: a.Period}
	}
	sum := sums[group]
	sum.Upto, sum.Spent, sum.Accounts = max(sum.Upto, a.End), sum.Spent+drawn, sum.Accounts+1
	return nil
}

func (t *tx) addPruned(p *app.AccountsPruned) error {
	_, err := t.exec(`INSERT INTO main.quota_pruned (`+prunedColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (org_id, key_id, meter, period) DO UPDATE SET spent = quota_pruned.spent + excluded.spent,
			upto = CASE WHEN excluded.upto > quota_pruned.upto THEN excluded.upto ELSE quota_pruned.upto END,
			accounts = quota_pruned.accounts + excluded.accounts`,
		string(p.Org), string(p.Key), p.Meter, string(p.Period), p.Upto, p.Spent, p.Accounts)
	return err
}

func prunedScanner(pass func(app.AccountsPruned) error) func(scanner) error {
	return func(row scanner) error {
		var p app.AccountsPruned
		if err := row.Scan(&p.Org, &p.Key, &p.Meter, &p.Period, &p.Upto, &p.Spent, &p.Accounts); err != nil {
			return err
		}
		return pass(p)
	}
}

// PruneNotices removes notices that are older than app.NoticeLife, at most max,
// and returns how many. Those of accounts that may still grow stay for ever:
// nobody hears of a threshold twice.
func (l *Ledger) PruneNotices(ctx context.Context, max int) (n int64, err error) {
	before := l.db.now().Add(-app.NoticeLife).UnixMilli()
	err = l.db.system(ctx, noticeReason, func(t *tx) error {
		n, err = t.exec(`DELETE FROM main.quota_notice WHERE id IN (SELECT id FROM quota_notice
			WHERE created_at < $1 AND start_at < $1 AND period <> $2 ORDER BY created_at LIMIT $3)`, before, string(app.PeriodLifetime), max)
		return err
	})
	return n, err
}
