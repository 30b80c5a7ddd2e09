package export_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/export"
	"gatehouse/app/metering"
	"gatehouse/store"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// customers are organizations at Stripe.
type customers map[app.OrgID]string

func (c customers) BillingCustomer(_ context.Context, org app.OrgID, _ app.BillingProvider) (app.BillingCustomer, error) {
	if c[org] == "" {
		return app.BillingCustomer{}, app.NotFound("billing customer")
	}
	return app.BillingCustomer{Org: org, Customer: c[org]}, nil
}

// mapped are the meters that are reported.
var mapped = map[string]string{"requests": "stripe_requests", "pages": "stripe_pages", "bytes": "stripe_bytes", "duration": "stripe_ms"}

// stripeWorld is a ledger, a stand-in, and a clock that the reporter and the
// stand-in share.
type stripeWorld struct {
	*testing.T
	clock     *clock
	ledger    *store.Ledger // real time
	outbox    *store.Ledger // the clock's
	stripe    *standIn
	customers customers
	options   export.StripeOptions
}

func newStripeWorld(t *testing.T, o store.Options, choose func(string) outcome) *stripeWorld {
	w := &stripeWorld{T: t, clock: &clock{at: noon.Add(24 * time.Hour)}, ledger: openLedger(t, o), customers: customers{}}
	o.Now = w.clock.now
	w.outbox = openLedger(t, o)
	w.stripe = newStandIn(t, w.clock.now, choose)
	w.options = export.StripeOptions{Source: metering.Exporter{Store: w.outbox}, Outbox: w.outbox, Customers: w.customers,
		Meters:    mapped,
		SecretKey: "sk_test_1", URL: w.stripe.URL, Allow: true, Now: w.clock.now}
	w.once(nil) // it runs before there is anything
	return w
}

// customer gives an organization a customer that Stripe knows.
func (w *stripeWorld) customer(org app.OrgID) string {
	id := "cus_" + string(org)
	w.customers[org] = id
	w.stripe.customers[id] = true
	return id
}

func (w *stripeWorld) once(want error) {
	w.Helper()
	if err := export.NewStripe(w.options).Once(w.Context()); fmt.Sprint(err) != fmt.Sprint(want) {
		w.Fatalf("got %v, want %v", err, want)
	}
}

func (w *stripeWorld) traffic(n int, orgs ...app.OrgID) {
	l := openMeter(w, w.ledger)
	traffic(w, l, n, orgs...)
	closeMeter(w, l)
}

func (w *stripeWorld) status() export.StripeStatus {
	w.Helper()
	s, err := (&export.Desk{Outbox: w.outbox}).Status(w.Context(), system)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// expect compares what a customer is billed for with what the buckets hold.
func (w *stripeWorld) expect(org app.OrgID) {
	w.Helper()
	rows, err := metering.Reports{Store: w.ledger}.Usage(w.Context(), system,
		app.UsageQuery{Org: org, Since: noon.Add(-time.Hour), Until: noon.Add(24 * time.Hour)})
	if err != nil || len(rows) != 1 || rows[0].Weight == 0 {
		w.Fatal(rows, err)
	}
	customer := "cus_" + string(org)
	for _, c := range []struct {
		event string
		want  int64
	}{{"stripe_requests", rows[0].Weight}, {"stripe_bytes", rows[0].BytesIn + rows[0].BytesOut}, {"stripe_ms", rows[0].Duration.Milliseconds()},
		{"stripe_pages", rows[0].Requests}} { // 0, 1, 2, 0, 1, 2 … pages: one each in whole threes
		if got := w.stripe.total(c.event, customer); got != c.want {
			w.Errorf("%s is billed %d of %s, used %d", org, got, c.event, c.want)
		}
	}
	for _, fault := range w.stripe.faults {
		w.Error(fault)
	}
}

func always(o outcome) func(string) outcome { return func(string) outcome { return o } }

// dying is an outbox whose process dies after an answer, before it is kept.
type dying struct {
	*store.Ledger
	chance *rand.Rand
	mu     sync.Mutex
}

func (d *dying) UpdateMeterEvent(ctx context.Context, e app.MeterEvent) error {
	d.mu.Lock()
	dies := d.chance.IntN(8) == 0
	d.mu.Unlock()
	if dies {
		return errKilled
	}
	return d.Ledger.UpdateMeterEvent(ctx, e)
}

// TestEachQuantityIsBilledOnce while Stripe limits, breaks, hangs up and
// forgets, while the reporter dies, and while two of them run.
func TestEachQuantityIsBilledOnce(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		seed := rand.Uint64()
		t.Log("seed", seed)
		var (
			mu     sync.Mutex
			chance = rand.New(rand.NewPCG(seed, 1))
		)
		w := newStripeWorld(t, o, func(string) outcome {
			mu.Lock()
			defer mu.Unlock()
			if chance.IntN(2) == 0 {
				return takes
			}
			return outcome(chance.IntN(int(outcomes)))
		})
		orgs := []app.OrgID{"org_1", "org_2", "org_3"}
		for _, org := range orgs {
			w.customer(org)
		}
		healthy := w.options.Outbox
		w.options.Outbox = &dying{Ledger: w.outbox, chance: rand.New(rand.NewPCG(seed, 2))}
		pass := func() {
			var wait sync.WaitGroup
			wait.Go(func() { _ = export.NewStripe(w.options).Once(t.Context()) }) // it may die
			wait.Wait()
			w.clock.pass(11 * time.Minute) // longer than any claim and any pause
		}
		for range 4 {
			w.traffic(30, orgs...)
			pass()
		}
		for range 30 {
			pass()
		}
		w.options.Outbox = healthy
		for range 40 {
			pass()
		}
		if s := w.status(); s.Due+s.Waiting+s.Parked != 0 || s.Delivered == 0 {
			t.Errorf("status %+v", s)
		}
		for _, org := range orgs {
			w.expect(org)
		}
	})
}

// TestTwoReportersShareTheWork and report nothing twice.
func TestTwoReportersShareTheWork(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		w := newStripeWorld(t, o, always(takes))
		w.customer("org_1")
		w.customer("org_2")
		w.traffic(60, "org_1", "org_2")
		var wait sync.WaitGroup
		for range 2 {
			wait.Go(func() {
				if err := export.NewStripe(w.options).Once(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		w.once(nil)
		if s := w.status(); s.Due != 0 || int64(w.stripe.requests) != s.Delivered {
			t.Errorf("%d requests, status %+v", w.stripe.requests, s)
		}
		w.stripe.faults = nil // two reporters may meet on one customer's meter: Stripe answers 429 then
		w.expect("org_1")
		w.expect("org_2")
	})
}

func TestUsageWaitsForItsCustomer(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		w := newStripeWorld(t, o, always(takes))
		w.traffic(30, "org_1")
		w.once(nil)
		if s := w.status(); s.Waiting == 0 || s.Due != 0 || w.stripe.requests != 0 || len(s.Troubles) != int(s.Waiting) {
			t.Fatalf("%d requests, status %+v", w.stripe.requests, s)
		}
		w.customer("org_1")
		w.once(nil)
		if s := w.status(); s.Waiting != 0 || s.Due != 0 {
			t.Errorf("status %+v", s)
		}
		w.expect("org_1")
	})
}

func TestWhatStripeNeverTakesIsParkedUntilSomebodyRetries(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		w := newStripeWorld(t, o, always(takes))
		w.customers["org_1"] = "cus_unknown"
		w.traffic(30, "org_1")
		w.once(nil)
		s := w.status()
		if s.Parked == 0 || s.Due != 0 || !strings.Contains(s.Troubles[0].Reason, "No such customer") {
			t.Fatalf("status %+v", s)
		}
		sent := w.stripe.requests
		w.clock.pass(time.Hour)
		if w.once(nil); w.stripe.requests != sent {
			t.Error("a parked event was sent again by itself")
		}
		w.customer("org_1")
		desk := &export.Desk{Outbox: w.outbox}
		if _, err := desk.Retry(t.Context(), system, "gh_none"); !app.IsKind(err, app.KindNotFound) {
			t.Errorf("an event that is none: %v", err)
		}
		if n, err := desk.Retry(t.Context(), system, s.Troubles[0].Identifier); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if n, err := desk.Retry(t.Context(), system, ""); n != s.Parked-1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		w.once(nil)
		w.expect("org_1")
	})
}

func TestAWrongSecretParksNothing(t *testing.T) {
	w := newStripeWorld(t, store.Options{Path: t.TempDir() + "/gatehouse.db"}, always(takes))
	w.customer("org_1")
	w.customer("org_2")
	w.traffic(30, "org_1", "org_2")
	w.options.SecretKey = "sk_test_2"
	if err := export.NewStripe(w.options).Once(t.Context()); err == nil || !strings.Contains(err.Error(), "stripe_refused") {
		t.Fatal(err)
	}
	if s := w.status(); s.Parked != 0 || s.Due == 0 || w.stripe.requests > 8 {
		t.Errorf("%d requests, status %+v", w.stripe.requests, s)
	}
	w.clock.pass(30 * time.Hour) // no try is unsure: nothing came there
	w.options.SecretKey = "sk_test_1"
	w.once(nil)
	w.expect("org_1")
	w.expect("org_2")
}

func TestALostAnswerIsNotRepeatedAfterADay(t *testing.T) {
	lose := true
	w := newStripeWorld(t, store.Options{Path: t.TempDir() + "/gatehouse.db"}, func(string) outcome {
		if lose {
			return forgets
		}
		return takes
	})
	w.customer("org_1")
	w.traffic(30, "org_1")
	w.once(nil)
	lose = false
	w.clock.pass(25 * time.Hour)
	w.once(nil)
	s := w.status()
	if s.Parked == 0 || s.Due+s.Delivered != 0 || !strings.Contains(s.Troubles[0].Reason, "lost") {
		t.Errorf("status %+v", s)
	}
	w.expect("org_1") // Stripe has had it all the time
}

func TestUsageThatIsTooOldForStripe(t *testing.T) {
	w := newStripeWorld(t, store.Options{Path: t.TempDir() + "/gatehouse.db"}, always(takes))
	w.traffic(30, "org_1")
	w.once(nil)
	w.clock.pass(36 * 24 * time.Hour)
	w.customer("org_1")
	w.once(nil)
	if s := w.status(); s.Parked == 0 || s.Due+s.Waiting+s.Delivered != 0 || !strings.Contains(s.Troubles[0].Reason, "35 days") || w.stripe.requests != 0 {
		t.Errorf("%d requests, status %+v", w.stripe.requests, s)
	}
}

func TestWhatWasUsedBeforeIsNotBilledUnasked(t *testing.T) {
	o := store.Options{Path: t.TempDir() + "/gatehouse.db"}
	l := openMeter(t, openLedger(t, o))
	traffic(t, l, 30, "org_1")
	closeMeter(t, l)
	w := newStripeWorld(t, o, always(takes))
	w.customer("org_1")
	w.once(nil)
	if s := w.status(); s.Cursor == 0 || s.Due+s.Waiting+s.Parked+s.Delivered != 0 {
		t.Errorf("status %+v", s)
	}
}

func TestWhoMayLookAtTheDesk(t *testing.T) {
	desk := &export.Desk{Outbox: openLedger(t, store.Options{Path: t.TempDir() + "/gatehouse.db"})}
	reader := app.Actor{Kind: app.ActorOperator, Scopes: []string{"billing:read"}}
	for _, actor := range []app.Actor{{Kind: app.ActorAnonymous}, {Kind: app.ActorKey, OrgID: "org_1", Scopes: []string{"billing:read"}},
		{Kind: app.ActorOperator, Scopes: []string{"usage:read"}}} {
		if _, err := desk.Status(t.Context(), actor); !app.IsKind(err, app.KindForbidden) {
			t.Errorf("%v: %v", actor, err)
		}
	}
	if _, err := desk.Status(t.Context(), reader); err != nil {
		t.Error(err)
	}
	if _, err := desk.Retry(t.Context(), reader, ""); !app.IsKind(err, app.KindForbidden) {
		t.Errorf("a reader retries: %v", err)
	}
}
