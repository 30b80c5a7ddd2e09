package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"time"

	"gatehouse/app"
)

// commitTimeout ends a commit on a connection to PostgreSQL that hangs, so
// that the next try uses another.
const commitTimeout = 5 * time.Second

const appendBlockText = `INSERT INTO main.usage_block (replica, seq, body) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`

// OpenReplica starts a chain: it gives the replica the next id, and a link to
// the last block of the newest replica that wrote one.
func (l *Ledger) OpenReplica(ctx context.Context, r app.LedgerReplica) (app.LedgerReplica, error) {
	for {
		opened, err := l.openReplica(ctx, r)
		if !isUnique(err) { // two processes of PostgreSQL may take the same number
			return opened, err
		}
	}
}

func (l *Ledger) openReplica(ctx context.Context, r app.LedgerReplica) (app.LedgerReplica, error) {
	err := l.db.system(ctx, ledgerReason, func(t *tx) (err error) {
		if r.Link, err = t.lastBlock(); err != nil {
			return err
		}
		if err = t.row(`SELECT COALESCE(MAX(id), 0) + 1 FROM usage_replica`).Scan(&r.ID); err != nil {
			return err
		}
		_, err = t.exec(`INSERT INTO main.usage_replica (`+replicaColumns+`) VALUES ($1, $2, $3, $4, 0, $5, $6, $7, 0, $8)`,
			r.ID, r.Node, r.Sync, r.StartedAt.UnixMilli(), r.Link.Replica, r.Link.Seq, r.Link.Hash[:], r.Applied.Hash[:])
		return err
	})
	return r, err
}

func (t *tx) lastBlock() (link app.LedgerLink, err error) {
	var body []byte
	err = t.row(`SELECT replica, seq, body FROM usage_block ORDER BY replica DESC, seq DESC LIMIT 1`).
		Scan(&link.Replica, &link.Seq, &body)
	if errors.Is(err, sql.ErrNoRows) {
		return app.LedgerLink{}, nil
	}
	link.Hash = sha256.Sum256(body)
	return link, err
}

// CloseReplica notes that the replica ended and writes no more.
func (l *Ledger) CloseReplica(ctx context.Context, id int64) error {
	return l.db.system(ctx, ledgerReason, func(t *tx) error {
		n, err := t.exec(`UPDATE main.usage_replica SET closed_at = $2 WHERE id = $1`, id, l.db.now().UnixMilli())
		return touched("replica", n, err)
	})
}

// AppendBlock writes a block in a transaction of its own; it is durable when
// this returns nil. The same block again is no error, so a lost answer is
// asked for by writing again; another block in its place is ledger_conflict.
func (l *Ledger) AppendBlock(ctx context.Context, replica, seq int64, body []byte) error {
	ctx, cancel := l.commitContext(ctx)
	defer cancel()
	result, err := l.insertBlock(ctx, replica, seq, body)
	if err != nil {
		return asAppError(ctx, err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 1 {
		return err
	}
	var there []byte
	err = l.db.write.QueryRowContext(ctx, `SELECT body FROM usage_block WHERE replica = $1 AND seq = $2`, replica, seq).Scan(&there)
	if err == nil && !bytes.Equal(there, body) {
		err = app.Conflict("ledger_conflict", "Block %d of replica %d was written by somebody else; restart to begin a new chain.", seq, replica)
	}
	if err != nil {
		return asAppError(ctx, err)
	}
	return nil
}

func (l *Ledger) insertBlock(ctx context.Context, replica, seq int64, body []byte) (sql.Result, error) {
	if l.appendBlock != nil {
		l.checkpoints.written()
		return l.appendBlock.ExecContext(ctx, replica, seq, body)
	}
	return l.db.write.ExecContext(ctx, appendBlockText, replica, seq, body)
}

// commitContext bounds a commit on PostgreSQL. On SQLite it cannot be
// interrupted: to watch for that costs a goroutine per statement.
func (l *Ledger) commitContext(ctx context.Context) (context.Context, context.CancelFunc) {
	if l.onPostgres() {
		return context.WithTimeout(ctx, commitTimeout)
	}
	return context.WithoutCancel(ctx), func() {}
}

// Blocks passes the replica's blocks after a seq, in order, at most max. The
// body is valid during the call.
func (l *Ledger) Blocks(ctx context.Context, replica, after int64, max int, each func(seq int64, body []byte) error) error {
	return l.snapshot(ctx, func(t *tx) error { return t.blocks(replica, after, max, each) })
}

func (t *tx) blocks(replica, after int64, max int, pass func(seq int64, body []byte) error) error {
	scan := func(row scanner) error {
		var (
			seq  int64
			body sql.RawBytes
		)
		if err := row.Scan(&seq, &body); err != nil {
			return err
		}
		return pass(seq, body)
	}
	return each(t, scan, `SELECT seq, body FROM usage_block WHERE replica = $1 AND seq > $2 ORDER BY seq LIMIT $3`, replica, after, max)
}

// WalkLedger visits the whole ledger as it stood at one moment.
func (l *Ledger) WalkLedger(ctx context.Context, w app.LedgerWalk) error {
	return l.snapshot(ctx, func(t *tx) error {
		replicas, err := rows(t, scanReplica, `SELECT `+replicaColumns+` FROM usage_replica ORDER BY id`)
		if err == nil {
			err = w.Replicas(replicas)
		}
		if err != nil {
			return err
		}
		if err := each(t, blockScanner(w.Block), `SELECT replica, seq, body FROM usage_block ORDER BY replica, seq`); err != nil {
			return err
		}
		return each(t, bucketScanner(w.Bucket), `SELECT `+bucketColumns+` FROM usage_bucket`)
	})
}

func blockScanner(pass func(replica, seq int64, body []byte) error) func(scanner) error {
	return func(row scanner) error {
		var (
			replica, seq int64
			body         sql.RawBytes
		)
		if err := row.Scan(&replica, &seq, &body); err != nil {
			return err
		}
		return pass(replica, seq, body)
	}
}
