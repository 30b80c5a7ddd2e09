package metering

import (
	"context"

	"gatehouse/app"
)

// BlockStore keeps blocks, and the usage buckets folded from them.
type BlockStore interface {
	// OpenReplica starts a chain and returns the replica with its id, and the
	// link to the block before its first.
	OpenReplica(ctx context.Context, r app.LedgerReplica) (app.LedgerReplica, error)
	// CloseReplica notes that the replica ended and writes no more.
	CloseReplica(ctx context.Context, id int64) error
	// Replicas lists the replicas which have blocks that are not applied.
	Unapplied(ctx context.Context) ([]app.LedgerReplica, error)
	// AppendBlock writes a block; it is durable when this returns nil. The same
	// block again is no error, another one in its place is (ledger_conflict).
	AppendBlock(ctx context.Context, replica, seq int64, body []byte) error
	// Blocks passes the replica's blocks after a seq, in order, at most max.
	// The body is valid during the call.
	Blocks(ctx context.Context, replica, after int64, max int, each func(seq int64, body []byte) error) error
	// Applied is the last block of the replica that the buckets hold.
	Applied(ctx context.Context, replica int64) (app.LedgerLink, error)
	// ApplyUsage adds to the buckets and moves the replica's applied block, in
	// one transaction. Not ok: somebody else has moved it, nothing was done.
	ApplyUsage(ctx context.Context, u app.UsageApply) (ok bool, err error)
}

// UsageStore reads what was counted.
type UsageStore interface {
	// Usage sums the buckets that match the query, and passes each block that
	// the buckets do not hold yet, as both stood at one moment. It fails with
	// usage_too_large beyond max rows; 0 is no bound.
	Usage(ctx context.Context, q app.UsageQuery, max int, tail func(replica, seq int64, body []byte) error) ([]app.UsageRow, error)
}

// WalkStore reads a whole ledger as it stood at one moment.
type WalkStore interface {
	WalkLedger(ctx context.Context, w app.LedgerWalk) error
}
