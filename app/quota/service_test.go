package quota_test

import (
	"cmp"
	"context"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/quota"
	"gatehouse/store"
	"gatehouse/store/storetest/each"
)

func TestQuotasAndOverrides(t *testing.T) {
	each.Store(t, func(t *testing.T, s *store.Store) {
		o := each.Org(t, s, "acme")
		c := &clock{at: time.Date(2026, 11, 11, 0, 0, 0, 0, time.UTC)}
		n := lazy(t, sqlite(t), c, nil)
		plan := planOf(monthly("tokens", 100), monthly("documents", 5))
		if _, err := s.UpsertMeters(t.Context(), []app.Meter{{Slug: "tokens", Name: "Tokens", Aggregation: app.AggregationSum}}); err != nil {
			t.Fatal(err)
		}
		service := &quota.Service{Overrides: s, States: n.store, Orgs: s, Now: c.now,
			Opening: func(_ context.Context, a app.Account) (int64, error) {
				return map[string]int64{"tokens": 40}[a.Meter], nil
			},
			Books: func(ctx context.Context, id app.OrgID) (*quota.Book, error) {
				overrides, err := s.QuotaOverrides(ctx, id)
				return n.engine.Book(o, plan, overrides), err
			}}
		service.Meter = func(_ context.Context, slug string) (app.Meter, error) {
			kinds := map[string]app.Aggregation{"visitors": app.AggregationUnique, "peak": app.AggregationMax}
			if slug == "nothing" {
				return app.Meter{}, app.NotFound("meter")
			}
			return app.Meter{Slug: slug, Aggregation: cmp.Or(kinds[slug], app.AggregationSum)}, nil
		}
		admin := app.Actor{Kind: app.ActorOperator, ID: "opr_1", Scopes: []string{"*"}}
		own := app.Actor{Kind: app.ActorKey, OrgID: o.ID, ID: "key_1"}
		for _, c := range []struct {
			who       string
			actor     app.Actor
			see, edit string
		}{
			{"nobody", app.Actor{Kind: app.ActorAnonymous}, "forbidden", "forbidden"},
			{"another organization", app.Actor{Kind: app.ActorKey, OrgID: "org_9", ID: "key_2"}, "not_found", "forbidden"},
			{"a reader", reader, "", "forbidden"},
			{"its own key", own, "", "forbidden"},
		} {
			if _, err := service.Quotas(t.Context(), c.actor, "acme"); codeOf(err) != c.see {
				t.Errorf("%s sees: %v", c.who, err)
			}
			if _, err := service.Put(t.Context(), c.actor, "acme", app.QuotaOverride{Quota: monthly("tokens", 1)}); codeOf(err) != c.edit {
				t.Errorf("%s puts: %v", c.who, err)
			}
		}
		list, err := service.Quotas(t.Context(), own, "")
		if err != nil || len(list) != 2 || list[0].Used != 40 || !list[0].Hard ||
			!list[0].ExhaustedAt.Equal(time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)) { // 4 a day from the 1st on
			t.Fatalf("%+v %v", list, err)
		}
		for _, meter := range []string{"visitors", "peak", "nothing"} {
			if _, err := service.Put(t.Context(), admin, "acme", app.QuotaOverride{Quota: monthly(meter, 1)}); codeOf(err) != "invalid_input" {
				t.Errorf("a quota on %s: %v", meter, err)
			}
		}
		heard := 0
		s.OnChange(func(c app.Change) {
			if c.Noun == "org" && c.ID == string(o.ID) {
				heard++
			}
		})
		if _, err := service.Put(t.Context(), admin, "acme", app.QuotaOverride{Key: "key_9", Quota: monthly("tokens", 1)}); codeOf(err) != "not_found" {
			t.Errorf("of a key that does not exist: %v", err)
		}
		if _, err := service.Put(t.Context(), admin, "acme", app.QuotaOverride{Quota: monthly("tokens", -1)}); codeOf(err) != "invalid_input" {
			t.Errorf("of a negative limit: %v", err)
		}
		if _, err := service.Put(t.Context(), admin, "acme", app.QuotaOverride{Quota: monthly("tokens", 30), Reason: "a test"}); err != nil {
			t.Fatal(err)
		}
		if _, err := service.Put(t.Context(), admin, "acme", app.QuotaOverride{Quota: monthly("documents", 0), Unlimited: true}); err != nil {
			t.Fatal(err)
		}
		list, err = service.Quotas(t.Context(), own, "")
		if err != nil || len(list) != 1 || list[0].Limit != 30 || !list[0].ExhaustedAt.Equal(c.now()) {
			t.Errorf("overridden: %+v %v", list, err)
		}
		if err := service.Delete(t.Context(), admin, "acme", "", "tokens", app.PeriodMonth); err != nil {
			t.Fatal(err)
		}
		if err := service.Delete(t.Context(), admin, "acme", "", "tokens", app.PeriodMonth); codeOf(err) != "not_found" {
			t.Errorf("deleted twice: %v", err)
		}
		left, err := service.Find(t.Context(), admin, string(o.ID))
		if err != nil || len(left) != 1 || !left[0].Unlimited || left[0].UpdatedBy != "operator:opr_1" || left[0].Org != o.ID {
			t.Errorf("left: %+v %v", left, err)
		}
		if heard != 3 {
			t.Errorf("nodes heard of %d changes, want 3", heard)
		}
	})
}
