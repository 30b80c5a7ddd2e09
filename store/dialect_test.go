package store

import (
	"database/sql"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/store/storetest"
)

func TestSQLiteFilesAreTheOwnersAlone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: Windows has no such modes")
	}
	dir := filepath.Join(t.TempDir(), "new", "data")
	s := openStore(t, Options{Path: filepath.Join(dir, "gatehouse.db")})
	insertOrgs(t, s, "acme")
	err := filepath.WalkDir(filepath.Dir(dir), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		want := map[bool]fs.FileMode{true: 0o700, false: 0o600}[entry.IsDir()]
		if err == nil && info.Mode().Perm() != want {
			t.Errorf("%s has the mode %o, want %o", filepath.Base(path), info.Mode().Perm(), want)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSQLiteTakesAnyPath(t *testing.T) {
	for _, name := range []string{"plain.db", "with space & ?query=1#x.db", "100%25.db", "ünï.db", "file:x.db"} {
		path := filepath.Join(t.TempDir(), name)
		insertOrgs(t, openStore(t, Options{DSN: path}), "acme")
		if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) == 0 || entries[0].Name() != name {
			t.Errorf("%q makes %v, %v", name, entries, err)
		}
	}
}

func TestSQLiteConnectionsAreSetUp(t *testing.T) {
	s := openStore(t, Options{Path: filepath.Join(t.TempDir(), "gatehouse.db")})
	for name, db := range map[string]*sql.DB{"write": s.write, "read": s.read} {
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1",
			"busy_timeout": busyTimeout, "query_only": map[string]string{"write": "0", "read": "1"}[name]} {
			var got string
			if err := db.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
				t.Errorf("%s: %s is %s, %v, want %s", name, pragma, got, err, want)
			}
		}
	}
	if n := s.write.Stats().MaxOpenConnections; n != 1 {
		t.Errorf("%d connections write", n)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close() // nothing answers there now
	for name, o := range map[string]Options{
		"a folder":         {Path: t.TempDir()},
		"no server":        {DSN: "postgres://me:secret@" + listener.Addr().String() + "/x"},
		"a malformed URL":  {DSN: "postgres://me:secret@host:port/x"},
		"not a database":   {Path: textFile(t)},
		"a folder in file": {Path: filepath.Join(textFile(t), "x", "gatehouse.db")},
	} {
		s, err := Open(t.Context(), o)
		if s != nil || err == nil {
			t.Fatalf("%s: opened", name)
		}
		wantKind(t, err, app.KindUnavailable, "store_unavailable")
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the password is told: %v", name, err)
		}
	}
}

func TestOpenSaysThatTheUserMayNot(t *testing.T) {
	_, dsn := storetest.NewPostgres(t)
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE ROLE guest LOGIN"); err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), Options{DSN: strings.Replace(dsn, "gatehouse@", "guest@", 1)})
	wantKind(t, err, app.KindInternal, "schema_failed")
}

func textFile(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(path, []byte(strings.Repeat("not a database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// While PostgreSQL is away, calls say so; when it is back, the same store works.
func TestPostgresGoesAndComesBack(t *testing.T) {
	server, dsn := storetest.NewPostgres(t)
	s := openStore(t, Options{DSN: dsn})
	org := insertOrgs(t, s, "acme")[0]
	server.Stop()
	for range 3 {
		_, err := s.Org(t.Context(), org.ID)
		wantKind(t, err, app.KindUnavailable, "store_unavailable")
		if app.AsError(err).RetryAfter != time.Second {
			t.Errorf("no time to retry: %+v", err)
		}
	}
	wantKind(t, s.Ping(t.Context()), app.KindUnavailable, "store_unavailable")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	if o, err := s.Org(t.Context(), org.ID); err != nil || o != org {
		t.Fatalf("got %+v, %v", o, err)
	}
}

// PostgreSQL breaks one of two transactions that wait for each other; its
// caller hears that it may try again.
func TestADeadlockIsBusy(t *testing.T) {
	s := openStore(t, Options{DSN: storetest.Postgres(t)})
	orgs := insertOrgs(t, s, "a", "b")
	lock := func(tx *tx, i int) error {
		_, err := tx.exec(`SELECT 1 FROM org WHERE id = $1 FOR UPDATE`, orgs[i].ID)
		return err
	}
	var held sync.WaitGroup
	held.Add(2)
	both := func(first, second int) error {
		return s.system(t.Context(), "a test", func(tx *tx) error {
			if err := lock(tx, first); err != nil {
				return err
			}
			held.Done()
			held.Wait()
			return lock(tx, second)
		})
	}
	answers := make(chan error, 2)
	go func() { answers <- both(0, 1) }()
	go func() { answers <- both(1, 0) }()
	err := errors.Join(<-answers, <-answers)
	wantKind(t, err, app.KindUnavailable, "store_busy")
}

func TestOpensPostgresInItsOwnSchema(t *testing.T) {
	dsn := storetest.Postgres(t)
	insertOrgs(t, openStore(t, Options{DSN: dsn}), "acme")
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var elsewhere, here int
	err = db.QueryRow(`SELECT COUNT(*) FILTER (WHERE schemaname = 'public'), COUNT(*) FILTER (WHERE schemaname = 'main')
		FROM pg_tables`).Scan(&elsewhere, &here)
	if err != nil || elsewhere != 0 || here == 0 {
		t.Fatalf("%d tables in public, %d in main, %v", elsewhere, here, err)
	}
}
