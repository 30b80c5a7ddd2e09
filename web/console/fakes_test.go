package console_test

import (
	"context"
	"errors"
	"hash/fnv"
	"math"
	"slices"
	"time"

	"gatehouse/app"
	"gatehouse/app/margin"
	"gatehouse/app/metering"
	"gatehouse/app/quota"
	"gatehouse/store"
	"gatehouse/web/console"
)

// What the fakes stand for has the same shape.
var (
	_ console.Meters       = (*metering.Meters)(nil)
	_ console.MeterUsage   = metering.Reports{}
	_ console.Proofs       = (*metering.Verifier)(nil)
	_ console.Quotas       = (*quota.Service)(nil)
	_ console.Reservations = (*quota.Reservations)(nil)
	_ console.Rates        = (*margin.Rates)(nil)

	_ console.QuotaAccounts = (*store.Ledger)(nil)
)

// fakeMeters are the built-in meters and two that read events.
type fakeMeters struct{}

func (fakeMeters) List(context.Context, app.Actor) ([]app.Meter, error) {
	return append(app.BuiltInMeters(),
		app.Meter{Slug: "documents", Name: "Documents", Unit: "document", Aggregation: app.AggregationSum, EventType: "document.made", Value: "count", Dimensions: []string{"user"}},
		app.Meter{Slug: "active_users", Name: "Active users", Unit: "user", Aggregation: app.AggregationUnique, EventType: "user.seen", Value: "user_id"}), nil
}

// fakeMeterUsage makes up usage: as much of each group as its name says, with
// the week's wave. It keeps what was asked.
type fakeMeterUsage struct {
	stage *stage
	asked []app.MeterQuery
	empty bool
}

func (f *fakeMeterUsage) Meter(ctx context.Context, actor app.Actor, q app.MeterQuery) (app.MeterReport, error) {
	f.asked = append(f.asked, q)
	report := app.MeterReport{Since: q.Since, Until: q.Until}
	if f.empty {
		return report, nil
	}
	groups := []string{""}
	if len(q.Group) > 0 {
		groups = f.groups(ctx, q)
	} else if of := q.Filter["model"]; of != "" {
		groups = []string{of}
	}
	step := map[string]time.Duration{app.StepBucket: app.BucketLength, app.StepHour: time.Hour, app.StepDay: 24 * time.Hour, app.StepMonth: 30 * 24 * time.Hour}[q.Step]
	for _, group := range groups {
		row := app.MeterRow{Start: q.Since, Group: map[string]string{}}
		if len(q.Group) > 0 {
			row.Group[q.Group[0]] = group
		}
		for at := q.Since; at.Before(q.Until); at = at.Add(max(step, time.Hour)) {
			n := quantityOf(group, at, max(step, time.Hour))
			if group == "" && len(q.Group) > 0 {
				n /= 50 // what names no group, not the whole
			}
			if of := q.Filter["model"]; of != "" && len(q.Group) > 0 { // the model's, by something else
				n = quantityOf(of, at, max(step, time.Hour)) * map[string]int64{"one": 55, "two": 35}[group] / 100
			} else if share := map[string]int64{"one": 55, "two": 35}[q.Filter["key"]]; share > 0 && of != "" {
				n = n * share / 100
			}
			guessed := int64(0)
			if at.Hour()%12 == 0 && (group == "gpt-5-mini" || group == "" && len(q.Group) == 0) {
				guessed = 1
			}
			if step > 0 {
				report.Rows = append(report.Rows, app.MeterRow{Start: at, Group: row.Group, Value: n, Estimated: guessed})
			}
			row.Value, row.Estimated = row.Value+n, row.Estimated+guessed
		}
		if step == 0 {
			report.Rows = append(report.Rows, row)
		}
	}
	return report, nil
}

// models and how much of all each is, in per cent.
var models = map[string]int64{"claude-sonnet-4-5": 55, "gpt-5-mini": 25, "claude-haiku-4-5": 12, "text-embedding-3-small": 6, "": 2}

func (f *fakeMeterUsage) groups(ctx context.Context, q app.MeterQuery) []string {
	if q.Group[0] == "model" {
		return []string{"claude-sonnet-4-5", "gpt-5-mini", "claude-haiku-4-5", "text-embedding-3-small", ""}
	}
	if q.Group[0] != "org" {
		return []string{"one", "two", ""}
	}
	list, err := f.stage.store.Orgs(ctx, app.Page{Limit: 200})
	f.stage.must(err)
	var ids []string
	for _, o := range list.Items {
		ids = append(ids, string(o.ID))
	}
	return ids
}

func quantityOf(group string, at time.Time, step time.Duration) int64 {
	share, known := models[group]
	if group == "" {
		share = 100
	} else if !known {
		h := fnv.New32()
		h.Write([]byte(group))
		share = int64(h.Sum32()%20) + 5
	}
	wave := 1.3 + math.Sin(float64(at.Unix())/86400/7*2*math.Pi)
	return int64(wave * step.Hours() * 300 * float64(share))
}

// fakeQuotas keeps overrides, and makes up how full quotas are.
type fakeQuotas struct {
	stage     *stage
	overrides []app.QuotaOverride
	none      bool
}

func (f *fakeQuotas) Quotas(ctx context.Context, _ app.Actor, slug string) ([]app.QuotaState, error) {
	if f.none {
		return nil, nil
	}
	now, full := f.stage.now(), fullness(slug)
	month := func(meter string, limit, used, reserved int64, exhausted time.Duration) app.QuotaState {
		q := app.QuotaState{Quota: app.Quota{Meter: meter, Limit: limit, Period: app.PeriodMonth}, Hard: true, Used: used, Reserved: reserved}
		q.Start, q.ResetsAt = app.PeriodMonth.Bounds(now, time.UTC, now)
		if exhausted > 0 {
			q.ExhaustedAt = now.Add(exhausted)
		}
		return q
	}
	states := []app.QuotaState{month(app.MeterAgentMinutes, 10_000, 8_412-100*full, 340, 50*time.Hour), month(app.MeterCost, 22_000_000, 20_350_000+220_000*full, 412_000, 9*time.Hour),
		month(app.MeterTokensOutput, 40_000_000, 12_310_442, 0, 0)}
	states[2].Mode, states[2].Hard = app.QuotaSoft, false
	if key := f.stage.keyOf(slug); key != "" {
		of := month(app.MeterRequests, 100_000, 41_200, 0, 0)
		of.Key = key
		states = append(states, of)
	}
	for _, x := range f.overrides {
		for i := range states {
			if states[i].Same(x.Quota) && states[i].Key == x.Key {
				states[i].Quota = x.Quota
			}
		}
	}
	return states, nil
}

// fullness makes organizations differ, by a few per cent of their quotas.
func fullness(slug string) int64 {
	if slug == "acme" || slug == "acme-robotics" {
		return 0
	}
	h := fnv.New32()
	h.Write([]byte(slug))
	return int64(h.Sum32()%17) - 8
}

// fakeAccounts are the accounts that fakeQuotas makes up, as changed just now.
type fakeAccounts struct {
	stage   *stage
	changed []app.AccountState // beside, the longest ago first
	asked   int
}

func (f *fakeAccounts) AccountsUpdated(ctx context.Context, since int64, max int) (list []app.AccountState, err error) {
	f.asked++
	if f.stage.quotas.none {
		return nil, nil
	}
	orgs, err := f.stage.store.Orgs(ctx, app.Page{Limit: 200})
	f.stage.must(err)
	for _, o := range orgs.Items {
		states, err := f.stage.quotas.Quotas(ctx, system, o.Slug)
		f.stage.must(err)
		for _, q := range states {
			a := app.AccountState{Account: app.Account{Org: o.ID, Key: q.Key, Meter: q.Meter, Period: q.Period, Start: q.Start.UnixMilli(), End: q.ResetsAt.UnixMilli()}}
			a.Spent, a.UpdatedAt, a.OpenedAt = q.Used, q.Start, q.Start
			list = append(list, a)
		}
	}
	list = append(list, f.changed...)
	list = slices.DeleteFunc(list, func(a app.AccountState) bool { return a.UpdatedAt.UnixMilli() < since })
	slices.SortStableFunc(list, func(x, y app.AccountState) int { return x.UpdatedAt.Compare(y.UpdatedAt) })
	return list[:min(len(list), max)], nil
}

// quotaOf finds the quota among those that fakeQuotas makes up.
func (s *stage) quotaOf(ctx context.Context, a app.Account) (app.Quota, bool, error) {
	o, err := s.store.Org(ctx, a.Org)
	if err != nil {
		return app.Quota{}, false, err
	}
	states, err := s.quotas.Quotas(ctx, system, o.Slug)
	for _, q := range states {
		if q.Key == a.Key && q.Meter == a.Meter && q.Period == a.Period {
			return q.Quota, true, err
		}
	}
	return app.Quota{}, false, err
}

func (f *fakeQuotas) Find(_ context.Context, _ app.Actor, slug string) (list []app.QuotaOverride, err error) {
	for _, x := range f.overrides {
		if string(x.Org) == slug {
			list = append(list, x)
		}
	}
	return list, nil
}

func (f *fakeQuotas) Put(_ context.Context, actor app.Actor, slug string, x app.QuotaOverride) (app.QuotaOverride, error) {
	if wrong := x.Check(); wrong != nil {
		return x, app.InvalidFields(wrong)
	}
	f.drop(slug, x.Key, x.Meter, x.Period)
	x.Org, x.UpdatedBy, x.UpdatedAt = app.OrgID(slug), actor.String(), f.stage.now()
	f.overrides = append(f.overrides, x)
	return x, nil
}

func (f *fakeQuotas) drop(slug string, key app.KeyID, meter string, period app.QuotaPeriod) {
	f.overrides = slices.DeleteFunc(f.overrides, func(x app.QuotaOverride) bool {
		return string(x.Org) == slug && x.Key == key && x.Meter == meter && x.Period == period
	})
}

func (f *fakeQuotas) Delete(_ context.Context, _ app.Actor, slug string, key app.KeyID, meter string, period app.QuotaPeriod) error {
	f.drop(slug, key, meter, period)
	return nil
}

func (f *fakeQuotas) Notices(ctx context.Context, _ app.Actor, slug string, page app.Page) (out app.List[app.QuotaNotice], err error) {
	if f.none {
		return out, nil
	}
	orgs, err := f.stage.store.Orgs(ctx, app.Page{Limit: 200})
	f.stage.must(err)
	for i, o := range orgs.Items {
		if slug != "" && slug != o.Slug {
			continue
		}
		for k, threshold := range []int64{90, 80} {
			out.Items = append(out.Items, app.QuotaNotice{ID: "qno_" + o.Slug, Org: o.ID, Meter: app.MeterCost, Period: app.PeriodMonth, Threshold: threshold, Limit: 22_000_000,
				Used: 22_000_000 * threshold / 100, At: f.stage.now().Add(-time.Duration(3+i*11+k*30) * time.Hour)})
		}
	}
	slices.SortFunc(out.Items, func(x, y app.QuotaNotice) int { return y.At.Compare(x.At) })
	return out, nil
}

// keyOf is an active key of the organization; empty if it has none.
func (s *stage) keyOf(slug string) app.KeyID {
	org, err := s.store.OrgBySlug(context.Background(), slug)
	s.must(err)
	list, err := s.store.Keys(context.Background(), org.ID, app.Page{Filter: string(app.KeyStateActive)})
	s.must(err)
	if len(list.Items) == 0 {
		return ""
	}
	return list.Items[0].ID
}

// fakeReservations has two under way in each organization.
type fakeReservations struct{ stage *stage }

func (f fakeReservations) List(context.Context, app.Actor, string, app.Page) (out app.List[app.Reservation], err error) {
	now := f.stage.now()
	out.Items = []app.Reservation{
		{ID: "rsv_01kb2r8m4x9cvt", Meter: app.MeterAgentMinutes, Amount: 30, Used: 12, State: app.ReservationOpen, CreatedAt: now.Add(-12 * time.Minute), HeardAt: now.Add(-4 * time.Second), ExpiresAt: now.Add(56 * time.Second)},
		{ID: "rsv_01kb2r8p0hq2ye", Meter: app.MeterCost, Amount: 412_000, State: app.ReservationOpen, CreatedAt: now.Add(-20 * time.Second), ExpiresAt: now.Add(40 * time.Second)}}
	return out, nil
}

// fakeProofs answers the proof that a test gave it.
type fakeProofs struct {
	proof metering.Proof
	at    time.Time
	err   error
	runs  int
}

func (f *fakeProofs) Last() (metering.Proof, time.Time, error) { return f.proof, f.at, f.err }

func (f *fakeProofs) Now(context.Context) (metering.Proof, error) {
	f.runs++
	return f.proof, f.err
}

func (f *fakeProofs) held(at time.Time) {
	f.at = at.Add(-4 * time.Minute)
	f.proof = metering.Proof{Replicas: 2, Blocks: 48_211, Bytes: 391_000_000, Requests: 6_210_441, Outcomes: 6_210_402, Unknown: 39, Events: 184_002, Held: 3, Accounts: 1_204}
}

func (f *fakeProofs) broken(at time.Time) {
	f.held(at)
	f.proof.Faulty, f.proof.Faults = 2, []metering.Fault{{Replica: 1, Seq: 20_117, Code: "block_damaged", Text: "the block's checksum does not match its content"},
		{Replica: 1, Code: "bucket_differs", Text: "the bucket of org_01kb2 at 2026-11-24T10:15:00Z says 41 requests, the blocks 42"}}
}

func (f *fakeProofs) unreadable(at time.Time) {
	f.proof, f.at, f.err = metering.Proof{}, at, errors.New("disk I/O error")
}
