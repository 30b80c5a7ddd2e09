package metering_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// processorTime is what this process has used of the processors.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// intents are 64 keys of 16 organizations on 2 routes.
func intents() (list [64]app.Intent) {
	at := time.Now()
	for i := range list {
		list[i] = app.Intent{At: at, Weight: 1, Route: app.RouteID(app.NewID("rte", at.Add(time.Duration(i%2)*time.Hour)))}
	}
	for i := range list {
		list[i].Org, list[i].Key = app.OrgID(app.NewID("org", at)), app.KeyID(app.NewID("key", at))
		if i >= 16 {
			list[i].Org = list[i%16].Org
		}
		if i >= 2 {
			list[i].Route = list[i%2].Route
		}
	}
	return list
}

func reportLedger(b *testing.B, l *metering.Ledger, cpu time.Duration) {
	s := l.Stats()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
	b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N), "cpu-ns/request")
	b.ReportMetric(float64(s.Requests)/float64(max(1, s.Blocks)), "requests/block")
	b.ReportMetric(float64(s.Bytes)/float64(max(1, s.Requests)), "bytes/request")
	b.ReportMetric(float64(s.Commits.Microseconds())/float64(max(1, s.Blocks)), "µs/commit")
}

// BenchmarkCount is what usage-and-quotas.md measured: producers that do
// nothing but count. One operation is Begin, Wait and Settle.
func BenchmarkCount(b *testing.B) {
	engines := map[string]func() store.Options{
		"SQLite":     func() store.Options { return sqliteOptions(b) },
		"PostgreSQL": func() store.Options { return store.Options{DSN: storetest.Postgres(b)} },
	}
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		for _, producers := range []int{1, 64, 256} {
			b.Run(fmt.Sprintf("%s/%d", engine, producers), func(b *testing.B) {
				l := openMeter(b, metering.Options{Store: openLedger(b, engines[engine]())})
				run(b, l, producers, func() {})
			})
		}
	}
}

// BenchmarkWithoutDisk leaves out the store: what remains is this package's
// own work for one Begin, Wait and Settle, waking the waiters included.
func BenchmarkWithoutDisk(b *testing.B) {
	for _, producers := range []int{64, 256} {
		b.Run(fmt.Sprint(producers), func(b *testing.B) {
			s := &faulty{Ledger: openLedger(b, sqliteOptions(b))}
			s.onAppend(func(func() error) error { time.Sleep(300 * time.Microsecond); return nil })
			s.onApply(func(func() (bool, error)) (bool, error) { return true, nil })
			run(b, openMeter(b, metering.Options{Store: s}), producers, func() {})
		})
	}
}

// BenchmarkQuotaWithoutDisk is BenchmarkWithoutDisk of requests that hold a
// worst case, draw on two accounts and tell a quantity, beside ones that do
// not: the difference is what a quota costs the ledger.
func BenchmarkQuotaWithoutDisk(b *testing.B) {
	for _, metered := range []bool{false, true} {
		b.Run(fmt.Sprintf("quota=%v", metered), func(b *testing.B) {
			s := &faulty{Ledger: openLedger(b, sqliteOptions(b))}
			s.onAppend(func(func() error) error { time.Sleep(300 * time.Microsecond); return nil })
			s.onApply(func(func() (bool, error)) (bool, error) { return true, nil })
			runMetered(b, openMeter(b, metering.Options{Store: s}), metered)
		})
	}
}

// BenchmarkQuota is the same with the disk and the tables.
func BenchmarkQuota(b *testing.B) {
	for _, metered := range []bool{false, true} {
		b.Run(fmt.Sprintf("quota=%v", metered), func(b *testing.B) {
			runMetered(b, openMeter(b, metering.Options{Store: openLedger(b, sqliteOptions(b))}), metered)
		})
	}
}

func runMetered(b *testing.B, l *metering.Ledger, metered bool) {
	list := intents()
	accounts := map[string]*app.Account{}
	account := func(org app.OrgID, key app.KeyID) *app.Account {
		name := string(org) + string(key)
		if accounts[name] == nil {
			accounts[name] = monthly(string(org))
			accounts[name].Key = key
		}
		return accounts[name]
	}
	outcomes := make([]app.Outcome, len(list))
	for i := range list {
		outcomes[i] = app.Outcome{Status: 200, BytesOut: 2048, Duration: 5 * time.Millisecond}
		if metered {
			org, key := account(list[i].Org, ""), account(list[i].Org, list[i].Key)
			list[i].Hold = []app.Use{{Meter: app.MeterTokensOutput, Value: 100}}
			list[i].Draws = []app.Draw{{Account: org, Spent: 100, Held: 100}, {Account: key, Spent: 100, Held: 100}}
			outcomes[i].Uses = []app.Use{{Meter: app.MeterTokensOutput, Value: 30}}
			outcomes[i].Draws = []app.Draw{{Account: org, Spent: -70, Held: -100}, {Account: key, Spent: -70, Held: -100}}
		}
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	var wait sync.WaitGroup
	before := processorTime()
	b.ReportAllocs()
	b.ResetTimer()
	for p := range 64 {
		wait.Go(func() {
			for i := p; left.Add(-1) >= 0; i++ {
				ticket := l.Begin(list[i%len(list)])
				if err := ticket.Wait(b.Context()); err != nil {
					b.Error(err)
					return
				}
				l.Settle(ticket, outcomes[i%len(list)])
			}
		})
	}
	wait.Wait()
	b.StopTimer()
	reportLedger(b, l, processorTime()-before)
}

// BenchmarkGate adds what a gate has beside: an upstream, and 60 µs of work.
func BenchmarkGate(b *testing.B) {
	for _, upstream := range []time.Duration{50 * time.Microsecond, 5 * time.Millisecond} {
		for _, connections := range []int{1, 16, 64, 256} {
			for _, delay := range []time.Duration{-1, time.Millisecond, 2 * time.Millisecond, 4 * time.Millisecond} {
				b.Run(fmt.Sprintf("upstream=%v/%d/delay=%v", upstream, connections, delay), func(b *testing.B) {
					l := openMeter(b, metering.Options{Store: openLedger(b, sqliteOptions(b)), MaxDelay: delay})
					run(b, l, connections, func() {
						work(60 * time.Microsecond)
						if upstream < time.Millisecond {
							work(upstream) // on the same processors, as in the bench
							return
						}
						time.Sleep(upstream)
					})
				})
			}
		}
	}
}

// work keeps a processor busy for about as long.
func work(d time.Duration) {
	for range d.Nanoseconds() * 3 {
		spun.Load()
	}
}

var spun atomic.Int64

// run lets the producers share b.N requests.
func run(b *testing.B, l *metering.Ledger, producers int, upstream func()) {
	list := intents()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wait sync.WaitGroup
	before := processorTime()
	b.ReportAllocs()
	b.ResetTimer()
	for p := range producers {
		wait.Go(func() {
			for i := p; left.Add(-1) >= 0; i++ {
				ticket := l.Begin(list[i%len(list)])
				upstream()
				if err := ticket.Wait(b.Context()); err != nil {
					b.Error(err)
					return
				}
				l.Settle(ticket, app.Outcome{Status: 200, BytesOut: 2048, Duration: 5 * time.Millisecond})
			}
		})
	}
	wait.Wait()
	b.StopTimer()
	reportLedger(b, l, processorTime()-before)
}
