package store

import (
	"bytes"
	"context"
	"slices"
	"time"

	"gatehouse/app"
)

// On PostgreSQL, where several replicas count, ids stand in a table that all of
// them share: a block and the ids that it counts are written in one
// transaction, and the database lets one of two replicas have an id.

const (
	idsAtOnce  = 500 // ids of one statement, which is a round trip
	claimWidth = 5   // columns of usage_event_id
)

// claimed is CountedEvents on PostgreSQL.
func (l *Ledger) claimed(ctx context.Context, ids [][16]byte) (map[[16]byte]app.EventMark, error) {
	counted := map[[16]byte]app.EventMark{}
	scan := func(row scanner) error {
		var (
			m        app.EventMark
			id, body []byte
		)
		err := row.Scan(&id, &body, &m.Replica, &m.Seq)
		copy(m.ID[:], id)
		copy(m.Body[:], body)
		counted[m.ID] = m
		return err
	}
	err := l.snapshot(ctx, func(t *tx) error {
		for part := range slices.Chunk(ids, idsAtOnce) {
			args := make([]any, len(part))
			for i := range part {
				args[i] = part[i][:]
			}
			if err := each(t, scan, `SELECT id, body, replica, seq FROM usage_event_id WHERE id IN `+values(1, len(part)), args...); err != nil {
				return err
			}
		}
		return nil
	})
	return counted, err
}

// appendClaimed is AppendEvents on PostgreSQL: an id is never claimed by a
// block that is not there.
func (l *Ledger) appendClaimed(ctx context.Context, replica, seq int64, body []byte, received time.Time, claims []app.EventMark) (ok bool, err error) {
	ctx, cancel := l.commitContext(ctx)
	defer cancel()
	// In one order everywhere, so that two replicas cannot wait for each other.
	claims = slices.SortedFunc(slices.Values(claims), func(a, b app.EventMark) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	there := false
	err = l.urgent.system(ctx, ledgerReason, func(t *tx) error {
		n, err := t.exec(appendBlockText(keyShare), replica, seq, body)
		if err != nil {
			return err
		}
		if there = n == 0; there {
			return nil
		}
		if ok, err = t.claim(claims, received.UnixMilli()); err == nil && !ok {
			err = errClaimed
		}
		return err
	})
	switch {
	case app.AsError(err) == errClaimed:
		return false, nil
	case err != nil:
		return false, err
	case there:
		return true, l.whyNot(ctx, replica, seq, body)
	}
	return true, nil
}

// errClaimed rolls a block back of which an event is counted already.
var errClaimed = app.Conflict("event_counted", "Another block has counted an event of this one.")

// claim inserts the ids; not ok when one of them was there.
func (t *tx) claim(claims []app.EventMark, received int64) (ok bool, err error) {
	for part := range slices.Chunk(claims, idsAtOnce) {
		args := make([]any, 0, len(part)*claimWidth)
		for i := range part {
			c := &part[i]
			args = append(args, c.ID[:], c.Body[:], received, c.Replica, c.Seq)
		}
		n, err := t.exec(`INSERT INTO main.usage_event_id (id, body, received, replica, seq) VALUES `+values(len(part), claimWidth)+
			` ON CONFLICT (id) DO NOTHING`, args...)
		if err != nil || n != int64(len(part)) {
			return false, err
		}
	}
	return true, nil
}

// unclaim is ForgetEvents on PostgreSQL.
func (l *Ledger) unclaim(ctx context.Context, before time.Time, max int) (n int64, err error) {
	err = l.db.system(ctx, ledgerReason, func(t *tx) error {
		n, err = t.exec(`DELETE FROM main.usage_event_id WHERE id IN
			(SELECT id FROM usage_event_id WHERE received < $1 ORDER BY received LIMIT $2)`, before.UnixMilli(), max)
		return err
	})
	return n, err
}
