package quota_test

import (
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/quota"
	"gatehouse/store"
)

func minutely(limit int64) app.Quota {
	return app.Quota{Meter: "tokens", Limit: limit, Period: app.PeriodMinute}
}

// take reserves one after the other until the line refuses, and returns how
// many passed.
func take(t *testing.T, line *quota.Line, at time.Time, code string) (passed int64) {
	t.Helper()
	for ; passed < 10_000; passed++ {
		var h quota.Hold
		if err := line.Reserve(t.Context(), at, &h, need(1)); err != nil {
			if codeOf(err) != code {
				t.Fatalf("after %d: %v, want %s", passed, err, code)
			}
			return passed
		}
	}
	t.Fatal("nothing stops it")
	return passed
}

func (n *node) giveBack(t *testing.T) {
	t.Helper()
	if err := n.engine.GiveBackIdle(t.Context()); err != nil {
		t.Fatalf("give back what is idle: %v", err)
	}
}

func TestBalancesOfPastPeriodsAreForgotten(t *testing.T) {
	c := noon()
	n := lazy(t, sqlite(t), c, nil)
	line := n.engine.Book(acmeOrg(), planOf(minutely(100), monthly("tokens", 1e6)), nil).Line("", "tokens")
	most := 0
	for range 60 {
		expect(t, line, c.now(), 1, "")
		c.move(time.Minute)
		n.giveBack(t)
		n.giveBack(t)
		kept, _ := n.engine.Balances()
		most = max(most, kept)
	}
	if most > 10 {
		t.Errorf("up to %d balances were kept of 60 minutes and a month", most)
	}
	if _, live := n.engine.Balances(); live > 2 {
		t.Errorf("%d balances are looked at, though nothing of them is free", live)
	}
	c.move(48 * time.Hour)
	n.giveBack(t)
	n.giveBack(t)
	if kept, live := n.engine.Balances(); kept != 1 || live != 0 {
		t.Errorf("%d balances are left and %d looked at, want the month's and none", kept, live)
	}
}

// What is drawn on still, such as by a WebSocket, stays.
func TestABalanceInUseIsNotForgotten(t *testing.T) {
	c := noon()
	n := lazy(t, sqlite(t), c, func(o *quota.Options) { o.Replicas = func() int { return 10_000 } }) // so it is lent no more than it asks for
	line := n.engine.Book(acmeOrg(), planOf(minutely(10_000)), nil).Line("", "tokens")
	began := c.now()
	for range 30 {
		expect(t, line, began, 1, "")
		c.move(time.Minute)
		n.giveBack(t)
	}
	if kept, _ := n.engine.Balances(); kept != 1 {
		t.Errorf("%d balances, want the one in use", kept)
	}
}

// A balance that was forgotten is made anew for all who still draw on it, and
// lends nothing that was spent before.
func TestAForgottenBalanceIsOneForAll(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		c := noon()
		n := lazy(t, o, c, nil)
		book := n.engine.Book(acmeOrg(), planOf(minutely(100)), nil)
		one, other, began := book.Line("", "tokens"), book.Line("", "tokens"), c.now()
		late := expect(t, one, began, 10, "")
		if _, err := n.count(t.Context(), expect(t, one, began, 40, ""), "", began); err != nil {
			t.Fatal(err)
		}
		applied(t, n)
		forget(t, n, c)
		expect(t, other, began, 1, "")
		late.Release(nil)
		passed := int64(1)
		for a, b := true, true; a || b; {
			var h quota.Hold
			if a = one.Reserve(t.Context(), began, &h, need(1)) == nil; a {
				passed++
			}
			if b = other.Reserve(t.Context(), began, &h, need(1)) == nil; b {
				passed++
			}
			if passed > 1000 {
				break
			}
		}
		if passed < 50 || passed > 60 {
			t.Errorf("%d pass of 100, of which 40 are used", passed)
		}
	})
}

// forget lets the engine forget what it keeps of past periods.
func forget(t *testing.T, n *node, c *clock) {
	t.Helper()
	for range 8 {
		c.move(time.Minute)
		n.giveBack(t)
	}
	if kept, _ := n.engine.Balances(); kept != 0 {
		t.Fatalf("%d balances are kept", kept)
	}
}

// What a server spent beyond its loans is still spent when it has forgotten it.
func TestAForgottenDebtIsNotLentAgain(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		c := noon()
		n := lazy(t, o, c, nil)
		line, began := n.engine.Book(acmeOrg(), planOf(minutely(100)), nil).Line("", "tokens"), c.now()
		h := expect(t, line, began, 10, "")
		ticket, err := n.count(t.Context(), h, "", began)
		if err != nil {
			t.Fatal(err)
		}
		n.settle(ticket, h, need(90))
		await(t, "what was settled in the account", func() bool { list := states(t, n.store, began); return len(list) == 1 && list[0].Spent == 90 })
		forget(t, n, c)
		if got := take(t, line, began, "quota_exhausted"); got != 10 {
			t.Errorf("90 of 100 are used, and %d more pass", got)
		}
	})
}

func TestALowerLimitHoldsFromTheNextRequestOn(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		c := noon()
		n := lazy(t, o, c, nil)
		line := func(limit int64) *quota.Line {
			return n.engine.Book(acmeOrg(), planOf(monthly("tokens", limit)), nil).Line("", "tokens")
		}
		expect(t, line(1000), c.now(), 1, "") // a quarter is lent
		if got := take(t, line(10), c.now(), "quota_exhausted"); got != 9 {
			t.Errorf("1 of 10 is used, and %d more pass", got)
		}
	})
}

// What requests under way leave over is above the lower limit too.
func TestWhatIsLeftOverIsNotTakenAboveALowerLimit(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		c := noon()
		n := lazy(t, o, c, nil)
		line := func(limit int64) *quota.Line {
			return n.engine.Book(acmeOrg(), planOf(monthly("tokens", limit)), nil).Line("", "tokens")
		}
		h := expect(t, line(1000), c.now(), 500, "")
		ticket, err := n.count(t.Context(), h, "", c.now())
		if err != nil {
			t.Fatal(err)
		}
		applied(t, n)
		lower := line(10)
		expect(t, lower, c.now(), 1, "quota_exhausted")
		n.settle(ticket, h, need(4))
		c.move(time.Second)
		before := take(t, lower, c.now(), "quota_exhausted") // the end may not be in the account yet
		await(t, "the end in the account", func() bool { return states(t, n.store, c.now())[0].Held == 0 })
		c.move(time.Second)
		n.giveBack(t)
		if got := before + take(t, lower, c.now(), "quota_exhausted"); got != 6 {
			t.Errorf("4 of 10 are used, and %d more pass", got)
		}
		if a := states(t, n.store, c.now())[0]; a.Spent+a.Leased > 10 {
			t.Errorf("%d are spent and %d lent of 10", a.Spent, a.Leased)
		}
	})
}
