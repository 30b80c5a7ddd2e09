package store

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite"
)

// dialect is what differs between the engines once a connection is open.
type dialect struct {
	engine        string // for people
	fence         string // the word after "-- only" in a migration
	migrationLock string // statement that lets one process migrate at a time
	lockRow       string // suffix of a SELECT whose row is about to be changed
}

var (
	// SQLite's write transactions begin IMMEDIATE: they are alone already.
	sqliteDialect = dialect{engine: "SQLite", fence: "sqlite", migrationLock: "SELECT 1"}

	postgresDialect = dialect{engine: "PostgreSQL", fence: "postgres",
		// Any number that no other program takes: "gatehous" in ASCII.
		migrationLock: "SELECT pg_advisory_xact_lock(7449363237540164979)",
		lockRow:       " FOR UPDATE",
	}
)

const (
	busyTimeout  = "10000"         // milliseconds that a writer waits for another process's
	openPatience = 2 * time.Second // how long others may create the file meanwhile
	postgresPool = 16              // connections; the hot path needs none
	idleTimeout  = 5 * time.Minute
)

// openSQLite opens the file with one writing connection and a pool of
// read-only ones. busy_timeout comes before every other pragma, so that the
// change to WAL waits for other processes too.
func openSQLite(ctx context.Context, path string) (write, read *sql.DB, err error) {
	if path, err = prepareFile(path); err != nil {
		return nil, nil, err
	}
	writeDSN := sqliteDSN(path, url.Values{"_txlock": {"immediate"},
		"_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"}})
	readDSN := sqliteDSN(path, url.Values{"_pragma": {"query_only(1)", "foreign_keys(1)"}})
	if write, err = sql.Open("sqlite", writeDSN); err != nil {
		return nil, nil, err
	}
	if read, err = sql.Open("sqlite", readDSN); err != nil {
		return nil, nil, errors.Join(err, write.Close())
	}
	write.SetMaxOpenConns(1)
	readers := max(4, runtime.NumCPU())
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	if err = pingPatiently(ctx, write); err != nil {
		return nil, nil, errors.Join(err, write.Close(), read.Close())
	}
	return write, read, nil
}

// prepareFile creates the database file for the owner's eyes alone; SQLite
// gives its -wal and -shm files the same mode. A file that exists is not
// opened: closing it would drop the locks that this process holds on it
// (https://sqlite.org/howtocorrupt.html, 2.2).
func prepareFile(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return path, nil
	case err != nil:
		return "", err
	}
	return path, file.Close()
}

// sqliteDSN writes the path as a URI, so that ? and % in it stay part of it.
func sqliteDSN(path string, options url.Values) string {
	options.Set("_busy_timeout", busyTimeout)
	options.Set("_dqs", "0") // "x" is a name, never a string
	path = filepath.ToSlash(path)
	if path[0] != '/' { // C:/…
		path = "/" + path
	}
	return "file://" + (&url.URL{Path: path}).EscapedPath() + "?" + options.Encode()
}

// pingPatiently opens the first connection. While several processes create one
// file and switch it to WAL, SQLite answers some of them "database is locked"
// or "disk I/O error" (its journal vanished under it) without waiting; a moment
// later all is well.
func pingPatiently(ctx context.Context, db *sql.DB) error {
	patience := time.NewTimer(openPatience)
	defer patience.Stop()
	for {
		err := db.PingContext(ctx)
		if !isBusy(err) && sqliteCode(err)&0xff != sqliteIOErr {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-patience.C:
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// openPostgres opens a pool; the schema main comes first on the search path
// unless the DSN says otherwise. Each connection begins with the settings.
func openPostgres(ctx context.Context, dsn string, settings ...string) (*sql.DB, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	if config.RuntimeParams["search_path"] == "" {
		config.RuntimeParams["search_path"] = "main"
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "gatehouse"
	}
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		for _, statement := range settings { // not in the DSN: poolers refuse parameters that they do not know
			if _, err := conn.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	}))
	db.SetMaxOpenConns(postgresPool)
	db.SetMaxIdleConns(postgresPool)
	db.SetConnMaxIdleTime(idleTimeout)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// SQLite's result codes (https://sqlite.org/rescode.html) and PostgreSQL's
// SQLSTATEs (https://www.postgresql.org/docs/current/errcodes-appendix.html).
const (
	sqliteBusy       = 5
	sqliteLocked     = 6
	sqliteIOErr      = 10
	sqliteFull       = 13
	sqliteCantOpen   = 14
	sqlitePrimaryKey = 1555
	sqliteUnique     = 2067
	sqliteForeignKey = 787
	sqliteRestrict   = 1811 // a foreign key's RESTRICT, reported as a trigger's

	postgresUnique     = "23505"
	postgresForeignKey = "23503"
	postgresRestrict   = "23001"
	postgresBadText    = "22021"
	postgresDeadlock   = "40P01"
	postgresSerialize  = "40001"
)

// sqliteCode is the extended result code in err, or 0.
func sqliteCode(err error) int {
	var known *sqlite.Error
	if errors.As(err, &known) {
		return known.Code()
	}
	return 0
}

// postgresCode is the SQLSTATE in err, or "".
func postgresCode(err error) string {
	var known *pgconn.PgError
	if errors.As(err, &known) {
		return known.Code
	}
	return ""
}

// isUnique reports whether err is a violated primary key or unique index.
func isUnique(err error) bool {
	code := sqliteCode(err)
	return code == sqliteUnique || code == sqlitePrimaryKey || postgresCode(err) == postgresUnique
}

// isForeignKey reports whether err is a violated foreign key.
func isForeignKey(err error) bool {
	code, state := sqliteCode(err), postgresCode(err)
	return code == sqliteForeignKey || code == sqliteRestrict || state == postgresForeignKey || state == postgresRestrict
}

// isBusy reports whether another transaction was in the way: retry later.
func isBusy(err error) bool {
	code, state := sqliteCode(err)&0xff, postgresCode(err)
	return code == sqliteBusy || code == sqliteLocked || state == postgresDeadlock || state == postgresSerialize
}

// isAway reports whether the database cannot serve at all: the disk is full or
// gone, the server does not answer or is going down.
func isAway(err error) bool {
	switch sqliteCode(err) & 0xff {
	case sqliteIOErr, sqliteFull, sqliteCantOpen:
		return true
	}
	var connect *pgconn.ConnectError
	state := postgresCode(err)
	if errors.As(err, &connect) || len(state) == 5 && (state[:2] == "08" || state[:2] == "53" || state[:3] == "57P") {
		return true
	}
	return errors.Is(err, sql.ErrConnDone) || pgconn.SafeToRetry(err)
}
