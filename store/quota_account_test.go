package store

import (
	"testing"
	"time"

	"gatehouse/app"
)

// account is the organization's account of this hour, or its key's.
func account(org app.OrgID, key app.KeyID) *app.Account {
	start := time.Now().UTC().Truncate(time.Hour)
	return &app.Account{Org: org, Key: key, Meter: "tokens", Period: app.PeriodHour,
		Start: start.UnixMilli(), End: start.Add(time.Hour).UnixMilli()}
}

func apply(t *testing.T, l *Ledger, replica int64, draws ...app.Draw) {
	t.Helper()
	err := l.db.system(t.Context(), ledgerReason, func(t *tx) error { return t.applyDraws(replica, draws, 1) })
	if err != nil {
		t.Fatalf("apply draws: %v", err)
	}
}

func TestDrawsAddUpWhateverTheirOrder(t *testing.T) {
	eachLedger(t, func(t *testing.T, l *Ledger, _ Options) {
		a, b := account("org_b", "key_1"), account("org_a", "")
		again := *a
		apply(t, l, 7, app.Draw{Account: a, Spent: 100, Held: 100}, app.Draw{Account: b, Spent: 5},
			app.Draw{Account: &again, Spent: -70, Held: -100})
		apply(t, l, 7, app.Draw{Account: b, Spent: 6, Held: 2})
		for _, want := range []struct {
			account                  *app.Account
			spent, held, outstanding int64
		}{{a, 30, 0, -30}, {b, 11, 2, -11}} {
			var spent, held, outstanding int64
			row := l.db.read.QueryRowContext(t.Context(), `SELECT a.spent, a.held, l.outstanding FROM quota_account a
				JOIN quota_lease l ON l.org_id = a.org_id AND l.key_id = a.key_id AND l.start_at = a.start_at
				WHERE a.org_id = $1 AND l.replica = 7`, string(want.account.Org))
			if err := row.Scan(&spent, &held, &outstanding); err != nil {
				t.Fatal(err)
			}
			if spent != want.spent || held != want.held || outstanding != want.outstanding {
				t.Errorf("%s: spent %d held %d outstanding %d, want %+v", want.account.Org, spent, held, outstanding, want)
			}
		}
	})
}

// TestAChangeIsSeenWhateverTheClock folds with a clock that is an hour slow,
// and one that went back.
func TestAChangeIsSeenWhateverTheClock(t *testing.T) {
	eachLedger(t, func(t *testing.T, l *Ledger, again Options) {
		account := &app.Account{Org: "org_1", Meter: "tokens", Period: app.PeriodLifetime}
		changed := func() int64 {
			t.Helper()
			list, err := l.AccountsUpdated(t.Context(), 0, 10)
			if err != nil || len(list) != 1 {
				t.Fatalf("%+v, %v", list, err)
			}
			return list[0].UpdatedAt.UnixMilli()
		}
		fold := func(l *Ledger) int64 {
			t.Helper()
			r := openReplica(t, l)
			u := app.UsageApply{To: app.LedgerLink{Replica: r.ID, Seq: 1}, Answered: -1, Draws: []app.Draw{{Account: account, Spent: 1}}}
			if ok, err := l.ApplyUsage(t.Context(), u); err != nil || !ok {
				t.Fatal(ok, err)
			}
			return changed()
		}
		again.Now = func() time.Time { return time.Now().Add(-time.Hour) }
		slow := openLedger(t, again)
		first := fold(l)
		if second := fold(slow); second < first {
			t.Errorf("it changed at %d, then at %d", first, second)
		}
		if _, err := l.db.write.ExecContext(t.Context(), `DELETE FROM main.quota_account`); err != nil {
			t.Fatal(err)
		}
		if third := fold(slow); l.onPostgres() && third < first {
			t.Errorf("of the database's clock it changed at %d, which was before %d", third, first)
		}
	})
}
