package store

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"gatehouse/app"
	"gatehouse/store/storetest"
)

// TestMain runs the tests, or in a process that a test started (see inProcess)
// one of its errands.
func TestMain(m *testing.M) {
	errand := os.Getenv("GATEHOUSE_TEST_ERRAND")
	if errand == "" {
		storetest.Main(m)
	}
	if err := errands[errand](context.Background(), Options{DSN: os.Getenv("GATEHOUSE_TEST_DSN")}); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// errands are what another process does with the database.
var errands = map[string]func(context.Context, Options) error{
	"open": func(ctx context.Context, o Options) error {
		s, err := Open(ctx, o)
		if err != nil {
			return err
		}
		return s.Close()
	},
	"rename acme fifty times": func(ctx context.Context, o Options) error {
		s, err := Open(ctx, o)
		if err != nil {
			return err
		}
		defer s.Close()
		acme, err := s.OrgBySlug(ctx, "acme")
		for i := 0; i < 50 && err == nil; i++ {
			_, err = s.UpdateOrg(ctx, acme.ID, func(o *app.Org) error { o.Reason += "x"; return nil })
		}
		return err
	},
}

// inProcess runs an errand in a process of its own and waits for it.
func inProcess(o Options, errand string) error {
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), "GATEHOUSE_TEST_ERRAND="+errand, "GATEHOUSE_TEST_DSN="+o.DSN+o.Path)
	out, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// eachDatabase runs the test with options for a fresh, empty SQLite file and
// for a fresh PostgreSQL database.
func eachDatabase(t *testing.T, test func(t *testing.T, o Options)) {
	t.Run("SQLite", func(t *testing.T) { test(t, Options{Path: filepath.Join(t.TempDir(), "gatehouse.db")}) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, Options{DSN: storetest.Postgres(t)}) })
}

// eachStore runs the test on both databases, opened. The options open the same
// database once more, as another process would.
func eachStore(t *testing.T, test func(t *testing.T, s *Store, again Options)) {
	eachDatabase(t, func(t *testing.T, o Options) { test(t, openStore(t, o), o) })
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
