package metering

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

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

	Quantities int64 `json:"quantities"` // buckets of meters
	Members    int64 `json:"members"`    // of unique meters, in their buckets
	Events     int64 `json:"events"`
	Corrected  int64 `json:"corrected"` // corrections by operators
	Held       int64 `json:"held"`      // requests whose worst case is not settled
	Accounts   int64 `json:"accounts"`  // of quotas
	Undrawn    int64 `json:"undrawn"`   // of them, where more was used than drawn: the quota was not in force all the time
	Answered   int64 `json:"answered"`  // successful answers that the gate itself counted

	Faulty int64   `json:"faulty"`
	Faults []Fault `json:"faults"` // the first 100
}

// OK reports whether the ledger holds.
func (p *Proof) OK() bool { return p.Faulty == 0 }

// Check reads the whole ledger and proves that no byte of it was changed and
// no block is missing (checksums, hash chains, where the buckets say they
// stand), that each outcome belongs to one request, and that the usage buckets
// are the fold of the blocks; and alike for meters, for quotas' accounts, for
// worst cases under way and for the answers that the gate counted by itself
// (check_meter.go). It keeps the buckets and the requests without outcome in
// memory. An error means that the ledger could not be read.
func Check(ctx context.Context, store WalkStore) (Proof, error) {
	c := &checker{replicas: map[int64]*chain{}, links: map[place]*[32]byte{}, folded: newSums()}
	err := store.WalkLedger(ctx, app.LedgerWalk{Replicas: c.start, Block: c.block, Bucket: c.bucket,
		Meter: c.meter, Member: c.member, Held: c.held, Account: c.account})
	if err == nil {
		c.end()
	}
	return c.proof, err
}

type checker struct {
	proof    Proof
	replicas map[int64]*chain
	order    []*chain
	links    map[place]*[32]byte // blocks that other chains or the buckets point to
	folded   *sums
	used     map[usedBy][]point // of folded, when it is complete
}

// place names a block.
type place struct{ replica, seq int64 }

// chain is what the walk has seen of one replica.
type chain struct {
	app.LedgerReplica
	last app.LedgerLink
	open map[requestKey]request // requests without outcome
	gaps []gap

	answered int64 // outcomes of success in applied blocks
	held     map[app.Account]int64
}

// gap is blocks that could not be read.
type gap struct{ from, to int64 }

type requestKey struct{ seq, index int64 }

type request struct {
	Series
	bucket int64
	held   bool // with a worst case
	more   bool // of a request, and none itself
}

func (c *checker) fault(replica, seq int64, code, format string, args ...any) {
	c.proof.Faulty++
	if len(c.proof.Faults) < maxFaults {
		c.proof.Faults = append(c.proof.Faults, Fault{replica, seq, code, fmt.Sprintf(format, args...)})
	}
}

func (c *checker) start(replicas []app.LedgerReplica) error {
	for _, r := range replicas {
		found := &chain{LedgerReplica: r, last: app.LedgerLink{Replica: r.ID}, open: map[requestKey]request{},
			held: map[app.Account]int64{}}
		c.replicas[r.ID], c.order = found, append(c.order, found)
		c.links[place{r.Link.Replica, r.Link.Seq}] = nil
		c.links[place{r.ID, r.Applied.Seq}] = nil
		c.proof.Replicas++
		if r.Sync != app.LedgerSyncFull {
			c.proof.Relaxed++
		}
	}
	return nil
}

func (c *checker) block(replica, seq int64, body []byte) error {
	r := c.replicas[replica]
	if r == nil {
		c.fault(replica, seq, FaultChainBroken, "no replica with this number is known")
		return nil
	}
	hash := sha256.Sum256(body)
	if _, wanted := c.links[place{replica, seq}]; wanted {
		c.links[place{replica, seq}] = &hash
	}
	if seq != r.last.Seq+1 {
		c.fault(replica, r.last.Seq+1, FaultBlockMissing, "blocks %d to %d are missing", r.last.Seq+1, seq-1)
		r.gaps = append(r.gaps, gap{r.last.Seq + 1, seq - 1})
	}
	var b Block
	if err := b.Decode(body); err != nil {
		c.fault(replica, seq, FaultBlockDamaged, "%v", err)
		r.gaps = append(r.gaps, gap{seq, seq})
	} else {
		c.contents(r, seq, &b)
	}
	r.last = app.LedgerLink{Replica: replica, Seq: seq, Hash: hash}
	c.proof.Blocks++
	c.proof.Bytes += int64(len(body))
	return nil
}

func (c *checker) contents(r *chain, seq int64, b *Block) {
	want := r.last
	if want.Seq == 0 {
		want = r.Link
	}
	if b.Replica != r.ID || b.Seq != seq || b.Link != want && r.last.Seq == seq-1 {
		c.fault(r.ID, seq, FaultChainBroken, "it is not the successor of the block before it")
	}
	for i := range b.Intents {
		in := &b.Intents[i]
		r.open[requestKey{seq, int64(i)}] = request{Series: b.Series[in.Series], bucket: app.BucketStart(in.At), more: in.More()}
		if in.More() {
			c.proof.Requests--
		}
	}
	for _, h := range b.Holds {
		key := requestKey{seq, int64(h.Intent)}
		in := r.open[key]
		in.held = true
		r.open[key] = in
	}
	for i := range b.Settles {
		c.match(r, seq, b, &b.Settles[i])
	}
	c.proof.Requests += int64(len(b.Intents))
	c.proof.Outcomes += int64(len(b.Settles))
	if seq <= r.Applied.Seq {
		c.folded.fold(b)
		r.count(b)
	}
	c.proof.Events += int64(len(b.Events))
	c.proof.Corrected += int64(len(b.Adjusts))
}

// match finds the request of an outcome, once.
func (c *checker) match(r *chain, seq int64, b *Block, s *Settle) {
	key := requestKey{s.IntentSeq, s.Index}
	in, found := r.open[key]
	delete(r.open, key)
	if found && in.more {
		c.proof.Outcomes--
	}
	if found && in.Series == b.Series[s.Series] && in.bucket == s.Bucket || !found && r.unread(s.IntentSeq) {
		return
	}
	c.fault(r.ID, seq, FaultOutcomeUnmatched,
		"an outcome of request %d in block %d: there is no such request, or it has one already", s.Index, s.IntentSeq)
}

func (r *chain) unread(seq int64) bool {
	return slices.ContainsFunc(r.gaps, func(g gap) bool { return g.from <= seq && seq <= g.to })
}

func (c *checker) bucket(b app.UsageBucket) error {
	c.proof.Buckets++
	c.index()
	key := cell{Series{b.Org, b.Key, b.Route}, b.Start.UnixMilli()}
	folded := c.folded.cells[key]
	delete(c.folded.cells, key)
	if folded == nil {
		c.fault(0, 0, FaultBucketDiffers, "%s: the blocks hold no such usage", describe(b))
	} else if *folded != b {
		c.fault(0, 0, FaultBucketDiffers, "%s: it says %d requests, %d units; the blocks %d, %d (or other sums differ)",
			describe(b), b.Requests, b.Weight, folded.Requests, folded.Weight)
	}
	return nil
}

func describe(b app.UsageBucket) string {
	return fmt.Sprintf("organization %q, key %q, route %q at %s", b.Org, b.Key, b.Route, b.Start.Format("2006-01-02 15:04"))
}

// end checks what only the whole walk can tell.
func (c *checker) end() {
	for _, b := range c.folded.cells {
		c.fault(0, 0, FaultBucketDiffers, "%s: the blocks hold %d requests, the buckets none", describe(*b), b.Requests)
	}
	c.endMeters()
	for _, r := range c.order {
		for _, in := range r.open {
			c.proof.Unknown += int64(1 - bit(in.more))
		}
		c.endReplica(r)
		if r.Applied.Seq > r.last.Seq {
			c.fault(r.ID, r.last.Seq+1, FaultBlockMissing, "the usage buckets know blocks up to %d, the chain ends at %d", r.Applied.Seq, r.last.Seq)
			continue
		}
		c.pointer(r.Applied, r.ID, "the usage buckets")
		c.pointer(r.Link, r.ID, "the replica's first block")
	}
}

// pointer checks that a block has the hash that was noted of it.
func (c *checker) pointer(link app.LedgerLink, replica int64, who string) {
	if link.Seq == 0 {
		return
	}
	if hash := c.links[place{link.Replica, link.Seq}]; hash == nil || *hash != link.Hash {
		c.fault(replica, 0, FaultChainBroken, "block %d of replica %d is not the one that %s saw", link.Seq, link.Replica, who)
	}
}
