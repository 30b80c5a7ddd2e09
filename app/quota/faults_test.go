package quota_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/app/quota"
	"gatehouse/store"
)

// crowd reports other organizations' events until the test ends, so that calls
// at once share blocks.
func crowd(t *testing.T, d *desk) {
	ctx, end := context.WithCancel(t.Context())
	var others sync.WaitGroup
	for g := range 4 {
		others.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				var list []app.Event
				for j := range 50 {
					list = append(list, app.Event{Org: "org_other", ID: fmt.Sprint(g, i, j), Type: "t", Time: d.clock.now(), Uses: []app.Use{{Meter: "x", Value: 1}}})
				}
				d.lane.Events.Record(ctx, list)
			}
		})
	}
	t.Cleanup(func() { end(); others.Wait() })
}

// A client that settles twice at once, and whose event stands twice in one
// block: the booking is free only when the block is folded.
func TestSettledTwiceAtOnceIsCountedBeforeItIsFree(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		d := opened(t, o, "documents", 100)
		d.Events = d.lane.Events // without the lane's lock, which would keep calls apart
		tries := 25
		if long() {
			tries = 300
		}
		d.plan = app.Plan{}
		for try := range tries {
			d.plan.Quotas = append(d.plan.Quotas, monthly(fmt.Sprintf("documents%d", try), 100))
		}
		crowd(t, d)
		for try, q := range d.plan.Quotas {
			r, err := d.Reserve(t.Context(), itsKey, quota.NewReservation{Meter: q.Meter, Amount: 100})
			if err != nil {
				t.Fatal(err)
			}
			var wait sync.WaitGroup
			for range 2 {
				wait.Go(func() { d.Settle(t.Context(), itsKey, r.ID, 100) })
			}
			wait.Wait()
			if err := d.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if second, err := d.Reserve(t.Context(), itsKey, quota.NewReservation{Meter: q.Meter, Amount: 1}); err == nil {
				t.Fatalf("try %d: 100 of 100 were used and acknowledged, and %d more are booked", try, second.Amount)
			}
		}
	})
}

// lost is a store whose next change of a reservation does not arrive.
type lost struct {
	*store.Ledger
	next bool
}

func (f *lost) ChangeReservation(ctx context.Context, org app.OrgID, id string, change func(*app.Reservation) ([]app.QuotaBooking, error)) (app.Reservation, []app.QuotaLoan, bool, error) {
	if !f.next {
		return f.Ledger.ChangeReservation(ctx, org, id, change)
	}
	f.next = false
	return f.Ledger.ChangeReservation(ctx, org, id, func(r *app.Reservation) ([]app.QuotaBooking, error) {
		_, err := change(r)
		return nil, errors.Join(err, errors.New("the connection is lost"))
	})
}

func TestAnExpiryThatDidNotArriveCountsNothing(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		d := opened(t, o, "documents", 100)
		f := &lost{Ledger: d.n.store}
		d.Store = f
		r := d.reserve(t, 50)
		if _, err := d.Extend(t.Context(), itsKey, r.ID, 7, 0, 0); err != nil {
			t.Fatal(err)
		}
		d.clock.move(time.Minute)
		f.next = true
		if err := d.Sweep(t.Context()); err == nil {
			t.Fatal("it arrived")
		}
		if _, err := d.Settle(t.Context(), itsKey, r.ID, 50); err != nil {
			t.Fatal(err)
		}
		d.sweep(t)
		if a := d.account(t); a.Spent != 50 {
			t.Errorf("50 were settled, and the account says %d", a.Spent)
		}
	})
}

// Nobody settles more than blocks can hold, and what passes is provable.
func TestASettleIsBounded(t *testing.T) {
	d := opened(t, sqlite(t), "documents", 100)
	r := d.reserve(t, 1)
	for _, used := range []int64{-1, 2 + quota.MaxBeyond, quota.MaxReservation, 1 << 62} {
		if _, err := d.Settle(t.Context(), itsKey, r.ID, used); !app.IsKind(err, app.KindInvalid) {
			t.Errorf("settle %d: %v", used, err)
		}
	}
	if _, err := d.Settle(t.Context(), itsKey, r.ID, 1+quota.MaxBeyond); err != nil {
		t.Fatal(err)
	}
	d.sweep(t)
	if a := d.account(t); a.Spent != 1+quota.MaxBeyond {
		t.Errorf("the account says %d", a.Spent)
	}
	proof, err := metering.Check(t.Context(), d.n.store)
	if err != nil || !proof.OK() {
		t.Errorf("proof: %v %+v", err, proof.Faults)
	}
}

// A balance that was forgotten a day after its period has nothing in hand when
// something that began then asks again.
func TestAForgottenBalanceComesBackEmpty(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		c := noon()
		n := lazy(t, o, c, nil)
		plan := planOf(app.Quota{Meter: "tokens", Limit: 100, Period: app.PeriodHour})
		start := c.now()
		h := expect(t, n.engine.Book(acmeOrg(), plan, nil).Line("", "tokens"), start, 100, "")
		if _, err := n.count(t.Context(), h, "", start); err != nil {
			t.Fatal(err)
		}
		c.move(26 * time.Hour)
		if err := n.engine.GiveBackIdle(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect(t, n.engine.Book(acmeOrg(), plan, nil).Line("", "tokens"), start, 1, "quota_exhausted")
	})
}

// A correction is charged to the account and to nobody's loan: what it adds
// ends the cap earlier, and what it takes off can be used again.
func TestACorrectionKeepsTheCap(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		for _, row := range []struct{ before, value, after int64 }{{40, 60, 0}, {1, 60, 39}, {100, -60, 60}} {
			name := fmt.Sprintf("%d then %d", row.before, row.value)
			c := &clock{at: time.Now()}
			q := app.Quota{Meter: fmt.Sprintf("tokens%d", row.before), Limit: 100, Period: app.PeriodLifetime}
			var n *node
			n = lazy(t, o, c, func(o *quota.Options) {
				o.Books = func(context.Context, app.OrgID) (*quota.Book, error) {
					return n.engine.Book(acmeOrg(), planOf(q), nil), nil
				}
			})
			line := n.engine.Book(acmeOrg(), planOf(q), nil).Line("", q.Meter)
			take := func() error {
				var h quota.Hold
				err := line.Reserve(t.Context(), c.now(), &h, quota.Need{Meter: q.Meter, Amount: 1, Final: true})
				if err == nil {
					_, err = n.count(t.Context(), &h, "", c.now())
					h.Free()
				}
				return err
			}
			for range row.before {
				if err := take(); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
			returned := func() { // what was lent and not used
				applied(t, n)
				c.move(time.Minute)
				if err := n.engine.GiveBackIdle(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			returned()
			correct(t, n, openLane(t, n, c), c, q.Meter, row.value)
			passed := int64(0)
			for refused := 0; refused < 3 && passed <= 100; {
				if take() == nil {
					passed, refused = passed+1, 0
					continue
				}
				refused++
				returned()
			}
			if passed != row.after {
				t.Errorf("%s of 100: %d more passed, want %d", name, passed, row.after)
			}
			n.close()
		}
	})
}

// correct adds to usage, and waits until the account says so.
func correct(t *testing.T, n *node, events *lane, c *clock, meter string, value int64) {
	t.Helper()
	applied(t, n)
	spent := func() int64 {
		for _, a := range states(t, n.store, c.now()) {
			if a.Meter == meter {
				return a.Spent
			}
		}
		return 0
	}
	before := spent()
	adjuster := metering.Adjuster{Ledger: events.Events, Meters: anyMeter{},
		Draws: func(ctx context.Context, org app.OrgID, key app.KeyID, meter string, at time.Time, amount int64) ([]app.Draw, error) {
			return n.engine.EventDraws(ctx, org, key, meter, at, amount, nil)
		}}
	err := adjuster.Adjust(t.Context(), app.Actor{Kind: app.ActorSystem}, app.Adjustment{Org: acme, Meter: meter, At: c.now(), Value: value, Reason: "agreed"})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the correction", func() bool { return spent() == before+value })
}

// applied waits until the node's blocks are in the accounts.
func applied(t *testing.T, n *node) {
	t.Helper()
	await(t, "the fold", func() bool { s := n.ledger.Stats(); return s.Applied == s.Blocks })
}

type anyMeter struct{}

func (anyMeter) Find(_ context.Context, _ app.Actor, slug string) (app.Meter, error) {
	return app.Meter{Slug: slug, Aggregation: app.AggregationSum}, nil
}
