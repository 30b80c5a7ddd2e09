package store

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/app"
)

// drawn is an account of a meter whose period ended so long ago.
func drawn(meter string, period app.QuotaPeriod, ago time.Duration) *app.Account {
	end := time.Now().Add(-ago)
	return &app.Account{Org: "org_a", Meter: meter, Period: period, Start: end.Add(-time.Hour).UnixMilli(), End: end.UnixMilli()}
}

func query(t *testing.T, l *Ledger, text string, args ...any) (list []string) {
	t.Helper()
	found, err := l.db.read.QueryContext(t.Context(), text, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	for found.Next() {
		var s string
		if err := found.Scan(&s); err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	return list
}

func TestOnlyAccountsThatNobodyNeedsArePruned(t *testing.T) {
	const day = 24 * time.Hour
	eachLedger(t, func(t *testing.T, l *Ledger, _ Options) {
		lifetime := &app.Account{Org: "org_a", Meter: "lifetime", Period: app.PeriodLifetime}
		apply(t, l, 7, app.Draw{Account: drawn("minute", app.PeriodMinute, 41*day), Spent: 5},
			app.Draw{Account: drawn("hour", app.PeriodHour, 41*day), Spent: 1}, app.Draw{Account: drawn("hour", app.PeriodHour, 50*day), Spent: 2},
			app.Draw{Account: drawn("hour", app.PeriodHour, 60*day), Spent: 4}, app.Draw{Account: drawn("day", app.PeriodDay, 300*day), Spent: 6},
			app.Draw{Account: drawn("young", app.PeriodHour, 39*day), Spent: 1}, app.Draw{Account: drawn("month", app.PeriodMonth, 300*day), Spent: 1},
			app.Draw{Account: drawn("held", app.PeriodHour, 300*day), Spent: 1, Held: 1}, app.Draw{Account: drawn("booked", app.PeriodHour, 300*day), Spent: 1},
			app.Draw{Account: drawn("fresh", app.PeriodHour, 300*day), Spent: 1}, app.Draw{Account: lifetime, Spent: 1})
		if err := l.DropLeases(t.Context(), 7); err != nil {
			t.Fatal(err)
		}
		apply(t, l, 8, app.Draw{Account: drawn("lent", app.PeriodHour, 300*day), Spent: 1})
		if _, err := l.db.write.ExecContext(t.Context(), `UPDATE quota_account SET updated_at = 1`); err != nil { // by the database's clock it was now
			t.Fatal(err)
		}
		for text, arg := range map[string]int64{`UPDATE quota_account SET booked = $1 WHERE meter = 'booked'`: 3,
			`UPDATE quota_account SET updated_at = $1 WHERE meter = 'fresh'`:                time.Now().UnixMilli(),
			`UPDATE quota_account SET spent = spent + $1, opening = $1 WHERE meter = 'day'`: 100} {
			if _, err := l.db.write.ExecContext(t.Context(), text, arg); err != nil {
				t.Fatal(err)
			}
		}
		removed := []int64{}
		for range 4 {
			n, err := l.PruneAccounts(t.Context(), time.Now().Add(-40*day), 2)
			if err != nil {
				t.Fatal(err)
			}
			removed = append(removed, n)
		}
		if !slices.Equal(removed, []int64{2, 2, 1, 0}) {
			t.Errorf("removed %v", removed)
		}
		left := strings.Join(query(t, l, `SELECT meter FROM quota_account ORDER BY meter`), " ")
		if left != "booked fresh held lent lifetime month young" {
			t.Errorf("left: %s", left)
		}
		sums := strings.Join(query(t, l, `SELECT meter || ' ' || spent || ' ' || accounts FROM quota_pruned ORDER BY meter`), ", ")
		if sums != "day 6 1, hour 7 3, minute 5 1" {
			t.Errorf("sums: %s", sums)
		}
		last := fmt.Sprint(drawn("hour", app.PeriodHour, 41*day).End / 60_000)
		if got := query(t, l, `SELECT upto / 60000 FROM quota_pruned WHERE meter = 'hour'`); got[0] > last || len(got[0]) != len(last) {
			t.Errorf("up to %v, want %s", got, last)
		}
	})
}

func TestANoticeIsPrunedAndNeverToldAgain(t *testing.T) {
	eachLedger(t, func(t *testing.T, l *Ledger, _ Options) {
		now := time.Now()
		l.db.now = func() time.Time { return now }
		tell := func(id string, period app.QuotaPeriod, start time.Time) bool {
			t.Helper()
			first, err := l.InsertNotice(t.Context(), app.QuotaNotice{ID: id, Org: "org_a", Meter: "m", Period: period, Start: start, Threshold: 80, At: now})
			if err != nil {
				t.Fatal(err)
			}
			return first
		}
		month, lifetime := now.Add(-20*24*time.Hour), time.UnixMilli(0)
		if !tell("a", app.PeriodMonth, month) || !tell("b", app.PeriodLifetime, lifetime) || tell("c", app.PeriodMonth, month) {
			t.Fatal("not told, or told twice")
		}
		prune := func() (n int64) {
			t.Helper()
			n, err := l.PruneNotices(t.Context(), 10)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		now = now.Add(app.NoticeLife - time.Hour)
		if n := prune(); n != 0 {
			t.Errorf("%d were removed too early", n)
		}
		if now = now.Add(2 * time.Hour); prune() != 1 {
			t.Error("not removed")
		}
		if tell("d", app.PeriodMonth, month) || tell("e", app.PeriodLifetime, lifetime) {
			t.Error("told again")
		}
		if left := query(t, l, `SELECT id FROM quota_notice`); !slices.Equal(left, []string{"b"}) {
			t.Errorf("left: %v", left)
		}
	})
}

// TestWhatIsLentOfIsNotPruned lends of old accounts while they are pruned.
func TestWhatIsLentOfIsNotPruned(t *testing.T) {
	eachLedger(t, func(t *testing.T, l *Ledger, _ Options) {
		const accounts = 60
		var list []*app.Account
		for i := range accounts {
			a := drawn(fmt.Sprintf("m%02d", i), app.PeriodHour, 300*24*time.Hour)
			list = append(list, a)
			apply(t, l, 7, app.Draw{Account: a, Spent: 5})
		}
		if _, err := l.db.write.ExecContext(t.Context(), `UPDATE quota_account SET opened_at = 1`); err != nil {
			t.Fatal(err)
		}
		if err := l.DropLeases(t.Context(), 7); err != nil {
			t.Fatal(err)
		}
		var both sync.WaitGroup
		both.Go(func() {
			for i := range list { // the ones that are pruned last come first
				opening := int64(5)
				claim := app.QuotaClaim{Account: list[accounts-1-i], Ceiling: 100, Need: 1, Want: 1, Opening: &opening}
				if _, err := l.Grant(t.Context(), 9, []app.QuotaClaim{claim}); err != nil {
					t.Errorf("lend: %v", err)
				}
			}
		})
		both.Go(func() {
			for range accounts {
				if _, err := l.PruneAccounts(t.Context(), time.Now().Add(-40*24*time.Hour), 1); err != nil {
					t.Errorf("prune: %v", err)
				}
			}
		})
		both.Wait()
		if left := query(t, l, `SELECT a.spent || ' ' || l.outstanding FROM quota_lease l LEFT JOIN quota_account a ON `+sameLease+`
			WHERE l.replica = 9 AND a.spent = 5`); len(left) != accounts {
			t.Errorf("%d of %d leases have their account", len(left), accounts)
		}
	})
}
