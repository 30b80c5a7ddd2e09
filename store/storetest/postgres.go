package storetest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// postgresFolders are where packages put initdb and postgres off the PATH:
// Debian and Ubuntu, Fedora, Homebrew.
var postgresFolders = []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin"}

// PostgresServer is a PostgreSQL of one test, or the shared one.
type PostgresServer struct {
	DSN     string // of the database postgres
	dir     string
	scrap   string // the folder again, when nobody starts the server once more
	port    string
	binary  string
	user    account
	process *process
	next    atomic.Int64 // numbers the databases
}

// shared is the one server of the test's process: initdb takes a second.
var shared struct {
	once   sync.Once
	server *PostgresServer
	err    error
}

// Postgres answers the DSN of a fresh, empty database on a server that the
// tests of this process share; it is dropped when the test ends. The server
// keeps fsync on, so that a killed writer can be tested.
func Postgres(t testing.TB) (dsn string) {
	t.Helper()
	shared.once.Do(func() {
		if shared.server, shared.err = newPostgres(true); shared.err == nil {
			atEnd(shared.server.remove)
		}
	})
	if isMissing(shared.err) {
		missing(t, "PostgreSQL", shared.err)
	}
	if shared.err != nil {
		t.Fatalf("start PostgreSQL: %v", shared.err)
	}
	return shared.server.database(t)
}

// NewPostgres starts a server of the test's own, to be stopped and started in
// the test. It answers with the DSN of an empty database on it.
func NewPostgres(t testing.TB) (*PostgresServer, string) {
	t.Helper()
	s, err := newPostgres(false)
	if isMissing(err) {
		missing(t, "PostgreSQL", err)
	}
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	t.Cleanup(s.remove)
	return s, s.database(t)
}

// notInstalled tells a program that is missing from one that fails.
type notInstalled struct{ error }

func isMissing(err error) bool { _, ok := err.(notInstalled); return ok }

func newPostgres(once bool) (*PostgresServer, error) {
	initdb, err := program("initdb", postgresFolders...)
	if err != nil {
		return nil, notInstalled{err}
	}
	s := &PostgresServer{user: unprivileged(), binary: filepath.Join(filepath.Dir(initdb), "postgres")}
	if s.dir, err = os.MkdirTemp("", "gatehouse-postgres-"); err != nil {
		return nil, err
	}
	if once {
		s.scrap = s.dir
	}
	if err = s.user.own(s.dir); err == nil {
		err = s.initialize(initdb)
	}
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		os.RemoveAll(s.dir)
		return nil, err
	}
	return s, nil
}

func (s *PostgresServer) initialize(initdb string) error {
	command := exec.Command(initdb, "--pgdata", filepath.Join(s.dir, "data"), "--username=gatehouse",
		"--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", "--no-instructions")
	command.Dir = s.dir
	s.user.apply(command)
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// Start starts a stopped server on the same port (the first time: a free one)
// and waits until it answers.
func (s *PostgresServer) Start() (err error) {
	if s.port == "" {
		if s.port, err = FreePort(); err != nil {
			return err
		}
		s.DSN = "postgres://gatehouse@127.0.0.1:" + s.port + "/postgres?sslmode=disable"
	}
	s.process, err = spawn(s.user, s.dir, s.scrap, s.binary,
		"-D", filepath.Join(s.dir, "data"), "-p", s.port, "-h", "127.0.0.1", "-k", "",
		"-c", "max_connections=300", "-c", "shared_buffers=32MB", "-c", "autovacuum=off")
	if err != nil {
		return err
	}
	return s.process.await(func() error { return s.run("SELECT 1") })
}

// Stop stops the server: connections break, data stays.
func (s *PostgresServer) Stop() { s.process.stop() }

func (s *PostgresServer) remove() {
	s.process.stop()
	os.RemoveAll(s.dir)
}

// database creates an empty database for the test.
func (s *PostgresServer) database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", s.next.Add(1))
	if err := s.run("CREATE DATABASE " + name); err != nil {
		t.Fatalf("create a database: %v", err)
	}
	t.Cleanup(func() {
		// A stopped server takes its databases with it.
		_ = s.run("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)")
	})
	return strings.Replace(s.DSN, "/postgres?", "/"+name+"?", 1)
}

func (s *PostgresServer) run(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.DSN)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}
