package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"gatehouse/app"
)

//go:embed usagemigrations/*.sql
var usageMigrationFiles embed.FS

// Ledger keeps the usage ledger: blocks of records, and the usage buckets
// folded from them. On SQLite it is the file usage.db beside gatehouse.db, so
// that its commits wait for nobody else's; on PostgreSQL the shared database.
type Ledger struct {
	db          *Store
	urgent      *Store    // the same database; PostgreSQL: with a pool of its own, for blocks and signs of life
	appendBlock *sql.Stmt // SQLite: prepared once; PostgreSQL: nil, pgx keeps it
	checkpoints *checkpoints

	mu    sync.Mutex
	mine  map[int64]bool // replicas that this process has opened
	index *eventIndex    // SQLite: of the chain that counts events; nil: none does

	indexOptions EventIndexOptions
}

// OpenLedger opens the ledger that belongs to the store with the same options
// and brings its schema up to date. A process that only reads opens it alike,
// whether or not another one counts.
func OpenLedger(ctx context.Context, o Options) (*Ledger, error) {
	s := &Store{dialect: sqliteDialect, now: o.Now, log: o.Log}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	l := &Ledger{db: s, mine: map[int64]bool{}, indexOptions: o.EventIndex.withDefaults()}
	if err := l.connect(ctx, o); err != nil {
		return nil, cannotOpen(s.Engine(), err)
	}
	files, err := fs.Sub(usageMigrationFiles, "usagemigrations")
	if err == nil {
		err = s.migrate(ctx, files, "usage_migration")
	}
	if err == nil {
		err = l.prepare(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Ledger) connect(ctx context.Context, o Options) (err error) {
	if IsPostgres(o.DSN) {
		l.db.dialect = postgresDialect
		return l.connectPostgres(ctx, o)
	}
	path := o.Path
	if o.DSN != "" {
		path = o.DSN
	}
	l.db.write, l.db.read, err = openLedgerSQLite(ctx, path)
	l.urgent = l.db
	return err
}

// prepare gets the statement and the goroutine that SQLite needs beside it.
func (l *Ledger) prepare(ctx context.Context) (err error) {
	if l.onPostgres() {
		return nil
	}
	l.checkpoints = startCheckpoints(l.db)
	l.appendBlock, err = l.db.write.PrepareContext(ctx, appendBlockText(""))
	return err
}

func (l *Ledger) onPostgres() bool { return l.db.dialect.engine == postgresDialect.engine }

// Close closes every connection; statements under way end first.
func (l *Ledger) Close() error {
	l.closeIndex(0)
	if l.checkpoints != nil {
		l.checkpoints.stop()
	}
	var err error
	if l.appendBlock != nil {
		err = l.appendBlock.Close()
	}
	if l.urgent != nil && l.urgent != l.db {
		err = errors.Join(err, l.urgent.write.Close())
	}
	return errors.Join(err, l.db.Close())
}

// Ping answers whether the database does, for readiness checks.
func (l *Ledger) Ping(ctx context.Context) error { return l.db.Ping(ctx) }

const ledgerReason reason = "a block of the ledger holds requests of every organization"

// snapshot reads everything in fn as it stood at one moment.
func (l *Ledger) snapshot(ctx context.Context, fn func(*tx) error) error {
	options := &sql.TxOptions{ReadOnly: true}
	if l.onPostgres() { // an SQLite transaction is a snapshot already
		options.Isolation = sql.LevelRepeatableRead
	}
	begun, err := l.db.read.BeginTx(ctx, options)
	if err != nil {
		return asAppError(ctx, err)
	}
	defer begun.Rollback() // it only reads
	if err = fn(&tx{ctx: ctx, sql: begun, dialect: l.db.dialect}); err != nil {
		return asAppError(ctx, err)
	}
	return nil
}

// each passes every row of a query to scan, one after the other.
func each(t *tx, scan func(scanner) error, query string, args ...any) error {
	found, err := t.sql.QueryContext(t.ctx, query, args...)
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		if err := scan(found); err != nil {
			return err
		}
	}
	return found.Err()
}

const replicaColumns = `id, node, sync, started_at, closed_at, link_replica, link_seq, link_hash, applied_seq, applied_hash,
	fenced_at, seen_at, open_from, answered`

func scanReplica(row scanner) (app.LedgerReplica, error) {
	var (
		r                             app.LedgerReplica
		started, closed, fenced, seen int64
		linked, appliedTo             []byte
	)
	err := row.Scan(&r.ID, &r.Node, &r.Sync, &started, &closed, &r.Link.Replica, &r.Link.Seq, &linked,
		&r.Applied.Seq, &appliedTo, &fenced, &seen, &r.OpenFrom, &r.Answered)
	r.StartedAt, r.ClosedAt, r.FencedAt, r.SeenAt = time.UnixMilli(started).UTC(), timeOrZero(closed), timeOrZero(fenced), timeOrZero(seen)
	r.Applied.Replica = r.ID
	copy(r.Link.Hash[:], linked)
	copy(r.Applied.Hash[:], appliedTo)
	return r, err
}

// timeOrZero is a column's time, where 0 is none.
func timeOrZero(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
