package store

import (
	"path/filepath"
	"testing"

	"gatehouse/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// eachStore runs the test on a fresh SQLite file and on a fresh PostgreSQL
// database. The options open the same database once more, as another process
// would.
func eachStore(t *testing.T, test func(t *testing.T, s *Store, again Options)) {
	t.Run("SQLite", func(t *testing.T) {
		o := Options{Path: filepath.Join(t.TempDir(), "gatehouse.db")}
		test(t, openStore(t, o), o)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		o := Options{DSN: storetest.Postgres(t)}
		test(t, openStore(t, o), o)
	})
}

func openStore(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), o)
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
