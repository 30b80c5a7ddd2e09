package metering

import (
	"context"
	"time"

	"gatehouse/app"
)

// BlockStore keeps blocks, and the usage buckets folded from them.
type BlockStore interface {
	// OpenReplica starts a chain and returns the replica with its id, and the
	// link to the block before its first.
	OpenReplica(ctx context.Context, r app.LedgerReplica) (app.LedgerReplica, error)
	// CloseReplica notes that the replica ended and writes no more.
	CloseReplica(ctx context.Context, id int64) error
	// NoteAnswered notes how many successful answers the gate gave by its own
	// count.
	NoteAnswered(ctx context.Context, id, answered int64) error
	// Unapplied lists the replicas which have blocks that are not applied.
	Unapplied(ctx context.Context) ([]app.LedgerReplica, error)
	// AppendBlock writes a block; it is durable when this returns nil. The same
	// block again is no error, another one in its place is (ledger_conflict).
	// It fails with ledger_fenced when the replica was taken over.
	AppendBlock(ctx context.Context, replica, seq int64, body []byte) error
	// Blocks passes the replica's blocks after a seq, in order, at most max.
	// The body is valid during the call.
	Blocks(ctx context.Context, replica, after int64, max int, each func(seq int64, body []byte) error) error
	// Applied is the last block of the replica that the buckets hold.
	Applied(ctx context.Context, replica int64) (app.LedgerLink, error)
	// ApplyUsage adds to the buckets and accounts and moves the replica's applied block, in
	// one transaction. Not ok: somebody else has moved it, nothing was done.
	ApplyUsage(ctx context.Context, u app.UsageApply) (ok bool, err error)
	PulseStore
	TakeoverStore
}

// TakeoverStore ends what a dead replica left.
type TakeoverStore interface {
	// Dead lists the replicas that neither ended nor gave a sign of life for so
	// long. Where one process alone may count (SQLite), those are all others
	// when it starts, and later none but those that it has fenced.
	Dead(ctx context.Context, after time.Duration, starting bool) ([]app.LedgerReplica, error)
	// Fence keeps a dead replica from writing for ever. Not fenced: it lives, or
	// its end was noted meanwhile.
	Fence(ctx context.Context, id int64, after time.Duration, starting bool) (fenced bool, err error)
	// Remains is what a fenced replica left, as it stood at one moment: it
	// passes the blocks that may hold requests without outcome.
	Remains(ctx context.Context, id int64, block func(replica, seq int64, body []byte) error) (app.LedgerRemains, error)
	// AppendFinal writes the last block of a fenced replica, as AppendBlock does.
	AppendFinal(ctx context.Context, replica, seq int64, body []byte) error
	// Bury notes the end of a fenced replica, all of whose blocks are applied,
	// and gives back what it was lent of quotas.
	Bury(ctx context.Context, id int64) error
}

// UsageStore reads what was counted.
type UsageStore interface {
	MeterUsageStore
	AccountUsageStore
	// Usage sums the buckets that match the query, and passes each block that
	// the buckets do not hold yet, as both stood at one moment. It fails with
	// usage_too_large beyond max rows; 0 is no bound.
	Usage(ctx context.Context, q app.UsageQuery, max int, tail func(replica, seq int64, body []byte) error) ([]app.UsageRow, error)
}

// AccountUsageStore reads what was used in an account's period.
type AccountUsageStore interface {
	// AccountUsage is MeterUsage without members, and answers what the buckets'
	// draws charged to the account, as all stood at the same moment.
	AccountUsage(ctx context.Context, a app.Account, ranges []app.MeterRange, max int, row func(app.MeterBucket) error,
		tail func(replica, seq int64, body []byte) error) (charged int64, err error)
}

// MeterUsageStore reads usage of meters.
type MeterUsageStore interface {
	// MeterUsage sums the buckets of each range, whose rows start with a step
	// and hold what they are told apart by, and passes the members that are
	// asked for. It passes each block that the buckets do not hold yet, as all
	// stood at one moment. It fails with usage_too_large beyond max rows or
	// members.
	MeterUsage(ctx context.Context, ranges []app.MeterRange, max int, row func(app.MeterBucket) error, member func(app.MeterMember) error,
		tail func(replica, seq int64, body []byte) error) error
}
