package metering_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var (
	system = app.Actor{Kind: app.ActorSystem}
	noon   = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
)

// eachEngine runs the test with the options of a fresh database of each kind.
func eachEngine(t *testing.T, test func(t *testing.T, o store.Options)) {
	t.Run("SQLite", func(t *testing.T) { test(t, sqliteOptions(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, store.Options{DSN: storetest.Postgres(t)}) })
}

func sqliteOptions(t testing.TB) store.Options {
	return store.Options{Path: filepath.Join(t.TempDir(), "gatehouse.db")}
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

// openMeter opens a ledger that the test may leave open.
func openMeter(t testing.TB, o metering.Options) *metering.Ledger {
	t.Helper()
	if o.Patience == 0 {
		o.Patience = time.Minute // a commit of a busy machine takes its time
	}
	l, err := metering.Open(t.Context(), o)
	if err != nil {
		t.Fatalf("open the meter: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = l.Close(ctx) // the test has closed it, or broken it
	})
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

// rawDatabase opens the ledger's database past the store, to damage it.
func rawDatabase(t testing.TB, o store.Options) *sql.DB {
	t.Helper()
	driver, dsn := "pgx", o.DSN
	if dsn == "" {
		driver, dsn = "sqlite", "file:"+filepath.Join(filepath.Dir(o.Path), "usage.db")+"?_busy_timeout=10000"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	if driver == "pgx" {
		execute(t, db, `SET search_path = main`)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func execute(t testing.TB, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.Exec(query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// count is one whole request: it passes, is durable, ends.
func count(t testing.TB, l *metering.Ledger, in app.Intent, status int) {
	t.Helper()
	ticket := l.Begin(in)
	if err := ticket.Wait(t.Context()); err != nil {
		t.Fatalf("wait: %v", err)
	}
	l.Settle(ticket, app.Outcome{Status: status, BytesIn: 10, BytesOut: 100, Duration: time.Millisecond})
}

func request(org string, at time.Time) app.Intent {
	return app.Intent{At: at, Org: app.OrgID(org), Key: "key_1", Route: "files", Weight: 1}
}

// total is the usage of everybody in the day around noon.
func total(t testing.TB, s metering.UsageStore) app.UsageRow {
	t.Helper()
	rows, err := metering.Reports{Store: s}.Usage(context.Background(), system,
		app.UsageQuery{Since: noon.Add(-12 * time.Hour), Until: noon.Add(12 * time.Hour)})
	if err != nil {
		t.Fatalf("usage: %v", err)
	}
	return rows[0]
}

func mustHold(t testing.TB, s metering.WalkStore) metering.Proof {
	t.Helper()
	proof, err := metering.Check(context.Background(), s)
	if err != nil {
		t.Fatalf("check: %v", err)
	}
	if !proof.OK() {
		t.Fatalf("the ledger does not hold: %+v", proof)
	}
	return proof
}

// faulty is a ledger whose steps a test can break. A hook gets the step to do
// it, or not.
type faulty struct {
	*store.Ledger
	mu     sync.Mutex
	append func(do func() error) error
	apply  func(do func() (bool, error)) (bool, error)
}

func (f *faulty) onAppend(hook func(do func() error) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.append = hook
}

func (f *faulty) onApply(hook func(do func() (bool, error)) (bool, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.apply = hook
}

func (f *faulty) AppendBlock(ctx context.Context, replica, seq int64, body []byte) error {
	f.mu.Lock()
	hook := f.append
	f.mu.Unlock()
	do := func() error { return f.Ledger.AppendBlock(ctx, replica, seq, body) }
	if hook == nil {
		return do()
	}
	return hook(do)
}

func (f *faulty) ApplyUsage(ctx context.Context, u app.UsageApply) (bool, error) {
	f.mu.Lock()
	hook := f.apply
	f.mu.Unlock()
	do := func() (bool, error) { return f.Ledger.ApplyUsage(ctx, u) }
	if hook == nil {
		return do()
	}
	return hook(do)
}
