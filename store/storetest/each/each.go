// Package each runs a test on every database that the product supports.
package each

import (
	"path/filepath"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// Store runs the test twice, on a fresh SQLite file and on a fresh PostgreSQL
// database.
func Store(t *testing.T, test func(t *testing.T, s *store.Store)) {
	t.Run("SQLite", func(t *testing.T) { test(t, SQLite(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, Open(t, store.Options{DSN: storetest.Postgres(t)})) })
}

// SQLite opens a store on a fresh SQLite file, for tests to which the database
// does not matter.
func SQLite(t testing.TB) *store.Store {
	t.Helper()
	return Open(t, store.Options{Path: filepath.Join(t.TempDir(), "gatehouse.db")})
}

// Open opens a store and closes it when the test ends.
func Open(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatalf("open the store: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return s
}

// Org adds an active organization of the slug on the plan "free", which it
// adds too when there is none.
func Org(t testing.TB, s *store.Store, slug string) app.Org {
	t.Helper()
	if _, err := s.SeedPlans(t.Context(), []app.Plan{{Slug: "free", Name: "Free"}}); err != nil {
		t.Fatalf("add a plan: %v", err)
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	o := app.Org{ID: app.OrgID(app.NewID("org", now)), Slug: slug, Name: slug, Status: app.OrgStatusActive, Plan: "free",
		CreatedAt: now, UpdatedAt: now}
	if err := s.InsertOrg(t.Context(), o); err != nil {
		t.Fatalf("add an organization: %v", err)
	}
	return o
}
