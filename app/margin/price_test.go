package margin

import (
	"context"
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"gatehouse/app"
)

// fixed is a price list that does not change.
type fixed []app.Rate

func (f fixed) Rates(context.Context) ([]app.Rate, error)                        { return f, nil }
func (fixed) UpsertRates(context.Context, []app.Rate) (d app.Applied, err error) { return d, nil }
func (fixed) SeedRates(context.Context, []app.Rate) (bool, error)                { return false, nil }
func (fixed) DeleteRate(context.Context, string, time.Time) error                { return nil }

func day(month, day int) time.Time {
	return time.Date(2026, time.Month(month), day, 0, 0, 0, 0, time.UTC)
}

func load(t testing.TB, list ...app.Rate) *Rates {
	t.Helper()
	if wrong := Check(list); len(wrong) > 0 {
		t.Fatal(wrong)
	}
	r := &Rates{Store: fixed(list)}
	if err := r.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func rate(model, input, output, read, write string, from time.Time) app.Rate {
	return app.Rate{Model: model, Input: input, Output: output, CacheRead: read, CacheWrite: write, ValidFrom: from}
}

func TestPriceByHand(t *testing.T) {
	r := load(t, rate("sonnet", "3", "15", "0.3", "3.75", day(1, 1)), rate("mini", "0.15", "0.6", "", "", day(1, 1)),
		rate("dust", "0.000001", "0.000001", "0", "0", day(1, 1)), rate("free", "0", "0", "", "", day(1, 1)),
		rate("gold", "1000000", "1000000", "", "", day(1, 1)))
	for _, row := range []struct {
		model          string
		u              app.TokenUsage
		price, priceUp app.Money
	}{
		// 1000×3 + 500×15 = 10,500 millionths of a dollar
		{"sonnet", app.TokenUsage{Input: 1000, Output: 500}, 10_500, 11_250},
		// 100×3 + 200×15 + 10,000×0.3 + 2,000×3.75 = 300 + 3,000 + 3,000 + 7,500; up: 12,100×3.75 + 3,000
		{"sonnet", app.TokenUsage{Input: 100, Output: 200, CacheRead: 10_000, CacheWrite: 2_000}, 13_800, 48_375},
		// 1×0.3 rounds down, 2×0.3 up, 5×0.3 = 1.5 away from zero
		{"sonnet", app.TokenUsage{CacheRead: 1}, 0, 4},
		{"sonnet", app.TokenUsage{CacheRead: 2}, 1, 8},
		{"sonnet", app.TokenUsage{CacheRead: 5}, 2, 19},
		// rounded once: 3×0.15 + 0.6 = 1.05, not 0 + 1
		{"mini", app.TokenUsage{Input: 3, Output: 1}, 1, 2},
		{"mini", app.TokenUsage{Input: 10, CacheRead: 10, CacheWrite: 10}, 5, 5}, // 4.5: the cache costs what input costs
		// twelve places of one token: 499,999 and 500,000 millionths of a micro
		{"dust", app.TokenUsage{Input: 499_999}, 0, 1},
		{"dust", app.TokenUsage{Input: 500_000}, 1, 1},
		{"dust", app.TokenUsage{}, 0, 0},
		{"free", app.TokenUsage{Input: 1e6, Output: 1e6}, 0, 0},
		// the largest that there is
		{"gold", app.TokenUsage{Input: app.MaxTokens, Output: app.MaxTokens, CacheRead: app.MaxTokens, CacheWrite: app.MaxTokens}, 400_000_000_000_000, 400_000_000_000_000},
		{"gold", app.TokenUsage{Input: 1 << 62, Output: -5}, 100_000_000_000_000, 100_000_000_000_000},
	} {
		price, err := r.Price(row.model, day(2, 1), row.u)
		up, errUp := r.PriceUp(row.model, day(2, 1), row.u)
		if err != nil || errUp != nil || price != row.price || up != row.priceUp {
			t.Errorf("%s %+v: %d and %d, %v %v, want %d and %d", row.model, row.u, price, up, err, errUp, row.price, row.priceUp)
		}
	}
}

func TestPriceIsExact(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	amount := func() string { return app.Money(random.Int64N(int64(app.MaxTokenPrice) >> random.IntN(40))).String() }
	for range 3000 {
		row := rate("m", amount(), amount(), amount(), amount(), day(1, 1))
		u := app.TokenUsage{Input: random.Int64N(app.MaxTokens), Output: random.Int64N(app.MaxTokens) >> random.IntN(27),
			CacheRead: random.Int64N(1000), CacheWrite: random.Int64N(100)}
		total, half := new(big.Rat), big.NewRat(1, 2)
		for _, c := range []struct {
			n     int64
			price string
		}{{u.Input, row.Input}, {u.Output, row.Output}, {u.CacheRead, row.CacheRead}, {u.CacheWrite, row.CacheWrite}} {
			dollars, _ := new(big.Rat).SetString(c.price) // for a million tokens: micros for one
			total.Add(total, dollars.Mul(dollars, new(big.Rat).SetInt64(c.n)))
		}
		total.Add(total, half)
		want := new(big.Int).Quo(total.Num(), total.Denom())
		r := load(t, row)
		if got, err := r.Price("m", day(1, 1), u); err != nil || fmt.Sprint(int64(got)) != want.String() {
			t.Fatalf("%+v at %+v: %d, %v, want %s", u, row, got, err, want)
		}
		if got, _ := r.Price("m", day(1, 1), u); got > must(r.PriceUp("m", day(1, 1), u)) {
			t.Fatalf("the worst case of %+v at %+v is below %d", u, row, got)
		}
	}
}

func must(m app.Money, _ error) app.Money { return m }

func TestWhichRateCounts(t *testing.T) {
	r := load(t,
		rate("gpt-4o", "1", "0", "", "", day(3, 1)), rate("gpt-4o", "2", "0", "", "", day(2, 1)), rate("gpt-4o", "3", "0", "", "", day(9, 1)),
		rate("gpt-4o*", "4", "0", "", "", day(1, 1)), rate("gpt-*", "5", "0", "", "", day(1, 1)), rate("gpt-4o-*", "6", "0", "", "", day(6, 1)))
	for _, row := range []struct {
		model string
		at    time.Time
		want  string
	}{
		{"gpt-4o", day(3, 1), "1"},                       // valid from this very moment
		{"gpt-4o", day(3, 1).Add(-time.Nanosecond), "2"}, // and not before
		{"gpt-4o", day(10, 1), "3"},                      //
		{"gpt-4o", day(1, 15), "4"},                      // the exact name is not valid yet
		{"gpt-4o-mini", day(7, 1), "6"},                  // the longest beginning
		{"gpt-4o-mini", day(5, 1), "4"},                  // that is valid
		{"gpt-5", day(5, 1), "5"},                        //
		{"GPT-5", day(5, 1), ""}, {"o3", day(5, 1), ""}, {"", day(5, 1), ""}, {"gpt-4o", time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), ""},
	} {
		got, ok := r.Bounds(row.model, row.at)
		if ok != (row.want != "") || got.Input != row.want {
			t.Errorf("%s at %s: %+v %t, want %q", row.model, row.at, got, ok, row.want)
		}
		_, err := r.Price(row.model, row.at, app.TokenUsage{Input: 1})
		_, errUp := r.PriceUp(row.model, row.at, app.TokenUsage{Input: 1})
		unknown := func(err error) bool {
			return err != nil && app.AsError(err).Code == "price_unknown" && app.IsKind(err, app.KindPayment)
		}
		if unknown(err) != (row.want == "") || unknown(errUp) != (row.want == "") {
			t.Errorf("%s at %s: %v, %v", row.model, row.at, err, errUp)
		}
	}
}

func TestNothingIsPricedBeforeTheListIsLoaded(t *testing.T) {
	if _, err := (&Rates{}).Price("gpt-4o", day(1, 1), app.TokenUsage{}); err == nil {
		t.Error("a price out of nothing")
	}
}

func BenchmarkPrice(b *testing.B) {
	r := load(b, rate("sonnet-*", "3", "15", "0.3", "3.75", day(1, 1)))
	for b.Loop() {
		if _, err := r.Price("sonnet-4", day(2, 1), app.TokenUsage{Input: 1000, Output: 500}); err != nil {
			b.Fatal(err)
		}
	}
}
