package quota_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/app/quota"
	"gatehouse/store"
)

// lane is the lane of events, which remembers what it was told, and fails
// while it is down.
type lane struct {
	*metering.Events
	mu    sync.Mutex
	known map[string]app.Event
	down  bool
}

func (l *lane) Record(ctx context.Context, list []app.Event) ([]app.EventResult, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return nil, errors.New("the lane is down")
	}
	for _, e := range list {
		l.known[e.ID] = e
	}
	return l.Events.Record(ctx, list)
}

func openLane(t *testing.T, n *node, c *clock) *lane {
	t.Helper()
	events, err := metering.OpenEvents(t.Context(), metering.EventsOptions{Store: n.store, Draws: n.engine.EventDraws, Patience: time.Minute, Now: c.now})
	if err != nil {
		t.Fatalf("open the lane of events: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		events.Close(ctx)
	})
	return &lane{Events: events, known: map[string]app.Event{}}
}

// orgs knows two organizations.
type orgs struct{ acme app.Org }

func (o *orgs) Org(_ context.Context, id app.OrgID) (app.Org, error) {
	switch id {
	case acme:
		return o.acme, nil
	case "org_other":
		return app.Org{ID: id, Slug: "other", Status: app.OrgStatusActive}, nil
	}
	return app.Org{}, app.NotFound("organization")
}

func (o *orgs) OrgBySlug(ctx context.Context, slug string) (app.Org, error) {
	return o.Org(ctx, app.OrgID("org_"+slug))
}

type desk struct {
	*quota.Reservations
	n     *node
	lane  *lane
	clock *clock
	orgs  *orgs
	plan  app.Plan
}

var (
	itsKey   = app.Actor{Kind: app.ActorKey, ID: "key_1", KeyID: "key_1", OrgID: acme}
	otherKey = app.Actor{Kind: app.ActorKey, ID: "key_9", KeyID: "key_9", OrgID: "org_other"}
	operator = app.Actor{Kind: app.ActorOperator, ID: "opr_1", Scopes: []string{"*"}}
	reader   = app.Actor{Kind: app.ActorOperator, ID: "opr_2", Scopes: []string{"reservations:read", "quotas:read"}}
)

// opened is a desk for reservations on a meter of which acme has so much a month.
func opened(t *testing.T, o store.Options, meter string, limit int64) *desk {
	d := &desk{clock: noon(), orgs: &orgs{acme: acmeOrg()}, plan: planOf(monthly(meter, limit))}
	d.orgs.acme.Status = app.OrgStatusActive
	d.n = lazy(t, o, d.clock, func(options *quota.Options) {
		options.Books = func(_ context.Context, org app.OrgID) (*quota.Book, error) {
			return d.n.engine.Book(app.Org{ID: org, CreatedAt: born}, d.plan, nil), nil
		}
	})
	d.lane = openLane(t, d.n, d.clock)
	d.Reservations = &quota.Reservations{Store: d.n.store, Engine: d.n.engine, Events: d.lane, Orgs: d.orgs,
		Now: d.clock.now, Log: slog.New(slog.DiscardHandler)}
	return d
}

func (d *desk) reserve(t *testing.T, amount int64) app.Reservation {
	t.Helper()
	r, err := d.Reserve(t.Context(), itsKey, quota.NewReservation{Meter: d.plan.Quotas[0].Meter, Amount: amount})
	if err != nil {
		t.Fatalf("reserve %d: %v", amount, err)
	}
	return r
}

// refuses reserves in vain.
func (d *desk) refuses(t *testing.T, amount int64) {
	t.Helper()
	_, err := d.Reserve(t.Context(), itsKey, quota.NewReservation{Meter: d.plan.Quotas[0].Meter, Amount: amount})
	if e := app.AsError(err); e == nil || e.Kind != app.KindPayment || e.Quota == nil || e.Quota.Wanted != amount {
		t.Fatalf("reserve %d: %v", amount, err)
	}
}

// sweep looks after reservations until what ended is given back.
func (d *desk) sweep(t *testing.T) {
	t.Helper()
	await(t, "the sweep", func() bool {
		if err := d.Sweep(t.Context()); err != nil {
			t.Fatalf("sweep: %v", err)
		}
		due, err := d.n.store.DueReservations(t.Context(), d.clock.now(), 10)
		return err == nil && len(due) == 0
	})
}

func (d *desk) account(t *testing.T) app.AccountState {
	t.Helper()
	return states(t, d.n.store, d.clock.now())[0]
}

func TestAReservationFromBeginningToEnd(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		d := opened(t, o, "documents", 100)
		r := d.reserve(t, 60)
		d.refuses(t, 41)
		if a := d.account(t); a.Booked != 60 || a.Spent != 0 {
			t.Errorf("reserved: %+v", a)
		}
		settled, err := d.Settle(t.Context(), itsKey, r.ID, 25)
		if err != nil || settled.State != app.ReservationSettled || settled.Used != 25 {
			t.Fatalf("settled: %+v %v", settled, err)
		}
		if a := d.account(t); a.Spent+a.Booked < 25 || a.Booked > 25 { // counted, or held until it is
			t.Errorf("settled: %+v", a)
		}
		again, err := d.Settle(t.Context(), itsKey, r.ID, 99)
		if err != nil || again.Used != 25 || !again.EndedAt.Equal(settled.EndedAt) {
			t.Errorf("settled again: %+v %v", again, err)
		}
		d.sweep(t)
		if a := d.account(t); a.Booked != 0 || a.Spent != 25 {
			t.Errorf("at the end: %+v", a)
		}
		d.refuses(t, 76)
		r = d.reserve(t, 75)
		if _, err := d.Release(t.Context(), itsKey, r.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Release(t.Context(), itsKey, r.ID); err != nil {
			t.Errorf("released again: %v", err)
		}
		if _, err := d.Settle(t.Context(), itsKey, r.ID, 1); codeOf(err) != "reservation_ended" {
			t.Errorf("settled after its release: %v", err)
		}
		d.reserve(t, 75)
	})
}

func TestAReservationIsExtended(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		d := opened(t, o, "documents", 100)
		r := d.reserve(t, 60)
		d.clock.move(50 * time.Second)
		r, err := d.Extend(t.Context(), itsKey, r.ID, 30, 40, 2*time.Minute)
		if err != nil || r.Amount != 100 || r.Used != 30 || !r.ExpiresAt.Equal(d.clock.now().Add(2*time.Minute)) {
			t.Fatalf("extended: %+v %v", r, err)
		}
		d.clock.move(time.Second)
		if _, err := d.Extend(t.Context(), itsKey, r.ID, 31, 1, 0); codeOf(err) != "quota_exhausted" {
			t.Errorf("extended beyond the quota: %v", err)
		}
		if found, err := d.Find(t.Context(), itsKey, r.ID); err != nil || found.Amount != 100 || found.Used != 30 {
			t.Errorf("after a refusal: %+v %v", found, err)
		}
		d.orgs.acme.Status = app.OrgStatusSuspended
		if _, err := d.Extend(t.Context(), itsKey, r.ID, 31, 0, 0); codeOf(err) != "org_suspended" {
			t.Errorf("of a suspended organization: %v", err)
		}
		if r, err = d.Settle(t.Context(), itsKey, r.ID, 130); err != nil || r.Used != 130 {
			t.Errorf("settled late: %+v %v", r, err)
		}
		if d.sweep(t); d.account(t).Spent != 130 {
			t.Errorf("%+v", d.account(t))
		}
	})
}

func TestASilentAppIsPresumedToHaveWorkedOn(t *testing.T) {
	for _, c := range []struct {
		meter              string
		amount, told, used int64
		heardAfter         time.Duration
	}{
		{app.MeterAgentMinutes, 60, 1, 4, 170 * time.Second}, // 170 s + 60 s: the fourth minute has begun
		{app.MeterAgentMinutes, 3, 1, 3, 170 * time.Second},  // capped at what was reserved
		{app.MeterAgentMinutes, 3, 9, 9, 170 * time.Second},  // it told more
		{app.MeterAgentMinutes, 60, 0, 1, 0},                 // never heard: its first minute
		{"documents", 60, 7, 7, 170 * time.Second},
		{"documents", 60, 0, 0, 0},
	} {
		t.Run(fmt.Sprintf("%s %d %d", c.meter, c.amount, c.told), func(t *testing.T) {
			d := opened(t, sqlite(t), c.meter, 1000)
			r := d.reserve(t, c.amount)
			for passed := time.Duration(0); passed < c.heardAfter; passed += 17 * time.Second {
				d.clock.move(17 * time.Second)
				if _, err := d.Extend(t.Context(), itsKey, r.ID, c.told, 0, 0); err != nil {
					t.Fatal(err)
				}
			}
			d.clock.move(59 * time.Second)
			if d.sweep(t); d.account(t).Booked != c.amount {
				t.Fatalf("expired early: %+v", d.account(t))
			}
			d.clock.move(time.Second)
			d.sweep(t)
			r, err := d.Find(t.Context(), itsKey, r.ID)
			if err != nil || r.State != app.ReservationExpired || r.Used != c.used || !r.Estimated {
				t.Errorf("%+v %v", r, err)
			}
			await(t, "the count", func() bool { return d.account(t).Spent == c.used })
			if a := d.account(t); a.Booked != 0 {
				t.Errorf("%+v", a)
			}
			if e, counted := d.lane.known[r.ID]; counted != (c.used > 0) || counted && !e.Uses[0].Estimated {
				t.Errorf("event %+v", e)
			}
			if _, err := d.Extend(t.Context(), itsKey, r.ID, 1, 0, 0); codeOf(err) != "reservation_ended" {
				t.Errorf("a late sign of life: %v", err)
			}
		})
	}
}

func TestWhatWasSettledIsCountedThoughTheLaneWasDown(t *testing.T) {
	d := opened(t, sqlite(t), "documents", 100)
	r := d.reserve(t, 60)
	d.lane.down = true
	if _, err := d.Settle(t.Context(), itsKey, r.ID, 20); err == nil {
		t.Fatal("settled, and nothing was counted")
	}
	d.refuses(t, 81) // still booked
	d.lane.down = false
	if _, err := d.Settle(t.Context(), itsKey, r.ID, 20); err != nil {
		t.Fatalf("tried again: %v", err)
	}
	d.sweep(t)
	if a := d.account(t); a.Spent != 20 || a.Booked != 0 {
		t.Errorf("%+v", a)
	}
}

func TestIdleRoomIsTakenBackForAReservation(t *testing.T) {
	d := opened(t, sqlite(t), "documents", 100)
	var h quota.Hold
	book := d.n.engine.Book(acmeOrg(), d.plan, nil)
	if err := book.Line("", "documents").Reserve(t.Context(), d.clock.now(), &h, quota.Need{Meter: "documents", Amount: 1}); err != nil {
		t.Fatal(err)
	}
	h.Release(nil) // a quarter is lent, and nobody uses it
	d.reserve(t, 100)
}

func TestWhoMayReserve(t *testing.T) {
	d := opened(t, sqlite(t), "documents", 100)
	r := d.reserve(t, 1)
	for _, c := range []struct {
		who        string
		actor      app.Actor
		org        string
		make, look string // codes
	}{
		{"nobody", app.Actor{Kind: app.ActorAnonymous}, "acme", "forbidden", "forbidden"},
		{"another organization", otherKey, "acme", "not_found", "not_found"},
		{"an operator without the scope", reader, "acme", "forbidden", ""},
		{"an operator", operator, "acme", "", ""},
		{"an operator, by id", operator, string(acme), "", ""},
		{"an operator, for nobody", operator, "", "invalid_input", ""},
		{"its key", itsKey, "", "", ""},
	} {
		made, err := d.Reserve(t.Context(), c.actor, quota.NewReservation{Org: c.org, Meter: "documents", Amount: 1})
		if codeOf(err) != c.make || err == nil && made.Org != acme {
			t.Errorf("%s makes: %v, want %q", c.who, err, c.make)
		}
		if _, err := d.Find(t.Context(), c.actor, r.ID); codeOf(err) != c.look {
			t.Errorf("%s looks: %v, want %q", c.who, err, c.look)
		}
		if _, err := d.Settle(t.Context(), otherKey, r.ID, 1); codeOf(err) != "not_found" {
			t.Errorf("%s settles: %v", c.who, err)
		}
	}
	list, err := d.List(t.Context(), itsKey, "", app.Page{Filter: "open"})
	if err != nil || len(list.Items) != 4 {
		t.Errorf("%d open: %v", len(list.Items), err)
	}
}

func TestWrongReservations(t *testing.T) {
	d := opened(t, sqlite(t), "documents", 100)
	d.Meter = func(_ context.Context, slug string) (app.Meter, error) {
		switch slug {
		case "documents":
			return app.Meter{Slug: slug, Aggregation: app.AggregationSum}, nil
		case "seats":
			return app.Meter{Slug: slug, Aggregation: app.AggregationMax}, nil
		}
		return app.Meter{}, app.NotFound("meter")
	}
	for field, n := range map[string]quota.NewReservation{
		"meter":  {Meter: "unheard-of", Amount: 1},
		"meter ": {Meter: "seats", Amount: 1},
		"meter!": {Meter: "no label", Amount: 1},
		"amount": {Meter: "documents"},
		"life":   {Meter: "documents", Amount: 1, Life: time.Second},
	} {
		_, err := d.Reserve(t.Context(), itsKey, n)
		if e := app.AsError(err); e == nil || len(e.Fields) != 1 || e.Fields[0].Field != strings.Trim(field, " !") {
			t.Errorf("%+v: %v", n, err)
		}
	}
	r := d.reserve(t, 1)
	for what, try := range map[string]func() (app.Reservation, error){
		"used": func() (app.Reservation, error) { return d.Settle(t.Context(), itsKey, r.ID, -1) },
		"more": func() (app.Reservation, error) { return d.Extend(t.Context(), itsKey, r.ID, 0, -1, 0) },
		"life": func() (app.Reservation, error) { return d.Extend(t.Context(), itsKey, r.ID, 0, 0, time.Second) },
	} {
		if _, err := try(); codeOf(err) != "invalid_input" || app.AsError(err).Fields[0].Field != what {
			t.Errorf("%s: %v", what, err)
		}
	}
}
