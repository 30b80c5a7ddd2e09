package store

import (
	"context"
	"time"

	"gatehouse/app"
)

// CountedEvents finds which of the ids are counted already, and in which block.
// On SQLite the chain that asks has recalled them.
func (l *Ledger) CountedEvents(ctx context.Context, ids [][16]byte) (map[[16]byte]app.EventMark, error) {
	if l.onPostgres() {
		return l.claimed(ctx, ids)
	}
	x, err := l.eventIndex(0)
	if err != nil {
		return nil, err
	}
	return x.counted(ctx, ids)
}

// AppendEvents writes a block and notes that it counts the events, so that
// either happens or neither. The same block again is no error. It is not ok,
// and writes nothing, when another block has counted one of them meanwhile,
// which only happens on PostgreSQL. Errors are those of AppendBlock.
func (l *Ledger) AppendEvents(ctx context.Context, replica, seq int64, body []byte, received time.Time, claims []app.EventMark) (ok bool, err error) {
	if l.onPostgres() {
		return l.appendClaimed(ctx, replica, seq, body, received, claims)
	}
	x, err := l.eventIndex(replica)
	if err == nil {
		err = x.room()
	}
	if err == nil {
		err = l.AppendBlock(ctx, replica, seq, body)
	}
	if err != nil {
		return false, err
	}
	x.add(replica, seq, received.UnixMilli(), claims)
	return true, nil
}

// ForgetEvents drops ids that were received before a time, about max of them,
// and returns how many. On SQLite they go together with those that were
// received within a day of them.
func (l *Ledger) ForgetEvents(ctx context.Context, before time.Time, max int) (n int64, err error) {
	if l.onPostgres() {
		return l.unclaim(ctx, before, max)
	}
	x, err := l.eventIndex(0)
	if err != nil {
		return 0, err
	}
	return x.forget(before.UnixMilli(), int64(max)), nil
}
