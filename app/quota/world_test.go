package quota_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/app/quota"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var born = time.Date(2026, 1, 31, 9, 30, 0, 0, time.UTC)

const acme app.OrgID = "org_acme"

func acmeOrg() app.Org {
	return app.Org{ID: acme, Slug: "acme", Name: "Acme", Plan: "free", CreatedAt: born}
}

func planOf(quotas ...app.Quota) app.Plan {
	return app.Plan{Slug: "free", Name: "Free", Quotas: quotas}
}

func monthly(meter string, limit int64) app.Quota {
	return app.Quota{Meter: meter, Limit: limit, Period: app.PeriodMonth}
}

func eachEngine(t *testing.T, test func(t *testing.T, o store.Options)) {
	t.Run("SQLite", func(t *testing.T) { test(t, store.Options{Path: filepath.Join(t.TempDir(), "gatehouse.db")}) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, store.Options{DSN: storetest.Postgres(t)}) })
}

func openStore(t testing.TB, o store.Options) *store.Ledger {
	t.Helper()
	s, err := store.OpenLedger(t.Context(), o)
	if err != nil {
		t.Fatalf("open the ledger: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// node is one replica: its ledger and its engine.
type node struct {
	store  *store.Ledger
	ledger *metering.Ledger
	engine *quota.Engine
	end    context.CancelFunc
	passed atomic.Int64 // requests so far
}

// run starts a node on the database; change may set further options.
func run(t testing.TB, o store.Options, change func(*quota.Options)) *node {
	t.Helper()
	n := &node{store: openStore(t, o)}
	ledger, err := metering.Open(t.Context(), metering.Options{Store: n.store, TakeOver: time.Hour, Patience: time.Minute})
	if err != nil {
		t.Fatalf("open the meter: %v", err)
	}
	n.ledger = ledger
	options := quota.Options{Store: n.store, Replica: ledger.Replica}
	if change != nil {
		change(&options)
	}
	n.engine = quota.New(options)
	ctx, end := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); n.engine.Run(ctx) }()
	n.end = func() { end(); <-done }
	t.Cleanup(func() { n.end(); n.close() })
	return n
}

// close gives everything back, and applies everything.
func (n *node) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	n.end()
	return errors.Join(n.engine.Close(ctx), n.ledger.Close(ctx))
}

// count is a request: it waits until its hold is durable.
func (n *node) count(ctx context.Context, h *quota.Hold, key app.KeyID, at time.Time) (metering.Ticket, error) {
	ticket := n.ledger.Begin(app.Intent{At: at, Org: acme, Key: key, Route: "r", Weight: 1, Draws: h.Draws(nil)})
	return ticket, ticket.Wait(ctx)
}

func (n *node) settle(ticket metering.Ticket, h *quota.Hold, used ...quota.Need) {
	n.ledger.Settle(ticket, app.Outcome{Status: 200, Draws: h.Correct(nil, used...)})
	h.Free()
}

func states(t testing.TB, s *store.Ledger, at time.Time) []app.AccountState {
	t.Helper()
	list, err := s.AccountStates(t.Context(), acme, at)
	if err != nil {
		t.Fatalf("read accounts: %v", err)
	}
	return list
}

func long() bool { return os.Getenv("GATEHOUSE_LONG") != "" }

func codeOf(err error) string {
	if err == nil {
		return ""
	}
	return app.AsError(err).Code
}
