package metering_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/store"
)

// own are meters of the operator's.
type own map[string]app.Aggregation

func (o own) Find(_ context.Context, _ app.Actor, slug string) (app.Meter, error) {
	if o[slug] == "" {
		return app.Meter{}, app.NotFound("meter")
	}
	return app.Meter{Slug: slug, Aggregation: o[slug], Dimensions: []string{"model", "user"}}, nil
}

var ownMeters = own{"peak": app.AggregationMax, "level": app.AggregationLatest, "visitors": app.AggregationUnique, "calls": app.AggregationCount}

// monthly is the account of an organization's tokens in November.
func monthly(org string) *app.Account {
	return &app.Account{Org: app.OrgID(org), Meter: app.MeterTokensOutput, Period: app.PeriodMonth,
		Start: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), End: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC).UnixMilli()}
}

// tokens is a request that may take 100 tokens, and what it took.
func tokens(in app.Intent, account *app.Account, took int64) (app.Intent, app.Outcome) {
	dims := `{"model":"m"}`
	in.Hold = []app.Use{{Meter: app.MeterTokensOutput, Dims: dims, Value: 100}}
	in.Draws = []app.Draw{{Account: account, Spent: 100, Held: 100}}
	return in, app.Outcome{Status: 200, Uses: []app.Use{{Meter: app.MeterTokensOutput, Dims: dims, Value: took}},
		Draws: []app.Draw{{Account: account, Spent: took - 100, Held: -100}}}
}

func meterRows(t *testing.T, s metering.UsageStore, q app.MeterQuery) string {
	t.Helper()
	report, err := metering.Reports{Store: s, Meters: ownMeters}.Meter(t.Context(), system, q)
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, row := range report.Rows {
		text += fmt.Sprintf("%s %v %d", row.Start.Format("02T15:04"), row.Group, row.Value)
		if row.Estimated > 0 {
			text += fmt.Sprintf(" (%d estimated)", row.Estimated)
		}
		text += "\n"
	}
	return text
}

func wantRows(t *testing.T, s metering.UsageStore, q app.MeterQuery, want string) {
	t.Helper()
	if got := meterRows(t, s, q); got != want {
		t.Errorf("%+v:\n%swant\n%s", q, got, want)
	}
}

// accounts are the accounts of the ledger: spent and held.
func accounts(t *testing.T, s *store.Ledger) string {
	t.Helper()
	text := ""
	err := s.WalkLedger(t.Context(), app.LedgerWalk{Replicas: func([]app.LedgerReplica) error { return nil },
		Account: func(a app.AccountState) error {
			text += fmt.Sprintf("%s %s %s: %d spent, %d held\n", a.Org, a.Meter, a.Period, a.Spent, a.Held)
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

var november = app.MeterQuery{Meter: app.MeterTokensOutput, Since: noon.Add(-24 * time.Hour), Until: noon.Add(24 * time.Hour)}

func TestQuantitiesAndDrawsAreFolded(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		s := openLedger(t, o)
		l := openMeter(t, metering.Options{Store: s})
		account := monthly("org_1")
		for i := range 10 {
			in, out := tokens(request("org_1", noon), account, int64(i))
			ticket := l.Begin(in)
			if err := ticket.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			if i < 9 {
				l.Settle(ticket, out)
				continue
			}
			receipt := l.SettleTicket(ticket, out)
			if err := receipt.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		wantRows(t, s, november, "23T12:00 map[] 45\n") // also while blocks are not applied
		closeMeter(t, l)
		wantRows(t, s, november, "23T12:00 map[] 45\n")
		if got := accounts(t, s); got != "org_1 tokens_output month: 45 spent, 0 held\n" {
			t.Error(got)
		}
		if proof := mustHold(t, s); proof.Quantities != 1 || proof.Accounts != 1 || proof.Held != 0 {
			t.Errorf("proof %+v", proof)
		}
	})
}

// TestRefusedRequestsTakeTheirQuantitiesWithThem holds that nothing of a
// request is counted that is in no block.
func TestRefusedRequestsTakeTheirQuantitiesWithThem(t *testing.T) {
	s := &faulty{Ledger: openLedger(t, sqliteOptions(t))}
	l := openMeter(t, metering.Options{Store: s, Patience: impatient})
	release, entered := make(chan struct{}), make(chan struct{}, 10)
	s.onAppend(func(do func() error) error {
		entered <- struct{}{}
		<-release
		return do()
	})
	account := monthly("org_1")
	in, out := tokens(request("org_1", noon), account, 7)
	first := l.Begin(in)
	<-entered
	second := l.Begin(in) // of the next block, which is never written
	wantUnavailable(t, first.Wait(t.Context()))
	wantUnavailable(t, second.Wait(t.Context()))
	l.Settle(first, out)
	l.Settle(second, out)
	close(release)
	untilReady(t, l)
	third, out := tokens(request("org_1", noon), account, 5)
	ticket := l.Begin(third)
	l.Settle(ticket, out)
	closeMeter(t, l)
	wantRows(t, s, november, "23T12:00 map[] 12\n")
	if got := accounts(t, s.Ledger); got != "org_1 tokens_output month: 12 spent, 0 held\n" {
		t.Error(got)
	}
	mustHold(t, s)
}

// TestReportsOfMeters counts in four buckets, two of them over midnight in
// Kathmandu (+5:45), of two models.
func TestReportsOfMeters(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		s := openLedger(t, o)
		l := openMeter(t, metering.Options{Store: s})
		for i, at := range []string{"2026-11-24T18:00:00Z", "2026-11-24T18:14:59Z", "2026-11-24T18:15:00Z", "2026-11-24T18:31:00Z"} {
			when, err := time.Parse(time.RFC3339, at)
			if err != nil {
				t.Fatal(err)
			}
			in := request("org_1", when)
			dims := fmt.Sprintf(`{"model":"m%d","user":"u"}`, i%2)
			value := []int64{5, 9, -2, 4}[i]
			in.Uses = []app.Use{{Meter: "peak", Dims: dims, Value: value}, {Meter: "level", Dims: dims, Value: value}, {Meter: "calls", Dims: dims, Value: 1},
				{Meter: "visitors", Dims: dims, Value: value / 5, Unique: true}, {Meter: app.MeterCost, Dims: dims, Value: value, Estimated: i == 2}}
			ticket := l.Begin(in)
			l.Settle(ticket, app.Outcome{Status: 200, BytesIn: 1, BytesOut: int64(i), Duration: 1500 * time.Microsecond})
			if err := ticket.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // from blocks, then from buckets
			zone := time.FixedZone("Kathmandu", 5*3600+45*60)
			day := app.MeterQuery{Since: noon, Until: noon.Add(8 * time.Hour), Step: app.StepDay, Zone: zone}
			with := func(meter, step string, filter map[string]string, group ...string) app.MeterQuery {
				q := day
				q.Meter, q.Step, q.Filter, q.Group = meter, step, filter, group
				return q
			}
			wantRows(t, s, with("peak", "day", nil), "24T12:00 map[] 9\n24T18:15 map[] 4\n")
			wantRows(t, s, with("level", "day", nil), "24T12:00 map[] 9\n24T18:15 map[] 4\n")
			wantRows(t, s, with("level", "", nil, "model"), "24T12:00 map[model:m0] -2\n24T12:00 map[model:m1] 4\n")
			wantRows(t, s, with("visitors", "day", nil), "24T12:00 map[] 1\n24T18:15 map[] 1\n")
			wantRows(t, s, with("visitors", "", nil, "model"), "24T12:00 map[model:m0] 2\n24T12:00 map[model:m1] 2\n")
			wantRows(t, s, with("calls", "month", nil), "24T12:00 map[] 4\n")
			wantRows(t, s, with(app.MeterCost, "day", nil, "org", "user"), "24T12:00 map[org:org_1 user:u] 14\n24T18:15 map[org:org_1 user:u] 2 (1 estimated)\n")
			wantRows(t, s, with(app.MeterCost, "", map[string]string{"model": "m0"}), "24T12:00 map[] 3 (1 estimated)\n")
			wantRows(t, s, with(app.MeterRequests, "day", nil, "route"), "24T12:00 map[route:files] 2\n24T18:15 map[route:files] 2\n")
			wantRows(t, s, with(app.MeterBytes, "", map[string]string{"route": "files"}), "24T12:00 map[] 10\n")
			wantRows(t, s, with(app.MeterBytes, "", map[string]string{"route": "other"}), "24T12:00 map[] 0\n")
			wantRows(t, s, with(app.MeterDuration, "", nil), "24T12:00 map[] 6\n")
			closeMeter(t, l)
		}
		mustHold(t, s)
	})
}

func TestWhoMaySeeAMeter(t *testing.T) {
	s := openLedger(t, sqliteOptions(t))
	reports := metering.Reports{Store: s, Meters: ownMeters}
	cases := []struct {
		who   app.Actor
		org   app.OrgID
		meter string
		want  app.Kind
	}{
		{app.Actor{Kind: app.ActorAnonymous}, "org_1", "cost", app.KindUnauthenticated},
		{app.Actor{Kind: app.ActorKey, OrgID: "org_2"}, "org_1", "cost", app.KindNotFound},
		{app.Actor{Kind: app.ActorOperator, Scopes: []string{"orgs:read"}}, "org_1", "cost", app.KindForbidden},
		{system, "org_1", "none", app.KindNotFound},
	}
	for _, c := range cases {
		q := november
		q.Org, q.Meter = c.org, c.meter
		if _, err := reports.Meter(t.Context(), c.who, q); !app.IsKind(err, c.want) {
			t.Errorf("%v asks for %s of %s: %v", c.who, c.meter, c.org, err)
		}
	}
	q := november
	q.Group, q.Step = []string{"elsewhere"}, "week"
	if _, err := reports.Meter(t.Context(), system, q); err == nil || len(app.AsError(err).Fields) != 2 {
		t.Errorf("got %v", err)
	}
}

func TestCorrectionsCountAndStay(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		s := openLedger(t, o)
		l := openMeter(t, metering.Options{Store: s})
		adjust := metering.Adjuster{Ledger: l, Meters: ownMeters}
		c := app.Adjustment{Org: "org_1", Meter: "calls", At: noon, Value: -3, Reason: "counted twice"}
		reader := app.Actor{Kind: app.ActorOperator, Scopes: []string{"usage:read"}}
		if err := adjust.Adjust(t.Context(), reader, c); !app.IsKind(err, app.KindForbidden) {
			t.Errorf("got %v", err)
		}
		if err := adjust.Adjust(t.Context(), system, c); err != nil {
			t.Fatal(err)
		}
		q := november
		q.Meter = "calls"
		wantRows(t, s, q, "23T12:00 map[] -3\n")
		c.Meter, c.Reason = "peak", ""
		if err := adjust.Adjust(t.Context(), system, c); err == nil || len(app.AsError(err).Fields) != 2 {
			t.Errorf("got %v", err)
		}
		closeMeter(t, l)
		wantRows(t, s, q, "23T12:00 map[] -3\n")
		mustHold(t, s)
	})
}
