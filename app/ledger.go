package app

import "time"

// Words for how durable the ledger's answers are.
const (
	LedgerSyncFull    = "full"    // an answer waits until its request is on disk
	LedgerSyncRelaxed = "relaxed" // it does not: a crash loses what the last milliseconds counted
)

// LedgerEventsSuffix ends the Node of a chain that holds events: they have one
// of their own, so that large batches never share a commit with requests.
const LedgerEventsSuffix = "/events"

// LedgerReplica is one run of one process that counts requests: the only
// writer of a chain of blocks. A process that starts again is a new one, so
// two never share a chain.
type LedgerReplica struct {
	ID        int64  // 1, 2, 3 … in the order of their starts
	Node      string // host and process, for people
	Sync      string // LedgerSyncFull or LedgerSyncRelaxed
	StartedAt time.Time
	ClosedAt  time.Time  // zero while it runs, and until somebody took over when it crashed
	FencedAt  time.Time  // when somebody took over; not one block of its own was written since
	SeenAt    time.Time  // its last sign of life
	OpenFrom  int64      // see UsageApply
	Answered  int64      // see UsageApply
	Link      LedgerLink // the block before its first: of an older replica
	Applied   LedgerLink // its last block that the usage buckets hold
}

// LedgerLink points to a block of the ledger. Seq 0 is before a chain's first
// block.
type LedgerLink struct {
	Replica int64
	Seq     int64
	Hash    [32]byte // SHA-256 of the block's bytes
}

// UsageApply moves the usage buckets of a replica from one of its blocks to a
// later one: Buckets is the sum of the blocks after From up to To.
type UsageApply struct {
	From    int64 // Seq of the replica's last applied block
	To      LedgerLink
	Buckets []UsageBucket // to add; sorted, each once
	Meters  []MeterBucket // to add; sorted, each once
	Members []MeterMember // to add, unless they are there; sorted, each once
	Draws   []Draw        // on accounts; sorted, one for each account

	// OpenFrom is the first block that may hold a request whose worst case is
	// not settled: whoever takes over need not look before it. 0: not known.
	OpenFrom int64
	Answered int64 // successful answers that the gate itself counted; -1: nobody did
}

// LedgerWalk visits a ledger as it stood at one moment: the replicas by id,
// then blocks by replica and seq, then steps by number, then all buckets, and
// so on in the order of the fields. An error ends it; what is nil is left out.
type LedgerWalk struct {
	Replicas func([]LedgerReplica) error
	Pruned   func(AccountsPruned) error
	From     func(replica int64) int64                   // the first block to pass of a replica; nil: 1
	Block    func(replica, seq int64, body []byte) error // body is valid during the call
	Steps    int64                                       // only steps after this one are passed
	Step     func(AppliedRange) error                    // without At and Bytes
	Position func(n int64) error                         // the number that the last step should have
	Bucket   func(UsageBucket) error
	Meter    func(MeterBucket) error
	Member   func(MeterMember) error
	Held     func(replica int64, d Draw) error // what a replica's requests hold of an account
	Account  func(AccountState) error
}

// LedgerRemains is what a fenced replica left.
type LedgerRemains struct {
	Replica LedgerReplica
	Held    []Draw // what its applied blocks hold of accounts; sorted
}

// MeterRange asks for usage of one meter in steps of equal length.
type MeterRange struct {
	Org   OrgID // empty: of all
	Meter string
	Key   KeyID   // optional filter
	Route RouteID // optional filter
	Since time.Time
	Until time.Time
	Step  time.Duration // of which Since to Until holds a whole number

	ByOrg, ByKey, ByRoute, ByDims bool // what rows are told apart by
	Latest, Members               bool // what is asked for beside sums
}
