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
}

func ladderOf(t *testing.T, o store.Options, quotas ...app.Quota) *climbing {
	c := &climbing{clock: &clock{at: time.Now()}}
	c.node = lazy(t, o, c.clock, func(options *quota.Options) {
		options.Suspender = &c.stopped
		options.OnNotice = func(n app.QuotaNotice) { c.told = append(c.told, n.Threshold) }
		options.Books = func(context.Context, app.OrgID) (*quota.Book, error) {
			return c.engine.Book(acmeOrg(), planOf(quotas...), nil), nil
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
	draws := c.engine.EventDraws(t.Context(), acme, "", "tokens", now, amount, nil)
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
	draws := c.engine.EventDraws(t.Context(), acme, "key_1", "tokens", at, 7, nil)
	if len(draws) != 1 || draws[0].Spent != 7 || draws[0].Held != 0 ||
		draws[0].Account.Start != time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC).UnixMilli() {
		t.Errorf("%+v", draws)
	}
	if more := c.engine.EventDraws(t.Context(), acme, "", "documents", at, 7, nil); len(more) != 0 {
		t.Errorf("of a meter without quota: %+v", more)
	}
}
