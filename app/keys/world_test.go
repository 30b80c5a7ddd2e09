package keys_test

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/keys"
	"gatehouse/store"
	"gatehouse/store/storetest"
	"gatehouse/store/storetest/each"
)

func TestMain(m *testing.M) { storetest.Main(m) }

const day = 24 * time.Hour

// world is a store with two organizations, a service, and a clock.
type world struct {
	*keys.Service
	db *store.Store
	mu sync.Mutex
	at time.Time
}

func (w *world) now() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.at }

func (w *world) pass(d time.Duration) { w.mu.Lock(); defer w.mu.Unlock(); w.at = w.at.Add(d) }

func eachWorld(t *testing.T, test func(t *testing.T, w *world)) {
	run := func(o func(t *testing.T) store.Options) func(t *testing.T) {
		return func(t *testing.T) {
			w := &world{at: time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)}
			options := o(t)
			options.Now = w.now
			w.db = each.Open(t, options)
			w.Service = &keys.Service{Store: w.db, Now: w.now}
			if _, err := w.db.UpsertPlans(t.Context(), []app.Plan{{Slug: "free", Name: "Free"}}); err != nil {
				t.Fatal(err)
			}
			for _, id := range []app.OrgID{"org_a", "org_b"} {
				org := app.Org{ID: id, Slug: string(id[4:]), Name: string(id), Status: app.OrgStatusActive, Plan: "free", CreatedAt: w.at, UpdatedAt: w.at}
				if err := w.db.InsertOrg(t.Context(), org); err != nil {
					t.Fatal(err)
				}
			}
			test(t, w)
		}
	}
	t.Run("SQLite", run(func(t *testing.T) store.Options {
		return store.Options{Path: filepath.Join(t.TempDir(), "gatehouse.db")}
	}))
	t.Run("PostgreSQL", run(func(t *testing.T) store.Options { return store.Options{DSN: storetest.Postgres(t)} }))
}

var (
	system   = app.Actor{Kind: app.ActorSystem}
	operator = app.Actor{Kind: app.ActorOperator, ID: "opr_1", Scopes: []string{"*"}}
)

func machine(scopes ...string) app.Actor {
	return app.Actor{Kind: app.ActorOperator, ID: "key_m", KeyID: "key_m", Scopes: scopes}
}

func code(err error) string {
	if err == nil {
		return "ok"
	}
	return app.AsError(err).Code
}

func (w *world) mint(t *testing.T, in keys.New) app.MintedKey {
	t.Helper()
	minted, err := w.Mint(t.Context(), operator, in)
	if err != nil {
		t.Fatal(err)
	}
	return minted
}
