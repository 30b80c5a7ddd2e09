package main

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/margin"
	"gatehouse/embed/catalogue"
)

func TestTheShippedPriceListIsValid(t *testing.T) {
	list, err := shippedRates()
	if err != nil {
		t.Fatal(err)
	}
	if wrong := margin.Check(list); len(wrong) > 0 {
		t.Fatal(wrong)
	}
	for _, r := range list {
		if r.MaxInput == 0 || r.Provider == "" || (r.MaxOutput == 0) != (r.Output == "0") {
			t.Errorf("%s lacks bounds: %+v", r.Model, r)
		}
		for _, v := range r.Variants { // what a variant leaves out is not what the rate has, so it must not be forgotten
			if (v.CacheRead == "") != (r.CacheRead == "") || (v.CacheWrite == "") != (r.CacheWrite == "") || (v.CacheWriteLong == "") != (r.CacheWriteLong == "") {
				t.Errorf("%s: a variant prices other classes: %+v", r.Model, v)
			}
		}
	}
}

// keptRates is a price list in memory, for what only reads it.
type keptRates struct {
	margin.Store
	list []app.Rate
}

func (k keptRates) Rates(context.Context) ([]app.Rate, error) { return k.list, nil }

// The shipped list prices what people use, by what the vendors publish.
func TestWhatTheShippedListCharges(t *testing.T) {
	list, err := shippedRates()
	if err != nil {
		t.Fatal(err)
	}
	rates := &margin.Rates{Store: keptRates{list: list}}
	if err := rates.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	type use = app.TokenUsage
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		model string
		u     use
		want  app.Money
	}{
		// 1,000×5 + 100×25, of an hour's writing 1,000×10
		{"claude-opus-4-5-20251101", use{Input: 1000, Output: 100}, 7_500},
		{"claude-opus-5", use{CacheWrite: 1000, CacheWriteLong: 1000}, 10_000},
		// 1,000×4 + 100×20, fast 8 and 40, in the United States 4.4 and 22
		{"claude-opus-5-5", use{Input: 1000, Output: 100}, 6_000},
		{"claude-opus-5-5", use{Input: 1000, Output: 100, Tier: "fast"}, 12_000},
		{"claude-opus-5-5", use{Input: 1000, Output: 100, Region: "us"}, 6_600},
		{"claude-sonnet-4-5", use{Input: 1000, Output: 100, Searches: 2}, 24_500}, // 3,000 + 1,500 + 20,000
		{"claude-sonnet-5-5", use{CacheRead: 1000}, 100},
		// 100,000×0.1 = 10,000, one token more ×0.5
		{"claude-haiku-5-5", use{Input: 100_000}, 10_000},
		{"claude-haiku-5-5", use{Input: 1, CacheRead: 100_000}, 5_001}, // 100,000×0.05 + 0.5
		{"gpt-6.2-sol", use{Input: 1000, Output: 100}, 3_000},
		{"gpt-6.2-sol", use{Input: 1000, Output: 100, Tier: "priority"}, 6_000},
		{"gpt-6.2-sol", use{Input: 272_001, Output: 100}, 1_089_504},                    // 272,001×4 + 100×15
		{"gpt-6.1-terra", use{Input: 272_001, Output: 100, Tier: "flex"}, 272_376},      // ×1 + 100×3.75
		{"gpt-6.1-sol", use{CacheWrite: 1000, CacheRead: 1000}, 2_600},                  // 2,500 + 100
		{"gpt-5.5-2026-04-23", use{Input: 1000, Output: 100, Tier: "priority"}, 20_000}, // 1,000×12.5 + 100×75
		{"gpt-5-mini", use{Input: 1000, Output: 100, Tier: "priority"}, 810},            // 1,000×0.45 + 100×3.6
		{"gpt-4o-mini", use{Input: 1000, CacheRead: 1000, Output: 100}, 285},            // 150 + 75 + 60
		{"o3", use{Input: 1000, CacheRead: 1000, Output: 100, Tier: "priority"}, 5_775}, // 3,500 + 875 + 1,400
		{"gemini-2.5-pro", use{Input: 200_001}, 500_003},                                // ×2.5 = 500,002.5
		{"gemini-3.8-flash", use{Input: 1000, Output: 100}, 1_125},                      // 750 + 375
		{"grok-4.7", use{Input: 199_999}, 399_998}, {"grok-4.7", use{Input: 200_000}, 800_000},
		{"deepseek-flash", use{Input: 1000, CacheRead: 1000, Output: 100}, 426}, // 300 + 6 + 120
		{"mistral-medium-latest", use{Input: 1000, Output: 100}, 2_250},
		{"openai/gpt-oss-120b", use{Input: 1000, Output: 100}, 210},
		{"text-embedding-3-small", use{Input: 1000}, 20},
	} {
		if got, err := rates.Price(row.model, now, row.u); err != nil || got != row.want {
			t.Errorf("%s %+v: %d, %v, want %d", row.model, row.u, got, err, row.want)
		}
	}
	if got, err := rates.Price("gemini-3.8-flash", now.AddDate(0, 2, 0), use{Input: 1000}); err != nil || got != 1_500 {
		t.Errorf("after the half price: %d, %v", got, err)
	}
	for _, model := range []string{"gpt-4o-audio-preview", "gpt-realtime", "claude-opus-6", "gpt-7", "grok-4.7-fast"} {
		if _, ok := rates.Bounds(model, now); ok {
			t.Errorf("%s has a price that nobody read anywhere", model)
		}
	}
}

// What is listed can be applied again, and is the same: nothing of a rate is lost.
func TestTheShippedPriceListIsExportedWhole(t *testing.T) {
	x := newTerminal(t)
	x.do(nil, "org", "create", "Acme", "--slug", "acme")
	code, out, errs := x.run("", "rate", "list", "--json")
	if code != exitOK {
		t.Fatalf("list: %d %s", code, errs)
	}
	documents, err := parseDocuments[rateFile]([]byte(out), "rates.json")
	if err != nil {
		t.Fatal(err)
	}
	shipped, err := shippedRates()
	if err != nil {
		t.Fatal(err)
	}
	listed := byNameAndTime(readRates(documents))
	if want := byNameAndTime(shipped); !reflect.DeepEqual(listed, want) {
		t.Errorf("%d rates are listed, of %d shipped, and differ", len(listed), len(want))
	}
	for how, text := range map[string]string{"what was listed": out, "what was shipped": string(catalogue.Rates())} {
		code, out, errs := x.run(text, "rate", "apply", "-f", "-")
		if code != exitOK || strings.Contains(out, "created") || strings.Contains(out, "updated") {
			t.Errorf("%s: %d %.300s%s", how, code, out, errs)
		}
	}
	code, out, _ = x.run("", "rate", "list", "--model", "gpt-5.6-sol")
	if code != exitOK || !strings.Contains(out, "  tier priority, above 272000 tokens") || !strings.Contains(out, "KEPT LONG") {
		t.Errorf("the list for people: %d\n%s", code, out)
	}
}

// byNameAndTime finds rates again.
func byNameAndTime(list []app.Rate) map[string]app.Rate {
	found := map[string]app.Rate{}
	for _, r := range list {
		found[r.Model+" "+r.ValidFrom.UTC().String()] = r
	}
	return found
}
