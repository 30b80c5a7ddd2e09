package metering

import (
	"context"
	"fmt"
	"time"

	"gatehouse/app"
)

// maxFaults bounds what a Proof lists; Faulty counts all.
const maxFaults = 100

// Fault is one place where the ledger contradicts itself.
type Fault struct {
	Replica int64  `json:"replica"`
	Seq     int64  `json:"seq,omitempty"` // of the block; 0: not one block
	Code    string `json:"code"`          // see Codes
	Text    string `json:"text"`
}

// Codes of faults.
const (
	FaultBlockDamaged     = "block_damaged"     // its bytes were changed
	FaultBlockMissing     = "block_missing"     // its bytes are gone
	FaultChainBroken      = "chain_broken"      // a block does not follow the one before it
	FaultOutcomeUnmatched = "outcome_unmatched" // an outcome without a request, or a second one
	FaultBucketDiffers    = "bucket_differs"    // usage of requests is not what the blocks say
	FaultMeterDiffers     = "meter_differs"     // usage of a meter is not what the blocks say
	FaultAccountDiffers   = "account_differs"   // a quota's account is not what the blocks drew on it
	FaultAccountOverdrawn = "account_overdrawn" // more was drawn on it than was used
	FaultHeldDiffers      = "held_differs"      // worst cases under way are not what the blocks say
	FaultAnswersDiffer    = "answers_differ"    // the gate gave more or fewer successful answers than outcomes tell
	FaultStepsDiffer      = "steps_differ"      // the numbered steps in which blocks were folded have a gap, or do not join
	FaultEventTwice       = "event_twice"       // two blocks count the same event within app.EventLife
)

// Proof is the result of Check. The counts are of what could be read.
type Proof struct {
	Replicas int64 `json:"replicas"`
	Relaxed  int64 `json:"relaxed"` // replicas that answered before they committed
	Blocks   int64 `json:"blocks"`
	Bytes    int64 `json:"bytes"` // of blocks
	Requests int64 `json:"requests"`
	Outcomes int64 `json:"outcomes"`
	Unknown  int64 `json:"unknown"` // requests without an outcome
	Buckets  int64 `json:"buckets"`
	Steps    int64 `json:"steps"` // in which blocks were folded

	Quantities int64 `json:"quantities"` // buckets of meters
	Members    int64 `json:"members"`    // of unique meters, in their buckets
	Events     int64 `json:"events"`
	Corrected  int64 `json:"corrected"` // corrections by operators
	Held       int64 `json:"held"`      // requests whose worst case is not settled
	Accounts   int64 `json:"accounts"`  // of quotas
	Pruned     int64 `json:"pruned"`    // accounts that were removed, of which the sum is proven
	Undrawn    int64 `json:"undrawn"`   // accounts where more was used than drawn: the quota was not in force all the time
	Answered   int64 `json:"answered"`  // successful answers that the gate itself counted

	Unlooked int64     `json:"unlooked"`          // events that came again, too many to look whether in app.EventLife
	Read     int64     `json:"read"`              // blocks that this reading read
	WholeAt  time.Time `json:"whole_at,omitzero"` // when every block was read last, from the first on

	Faulty int64   `json:"faulty"`
	Faults []Fault `json:"faults"` // the first 100
}

// OK reports whether the ledger holds.
func (p *Proof) OK() bool { return p.Faulty == 0 }

// WalkStore reads a ledger.
type WalkStore interface {
	WalkLedger(ctx context.Context, w app.LedgerWalk) error
	// Blocks passes the replica's blocks after a seq, in order, at most max.
	// The body is valid during the call.
	Blocks(ctx context.Context, replica, after int64, max int, each func(seq int64, body []byte) error) error
	// Steps passes the steps after a number, in order, at most max.
	Steps(ctx context.Context, after int64, max int, each func(app.AppliedRange) error) error
}

// Check reads the whole ledger and proves that no byte of it was changed and
// no block is missing (checksums, hash chains, where the buckets say they
// stand), that each outcome belongs to one request, that the usage buckets are
// the fold of the blocks, and that no event is counted twice; and alike for
// meters, for quotas' accounts, for worst cases under way, for the numbering of
// steps and for the answers that the gate counted by itself. An error means
// that the ledger could not be read.
//
// It keeps a digest for each 15 minutes, the largest and latest values and the
// members of meters for each of their buckets (50 bytes), an account in 48
// bytes, and up to 64 MiB for the ids of events.
func Check(ctx context.Context, store WalkStore) (Proof, error) { return CheckTold(ctx, store, nil) }

// CheckTold is Check that tells how many blocks of how many it has read, after
// each few. There may be more: what is written meanwhile is read at last.
func CheckTold(ctx context.Context, store WalkStore, told func(read, of int64)) (Proof, error) {
	r := newReading(store, newProven(), whole)
	r.told = told
	return r.run(ctx)
}

func (c *reading) fault(replica, seq int64, code, format string, args ...any) {
	c.proof.Faulty++
	if len(c.proof.Faults) < maxFaults {
		c.proof.Faults = append(c.proof.Faults, Fault{replica, seq, code, fmt.Sprintf(format, args...)})
	}
}
