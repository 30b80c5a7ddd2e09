package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"time"
)

const (
	ledgerReaders = 4 // connections for reports, so that they never hold up a commit

	// On PostgreSQL blocks and signs of life have connections of their own: one
	// for each chain. At a new hour every organization opens accounts at once, and
	// a block that waits among them refuses everybody's requests.
	urgentWriters = 2
	ledgerWriters = 6 // leases, accounts, buckets, exports

	// defaultStandstill is below the time after which a process counts as dead.
	defaultStandstill = 10 * time.Second

	checkpointEvery = time.Second
	// checkpointPages is where the writer itself helps, in pages of 4 KiB: under
	// a constant load a checkpoint beside it never meets the end of the log, so
	// the log would not begin anew. 64 MiB.
	checkpointPages = 16384
)

// openLedgerSQLite opens usage.db beside the file: one writing connection
// which never checkpoints by itself, because that costs the requests which
// wait for it (p99 12.6 ms against 9.8 ms, design/speed.md), and readers.
func openLedgerSQLite(ctx context.Context, beside string) (write, read *sql.DB, err error) {
	path, err := prepareFile(filepath.Join(filepath.Dir(beside), "usage.db"))
	if err != nil {
		return nil, nil, err
	}
	writeDSN := sqliteDSN(path, url.Values{"_txlock": {"immediate"}, "_pragma": {
		"journal_mode(WAL)", "synchronous(FULL)", "wal_autocheckpoint(0)", "journal_size_limit(67108864)"}})
	readDSN := sqliteDSN(path, url.Values{"_pragma": {"query_only(1)"}})
	if write, err = sql.Open("sqlite", writeDSN); err != nil {
		return nil, nil, err
	}
	if read, err = sql.Open("sqlite", readDSN); err != nil {
		return nil, nil, errors.Join(err, write.Close())
	}
	write.SetMaxOpenConns(1)
	read.SetMaxOpenConns(ledgerReaders)
	if err = pingPatiently(ctx, write); err != nil {
		return nil, nil, errors.Join(err, write.Close(), read.Close())
	}
	return write, read, nil
}

// connectPostgres opens three pools, and makes commits durable where the
// server's default would answer before they are.
func (l *Ledger) connectPostgres(ctx context.Context, o Options) (err error) {
	if l.db.read, err = openPostgres(ctx, o.DSN); err != nil {
		return err
	}
	l.db.read.SetMaxOpenConns(ledgerReaders)
	dsn, err := durably(ctx, l.db.read, o.DSN, l.db.log)
	if err == nil {
		l.db.write, err = openWriters(ctx, dsn, o.Standstill, ledgerWriters)
	}
	if err != nil {
		return errors.Join(err, l.db.read.Close())
	}
	l.urgent = &Store{dialect: l.db.dialect, read: l.db.read, now: l.db.now, log: l.db.log}
	if l.urgent.write, err = openWriters(ctx, dsn, o.Standstill, urgentWriters); err != nil {
		return errors.Join(err, l.db.Close())
	}
	return nil
}

// openWriters opens a pool whose transactions the server ends when their
// process is paused or gone in the middle of one: it would keep everybody from
// folding, and itself from being fenced.
func openWriters(ctx context.Context, dsn string, standstill time.Duration, most int) (*sql.DB, error) {
	if standstill <= 0 {
		standstill = defaultStandstill
	}
	db, err := openPostgres(ctx, dsn, fmt.Sprintf("SET idle_in_transaction_session_timeout = %d", standstill.Milliseconds()))
	if err == nil {
		db.SetMaxOpenConns(most)
	}
	return db, err
}

// durably is the DSN whose commits are on disk when they are answered.
func durably(ctx context.Context, db *sql.DB, dsn string, log *slog.Logger) (string, error) {
	var commit, fsync string
	err := db.QueryRowContext(ctx, `SELECT current_setting('synchronous_commit'), current_setting('fsync')`).Scan(&commit, &fsync)
	if err != nil {
		return "", err
	}
	if fsync == "off" {
		log.Warn("PostgreSQL runs with fsync off: a power failure can lose usage that was acknowledged")
	}
	if commit == "off" {
		return withParameter(dsn, "synchronous_commit", "on")
	}
	return dsn, nil
}

func withParameter(dsn, name, value string) (string, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return "", errors.New("the DSN is not a URL") // its text may hold a password
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// checkpoints moves what is in SQLite's log to the file, from a connection
// beside the writer's and without ever waiting for anybody (PASSIVE).
type checkpoints struct {
	db    *Store
	due   chan struct{}
	ended chan struct{}
	end   context.CancelFunc
}

func startCheckpoints(s *Store) *checkpoints {
	ctx, end := context.WithCancel(context.Background())
	c := &checkpoints{db: s, due: make(chan struct{}, 1), ended: make(chan struct{}), end: end}
	go c.run(ctx)
	return c
}

func (c *checkpoints) stop() {
	c.end()
	<-c.ended
}

// written notes that there is something to move.
func (c *checkpoints) written() {
	select {
	case c.due <- struct{}{}:
	default:
	}
}

func (c *checkpoints) run(ctx context.Context) {
	defer close(c.ended)
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.due:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(checkpointEvery):
		}
		if err := c.move(ctx); err != nil && ctx.Err() == nil {
			c.db.log.Warn("checkpoint of the usage ledger failed", "err", err)
		}
	}
}

func (c *checkpoints) move(ctx context.Context) error {
	pages, err := checkpoint(ctx, c.db.read)
	if err != nil || pages < checkpointPages {
		return err
	}
	_, err = checkpoint(ctx, c.db.write) // little is left by now
	return err
}

func checkpoint(ctx context.Context, db *sql.DB) (pages int, err error) {
	var busy, moved int
	err = db.QueryRowContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &pages, &moved)
	return pages, err
}
