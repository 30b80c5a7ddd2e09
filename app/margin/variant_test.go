package margin

import (
	"math/rand/v2"
	"testing"

	"gatehouse/app"
)

// apart is a rate with all that vendors price apart.
var apart = app.Rate{Model: "m", Input: "4", Output: "20", CacheRead: "0.4", CacheWrite: "5", CacheWriteLong: "8", Search: "0.01", ValidFrom: day(1, 1),
	Variants: []app.RateVariant{
		{AboveInput: 1000, Input: "8", Output: "30", CacheRead: "0.8", CacheWrite: "10", CacheWriteLong: "16"},
		{AboveInput: 2000, Input: "16", Output: "40", CacheRead: "1.6", CacheWrite: "20", CacheWriteLong: "32"},
		{Tier: "flex", Input: "2", Output: "10", CacheRead: "0.2", CacheWrite: "2.5", CacheWriteLong: "4"},
		{Tier: "fast", Input: "10", Output: "50", CacheRead: "1", CacheWrite: "12.5", CacheWriteLong: "20"},
		{Tier: "fast", AboveInput: 1000, Input: "20", Output: "75", CacheRead: "2", CacheWrite: "25", CacheWriteLong: "40"},
		{Region: "us", Input: "4.4", Output: "22", CacheRead: "0.44", CacheWrite: "5.5", CacheWriteLong: "8.8"},
		{Region: "us", AboveInput: 1000, Input: "8.8", Output: "33", CacheRead: "0.88", CacheWrite: "11", CacheWriteLong: "17.6"},
	}}

// bare is a rate as lists had it before.
var bare = app.Rate{Model: "bare", Input: "4", Output: "20", CacheRead: "0.4", CacheWrite: "5", ValidFrom: day(1, 1)}

func TestWhatIsPricedApart(t *testing.T) {
	type use = app.TokenUsage
	r := load(t, apart, bare)
	for _, row := range []struct {
		name, model string
		u           use
		want        app.Money
		flagged     bool // the list does not price all of it
	}{
		// 200×4 + 10×20 = 800 + 200
		{"the rate's own", "m", use{Input: 200, Output: 10}, 1_000, false},
		// 100×4 + 300×5 + 200×8 + 400×0.4 + 10×20 = 400 + 1,500 + 1,600 + 160 + 200
		{"the cache by its time", "m", use{Input: 100, CacheWrite: 500, CacheWriteLong: 200, CacheRead: 400, Output: 10}, 3_860, false},
		// no more than was written: 5×8
		{"more is kept long than was written", "m", use{CacheWrite: 5, CacheWriteLong: 9}, 40, false},
		// 100×4 + 3 searches of a cent = 400 + 30,000
		{"searches", "m", use{Input: 100, Searches: 3}, 30_400, false},
		// at the bound: 400×4 + 100×5 + 500×0.4 = 1,600 + 500 + 200; one more: 400×8 + 100×10 + 501×0.8 = 3,200 + 1,000 + 400.8
		{"a prompt at the bound", "m", use{Input: 400, CacheWrite: 100, CacheRead: 500}, 2_300, false},
		{"a prompt above it", "m", use{Input: 400, CacheWrite: 100, CacheRead: 501}, 4_601, false},
		// 1,001×8 + 1×30; 2,001×16 + 1×40
		{"all of a longer prompt", "m", use{Input: 1001, Output: 1}, 8_038, false},
		{"the highest bound", "m", use{Input: 2001, Output: 1}, 32_056, false},
		// 200×2 + 10×10; 200×10 + 10×50; 1,001×20
		{"a cheaper tier", "m", use{Tier: "flex", Input: 200, Output: 10}, 500, false},
		{"a dearer tier", "m", use{Tier: "fast", Input: 200, Output: 10}, 2_500, false},
		{"a dearer tier, a longer prompt", "m", use{Tier: "fast", Input: 1001}, 20_020, false},
		// 200×4.4 + 10×22 = 880 + 220
		{"a region", "m", use{Region: "us", Input: 200, Output: 10}, 1_100, false},
		{"a region, a longer prompt", "m", use{Region: "us", Input: 1001}, 8_809, false}, // 8,808.8

		// What the list does not have costs the dearest that it has: 200×10 + 10×50.
		{"an unknown tier", "m", use{Tier: "ultra", Input: 200, Output: 10}, 2_500, true},
		{"a tier in a region", "m", use{Tier: "fast", Region: "us", Input: 200, Output: 10}, 2_500, true},
		// the dearer tier has no price above 2,000: the dearest is 2,001×20
		{"a tier without a price so high", "m", use{Tier: "fast", Input: 2001}, 40_020, true},
		// a cheaper tier costs the standard at most: 1,001×8; 200×4
		{"a cheaper tier without a price so high", "m", use{Tier: "flex", Input: 1001}, 8_008, true},
		{"a cheaper tier that is not listed", "bare", use{Tier: "batch", Input: 200}, 800, true},
		// 100×5 for what is kept long, nothing for the searches, which nobody prices: flagged
		{"kept long without a price", "bare", use{CacheWrite: 100, CacheWriteLong: 100}, 500, true},
		{"searches without a price", "bare", use{Input: 100, Searches: 3}, 400, true},
		{"what no rate prices", "m", use{Input: 100, Other: true}, 400, true},
		// An answer that broke off may have been served in any tier and region: 200×10 + 10×50.
		{"any tier", "m", use{Tier: app.AnyTier, Region: app.AnyRegion, Input: 200, Output: 10}, 2_500, false},
		{"any region", "m", use{Region: app.AnyRegion, Input: 200, Output: 10}, 1_100, false},
		{"any tier of a rate that has none", "bare", use{Tier: app.AnyTier, Region: app.AnyRegion, Input: 200}, 800, false},
	} {
		got, err := r.Price(row.model, day(2, 1), row.u)
		if flagged := err != nil && app.AsError(err).Code == "price_unknown"; got != row.want || flagged != row.flagged || err != nil && !flagged {
			t.Errorf("%s: %d, %v, want %d, flagged %t", row.name, got, err, row.want, row.flagged)
		}
	}
}

func TestWorstOfWhatIsPricedApart(t *testing.T) {
	type use = app.TokenUsage
	r := load(t, apart, bare)
	for _, row := range []struct {
		name, model string
		u           use
		want        app.Money
		refused     bool
	}{
		// all input may be written to the cache: 200×5 + 10×20; to keep it long 200×8 + 200
		{"the standard", "m", use{Input: 200, Output: 10}, 1_200, false},
		{"kept long", "m", use{Input: 200, CacheWriteLong: 200, Output: 10}, 1_800, false},
		// 1,001×10 + 10×30; 2,001×20 + 10×40
		{"a longer prompt", "m", use{Input: 1001, Output: 10}, 10_310, false},
		{"a prompt above both bounds", "m", use{Input: 2001, Output: 10}, 40_420, false},
		// the standard may serve it: 200×5 + 10×20, and is dearer than flex
		{"a cheaper tier is asked for", "m", use{Tier: "flex", Input: 200, Output: 10}, 1_200, false},
		// 200×12.5 + 10×50
		{"a dearer tier is asked for", "m", use{Tier: "fast", Input: 200, Output: 10}, 3_000, false},
		// 200×5.5 + 10×22
		{"a region is asked for", "m", use{Region: "us", Input: 200, Output: 10}, 1_320, false},
		{"nothing is asked for", "m", use{Tier: app.AnyTier, Region: app.AnyRegion, Input: 200, Output: 10}, 3_000, false},
		{"nothing is asked for, a longer prompt", "m", use{Tier: app.AnyTier, Input: 1001, Output: 10}, 25_775, false}, // 1,001×25 + 10×75
		{"searches", "m", use{Input: 200, Searches: 2}, 21_000, false},
		{"a cheaper tier that is not listed", "bare", use{Tier: "flex", Input: 200}, 1_000, false},
		{"any of a rate that has one", "bare", use{Tier: app.AnyTier, Region: app.AnyRegion, Input: 200}, 1_000, false},

		{"an unknown tier", "m", use{Tier: "ultra", Input: 200}, 0, true},
		{"an unknown region", "m", use{Region: "mars", Input: 200}, 0, true},
		{"a tier in a region", "m", use{Tier: "fast", Region: "us", Input: 200}, 0, true},
		{"kept long without a price", "bare", use{Input: 200, CacheWriteLong: 200}, 0, true},
		{"searches without a price", "bare", use{Input: 200, Searches: 1}, 0, true},
		{"what no rate prices", "m", use{Input: 200, Other: true}, 0, true},
	} {
		got, err := r.PriceUp(row.model, day(2, 1), row.u)
		refused := err != nil && app.AsError(err).Code == "price_unknown" && app.IsKind(err, app.KindPayment)
		if got != row.want || refused != row.refused || err != nil && !refused {
			t.Errorf("%s: %d, %v, want %d, refused %t", row.name, got, err, row.want, row.refused)
		}
	}
}

// Whatever of a worst case comes true, and whoever serves it: it costs no more
// than was reserved.
func TestNothingCostsMoreThanItsWorstCase(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	r := load(t, apart)
	pick := func(names ...string) string { return names[random.IntN(len(names))] }
	for range 20_000 {
		worst := app.TokenUsage{Input: random.Int64N(3000), Output: random.Int64N(500), Searches: random.Int64N(3),
			Tier: pick("", "flex", "fast", app.AnyTier), Region: pick("", app.AnyRegion)}
		if random.IntN(2) == 0 {
			worst.CacheWriteLong = worst.Input
		}
		up, err := r.PriceUp("m", day(2, 1), worst)
		if err != nil {
			t.Fatalf("%+v: %v", worst, err)
		}
		u := app.TokenUsage{Output: random.Int64N(worst.Output + 1), Searches: random.Int64N(worst.Searches + 1)}
		prompt := random.Int64N(worst.Input + 1)
		u.CacheRead = random.Int64N(prompt + 1)
		u.CacheWrite = random.Int64N(prompt - u.CacheRead + 1)
		u.Input = prompt - u.CacheRead - u.CacheWrite
		u.CacheWriteLong = min(random.Int64N(u.CacheWrite+1), worst.CacheWriteLong)
		u.Tier, u.Region = pick("", worst.Tier), pick("", worst.Region)
		if worst.Tier == app.AnyTier {
			u.Tier = pick("", "flex", "fast")
		}
		if worst.Region == app.AnyRegion && u.Tier == "" {
			u.Region = pick("", "us")
		} else {
			u.Region = ""
		}
		if cost, _ := r.Price("m", day(2, 1), u); cost > up {
			t.Fatalf("%+v costs %d, of %+v %d was reserved", u, cost, worst, up)
		}
	}
}
