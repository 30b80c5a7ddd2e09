package api_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"time"

	"gatehouse/app"
	"gatehouse/app/billing"
	"gatehouse/app/export"
	"gatehouse/app/margin"
	"gatehouse/app/metering"
	"gatehouse/app/quota"
	"gatehouse/web/api"
)

// addUsage fills the services of meters, quotas and proofs: real ones for
// quotas, reservations and rates, and simple ones for what they only pass on.
func (h *house) addUsage(s *api.Services) {
	clock := func() time.Time { return h.now }
	var engine *quota.Engine
	books := func(ctx context.Context, id app.OrgID) (*quota.Book, error) {
		org, err := h.store.Org(ctx, id)
		if err != nil {
			return nil, err
		}
		plan, err := h.store.Plan(ctx, org.Plan)
		if err != nil {
			return nil, err
		}
		overrides, err := h.store.QuotaOverrides(ctx, id)
		return engine.Book(org, plan, overrides), err
	}
	engine = quota.New(quota.Options{Store: h.ledger, Replica: func() int64 { return 1 }, Books: books, Now: clock})
	s.Quotas = &quota.Service{Overrides: h.store, States: h.ledger, Orgs: h.store, Books: books, Now: clock}
	s.Reservations = &quota.Reservations{Store: h.ledger, Engine: engine, Events: &h.recorded, Orgs: h.store, Now: clock,
		Log: slog.New(slog.DiscardHandler)}
	s.Rates = &margin.Rates{Store: h.store}
	s.Meters, s.Proofs, s.Adjustments, s.Exports = &h.meters, &h.proofs, &h.adjusted, h.exports()
	s.OwnExports = &export.Own{Source: metering.OrgExporter{Store: h.ledger}, Orgs: h.store, Sealing: h.sealer}
	s.Customers, s.Desk = &billing.Customers{Store: h.store}, &export.Desk{Outbox: h.ledger}
	s.Events, s.EventReader = &h.recorded, valueReader{}
}

// valueReader is pagesReader, and counts how many pages events of "pages" tell.
type valueReader struct{ pagesReader }

func (v valueReader) Read(kind string, data []byte) ([]app.Use, string) {
	uses, reason := v.pagesReader.Read(kind, data)
	var told struct{ Pages int64 }
	if kind == "pages" && json.Unmarshal(data, &told) == nil {
		uses = append(uses, app.Use{Meter: "pages", Value: told.Pages})
	}
	return uses, reason
}

// recorder counts events in memory, each as the only one of its block.
type recorder struct{ events []app.Event }

func (r *recorder) Record(_ context.Context, list []app.Event) (results []app.EventResult, _ error) {
	for _, e := range list {
		r.events = append(r.events, e)
		results = append(results, app.EventResult{Verdict: app.EventAccepted, Replica: 1, Seq: int64(len(r.events))})
	}
	return results, nil
}

// meterList keeps meters in memory.
type meterList struct{ list []app.Meter }

func (m *meterList) List(_ context.Context, actor app.Actor) ([]app.Meter, error) {
	return append(app.BuiltInMeters(), m.list...), actor.Require("meters:read")
}

func (m *meterList) Find(ctx context.Context, actor app.Actor, slug string) (app.Meter, error) {
	list, err := m.List(ctx, actor)
	i := slices.IndexFunc(list, func(m app.Meter) bool { return m.Slug == slug })
	if err == nil && i < 0 {
		err = app.NotFound("meter")
	}
	if err != nil {
		return app.Meter{}, err
	}
	return list[i], nil
}

func (m *meterList) Apply(_ context.Context, actor app.Actor, meters []app.Meter) (app.Applied, error) {
	m.list = meters
	return app.Applied{Created: []string{meters[0].Slug}}, actor.Require("meters:write")
}

func (m *meterList) Delete(_ context.Context, actor app.Actor, _ string) error {
	return actor.Require("meters:write")
}

// proofs answers a proof without a ledger.
type proofs struct {
	proof metering.Proof
	at    time.Time
	now   func() time.Time
}

func (p *proofs) Last() (metering.Proof, time.Time, error) { return p.proof, p.at, nil }
func (p *proofs) Now(context.Context) (metering.Proof, error) {
	p.at = p.now()
	return p.proof, nil
}

// adjustments keeps corrections in memory.
type adjustments struct{ list []app.Adjustment }

func (a *adjustments) Adjust(_ context.Context, actor app.Actor, adjustment app.Adjustment) error {
	a.list = append(a.list, adjustment)
	return actor.Require("usage:write")
}

// usageOf reports usage: what passed the gate really, of meters what was asked.
type usageOf struct {
	metering.Reports
	asked *app.MeterQuery
}

func (u usageOf) Meter(_ context.Context, actor app.Actor, q app.MeterQuery) (app.MeterReport, error) {
	*u.asked = q
	if actor.Kind == app.ActorKey && q.Org != actor.OrgID {
		return app.MeterReport{}, app.NotFound("organization")
	}
	return app.MeterReport{Meter: app.Meter{Slug: q.Meter}, Since: q.Since, Until: q.Until,
		Rows: []app.MeterRow{{Start: q.Since, Value: 7, Group: map[string]string{"model": "=cmd()"}}}}, nil
}

// exports is the real service over a few records.
func (h *house) exports() *export.Service { return &export.Service{Source: &h.records} }

type recordSource struct{ fail error }

func (s *recordSource) Range(context.Context, int64, int64) (app.ExportRange, error) {
	return app.ExportRange{}, nil
}

func (s *recordSource) Records(_ context.Context, after, _ int64, max int, each func(*app.ExportRecord) error) (int64, error) {
	next := after
	for n := after + 1; n <= 3 && int(n-after) <= max; n++ {
		if s.fail != nil && n == 2 {
			return next, s.fail
		}
		if err := each(&app.ExportRecord{ID: "1-1-request-1", N: n, Kind: app.ExportRequest, Org: "org_x", Meter: "requests", Quantity: 1}); err != nil {
			return next, err
		}
		next = n
	}
	return next, nil
}

var _ quota.Recorder = (*recorder)(nil)
