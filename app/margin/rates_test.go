package margin_test

import (
	"context"
	"reflect"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/margin"
	"gatehouse/store"
	"gatehouse/store/storetest"
	"gatehouse/store/storetest/each"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var operator = app.Actor{Kind: app.ActorOperator, ID: "opr_1", Scopes: []string{"rates:*"}}

func rate(model, input string, from time.Time) app.Rate {
	return app.Rate{Model: model, Provider: "Some", Input: input, Output: "15", CacheRead: "0.3", CacheWrite: "3.75", MaxInput: 200_000, MaxOutput: 64_000, ValidFrom: from}
}

func variants(list ...app.RateVariant) func(*app.Rate) {
	return func(r *app.Rate) { r.Variants = list }
}

func day(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }

func result(err error) string {
	if err == nil {
		return "ok"
	}
	return app.AsError(err).Code
}

func TestWhoMayDoWhat(t *testing.T) {
	each.Store(t, func(t *testing.T, db *store.Store) {
		s := &margin.Rates{Store: db}
		if _, err := s.Seed(t.Context(), []app.Rate{rate("m", "3", day(1))}); err != nil {
			t.Fatal(err)
		}
		for _, call := range []struct {
			name, scope string
			call        func(context.Context, app.Actor) error
		}{
			{"list", "rates:read", func(ctx context.Context, a app.Actor) error { _, err := s.List(ctx, a); return err }},
			{"apply", "rates:write", func(ctx context.Context, a app.Actor) error { _, err := s.Apply(ctx, a, nil); return err }},
			{"delete", "rates:write", func(ctx context.Context, a app.Actor) error { return s.Delete(ctx, a, "m", day(1)) }},
		} {
			other := map[string]string{"rates:read": "rates:write", "rates:write": "rates:read"}[call.scope]
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

func TestApplyListDelete(t *testing.T) {
	each.Store(t, func(t *testing.T, db *store.Store) {
		s := &margin.Rates{Store: db}
		var changed []app.Change
		db.OnChange(func(c app.Change) { changed = append(changed, c) })
		apply := func(want app.Applied, list ...app.Rate) {
			t.Helper()
			if got, err := s.Apply(t.Context(), operator, list); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, %v, want %+v", got, err, want)
			}
		}
		const b1, b9, a5 = "b from 2026-01-01T00:00:00Z", "b from 2026-01-09T00:00:00Z", "a* from 2026-01-05T00:00:00Z"
		apply(app.Applied{Created: []string{a5, b1, b9}}, rate("b", "3", day(1)), rate("b", "2", day(9)), rate("a*", "1", day(5)))
		inBerlin := rate("b", "3", day(1).In(time.FixedZone("", 3600)))
		apply(app.Applied{Unchanged: []string{b1}}, inBerlin)
		apply(app.Applied{Updated: []string{b1}, Unchanged: []string{b9}}, rate("b", "4", day(1)), rate("b", "2", day(9)))
		want := []app.Rate{rate("a*", "1", day(5)), rate("b", "2", day(9)), rate("b", "4", day(1))}
		if got, err := s.List(t.Context(), operator); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
		if err := s.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Price("b", day(20), app.TokenUsage{Input: 1_000_000}); err != nil || got != 2_000_000 {
			t.Errorf("got %s, %v", got, err)
		}
		if err := s.Delete(t.Context(), operator, "b", day(9)); err != nil {
			t.Fatal(err)
		}
		if got := result(s.Delete(t.Context(), operator, "b", day(9))); got != "not_found" {
			t.Errorf("a second deletion: %s", got)
		}
		if len(changed) != 5 || changed[0].Noun != "rate" || changed[4].ID != "b" {
			t.Errorf("changes are %+v", changed)
		}
		if seeded, err := s.Seed(t.Context(), []app.Rate{rate("c", "1", day(1))}); err != nil || seeded {
			t.Errorf("seeded %t over what is there, %v", seeded, err)
		}
	})
}

func TestApplyAllOrNothing(t *testing.T) {
	each.Store(t, func(t *testing.T, db *store.Store) {
		s := &margin.Rates{Store: db}
		with := func(change func(*app.Rate)) []app.Rate {
			bad := rate("bad", "3", day(1))
			change(&bad)
			return []app.Rate{rate("good", "3", day(1)), bad}
		}
		for name, list := range map[string][]app.Rate{
			"twice":                   {rate("m", "1", day(1)), rate("m", "2", day(1))},
			"no model":                with(func(r *app.Rate) { r.Model = "" }),
			"only a star":             with(func(r *app.Rate) { r.Model = "*" }),
			"a star inside":           with(func(r *app.Rate) { r.Model = "a*b" }),
			"no price":                with(func(r *app.Rate) { r.Input = "" }),
			"a negative price":        with(func(r *app.Rate) { r.Output = "-1" }),
			"seven decimals":          with(func(r *app.Rate) { r.CacheRead = "0.0000001" }),
			"a float":                 with(func(r *app.Rate) { r.CacheWrite = "1e3" }),
			"beyond a million":        with(func(r *app.Rate) { r.Input = "1000000.000001" }),
			"no time":                 with(func(r *app.Rate) { r.ValidFrom = time.Time{} }),
			"a negative bound":        with(func(r *app.Rate) { r.MaxOutput = -1 }),
			"an endless bound":        with(func(r *app.Rate) { r.MaxInput = app.MaxTokens + 1 }),
			"an endless vendor":       with(func(r *app.Rate) { r.Provider = string(make([]byte, 101)) }),
			"a long write of a float": with(func(r *app.Rate) { r.CacheWriteLong = "1e3" }),
			"a search without end":    with(func(r *app.Rate) { r.Search = "1000001" }),
			"a variant of nothing":    with(variants(app.RateVariant{Input: "1", Output: "1"})),
			"a variant twice":         with(variants(app.RateVariant{Tier: "flex", Input: "1", Output: "1"}, app.RateVariant{Tier: "flex", Input: "2", Output: "1"})),
			"a variant's price":       with(variants(app.RateVariant{Tier: "flex", Input: "1"})),
			"any tier":                with(variants(app.RateVariant{Tier: app.AnyTier, Input: "1", Output: "1"})),
			"a region with a blank":   with(variants(app.RateVariant{Region: "the us", Input: "1", Output: "1"})),
			"a bound below 0":         with(variants(app.RateVariant{AboveInput: -1, Input: "1", Output: "1"})),
			"variants without end":    with(variants(make([]app.RateVariant, app.MaxVariants+1)...)),
		} {
			if _, err := s.Apply(t.Context(), operator, list); result(err) != "invalid_input" {
				t.Errorf("%s: got %v", name, err)
			}
			if _, err := s.Seed(t.Context(), list); result(err) != "invalid_input" {
				t.Errorf("seed %s: got %v", name, err)
			}
		}
		if list, err := s.List(t.Context(), operator); err != nil || len(list) != 0 {
			t.Errorf("got %d rates, %v", len(list), err)
		}
	})
}

// What vendors price apart is kept whole, and a rate without it stays as it was.
func TestVariantsAreKept(t *testing.T) {
	each.Store(t, func(t *testing.T, db *store.Store) {
		s := &margin.Rates{Store: db}
		full := rate("full", "3", day(1))
		full.CacheWriteLong, full.Search = "6", "0.01"
		full.Variants = []app.RateVariant{
			{Tier: "flex", Input: "1.5", Output: "7.5"},
			{Region: "us", AboveInput: 200_000, Input: "6.6", Output: "24.75", CacheRead: "0.66", CacheWrite: "8.25", CacheWriteLong: "13.2"},
		}
		want := []app.Rate{full, rate("plain", "3", day(1))}
		if _, err := s.Apply(t.Context(), operator, want); err != nil {
			t.Fatal(err)
		}
		if got, err := s.List(t.Context(), operator); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
		full.Variants = full.Variants[:1]
		done, err := s.Apply(t.Context(), operator, []app.Rate{full, want[1]})
		if err != nil || len(done.Updated) != 1 || len(done.Unchanged) != 1 {
			t.Errorf("a variant less: %+v, %v", done, err)
		}
		if err := s.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		// 1,000×1.5 + 2 searches of a cent
		if got, err := s.Price("full", day(2), app.TokenUsage{Tier: "flex", Input: 1000, Searches: 2}); err != nil || got != 21_500 {
			t.Errorf("got %d, %v", got, err)
		}
	})
}
