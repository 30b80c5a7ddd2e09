package gateway_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gatehouse/app"
	"gatehouse/store"
)

// However many calls come at once, their worst cases never pass the budget, and
// what they cost in truth stays below it.
func TestABudgetHoldsUnderConcurrency(t *testing.T) {
	eachStage(t, func(t *testing.T, at store.Options) {
		const budget, each = 20_000, 10 + 2*100
		d := newDesk(t, at, tells(10, 100), granting(monthly("cost", budget)))
		var passed atomic.Int64
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 12 {
					got, err := d.try(t.Context(), "POST", openaiPath, strings.NewReader(plainCall), d.app, d.whom)
					switch {
					case err != nil:
						t.Error(err)
					case got.status == 200:
						passed.Add(1)
					case got.code() != "budget_exhausted" || got.quota().Wanted < 200:
						t.Errorf("%d %s", got.status, got.body)
					}
				}
			})
		}
		all.Wait()
		if n := passed.Load(); n < 80 || n != d.api.asked.Load() || d.spent("cost") != n*each || n*each > budget {
			t.Errorf("%d passed, the vendor was asked %d times, %d spent", n, d.api.asked.Load(), d.spent("cost"))
		}
	})
}

// Who calls for more than the budget covers is refused, or where the route says
// so, gets as much as it covers.
func TestABudgetThatCoversSome(t *testing.T) {
	for _, row := range []struct {
		name   string
		clamp  bool
		budget int64
		status int
	}{{"refused", false, 200, 402}, {"clamped", true, 200, 200}, {"too little even so", true, 100, 402}} {
		d := newDesk(t, onSQLite(t), says(t, "anthropic.sse"), granting(monthly("cost", row.budget)))
		d.egress(app.Egress{Clamp: row.clamp})
		got := d.call(anthropicPath, plainCall)
		_, body := d.api.seen()
		if got.status != row.status || row.status == 200 && (strings.Contains(body, `"max_tokens":100`) || !strings.Contains(body, `"max_tokens":`)) {
			t.Errorf("%s: %d %s, the vendor was asked %s", row.name, got.status, got.body, body)
		}
		if want := int64(row.status/200%2) * (25 + 30); d.spent("cost") != want {
			t.Errorf("%s: %d spent, want %d", row.name, d.spent("cost"), want)
		}
	}
}

// What nobody can hold to a budget is refused where there is one, and counted
// where there is none.
func TestWhatCannotBeHeldToABudget(t *testing.T) {
	unbounded := `{"model":"m-1","previous_response_id":"r","input":"hi"}`
	for _, row := range []struct{ name, path, body, code string }{
		{"a model without a price", openaiPath, `{"model":"other","max_tokens":5,"messages":[]}`, "price_unknown"},
		{"no model", openaiPath, `{"max_tokens":5,"messages":[]}`, "price_unknown"},
		{"a call that nobody counts", "/openai/v1/images/generations", `{"prompt":"a house"}`, "price_unknown"},
		{"a model whose bound is not known", openaiPath, `{"model":"open-1","messages":[]}`, "call_unbounded"},
		{"no bound at all", "/openai/v1/responses", strings.Replace(unbounded, "m-1", "open-1", 1), "call_unbounded"},
		{"no JSON", openaiPath, `{"model":`, "call_malformed"},
	} {
		for _, capped := range []bool{true, false} {
			limit := granting()
			if capped {
				limit = granting(monthly("cost", 1_000_000))
			}
			d := newDesk(t, onSQLite(t), says(t, "openai_chat.json"), limit)
			d.apply(d.store.UpsertRates(t.Context(), []app.Rate{{Model: "open-*", Input: "1", Output: "2", ValidFrom: noon.AddDate(-1, 0, 0)}}))
			d.apply(nil, d.rates.Load(t.Context()))
			got := d.call(row.path, row.body)
			refused := capped || row.code == "call_malformed"
			if refused && got.code() != row.code || !refused && got.status != 200 {
				t.Errorf("%s, capped %v: %d %s", row.name, capped, got.status, got.body)
			}
			if (d.api.asked.Load() == 0) != refused {
				t.Errorf("%s, capped %v: the vendor was asked %d times", row.name, capped, d.api.asked.Load())
			}
		}
	}
}

// A key's own budget holds beside its organization's.
func TestABudgetOfAKey(t *testing.T) {
	d := newDesk(t, onSQLite(t), says(t, "openai_chat.json"), everythingCapped(1_000_000))
	d.apply(nil, d.store.PutQuotaOverride(t.Context(), app.QuotaOverride{Org: d.org.ID, Key: d.own.ID, Quota: monthly("cost", 10)}))
	if got := d.call(openaiPath, plainCall, "X-Gatehouse-Key: "+string(d.own.ID)); got.status != 402 || got.quota().Scope != "key" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := d.call(openaiPath, plainCall); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
}
