package billing_test

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/billing"
	"gatehouse/store"
	"gatehouse/store/storetest"
	"gatehouse/store/storetest/each"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var operator = app.Actor{Kind: app.ActorOperator, ID: "opr_1", Scopes: []string{"plans:*"}}

func dollars(n int64) *app.Money {
	amount := app.Money(n * app.Micros)
	return &amount
}

func plan(slug string, price *app.Money) app.Plan {
	return app.Plan{Slug: slug, Name: strings.ToUpper(slug), Price: price, InFlight: 1, WebSockets: 2, Tasks: 3, Members: 4, TrialDays: 14,
		Promise: "99.5 %", RateLimits: []app.RateLimit{{Name: "minute", Requests: 10, Window: app.Duration(time.Minute), Mode: app.LimitModeDryRun}},
		Quotas: []app.Quota{{Meter: "agent_minutes", Limit: 100, Period: "month", Overage: dollars(1)}}}
}

func result(err error) string {
	if err == nil {
		return "ok"
	}
	return app.AsError(err).Code
}

func TestWhoMayDoWhat(t *testing.T) {
	each.Store(t, func(t *testing.T, db *store.Store) {
		s := &billing.Service{Store: db}
		if _, err := s.Seed(t.Context(), []app.Plan{plan("free", dollars(0))}); err != nil {
			t.Fatal(err)
		}
		for _, call := range []struct {
			name, scope string
			call        func(context.Context, app.Actor) error
		}{
			{"list", "plans:read", func(ctx context.Context, a app.Actor) error { _, err := s.Plans(ctx, a); return err }},
			{"find", "plans:read", func(ctx context.Context, a app.Actor) error { _, err := s.Plan(ctx, a, "free"); return err }},
			{"apply", "plans:write", func(ctx context.Context, a app.Actor) error { _, err := s.Apply(ctx, a, nil); return err }},
			{"delete", "plans:write", func(ctx context.Context, a app.Actor) error { return s.Delete(ctx, a, "free") }},
		} {
			other := map[string]string{"plans:read": "plans:write", "plans:write": "plans:read"}[call.scope]
			for _, row := range []struct {
				who   string
				actor app.Actor
				want  string
			}{
				{"anonymous", app.Actor{Kind: app.ActorAnonymous}, "forbidden"},
				{"an organization's key", app.Actor{Kind: app.ActorKey, OrgID: "org_1", Scopes: []string{"*"}}, "forbidden"},
				{"an organization's user", app.Actor{Kind: app.ActorUser, OrgID: "org_1", Scopes: []string{"*"}}, "forbidden"},
				{"an operator with the other scope", app.Actor{Kind: app.ActorOperator, Scopes: []string{other}}, "forbidden"},
				{"an operator with the scope", app.Actor{Kind: app.ActorOperator, Scopes: []string{call.scope}}, "ok"},
			} {
				if got := result(call.call(t.Context(), row.actor)); got != row.want {
					t.Errorf("%s by %s: got %s, want %s", call.name, row.who, got, row.want)
				}
			}
		}
	})
}

func TestApplySaysWhatItDid(t *testing.T) {
	each.Store(t, func(t *testing.T, db *store.Store) {
		s := &billing.Service{Store: db}
		free, pro, custom := plan("free", dollars(0)), plan("pro", dollars(149)), plan("custom", nil)
		apply := func(list ...app.Plan) app.Applied {
			t.Helper()
			done, err := s.Apply(t.Context(), operator, list)
			if err != nil {
				t.Fatal(err)
			}
			return done
		}
		want := func(got, want app.Applied) {
			t.Helper()
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
		want(apply(custom, pro, free), app.Applied{Created: []string{"custom", "free", "pro"}})
		want(apply(pro, free), app.Applied{Unchanged: []string{"free", "pro"}})
		pro.Price = dollars(99)
		want(apply(pro, free, plan("new", nil)), app.Applied{Created: []string{"new"}, Updated: []string{"pro"}, Unchanged: []string{"free"}})

		got, err := s.Plan(t.Context(), operator, "pro")
		if got.CreatedAt.IsZero() || got.UpdatedAt.IsZero() {
			t.Errorf("times are %s and %s", got.CreatedAt, got.UpdatedAt)
		}
		got.CreatedAt, got.UpdatedAt = time.Time{}, time.Time{}
		if err != nil || !reflect.DeepEqual(got, pro) {
			t.Errorf("got %+v, %v, want %+v", got, err, pro)
		}
		list, err := s.Plans(t.Context(), operator)
		order := ""
		for _, p := range list {
			order += p.Slug + " "
		}
		if err != nil || order != "free pro custom new " {
			t.Errorf("the order is %q, %v", order, err)
		}
	})
}

func TestApplyAllOrNothing(t *testing.T) {
	each.Store(t, func(t *testing.T, db *store.Store) {
		s := &billing.Service{Store: db}
		bad := plan("bad", dollars(-1))
		for name, list := range map[string][]app.Plan{
			"a negative price": {plan("good", nil), bad},
			"one slug twice":   {plan("good", nil), plan("good", dollars(1))},
			"no slug":          {plan("good", nil), {Name: "x"}},
		} {
			if _, err := s.Apply(t.Context(), operator, list); result(err) != "invalid_input" {
				t.Errorf("%s: got %v", name, err)
			}
			if _, err := s.Seed(t.Context(), list); result(err) != "invalid_input" {
				t.Errorf("seed %s: got %v", name, err)
			}
		}
		if list, err := s.Plans(t.Context(), operator); err != nil || len(list) != 0 {
			t.Errorf("got %d plans, %v", len(list), err)
		}
	})
}

func TestSeedOnlyAnEmptyTable(t *testing.T) {
	each.Store(t, func(t *testing.T, db *store.Store) {
		s := &billing.Service{Store: db}
		for i, want := range []bool{true, false} {
			seeded, err := s.Seed(t.Context(), []app.Plan{plan("free", dollars(int64(i)))})
			if err != nil || seeded != want {
				t.Fatalf("start %d: seeded %t, %v", i, seeded, err)
			}
		}
		if p, err := s.Plan(t.Context(), operator, "free"); err != nil || *p.Price != 0 {
			t.Fatalf("got %+v, %v: the second start changed the plan", p, err)
		}
	})
}

func TestAPlanInUseStays(t *testing.T) {
	each.Store(t, func(t *testing.T, db *store.Store) {
		s := &billing.Service{Store: db}
		o := each.Org(t, db, "acme")
		err := s.Delete(t.Context(), operator, "free")
		if result(err) != "plan_in_use" || !strings.Contains(err.Error(), "1 organization.") {
			t.Fatalf("got %v", err)
		}
		if err := db.DeleteOrg(t.Context(), o.ID); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"ok", "not_found"} {
			if err := s.Delete(t.Context(), operator, "free"); result(err) != want {
				t.Fatalf("got %v, want %s", err, want)
			}
		}
		if err := s.Delete(t.Context(), operator, "\x00"); result(err) != "not_found" {
			t.Fatalf("got %v", err)
		}
	})
}
