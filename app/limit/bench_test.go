package limit

import (
	"context"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"gatehouse/app"
)

const plenty = 1_000_000_000

func BenchmarkLocal(b *testing.B) {
	a := NewLocal(nil)
	defer a.Close(context.Background())
	now, ctx := time.Now(), context.Background()
	five := fiveCells(a, "org_1", plenty)
	used := a.Cell("used", per(1, time.Hour, 1))
	a.Take(ctx, now, 1, []*Cell{used})
	bench := func(name string, cells []*Cell) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				a.Take(ctx, now, 1, cells)
			}
		})
	}
	bench("one cell", five[:1])
	bench("five cells", five)
	bench("refused", []*Cell{used, five[0], five[1], five[2], five[3]})
	b.Run("five cells, parallel on one key", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				a.Take(ctx, now, 1, five)
			}
		})
	})
	b.Run("five cells, 100k keys", func(b *testing.B) {
		keys := make([][]*Cell, 100_000)
		for i := range keys {
			keys[i] = fiveCells(a, app.OrgID("org_"+strconv.Itoa(i)), plenty)
		}
		b.RunParallel(func(pb *testing.PB) {
			random := rand.New(rand.NewPCG(rand.Uint64(), 1))
			for pb.Next() {
				a.Take(ctx, now, 1, keys[random.IntN(len(keys))])
			}
		})
	})
	b.Run("resolve among 100k", func(b *testing.B) {
		l := named("hour", plenty, time.Hour)
		for b.Loop() {
			a.Cell("org_777/organization/hour", l)
		}
	})
}

func BenchmarkFields(b *testing.B) {
	a := NewLocal(nil)
	defer a.Close(context.Background())
	cells, buf, now := fiveCells(a, "org_1", 1000), make([]byte, 0, 1024), time.Now()
	d := a.Take(context.Background(), now, 1, cells)
	for b.Loop() {
		AppendRateLimit(buf, now, cells, &d)
	}
}

// BenchmarkShared measures leases on a real Redis, with 64 callers.
func BenchmarkShared(b *testing.B) {
	scripts := realRedis(b)
	for _, row := range []struct {
		name  string
		keys  int
		cells int
		pick  func(random *rand.Rand, keys int) func() int
	}{
		{"hot key", 1, 1, uniform},
		{"hot key, five cells", 1, 5, uniform},
		{"1,000 keys", 1000, 1, uniform},
		{"zipf over 100k keys", 100_000, 1, zipf},
		{"zipf over 100k keys, five cells", 100_000, 5, zipf},
		{"uniform over 100k keys", 100_000, 1, uniform},
	} {
		b.Run(row.name, func(b *testing.B) {
			a := share(b, scripts)
			sets := make([][]*Cell, row.keys)
			for i := range sets {
				sets[i] = fiveCells(a, app.OrgID(row.name+strconv.Itoa(i)), plenty)[:row.cells]
			}
			calls := a.calls.Load()
			b.SetParallelism(32) // times GOMAXPROCS
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				next := row.pick(rand.New(rand.NewPCG(rand.Uint64(), 1)), row.keys)
				for pb.Next() {
					if d := a.Take(context.Background(), time.Now(), 1, sets[next()]); !d.OK || d.Degraded {
						b.Error("refused")
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/float64(max(a.calls.Load()-calls, 1)), "decisions/trip")
		})
	}
}

func uniform(random *rand.Rand, keys int) func() int {
	return func() int { return random.IntN(keys) }
}

func zipf(random *rand.Rand, keys int) func() int {
	z := rand.NewZipf(random, 1.1, 1, uint64(keys-1))
	return func() int { return int(z.Uint64()) }
}
