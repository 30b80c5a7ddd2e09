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

// appendBlockText writes nothing once the replica is fenced. Whoever fences it
// waits for blocks that are being written, and they for him (see Fence).
func appendBlockText(lock string) string {
	return `INSERT INTO main.usage_block (replica, seq, body)
		SELECT id, $2, $3 FROM main.usage_replica WHERE id = $1 AND fenced_at = 0` + lock + ` ON CONFLICT DO NOTHING`
}

// OpenReplica starts a chain: it gives the replica the next id, and a link to
// the last block of the newest replica that wrote one. What earlier replicas
// wrote is durable before (see harden).
func (l *Ledger) OpenReplica(ctx context.Context, r app.LedgerReplica) (app.LedgerReplica, error) {
	if err := l.harden(ctx); err != nil {
		return r, err
	}
	for {
		opened, err := l.openReplica(ctx, r)
		if !isUnique(err) { // two processes of PostgreSQL may take the same number
			l.mu.Lock()
			l.mine[opened.ID] = err == nil
			l.mu.Unlock()
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
		_, err = t.exec(`INSERT INTO main.usage_replica (`+replicaColumns+`) VALUES ($1, $2, $3, $4, 0, $5, $6, $7, 0, $8, 0, `+l.clock(`$9`)+`, 1, -1)`,
			r.ID, r.Node, r.Sync, r.StartedAt.UnixMilli(), r.Link.Replica, r.Link.Seq, r.Link.Hash[:], r.Applied.Hash[:], l.db.now().UnixMilli())
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
	l.closeIndex(id) // before: it writes on behalf of the replica
	return l.db.system(ctx, ledgerReason, func(t *tx) error {
		n, err := t.exec(`UPDATE main.usage_replica SET closed_at = `+l.clock(`$2`)+` WHERE id = $1`, id, l.db.now().UnixMilli())
		if err = touched("replica", n, err); err != nil {
			return err
		}
		return t.forgetReplica(id)
	})
}

// NoteAnswered notes how many successful answers the gate gave by its own
// count.
func (l *Ledger) NoteAnswered(ctx context.Context, id, answered int64) error {
	return l.db.system(ctx, ledgerReason, func(t *tx) error {
		n, err := t.exec(`UPDATE main.usage_replica SET answered = $2 WHERE id = $1`, id, answered)
		return touched("replica", n, err)
	})
}

// AppendBlock writes a block in a transaction of its own; it is durable when
// this returns nil. The same block again is no error, so a lost answer is
// asked for by writing again; another block in its place is ledger_conflict.
// Once somebody has fenced the replica it is ledger_fenced.
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
	return l.whyNot(ctx, replica, seq, body)
}

// whyNot says why a block was not inserted: it is there already, another is in
// its place, or the replica is fenced. One that is there is durable: SQLite
// shows none whose fsync failed, and on PostgreSQL the lock of the insert that
// did nothing makes it a commit of its own, which waits for all before it.
func (l *Ledger) whyNot(ctx context.Context, replica, seq int64, body []byte) error {
	var (
		fenced int64
		there  []byte
	)
	err := l.urgent.write.QueryRowContext(ctx, `SELECT r.fenced_at, b.body FROM usage_replica r
		LEFT JOIN usage_block b ON b.replica = r.id AND b.seq = $2 WHERE r.id = $1`, replica, seq).Scan(&fenced, &there)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return app.NotFound("replica")
	case err != nil:
		return asAppError(ctx, err)
	case there != nil && bytes.Equal(there, body):
		return nil
	case fenced != 0:
		return fencedError(replica)
	}
	return app.Conflict("ledger_conflict", "Block %d of replica %d was written by somebody else; restart to begin a new chain.", seq, replica)
}

func (l *Ledger) insertBlock(ctx context.Context, replica, seq int64, body []byte) (sql.Result, error) {
	if l.appendBlock != nil {
		l.checkpoints.written()
		return l.appendBlock.ExecContext(ctx, replica, seq, body)
	}
	return l.urgent.write.ExecContext(ctx, appendBlockText(keyShare), replica, seq, body)
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
