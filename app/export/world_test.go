package export_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

var (
	system = app.Actor{Kind: app.ActorSystem}
	noon   = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
)

// eachEngine runs the test with the options of a fresh database of each kind.
func eachEngine(t *testing.T, test func(t *testing.T, o store.Options)) {
	t.Run("SQLite", func(t *testing.T) { test(t, store.Options{Path: filepath.Join(t.TempDir(), "gatehouse.db")}) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, store.Options{DSN: storetest.Postgres(t)}) })
}

func openLedger(t testing.TB, o store.Options) *store.Ledger {
	t.Helper()
	s, err := store.OpenLedger(t.Context(), o)
	if err != nil {
		t.Fatalf("open the ledger: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the ledger: %v", err)
		}
	})
	return s
}

// openMeter opens a ledger that counts.
func openMeter(t testing.TB, s *store.Ledger) *metering.Ledger {
	t.Helper()
	l, err := metering.Open(t.Context(), metering.Options{Store: s, Patience: time.Minute})
	if err != nil {
		t.Fatalf("open the meter: %v", err)
	}
	return l
}

func closeMeter(t testing.TB, l *metering.Ledger) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Fatalf("close the meter: %v", err)
	}
}

// count counts one finished request with a use of a meter.
func count(t testing.TB, l *metering.Ledger, org app.OrgID, at time.Time, weight, pages int64) {
	ticket := l.Begin(app.Intent{At: at, Org: org, Key: "key_1", Route: "rte_1", Weight: weight})
	if err := ticket.Wait(context.Background()); err != nil {
		t.Error(err)
		return
	}
	l.Settle(ticket, app.Outcome{Status: 200, BytesIn: weight, BytesOut: 2 * weight, Duration: app.Begun(1500 * time.Microsecond),
		Uses: []app.Use{{Meter: "pages", Dims: `{"kind":"a4"}`, Value: pages}}})
}

// traffic counts n requests of each organization, from several goroutines.
func traffic(t testing.TB, l *metering.Ledger, n int, orgs ...app.OrgID) {
	var wait sync.WaitGroup
	for _, org := range orgs {
		wait.Go(func() {
			for i := range n {
				count(t, l, org, noon.Add(time.Duration(i)*time.Minute), int64(i%7), int64(i%3))
			}
		})
	}
	wait.Wait()
}
