package quota_test

import (
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/quota"
	"gatehouse/store"
)

// BenchmarkReserveAndSettle is what a request pays that is held against its
// organization's quota and its key's.
func BenchmarkReserveAndSettle(b *testing.B) {
	line := benchLine(b)
	now := time.Now()
	for _, c := range []struct {
		name     string
		parallel bool
	}{{"one", false}, {"parallel", true}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			if !c.parallel {
				var h quota.Hold
				draws := make([]app.Draw, 0, 8)
				for b.Loop() {
					once(b, line, now, &h, draws)
				}
				return
			}
			b.RunParallel(func(p *testing.PB) {
				var h quota.Hold
				draws := make([]app.Draw, 0, 8)
				for p.Next() {
					once(b, line, now, &h, draws)
				}
			})
		})
	}
}

func once(b *testing.B, line *quota.Line, now time.Time, h *quota.Hold, draws []app.Draw) {
	if err := line.Reserve(b.Context(), now, h, quota.Need{Meter: "tokens", Amount: 10}); err != nil {
		b.Fatal(err)
	}
	draws = h.Draws(draws[:0])
	h.Settle(draws, quota.Need{Meter: "tokens", Amount: 0})
}

func benchOptions(b *testing.B) store.Options {
	return store.Options{Path: b.TempDir() + "/gatehouse.db"}
}

func benchLine(b *testing.B) *quota.Line {
	n := run(b, benchOptions(b), nil)
	override := app.QuotaOverride{Org: acme, Key: "key_1", Quota: monthly("tokens", 1e12)}
	return n.engine.Book(acmeOrg(), planOf(monthly("tokens", 1e12)), []app.QuotaOverride{override}).Line("key_1", "tokens")
}
