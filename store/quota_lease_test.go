package store

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/app"
)

func grant(t *testing.T, l *Ledger, replica int64, c app.QuotaClaim) app.QuotaLoan {
	t.Helper()
	loans, err := l.Grant(t.Context(), replica, []app.QuotaClaim{c})
	if err != nil {
		t.Fatalf("grant: %v", err)
	}
	return loans[0]
}

func TestALoanIsWhatIsNeededOrAShareOfWhatIsLeft(t *testing.T) {
	eachLedger(t, func(t *testing.T, l *Ledger, _ Options) {
		a, opening := account("org_a", ""), int64(0)
		claim := func(need, want int64) app.QuotaClaim {
			return app.QuotaClaim{Account: a, Ceiling: 1000, Need: need, Want: want, Share: 8, Opening: &opening}
		}
		if loan := grant(t, l, 1, app.QuotaClaim{Account: a, Ceiling: 1000, Need: 1}); !loan.Missing {
			t.Fatalf("lent without an opening: %+v", loan)
		}
		for i, c := range []struct {
			replica, need, want, granted, left int64
		}{
			{1, 1, 1, 125, 875}, // a share
			{2, 300, 300, 300, 575},
			{1, 10, 400, 400, 175}, // all who wait
			{2, 176, 176, 0, 175},  // less would not help
			{2, 100, 900, 175, 0},  // the rest helps one
			{1, 1, 1, 0, 0},
		} {
			if loan := grant(t, l, c.replica, claim(c.need, c.want)); loan.Granted != c.granted || loan.Left != c.left {
				t.Errorf("%d: %+v, want %+v", i, loan, c)
			}
		}
	})
}

func TestADebtTakesNoRoomTwice(t *testing.T) {
	eachLedger(t, func(t *testing.T, l *Ledger, _ Options) {
		a, opening := account("org_a", ""), int64(0)
		apply(t, l, 1, app.Draw{Account: a, Spent: 60}) // of which nothing was lent
		loan := grant(t, l, 1, app.QuotaClaim{Account: a, Ceiling: 100, Need: 100, Want: 100, Opening: &opening})
		if loan.Granted != 100 || loan.Left != 0 { // 60 of debt, 40 to spend
			t.Errorf("%+v", loan)
		}
		if loan := grant(t, l, 2, app.QuotaClaim{Account: a, Ceiling: 100, Need: 1, Want: 1}); loan.Granted != 0 {
			t.Errorf("to another: %+v", loan)
		}
	})
}

func TestOnlyWhatIsOutstandingIsTakenBack(t *testing.T) {
	eachLedger(t, func(t *testing.T, l *Ledger, _ Options) {
		a, opening := account("org_a", ""), int64(0)
		loan := grant(t, l, 1, app.QuotaClaim{Account: a, Ceiling: 100, Need: 50, Want: 50, Opening: &opening})
		apply(t, l, 1, app.Draw{Account: a, Spent: 20})
		back := func(amount, turn int64) app.QuotaReturned {
			t.Helper()
			done, err := l.GiveBack(t.Context(), 1, []app.QuotaReturn{{Account: a, Amount: amount, Turn: turn}})
			if err != nil {
				t.Fatal(err)
			}
			return done[0]
		}
		if done := back(10, loan.Turn+1); !done.Stale || done.Amount != 0 {
			t.Errorf("of another turn: %+v", done)
		}
		done := back(40, loan.Turn)
		if done.Stale || done.Amount != 30 {
			t.Errorf("more than is outstanding: %+v", done)
		}
		if again := back(10, done.Turn); again.Amount != 0 || again.Stale || again.Turn != done.Turn {
			t.Errorf("of nothing: %+v", again)
		}
	})
}

func TestLoansAtOnceStayWithinTheCeiling(t *testing.T) {
	eachLedger(t, func(t *testing.T, l *Ledger, _ Options) {
		a, b, opening := account("org_a", ""), account("org_b", ""), int64(0)
		var lent [2]atomic.Int64
		var wait sync.WaitGroup
		for replica := range int64(8) {
			wait.Go(func() {
				for range 25 {
					loans, err := l.Grant(t.Context(), replica, []app.QuotaClaim{
						{Account: a, Ceiling: 1000, Need: 7, Want: 7, Opening: &opening},
						{Account: b, Ceiling: 500, Need: 3, Want: 9, Opening: &opening}})
					if err != nil {
						t.Errorf("grant: %v", err)
						return
					}
					lent[0].Add(loans[0].Granted)
					lent[1].Add(loans[1].Granted)
				}
			})
		}
		wait.Wait()
		if got := lent[0].Load(); got != 994 { // 142 times 7
			t.Errorf("lent %d of 1000", got)
		}
		if got := lent[1].Load(); got != 500 && got != 498 {
			t.Errorf("lent %d of 500", got)
		}
	})
}

func TestLeasesOfTheDeadAndOfOldPeriodsGo(t *testing.T) {
	eachLedger(t, func(t *testing.T, l *Ledger, _ Options) {
		a, opening := account("org_a", ""), int64(0)
		dead := openReplica(t, l).ID
		claim := app.QuotaClaim{Account: a, Ceiling: 100, Need: 100, Want: 100, Opening: &opening}
		grant(t, l, dead, claim)
		if err := l.DropLeases(t.Context(), dead); err != nil {
			t.Fatal(err)
		}
		if loan := grant(t, l, 99, claim); loan.Granted != 100 {
			t.Errorf("after its lease was dropped: %+v", loan)
		}
		for _, c := range []struct{ before, granted int64 }{{a.End, 0}, {a.End + 1, 100}} {
			if err := l.DropEndedLeases(t.Context(), time.UnixMilli(c.before)); err != nil {
				t.Fatal(err)
			}
			if loan := grant(t, l, 98, claim); loan.Granted != c.granted {
				t.Errorf("leases of periods that ended before %d dropped: %+v, want %d", c.before, loan, c.granted)
			}
		}
		if err := l.CloseReplica(t.Context(), dead); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Grant(t.Context(), dead, []app.QuotaClaim{claim}); !app.IsKind(err, app.KindUnavailable) {
			t.Errorf("lent to a replica that ended: %v", err)
		}
	})
}

// A return that its caller gave up, and that commits while the replica asks
// what it was lent: the answer knows of it.
func TestAReturnThatArrivesLateIsKnown(t *testing.T) {
	eachLedger(t, func(t *testing.T, l *Ledger, _ Options) {
		if !l.onPostgres() {
			t.Skip("SQLite has one writer: nothing is between asking and committing")
		}
		a, opening := account("org_a", ""), int64(0)
		first := grant(t, l, 1, app.QuotaClaim{Account: a, Ceiling: 100, Need: 100, Want: 100, Opening: &opening})
		begun, err := l.db.write.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		slow := &tx{ctx: t.Context(), sql: begun, dialect: l.db.dialect}
		if done, err := slow.giveBack(1, app.QuotaReturn{Account: a, Amount: 100, Turn: first.Turn}); err != nil || done.Amount != 100 {
			t.Fatal(done, err)
		}
		asked := make(chan app.QuotaLoan, 1)
		go func() {
			loans, err := l.Grant(t.Context(), 1, []app.QuotaClaim{{Account: a, Ceiling: 100}})
			if err != nil {
				t.Errorf("ask: %v", err)
				loans = make([]app.QuotaLoan, 1)
			}
			asked <- loans[0]
		}()
		for waits := 0; waits == 0 && len(asked) == 0; { // until it waits for the row, or has answered
			if err := l.db.read.QueryRow(`SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waits); err != nil {
				t.Fatal(err)
			}
		}
		if err := begun.Commit(); err != nil {
			t.Fatal(err)
		}
		loan := <-asked
		other := grant(t, l, 2, app.QuotaClaim{Account: a, Ceiling: 100, Need: 100, Want: 100})
		if loan.Lent != 0 || other.Lent != 100 {
			t.Errorf("of 100, one believes that it was lent %d, and another was lent %d", loan.Lent, other.Lent)
		}
	})
}

// One organization's absurd numbers stay at the end: a sum that overflows
// would keep every organization's blocks from being folded.
func TestSumsStayAtTheEnd(t *testing.T) {
	eachLedger(t, func(t *testing.T, l *Ledger, _ Options) {
		const most = 1 << 62
		a := account("org_a", "")
		meter := app.MeterBucket{Org: "org_a", Meter: "tokens", Start: time.UnixMilli(900_000), Count: 1, Sum: most - 1}
		state := func() app.AccountState {
			list, err := l.AccountStates(t.Context(), "org_a", time.UnixMilli(a.Start))
			if err != nil || len(list) != 1 {
				t.Fatalf("%+v %v", list, err)
			}
			return list[0]
		}
		r := openReplica(t, l)
		for i, spent := range []int64{most - 1, most - 1, -most + 1, -most + 1, -most + 1} {
			ok, err := l.ApplyUsage(t.Context(), app.UsageApply{From: int64(i), To: app.LedgerLink{Replica: r.ID, Seq: int64(i) + 1}, Answered: -1,
				Draws: []app.Draw{{Account: a, Spent: spent, Held: spent}}, Meters: []app.MeterBucket{meter}})
			if !ok || err != nil {
				t.Fatalf("step %d: %v %v", i, ok, err)
			}
			if want := []int64{most - 1, most, 1, -most + 2, -most}[i]; state().Spent != want {
				t.Errorf("step %d: %d spent, want %d", i, state().Spent, want)
			}
		}
	})
}
