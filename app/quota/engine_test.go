package quota_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/quota"
	"gatehouse/store"
)

// clock is moved by hand.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func noon() *clock { return &clock{at: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)} }

func need(amount int64) quota.Need { return quota.Need{Meter: "tokens", Amount: amount} }

// lazy starts a node whose engine does nothing by itself.
func lazy(t testing.TB, o store.Options, c *clock, change func(*quota.Options)) *node {
	n := run(t, o, func(options *quota.Options) {
		options.Now = c.now
		if change != nil {
			change(options)
		}
	})
	n.end() // Run would look at the clock
	return n
}

func sqlite(t testing.TB) store.Options { return store.Options{Path: t.TempDir() + "/gatehouse.db"} }

// expect reserves, and compares the code of the refusal ("" is none). A database
// that is slower than requests have patience is asked again.
func expect(t *testing.T, line *quota.Line, at time.Time, amount int64, code string) *quota.Hold {
	t.Helper()
	var h quota.Hold
	var got string
	for deadline := time.Now().Add(patience); ; {
		got = codeOf(line.Reserve(t.Context(), at, &h, need(amount)))
		if got != "quota_unavailable" || got == code || time.Now().After(deadline) {
			break
		}
	}
	if got != code {
		t.Fatalf("reserve %d at %s: %q, want %q", amount, at, got, code)
	}
	return &h
}

func TestALineWithoutQuotasCostsNothing(t *testing.T) {
	n := lazy(t, sqlite(t), noon(), nil)
	var none *quota.Book
	if none.Line("key_1", "tokens") != nil || n.engine.Book(acmeOrg(), planOf(monthly("cost", 1)), nil).Line("", "tokens") != nil {
		t.Error("there is a line")
	}
	var line *quota.Line
	h := expect(t, line, time.Now(), 10, "")
	if len(h.Draws(nil))+len(h.Settle(nil, need(3))) != 0 {
		t.Error("there are draws")
	}
}

func TestQuotas(t *testing.T) {
	hour := func(q app.Quota) app.Quota { q.Period = app.PeriodHour; return q }
	for _, c := range []struct {
		name  string
		quota app.Quota
		pass  int64 // in one piece
		code  string
	}{
		{"hard", monthly("tokens", 100), 100, "quota_exhausted"},
		{"hard with grace", app.Quota{Meter: "tokens", Limit: 100, Period: app.PeriodMonth, Grace: 10}, 110, "quota_exhausted"},
		{"soft", app.Quota{Meter: "tokens", Limit: 100, Period: app.PeriodMonth, Mode: app.QuotaSoft}, 1_000_000, ""},
		{"for life", app.Quota{Meter: "tokens", Limit: 100, Period: app.PeriodLifetime}, 100, "quota_exhausted"},
		{"an hour", hour(monthly("tokens", 100)), 100, "quota_exhausted"},
		{"nothing at all", monthly("tokens", 0), 0, "quota_exhausted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			time := noon()
			n := lazy(t, sqlite(t), time, nil)
			line := n.engine.Book(acmeOrg(), planOf(c.quota), nil).Line("", "tokens")
			if c.pass > 0 {
				expect(t, line, time.now(), c.pass, "")
			}
			expect(t, line, time.now(), 1, c.code)
		})
	}
}

func TestARefusalSaysEverything(t *testing.T) {
	c := noon()
	n := lazy(t, sqlite(t), c, func(o *quota.Options) { o.UpgradeURL = "https://example.com/upgrade" })
	book := n.engine.Book(acmeOrg(), planOf(app.Quota{Meter: app.MeterCost, Limit: 7_000_000, Period: app.PeriodHour}), nil)
	var h quota.Hold
	err := book.Line("", app.MeterCost).Reserve(t.Context(), c.now(), &h, quota.Need{Meter: app.MeterCost, Amount: 7_000_001})
	e := app.AsError(err)
	want := app.QuotaDetail{Meter: "cost", Scope: "organization", Period: app.PeriodHour, Limit: 7_000_000, Wanted: 7_000_001,
		ResetsAt: c.now().Add(time.Hour), UpgradeAt: "https://example.com/upgrade"}
	if e.Kind != app.KindPayment || e.Code != "budget_exhausted" || *e.Quota != want || e.RetryAfter != time.Hour ||
		e.Message != "The organization's budget of $7 an hour does not cover this, which may take $7.000001: $7 is left." ||
		e.Advice != "Take less, wait for the next period at 2026-11-24T13:00:00Z, or get more at https://example.com/upgrade." {
		t.Errorf("%v %+v %s", e, e.Quota, e.Advice)
	}
	line := book.Line("", app.MeterCost)
	if err := line.Reserve(t.Context(), c.now(), &h, quota.Need{Meter: app.MeterCost, Amount: 7_000_000}); err != nil {
		t.Fatal(err)
	}
	err = line.Reserve(t.Context(), c.now(), &quota.Hold{}, quota.Need{Meter: app.MeterCost, Amount: 1})
	if e := app.AsError(err); e == nil || e.Message != "The organization's budget of $7 an hour is exhausted." {
		t.Errorf("nothing is left: %v", e)
	}
}

func TestAllQuotasOrNone(t *testing.T) {
	c := noon()
	n := lazy(t, sqlite(t), c, nil)
	override := app.QuotaOverride{Org: acme, Key: "key_1", Quota: monthly("tokens", 30)}
	book := n.engine.Book(acmeOrg(), planOf(monthly("tokens", 100)), []app.QuotaOverride{override})
	mine, others := book.Line("key_1", "tokens"), book.Line("key_2", "tokens")
	expect(t, mine, c.now(), 20, "")
	expect(t, mine, c.now(), 11, "quota_exhausted") // the key's
	expect(t, others, c.now(), 80, "")              // nothing of it was taken of the organization's
	expect(t, mine, c.now(), 1, "quota_exhausted")  // the organization's
}

func TestWhatIsSettledLowerOpensAtOnce(t *testing.T) {
	c := noon()
	n := lazy(t, sqlite(t), c, nil)
	line := n.engine.Book(acmeOrg(), planOf(monthly("tokens", 100)), nil).Line("", "tokens")
	h := expect(t, line, c.now(), 100, "")
	expect(t, line, c.now(), 1, "quota_exhausted")
	account := h.Draws(nil)[0].Account
	if got := h.Settle(nil, need(40)); len(got) != 1 || got[0] != (app.Draw{Account: account, Spent: -60, Held: -100}) {
		t.Errorf("draws %+v", got)
	}
	expect(t, line, c.now(), 61, "quota_exhausted")
	expect(t, line, c.now(), 60, "")
}

func TestWhatIsSettledHigherIsCounted(t *testing.T) {
	c := noon()
	n := lazy(t, sqlite(t), c, nil)
	line := n.engine.Book(acmeOrg(), planOf(monthly("tokens", 100)), nil).Line("", "tokens")
	h := expect(t, line, c.now(), 10, "")
	h.Settle(nil, need(70)) // 60 were not lent to it, or were
	expect(t, line, c.now(), 31, "quota_exhausted")
	expect(t, line, c.now(), 30, "")
}

func TestFinalNeedsStayUnlessReleased(t *testing.T) {
	c := noon()
	n := lazy(t, sqlite(t), c, nil)
	line := n.engine.Book(acmeOrg(), planOf(monthly("tokens", 100)), nil).Line("", "tokens")
	var h quota.Hold
	reserve := func() {
		if err := line.Reserve(t.Context(), c.now(), &h, quota.Need{Meter: "tokens", Amount: 60, Final: true}); err != nil {
			t.Fatal(err)
		}
	}
	reserve()
	if got := h.Draws(nil)[0]; got.Spent != 60 || got.Held != 0 {
		t.Errorf("draws %+v", got)
	}
	if got := h.Release(nil)[0]; got.Spent != -60 || got.Held != 0 {
		t.Errorf("released: %+v", got)
	}
	reserve()
	if got := h.Settle(nil); len(got) != 0 {
		t.Errorf("settled: %+v", got)
	}
	expect(t, line, c.now(), 41, "quota_exhausted")
}

func TestALimitIsChangedWhileRequestsRun(t *testing.T) {
	c := noon()
	n := lazy(t, sqlite(t), c, nil)
	line := func(limit int64) *quota.Line {
		return n.engine.Book(acmeOrg(), planOf(monthly("tokens", limit)), nil).Line("", "tokens")
	}
	expect(t, line(100), c.now(), 50, "")
	expect(t, line(100), c.now(), 60, "quota_exhausted")
	expect(t, line(200), c.now(), 60, "") // at once
	lower := line(120)
	if err := n.engine.GiveBackIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, lower, c.now(), 11, "quota_exhausted")
	expect(t, lower, c.now(), 10, "")
}

func TestAPeriodHasItsOwnAccount(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		c := noon()
		n := lazy(t, o, c, nil)
		line := n.engine.Book(acmeOrg(), planOf(app.Quota{Meter: "tokens", Limit: 100, Period: app.PeriodHour}), nil).Line("", "tokens")
		before := c.now()
		h := expect(t, line, before, 100, "")
		ticket, err := n.count(t.Context(), h, "", before)
		if err != nil {
			t.Fatal(err)
		}
		c.move(time.Hour)
		expect(t, line, c.now(), 100, "").Release(nil) // never began
		n.settle(ticket, h, need(30))                  // in the hour of its intent
		expect(t, line, c.now(), 101, "quota_exhausted")
		if err := n.close(); err != nil {
			t.Fatal(err)
		}
		for at, used := range map[time.Time]int64{before: 30, c.now(): 0} {
			if a := states(t, n.store, at); len(a) != 1 || a[0].Spent != used || a[0].Held != 0 || a[0].Leased != 0 {
				t.Errorf("at %s: %+v, want %d", at, a, used)
			}
		}
	})
}

func TestAQuotaThatBeginsLateKnowsWhatWasUsed(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		c := noon()
		n := lazy(t, o, c, func(o *quota.Options) {
			o.Opening = func(_ context.Context, a app.Account) (int64, error) {
				if a.Start != time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC).UnixMilli() {
					t.Errorf("asked for %+v", a)
				}
				return 90, nil
			}
		})
		line := n.engine.Book(acmeOrg(), planOf(monthly("tokens", 100)), nil).Line("", "tokens")
		expect(t, line, c.now(), 11, "quota_exhausted")
		expect(t, line, c.now(), 10, "")
		if a := states(t, n.store, c.now())[0]; a.Opening != 90 || a.Spent != 90 || a.OpenedAt.IsZero() {
			t.Errorf("%+v", a)
		}
	})
}

// broken is a store that answers nothing while it is told to.
type broken struct {
	quota.Store
	down  bool
	asked int
}

func (b *broken) Grant(ctx context.Context, replica int64, claims []app.QuotaClaim) ([]app.QuotaLoan, error) {
	b.asked++
	if b.down {
		return nil, errors.New("down")
	}
	return b.Store.Grant(ctx, replica, claims)
}

func TestWithoutADatabase(t *testing.T) {
	c, alive := noon(), true
	var b *broken
	n := lazy(t, sqlite(t), c, func(o *quota.Options) {
		b = &broken{Store: o.Store}
		o.Store, o.Alive = b, func() bool { return alive }
	})
	hard := n.engine.Book(acmeOrg(), planOf(monthly("tokens", 100)), nil).Line("", "tokens")
	soft := n.engine.Book(app.Org{ID: "org_soft"}, planOf(app.Quota{Meter: "tokens", Limit: 1, Period: app.PeriodDay, Mode: app.QuotaSoft}), nil).Line("", "tokens")
	b.down = true
	expect(t, hard, c.now(), 1, "quota_unavailable")
	expect(t, soft, c.now(), 1, "") // counted, and never stopped
	b.down = false
	expect(t, hard, c.now(), 1, "")
	b.down = true
	expect(t, hard, c.now(), 1, "") // of what was lent
	alive = false
	expect(t, hard, c.now(), 1, "quota_unavailable")
	expect(t, soft, c.now(), 1, "")
}

func TestAFloodOnAnExhaustedQuotaDoesNotAskEachTime(t *testing.T) {
	c := noon()
	var b *broken
	n := lazy(t, sqlite(t), c, func(o *quota.Options) { b = &broken{Store: o.Store}; o.Store = b })
	line := n.engine.Book(acmeOrg(), planOf(monthly("tokens", 100)), nil).Line("", "tokens")
	expect(t, line, c.now(), 100, "")
	expect(t, line, c.now(), 1, "quota_exhausted")
	before := b.asked
	for range 1000 {
		expect(t, line, c.now(), 1, "quota_exhausted")
	}
	if b.asked != before {
		t.Errorf("asked %d times", b.asked-before)
	}
	c.move(time.Second)
	if expect(t, line, c.now(), 1, "quota_exhausted"); b.asked == before {
		t.Error("never asked again")
	}
}

func TestIdleRoomIsGivenToOtherReplicas(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		c := noon()
		two := func() int { return 2 }
		first := lazy(t, o, c, func(o *quota.Options) { o.Replicas = two })
		second := quota.New(quota.Options{Store: first.store, Replica: func() int64 { return 999 }, Replicas: two, Now: c.now})
		plan := planOf(monthly("tokens", 1000))
		mine, other := first.engine.Book(acmeOrg(), plan, nil).Line("", "tokens"), second.Book(acmeOrg(), plan, nil).Line("", "tokens")
		expect(t, mine, c.now(), 1, "").Release(nil) // is lent an eighth
		expect(t, other, c.now(), 1000, "quota_exhausted")
		c.move(time.Second)
		if err := errors.Join(first.engine.GiveBackIdle(t.Context()), second.GiveBackIdle(t.Context())); err != nil {
			t.Fatal(err)
		}
		expect(t, other, c.now(), 1000, "")
	})
}

// forgetful loses the answers of loans and returns that were carried out.
type forgetful struct {
	quota.Store
	lose bool
}

func (f *forgetful) Grant(ctx context.Context, replica int64, claims []app.QuotaClaim) ([]app.QuotaLoan, error) {
	loans, err := f.Store.Grant(ctx, replica, claims)
	if err == nil && f.lose {
		err = errors.New("lost")
	}
	return loans, err
}

func (f *forgetful) GiveBack(ctx context.Context, replica int64, list []app.QuotaReturn) ([]app.QuotaReturned, error) {
	done, err := f.Store.GiveBack(ctx, replica, list)
	if err == nil && f.lose {
		err = errors.New("lost")
	}
	return done, err
}

func TestLostAnswersLoseNothing(t *testing.T) {
	c := noon()
	var f *forgetful
	n := lazy(t, sqlite(t), c, func(o *quota.Options) { f = &forgetful{Store: o.Store}; o.Store = f })
	line := n.engine.Book(acmeOrg(), planOf(monthly("tokens", 100)), nil).Line("", "tokens")
	expect(t, line, c.now(), 1, "").Release(nil)
	f.lose = true
	expect(t, line, c.now(), 90, "quota_unavailable") // lent, and not known
	c.move(time.Minute)
	if n.engine.GiveBackIdle(t.Context()) == nil {
		t.Fatal("the answer was not lost")
	}
	f.lose = false
	for range 2 { // asks what became of it, then gives it back
		c.move(time.Minute)
		if err := n.engine.GiveBackIdle(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if a := states(t, n.store, c.now())[0]; a.Leased != 0 {
		t.Errorf("%d are lent to nobody", a.Leased)
	}
	expect(t, line, c.now(), 101, "quota_exhausted")
	expect(t, line, c.now(), 100, "")
}
