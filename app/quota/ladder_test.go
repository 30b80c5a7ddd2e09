package quota_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/quota"
	"gatehouse/store"
)

// suspensions notes who was suspended.
type suspensions struct {
	down bool
	list []string
}

func (s *suspensions) Suspend(_ context.Context, actor app.Actor, org, reason string) (app.Org, error) {
	if s.down {
		return app.Org{}, errors.New("down")
	}
	s.list = append(s.list, fmt.Sprintf("%s %s: %s", actor.Kind, org, reason))
	return app.Org{}, nil
}

// climbing is a node whose ladder is climbed by hand.
type climbing struct {
	*node
	clock   *clock
	told    []int64
	stopped suspensions
	quotas  []app.Quota
}

func ladderOf(t *testing.T, o store.Options, quotas ...app.Quota) *climbing {
	c := &climbing{clock: &clock{at: time.Now()}, quotas: quotas}
	c.node = lazy(t, o, c.clock, func(options *quota.Options) {
		options.Suspender = &c.stopped
		options.OnNotice = func(n app.QuotaNotice) { c.told = append(c.told, n.Threshold) }
		options.Books = func(context.Context, app.OrgID) (*quota.Book, error) {
			return c.engine.Book(acmeOrg(), planOf(c.quotas...), nil), nil
		}
	})
	return c
}

// use counts so much, by an event or (held) as the worst case of a request
// under way, and waits until the account says so.
func (c *climbing) use(t *testing.T, amount, held int64) {
	t.Helper()
	before := int64(0)
	if a := states(t, c.store, c.clock.now()); len(a) > 0 {
		before = a[0].Spent
	}
	now := c.clock.now()
	draws, err := c.engine.EventDraws(t.Context(), acme, "", "tokens", now, amount, nil)
	if err != nil {
		t.Fatal(err)
	}
	draws[0].Held = held
	ticket := c.ledger.Begin(app.Intent{At: now, Org: acme, Route: "r", Weight: 1, Draws: draws})
	if err := ticket.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, "the account", func() bool { return states(t, c.store, now)[0].Spent == before+amount })
}

func (c *climbing) climb(t *testing.T, want ...int64) {
	t.Helper()
	if err := c.engine.Climb(t.Context()); err != nil {
		t.Fatalf("climb: %v", err)
	}
	if !slices.Equal(c.told, want) {
		t.Fatalf("told %v, want %v", c.told, want)
	}
}

func TestTheLadder(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		c := ladderOf(t, o, app.Quota{Meter: "tokens", Limit: 100, Period: app.PeriodLifetime, Mode: app.QuotaSoft})
		c.use(t, 79, 0)
		c.climb(t)
		c.use(t, 20, 20) // only held: it may be given back
		c.climb(t)
		c.use(t, 1, 0)
		c.climb(t, 80)
		c.climb(t, 80)
		c.use(t, 119, 0)
		c.climb(t, 80, 90, 100)
		c.use(t, 1, 0)
		c.stopped.down = true
		if c.engine.Climb(t.Context()) == nil {
			t.Error("nobody was suspended, and nobody knows")
		}
		c.stopped.down = false
		c.climb(t, 80, 90, 100, 200)
		c.climb(t, 80, 90, 100, 200)
		want := []string{"system org_acme: Used 200 tokens of the quota of 100 tokens in all: 200 % or more."}
		if !slices.Equal(c.stopped.list, want) {
			t.Errorf("suspended %q, want %q", c.stopped.list, want)
		}
	})
}

func TestAThresholdIsToldOnceAmongReplicas(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		c := ladderOf(t, o, app.Quota{Meter: "tokens", Limit: 10, Period: app.PeriodMonth, Mode: app.QuotaSoft, Thresholds: []int64{50, 60}})
		other := 0
		second := quota.New(quota.Options{Store: c.store, Replica: func() int64 { return 999 }, Now: c.clock.now,
			OnNotice: func(app.QuotaNotice) { other++ },
			Books: func(context.Context, app.OrgID) (*quota.Book, error) {
				return c.engine.Book(acmeOrg(), planOf(app.Quota{Meter: "tokens", Limit: 10, Period: app.PeriodMonth, Thresholds: []int64{50, 60}}), nil), nil
			}})
		c.use(t, 6, 0)
		c.climb(t, 50, 60)
		if err := second.Climb(t.Context()); err != nil || other != 0 {
			t.Errorf("the other told %d: %v", other, err)
		}
		list, err := c.store.Notices(t.Context(), acme, app.Page{})
		if err != nil || len(list.Items) != 2 || list.Items[0].Used != 6 || list.Items[0].Limit != 10 || list.Items[0].Start.Day() != 1 {
			t.Errorf("%+v %v", list, err)
		}
	})
}

func TestEventsCountInThePeriodOfTheirTime(t *testing.T) {
	c := ladderOf(t, sqlite(t), monthly("tokens", 10))
	at := time.Date(2026, 9, 30, 23, 59, 0, 0, time.UTC)
	draws, err := c.engine.EventDraws(t.Context(), acme, "key_1", "tokens", at, 7, nil)
	if err != nil || len(draws) != 1 || draws[0].Spent != 7 || draws[0].Held != 0 ||
		draws[0].Account.Start != time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC).UnixMilli() {
		t.Errorf("%+v, %v", draws, err)
	}
	if more, err := c.engine.EventDraws(t.Context(), acme, "", "documents", at, 7, nil); err != nil || len(more) != 0 {
		t.Errorf("of a meter without quota: %+v, %v", more, err)
	}
}

// Whoever told of 200 % and died before it suspended has told nobody.
func TestASuspensionOutlivesItsProcess(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		c := ladderOf(t, o, app.Quota{Meter: "tokens", Limit: 100, Period: app.PeriodLifetime, Mode: app.QuotaSoft})
		c.use(t, 300, 0)
		c.stopped.down = true
		if c.engine.Climb(t.Context()) == nil {
			t.Fatal("nobody was suspended, and nobody knows")
		}
		var stopped suspensions
		next := c.another(&stopped)
		if err := next.Climb(t.Context()); err != nil || len(stopped.list) != 1 {
			t.Errorf("suspended %q: %v", stopped.list, err)
		}
		c.use(t, 1000, 0) // the operator has resumed it
		if err := next.Climb(t.Context()); err != nil || len(stopped.list) != 1 {
			t.Errorf("suspended again: %q: %v", stopped.list, err)
		}
		third := c.another(&stopped)
		if err := third.Climb(t.Context()); err != nil || len(stopped.list) != 1 {
			t.Errorf("suspended again by another process: %q: %v", stopped.list, err)
		}
	})
}

// another is a process that climbs the same ladder.
func (c *climbing) another(stopped *suspensions) *quota.Engine {
	return quota.New(quota.Options{Store: c.store, Replica: func() int64 { return 999 }, Now: c.clock.now, Suspender: stopped,
		Books: func(context.Context, app.OrgID) (*quota.Book, error) {
			return c.engine.Book(acmeOrg(), planOf(c.quotas...), nil), nil
		}})
}

// One who cannot be suspended keeps nobody else from hearing.
func TestOneFailureKeepsNobodyFromBeingTold(t *testing.T) {
	ahead := time.Duration(0)
	o := sqlite(t)
	o.Now = func() time.Time { return time.Now().Add(ahead) }
	c := ladderOf(t, o, app.Quota{Meter: "tokens", Limit: 10, Period: app.PeriodLifetime, Mode: app.QuotaSoft})
	c.use(t, 20, 0)
	c.stopped.down = true
	if err := c.engine.Climb(t.Context()); err == nil {
		t.Fatal("nobody knows of the failure")
	}
	ahead = time.Hour // far beyond the overlap
	c.apply(t, "org_b", 9)
	if err := c.engine.Climb(t.Context()); err == nil || !slices.Equal(c.told, []int64{80, 90, 100, 80, 90}) {
		t.Errorf("told %v: %v", c.told, err)
	}
	c.stopped.down = false
	c.climb(t, 80, 90, 100, 80, 90, 200)
}

// apply folds use of other organizations, as one step.
func (c *climbing) apply(t *testing.T, org string, spent ...int64) {
	t.Helper()
	r, err := c.store.OpenReplica(t.Context(), app.LedgerReplica{Node: "x", StartedAt: c.clock.now()})
	if err != nil {
		t.Fatal(err)
	}
	u := app.UsageApply{To: app.LedgerLink{Replica: r.ID, Seq: 1}, Answered: -1}
	for i, n := range spent {
		name := app.OrgID(org)
		if len(spent) > 1 {
			name = app.OrgID(fmt.Sprintf("%s%05d", org, i))
		}
		u.Draws = append(u.Draws, app.Draw{Account: &app.Account{Org: name, Meter: "tokens", Period: app.PeriodLifetime}, Spent: n})
	}
	if ok, err := c.store.ApplyUsage(t.Context(), u); err != nil || !ok {
		t.Fatal(ok, err)
	}
}

// More accounts than one page, folded in one moment.
func TestTheLadderLeavesNobodyOutOfAMoment(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		c := ladderOf(t, o, app.Quota{Meter: "tokens", Limit: 100, Period: app.PeriodLifetime, Mode: app.QuotaSoft, Thresholds: []int64{80}})
		many := make([]int64, 2500)
		for i := range many {
			many[i] = 1
		}
		many[len(many)-1] = 85
		c.apply(t, "org_a", many...)
		c.climb(t, 80)
		c.apply(t, "org_z", 85)
		c.climb(t, 80, 80)
	})
}

// A limit of 0 with a price grants nothing: no part of it can be passed.
func TestWhoPaysAsTheyGoIsNotSuspended(t *testing.T) {
	price := app.Money(100)
	c := ladderOf(t, sqlite(t), app.Quota{Meter: "tokens", Limit: 0, Period: app.PeriodMonth, Overage: &price})
	c.use(t, 1000, 0)
	c.climb(t)
	if len(c.stopped.list) > 0 {
		t.Errorf("suspended %q", c.stopped.list)
	}
}

// What was used before a limit was lowered suspends nobody; what is used then
// does, beyond as much again.
func TestASmallerPlanSuspendsNobody(t *testing.T) {
	for _, row := range []struct {
		limit     int64
		told      []int64
		restarted bool
	}{
		{100_000, nil, false},           // the process has seen the limit before
		{10_000, []int64{80, 90}, true}, // the notices tell what it was
	} {
		restarted := row.restarted
		c := ladderOf(t, sqlite(t), app.Quota{Meter: "tokens", Limit: row.limit, Period: app.PeriodLifetime, Mode: app.QuotaSoft})
		c.use(t, 9000, 0)
		c.climb(t, row.told...)
		c.quotas[0].Limit = 1000
		climbing := c.engine
		if restarted {
			climbing = c.another(&c.stopped)
		}
		for _, step := range []struct{ more, suspended int64 }{{1, 0}, {998, 0}, {1, 1}} {
			c.use(t, step.more, 0)
			if err := climbing.Climb(t.Context()); err != nil || int64(len(c.stopped.list)) != step.suspended {
				t.Errorf("restarted %v, after %d more: suspended %q, %v", restarted, step.more, c.stopped.list, err)
			}
		}
	}
}

// Late events of a period long past change what it says, and nobody is told or
// suspended for it.
func TestAPeriodLongPastTellsNobody(t *testing.T) {
	c := ladderOf(t, sqlite(t), app.Quota{Meter: "tokens", Limit: 10, Period: app.PeriodMonth, Mode: app.QuotaSoft})
	then := c.clock.now().AddDate(0, -2, 0)
	draws, err := c.engine.EventDraws(t.Context(), acme, "", "tokens", then, 30, nil)
	if err != nil {
		t.Fatal(err)
	}
	ticket := c.ledger.Begin(app.Intent{At: then, Org: acme, Route: "r", Weight: 1, Draws: draws})
	if err := ticket.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, "the account", func() bool { list := states(t, c.store, then); return len(list) > 0 && list[0].Used() == 30 })
	c.climb(t)
	if len(c.stopped.list) > 0 {
		t.Errorf("suspended %q", c.stopped.list)
	}
}
