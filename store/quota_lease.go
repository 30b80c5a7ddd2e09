package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"gatehouse/app"
)

const leaseReason reason = "a replica lends room of every organization's quotas"

// errMissing rolls a transaction back whose account is new.
var errMissing = errors.New("an account has no opening")

// leaseTimeout bounds a loan: requests wait for it.
const leaseTimeout = 2 * time.Second

// Grant lends to the replica what the claims ask for, in one transaction.
// Claims are sorted by account, one for each. Whatever happens at once, what
// is spent, lent and booked never passes a ceiling by a loan. Every loan is
// Missing, or none: a missing one says whose opening has to be looked up.
func (l *Ledger) Grant(ctx context.Context, replica int64, claims []app.QuotaClaim) ([]app.QuotaLoan, error) {
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	loans := make([]app.QuotaLoan, len(claims))
	err := l.db.system(ctx, leaseReason, func(t *tx) error {
		if err := t.mayBorrow(replica); err != nil {
			return err
		}
		missing := false
		for i, c := range claims {
			opened, err := t.openAccount(c.Account, c.Opening, l.db.now())
			if err != nil {
				return err
			}
			loans[i].Missing = !opened
			missing = missing || !opened
		}
		if missing {
			return errMissing
		}
		for i, c := range claims {
			if err := t.grant(replica, c, &loans[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, errMissing) {
		return loans, nil
	}
	return loans, err
}

// mayBorrow refuses a replica whose end was noted: a process that slept so
// long that others settled what it left. Nobody would drop its lease again.
func (t *tx) mayBorrow(replica int64) error {
	err := t.living(replica)
	if app.IsKind(err, app.KindNotFound) {
		return nil // nobody has taken over what never was
	}
	return err
}

// openAccount locks the account and makes sure that it has its opening; it is
// not opened when nobody looked that up.
func (t *tx) openAccount(a *app.Account, opening *int64, now time.Time) (opened bool, err error) {
	var openedAt int64
	read := func() error {
		return t.row(`SELECT opened_at FROM quota_account
			WHERE org_id = $1 AND key_id = $2 AND meter = $3 AND period = $4 AND start_at = $5`+t.dialect.lockRow,
			accountArgs(nil, a)...).Scan(&openedAt)
	}
	err = read()
	switch {
	case err == nil && openedAt != 0:
		return true, nil
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return false, err
	case opening == nil:
		return false, nil
	}
	at, err := t.changing(now.UnixMilli())
	if err != nil {
		return false, err
	}
	if _, err = t.exec(`INSERT INTO main.quota_account (`+accountColumns+`) VALUES `+values(1, drawnWidth)+`
		ON CONFLICT (`+accountKey+`) DO NOTHING`, append(accountArgs(nil, a), a.End, 0, 0, 0, 0, 0, at)...); err != nil {
		return false, err
	}
	if err = read(); err != nil || openedAt != 0 {
		return err == nil, err
	}
	_, err = t.exec(`UPDATE main.quota_account SET spent = spent + $6, opening = $6, opened_at = $7, updated_at = `+laterChange(`$7`)+`
		WHERE org_id = $1 AND key_id = $2 AND meter = $3 AND period = $4 AND start_at = $5`,
		append(accountArgs(nil, a), *opening, max(1, at))...)
	return err == nil, err
}

// room is what a locked account could still lend, and what the replica has.
type room struct {
	left        int64 // below 0: more was spent than the ceiling
	outstanding int64
	lent, turn  int64
	state       app.AccountState
}

func (t *tx) room(replica int64, a *app.Account, ceiling int64) (r room, err error) {
	args := accountArgs(nil, a)
	const which = ` WHERE a.org_id = $1 AND a.key_id = $2 AND a.meter = $3 AND a.period = $4 AND a.start_at = $5`
	// The lease first, and locked: a return of this replica whose answer was lost
	// may be about to commit, and it locks the lease alone.
	err = t.row(`SELECT outstanding, lent, turn FROM quota_lease a`+which+` AND a.replica = $6`+t.dialect.lockRow, append(args, replica)...).
		Scan(&r.outstanding, &r.lent, &r.turn)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return r, err
	}
	if r.state, err = scanAccountState(t.row(`SELECT `+accountStateColumns+` FROM quota_account a`+which, args...)); err != nil {
		return r, err
	}
	if r.left = ceiling; ceiling != app.NoCeiling {
		r.left -= r.state.Spent + r.state.Leased + r.state.Booked
	}
	return r, err
}

func (t *tx) grant(replica int64, c app.QuotaClaim, loan *app.QuotaLoan) error {
	r, err := t.room(replica, c.Account, c.Ceiling)
	if err != nil {
		return err
	}
	loan.Lent, loan.Turn, loan.Left, loan.State = r.lent, r.turn, r.left, r.state
	if c.Ceiling == app.NoCeiling {
		return nil
	}
	loan.Granted = loanOf(c, r)
	loan.Debt = min(loan.Granted, max(0, -r.outstanding))
	loan.Lent += loan.Granted
	loan.Turn++
	loan.Left -= max(0, r.outstanding+loan.Granted) - max(0, r.outstanding)
	_, err = t.exec(`INSERT INTO main.quota_lease (`+leaseColumns+`) VALUES `+values(1, lentWidth)+`
		ON CONFLICT (`+leaseKey+`) DO UPDATE SET outstanding = quota_lease.outstanding + excluded.outstanding,
			lent = quota_lease.lent + excluded.lent, turn = quota_lease.turn + 1`,
		append(accountArgs(nil, c.Account), replica, loan.Granted, loan.Granted, 1)...)
	return err
}

// loanOf is how much of the room a claim gets. A debt, which is spent already,
// is covered besides: it takes no room again.
func loanOf(c app.QuotaClaim, r room) int64 {
	debt := max(0, -r.outstanding)
	most := max(0, r.left) + debt
	if c.Need <= 0 || c.Need > most {
		return 0
	}
	share := int64(0)
	if c.Share > 0 && r.left > 0 {
		share = debt + r.left/c.Share
	}
	return min(most, max(c.Want, c.Need, share))
}

// GiveBack returns what the replica was lent and does not need, sorted by
// account, in one transaction.
func (l *Ledger) GiveBack(ctx context.Context, replica int64, list []app.QuotaReturn) ([]app.QuotaReturned, error) {
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	done := make([]app.QuotaReturned, len(list))
	err := l.db.system(ctx, leaseReason, func(t *tx) (err error) {
		for i, r := range list {
			if done[i], err = t.giveBack(replica, r); err != nil {
				return err
			}
		}
		return nil
	})
	return done, err
}

func (t *tx) giveBack(replica int64, r app.QuotaReturn) (done app.QuotaReturned, err error) {
	const which = ` WHERE org_id = $1 AND key_id = $2 AND meter = $3 AND period = $4 AND start_at = $5 AND replica = $6`
	args := append(accountArgs(nil, r.Account), replica)
	var outstanding int64
	err = t.row(`SELECT outstanding, turn FROM quota_lease`+which+t.dialect.lockRow, args...).Scan(&outstanding, &done.Turn)
	if errors.Is(err, sql.ErrNoRows) || err == nil && done.Turn != r.Turn {
		return app.QuotaReturned{Turn: done.Turn, Stale: true}, nil
	}
	done.Amount = min(r.Amount, max(0, outstanding))
	if err != nil || done.Amount <= 0 {
		return app.QuotaReturned{Turn: r.Turn}, err
	}
	done.Turn++
	_, err = t.exec(`UPDATE main.quota_lease SET outstanding = outstanding - $7, lent = lent - $7, turn = turn + 1`+which,
		append(args, done.Amount)...)
	return done, err
}

// DropLeases frees what a replica was lent and never spent. It is for a
// replica that ended, whose chain is applied to its last block.
func (l *Ledger) DropLeases(ctx context.Context, replica int64) error {
	return l.db.system(ctx, leaseReason, func(t *tx) error { return t.dropLeases(replica) })
}

func (t *tx) dropLeases(replica int64) error {
	_, err := t.exec(`DELETE FROM main.quota_lease WHERE replica = $1`, replica)
	return err
}

// DropEndedLeases frees what is left of the leases of accounts that ended
// before the time: nothing draws on them any more.
func (l *Ledger) DropEndedLeases(ctx context.Context, before time.Time) error {
	return l.db.system(ctx, leaseReason, func(t *tx) error {
		_, err := t.exec(`DELETE FROM main.quota_lease WHERE period <> $1 AND EXISTS (SELECT 1 FROM quota_account a
			WHERE a.org_id = quota_lease.org_id AND a.key_id = quota_lease.key_id AND a.meter = quota_lease.meter
			AND a.period = quota_lease.period AND a.start_at = quota_lease.start_at AND a.end_at < $2)`,
			string(app.PeriodLifetime), before.UnixMilli())
		return err
	})
}

// AccountStates lists the organization's accounts whose period holds the time.
func (l *Ledger) AccountStates(ctx context.Context, org app.OrgID, at time.Time) (list []app.AccountState, err error) {
	err = l.snapshot(ctx, func(t *tx) error {
		list, err = rows(t, scanAccountState, `SELECT `+accountStateColumns+` FROM quota_account a
			WHERE a.org_id = $1 AND a.start_at <= $2 AND (a.end_at > $2 OR a.end_at = 0)
			ORDER BY a.key_id, a.meter, a.period`, org, at.UnixMilli())
		return err
	})
	return list, err
}

// AccountsUpdated lists at most max accounts of every organization that
// changed at since (Unix milliseconds) or later, the longest ago first.
func (l *Ledger) AccountsUpdated(ctx context.Context, since int64, max int) (list []app.AccountState, err error) {
	err = l.snapshot(ctx, func(t *tx) error {
		list, err = rows(t, scanAccountState, `SELECT `+accountStateColumns+` FROM quota_account a
			WHERE a.updated_at >= $1 ORDER BY a.updated_at LIMIT $2`, since, max)
		return err
	})
	return list, err
}
