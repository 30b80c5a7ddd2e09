package store

import (
	"strings"
	"sync"
	"testing"

	"gatehouse/app"
)

// quotaOf is a monthly quota of 10.
func quotaOf(meter string) app.Quota {
	return app.Quota{Meter: meter, Limit: 10, Period: app.PeriodMonth}
}

func ownMeter(slug string, how app.Aggregation) app.Meter {
	m := app.Meter{Slug: slug, Name: slug, Aggregation: how, EventType: "t", Value: "v"}
	if how == app.AggregationCount {
		m.Value = ""
	}
	return m
}

func TestQuotasAreOfMetersThatAddUp(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		if _, err := s.UpsertMeters(t.Context(), []app.Meter{ownMeter("pages", app.AggregationSum), ownMeter("calls", app.AggregationCount),
			ownMeter("visitors", app.AggregationUnique), ownMeter("peak", app.AggregationMax), ownMeter("level", app.AggregationLatest)}); err != nil {
			t.Fatal(err)
		}
		org := insertOrgs(t, s, "acme")[0].ID
		for meter, wrong := range map[string]string{"visitors": "its aggregation is unique", "peak": "its aggregation is max",
			"level": "its aggregation is latest", "nothing": `there is no meter "nothing"`, "pages": "", "calls": "", app.MeterCost: ""} {
			_, err := s.UpsertPlans(t.Context(), []app.Plan{{Slug: "good", Name: "Good"}, {Slug: "p", Name: "P", Quotas: []app.Quota{quotaOf("requests"), quotaOf(meter)}}})
			told := s.PutQuotaOverride(t.Context(), app.QuotaOverride{Org: org, Quota: quotaOf(meter)})
			if wrong == "" {
				if err != nil || told != nil {
					t.Errorf("%s: %v, %v", meter, err, told)
				}
				continue
			}
			if fields := app.AsError(err).Fields; len(fields) != 1 || fields[0].Field != "plans[1].quotas[1].meter" || !strings.Contains(fields[0].Message, wrong) {
				t.Errorf("a plan on %s: %v", meter, err)
			}
			if fields := app.AsError(told).Fields; len(fields) != 1 || fields[0].Field != "meter" || !strings.Contains(fields[0].Message, wrong) {
				t.Errorf("an override on %s: %v", meter, told)
			}
			if err := s.PutQuotaOverride(t.Context(), app.QuotaOverride{Org: org, Unlimited: true, Quota: quotaOf(meter)}); err != nil {
				t.Errorf("no quota on %s: %v", meter, err)
			}
		}
	})
}

func TestMetersThatQuotasNameStay(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		must := func(what string, err error) {
			t.Helper()
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		org := insertOrgs(t, s, "acme")[0].ID
		_, err := s.UpsertMeters(t.Context(), []app.Meter{ownMeter("pages", app.AggregationSum), ownMeter("calls", app.AggregationCount)})
		must("meters", err)
		_, err = s.UpsertPlans(t.Context(), []app.Plan{{Slug: "pro", Name: "Pro", Quotas: []app.Quota{quotaOf("pages")}},
			{Slug: "team", Name: "Team", Quotas: []app.Quota{quotaOf("pages"), quotaOf("calls")}}})
		must("plans", err)
		must("override", s.PutQuotaOverride(t.Context(), app.QuotaOverride{Org: org, Quota: quotaOf("pages")}))
		must("unlimited", s.PutQuotaOverride(t.Context(), app.QuotaOverride{Org: org, Unlimited: true, Quota: quotaOf("calls")}))

		refused := func(what string, err error, names ...string) {
			t.Helper()
			known := app.AsError(err)
			if known == nil || known.Code != "meter_in_use" || known.Kind != app.KindConflict || known.Advice == "" {
				t.Fatalf("%s: %v", what, err)
			}
			for _, name := range names {
				if !strings.Contains(known.Message, name) {
					t.Errorf("%s does not name %s: %s", what, name, known.Message)
				}
			}
		}
		refused("delete", s.DeleteMeter(t.Context(), "pages"), "the plans pro and team", "the organization acme")
		_, err = s.UpsertMeters(t.Context(), []app.Meter{ownMeter("pages", app.AggregationMax)})
		refused("change", err, "the plans pro and team", "the organization acme")

		must("without overrides", s.DeleteQuotaOverride(t.Context(), org, "", "pages", app.PeriodMonth))
		_, err = s.UpsertPlans(t.Context(), []app.Plan{{Slug: "pro", Name: "Pro"}, {Slug: "team", Name: "Team", Quotas: []app.Quota{quotaOf("calls")}}})
		must("plans without pages", err)
		must("delete", s.DeleteMeter(t.Context(), "pages"))
		refused("delete calls", s.DeleteMeter(t.Context(), "calls"), "the plan team.")
		if err := s.DeleteMeter(t.Context(), "pages"); !app.IsKind(err, app.KindNotFound) {
			t.Errorf("deleted twice: %v", err)
		}
		_, err = s.UpsertMeters(t.Context(), []app.Meter{ownMeter("pages", app.AggregationUnique)})
		must("made anew, as a unique one", err)
	})
}

// TestAQuotaAndTheEndOfItsMeterMeet writes plans while their meter is deleted:
// whichever comes first, no plan is left without its meter.
func TestAQuotaAndTheEndOfItsMeterMeet(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		for range 20 {
			if _, err := s.UpsertMeters(t.Context(), []app.Meter{ownMeter("pages", app.AggregationSum)}); err != nil {
				t.Fatal(err)
			}
			var both sync.WaitGroup
			both.Go(func() { s.DeleteMeter(t.Context(), "pages") })
			both.Go(func() {
				s.UpsertPlans(t.Context(), []app.Plan{{Slug: "pro", Name: "Pro", Quotas: []app.Quota{quotaOf("pages")}}})
			})
			both.Wait()
			meters, err := s.Meters(t.Context())
			plans, errPlans := s.Plans(t.Context())
			if err != nil || errPlans != nil {
				t.Fatal(err, errPlans)
			}
			if len(meters) == 0 && len(plans) == 1 && len(plans[0].Quotas) == 1 {
				t.Fatal("a plan names a meter that is gone")
			}
			if _, err := s.UpsertPlans(t.Context(), []app.Plan{{Slug: "pro", Name: "Pro"}}); err != nil {
				t.Fatal(err)
			}
			if len(meters) == 1 {
				if err := s.DeleteMeter(t.Context(), "pages"); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
