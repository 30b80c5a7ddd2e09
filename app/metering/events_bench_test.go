package metering_test

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// benchBatch is how many events one call of the benchmarks reports.
const benchBatch = 1000

// eventsWanted is how many events BenchmarkManyEvents counts, in millions.
const eventsWanted = "GATEHOUSE_TEST_MILLIONS"

// reportEvents lets producers report events from number from on, and returns
// how many were acknowledged in a second.
func reportEvents(b *testing.B, e *metering.Events, producers int, from, events int64) (perSecond float64) {
	b.Helper()
	next, started := atomic.Int64{}, time.Now()
	uses := []app.Use{{Meter: "documents", Value: 1}}
	var all sync.WaitGroup
	for range producers {
		all.Go(func() {
			for first := next.Add(benchBatch) - benchBatch; first < events; first = next.Add(benchBatch) - benchBatch {
				batch, at := make([]app.Event, benchBatch), time.Now()
				for i := range batch {
					n := from + first + int64(i)
					batch[i] = app.Event{Org: app.OrgID("org_" + strconv.FormatInt(n%16, 10)), Source: "bench", ID: "document-" + strconv.FormatInt(n, 10),
						Type: "document", Time: at, Body: [8]byte{byte(n)}, Uses: uses}
				}
				results, err := e.Record(b.Context(), batch)
				if err != nil || results[0].Verdict != app.EventAccepted || results[benchBatch-1].Verdict != app.EventAccepted {
					b.Errorf("%v, %v", results, err)
					return
				}
			}
		})
	}
	all.Wait()
	return float64(events) / time.Since(started).Seconds()
}

// BenchmarkEvents is the rate at which events are acknowledged, each durably.
func BenchmarkEvents(b *testing.B) {
	engines := map[string]func() store.Options{
		"SQLite":     func() store.Options { return sqliteOptions(b) },
		"PostgreSQL": func() store.Options { return store.Options{DSN: storetest.Postgres(b)} },
	}
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		for _, producers := range []int{1, 4, 16, 64} {
			b.Run(fmt.Sprintf("%s/%d", engine, producers), func(b *testing.B) {
				e := openEvents(b, openLedger(b, engines[engine]()))
				defer closeEvents(b, e)
				before := processorTime()
				b.ReportAllocs()
				b.ResetTimer()
				rate := reportEvents(b, e, producers, 0, int64(b.N))
				b.StopTimer()
				b.ReportMetric(rate, "events/s")
				b.ReportMetric(float64((processorTime()-before).Nanoseconds())/float64(b.N), "cpu-ns/event")
			})
		}
	}
}

// BenchmarkManyEvents counts millions of events and tells the rate of each
// million, which must not fall, and then what a start after a crash takes:
// GATEHOUSE_TEST_MILLIONS=8 go test -run '^$' -bench ManyEvents -benchtime 1x
func BenchmarkManyEvents(b *testing.B) {
	millions, err := strconv.ParseInt(os.Getenv(eventsWanted), 10, 64)
	if err != nil {
		b.Skip(eventsWanted + " is not set")
	}
	for b.Loop() {
		o := sqliteOptions(b)
		e := openEvents(b, openLedger(b, o))
		for m := range millions {
			b.Logf("million %d: %.0f events/s", m+1, reportEvents(b, e, 16, m*1_000_000, 1_000_000))
		}
		s := openLedger(b, o)
		started := time.Now()
		next := openEvents(b, s)
		b.Logf("a start beside it: %v", time.Since(started))
		closeEvents(b, next)
		_ = e.Close(b.Context()) // it was taken over
	}
}
