// Package store keeps the nouns of app in SQLite or PostgreSQL: one SQL text,
// two databases. The differences between the engines live in dialect.go.
//
// Habits of every statement here: $1 placeholders; the owner (org_id) is the
// first argument and the first term of WHERE on an organization's data; times
// are BIGINT Unix milliseconds, money BIGINT micros, lists JSON in TEXT; reads
// say "FROM org", writes say "main.org" (the schema has that name on both
// engines), so that the engine's own isolation can stand between them.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"time"

	"gatehouse/app"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// Options say which database to open.
type Options struct {
	// DSN is a postgres:// URL, or the path of an SQLite file, or empty.
	// PostgreSQL objects live in the schema main: the store sets search_path on
	// each connection. Behind PgBouncer, which refuses that start parameter,
	// put search_path in its ignore_startup_parameters and
	// ALTER ROLE … SET search_path = main.
	DSN string
	// Path of the SQLite file, used when DSN is empty. The file is made with
	// mode 0600, a missing directory with 0700.
	Path string
	Now  func() time.Time // default: time.Now
	Log  *slog.Logger     // default: discards

	EventIndex EventIndexOptions // of a ledger on SQLite
	// Standstill is after how long PostgreSQL ends a ledger's transaction that
	// stands still; default: 10 seconds.
	Standstill time.Duration
}

// Store is an open database with the newest schema. It is safe for use by
// many goroutines, and several processes may have the same database open.
type Store struct {
	dialect   dialect
	write     *sql.DB // SQLite: exactly one connection; PostgreSQL: the pool
	read      *sql.DB // SQLite: a pool of read-only connections; PostgreSQL: the same pool
	now       func() time.Time
	log       *slog.Logger
	mu        sync.RWMutex
	listeners []func(app.Change)
}

// Open opens the database, creates or migrates its schema, and answers when it
// is ready. Several processes may do so at once. A schema that a newer
// Gatehouse wrote is refused with the code schema_newer.
func Open(ctx context.Context, o Options) (*Store, error) {
	s := &Store{dialect: sqliteDialect, now: o.Now, log: o.Log}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.connect(ctx, o); err != nil {
		return nil, cannotOpen(s.Engine(), err)
	}
	files, err := fs.Sub(migrationFiles, "migrations")
	if err == nil {
		err = s.migrate(ctx, files, "schema_migration")
	}
	if err != nil {
		return nil, errors.Join(cannotMigrate(err), s.Close())
	}
	return s, nil
}

func (s *Store) connect(ctx context.Context, o Options) (err error) {
	if IsPostgres(o.DSN) {
		s.dialect = postgresDialect
		s.write, err = openPostgres(ctx, o.DSN)
		s.read = s.write
		return err
	}
	path := o.Path
	if o.DSN != "" {
		path = o.DSN
	}
	s.write, s.read, err = openSQLite(ctx, path)
	return err
}

// IsPostgres reports whether a DSN names a PostgreSQL database; any other is
// the path of an SQLite file.
func IsPostgres(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

// Close closes every connection; statements under way end first.
func (s *Store) Close() error {
	if s.read == s.write {
		return s.write.Close()
	}
	return errors.Join(s.read.Close(), s.write.Close())
}

// Ping answers whether the database does, for readiness checks.
func (s *Store) Ping(ctx context.Context) error {
	return s.systemRead(ctx, "check that the database answers", func(tx *tx) error {
		var one int
		return tx.row(`SELECT 1`).Scan(&one)
	})
}

// Engine names the database for people: "SQLite" or "PostgreSQL".
func (s *Store) Engine() string { return s.dialect.engine }

// cannotOpen says that the database cannot be opened; err holds why.
func cannotOpen(engine string, err error) error {
	var known *app.Error
	if errors.As(err, &known) {
		return known
	}
	return &app.Error{Kind: app.KindUnavailable, Code: "store_unavailable",
		Message: "The " + engine + " database cannot be opened.",
		Advice:  "Check that it exists, runs, and that this user may use it.", Err: err}
}

// cannotMigrate says that the schema cannot be brought up to date; err holds why.
func cannotMigrate(err error) error {
	if !app.IsKind(err, app.KindInternal) {
		return err
	}
	return &app.Error{Kind: app.KindInternal, Code: "schema_failed",
		Message: "The database's schema could not be brought up to date.",
		Advice:  "Check that the database's user owns the schema main, or may create it.", Err: err}
}
