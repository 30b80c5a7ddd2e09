package metering

import (
	"context"
	"math"

	"gatehouse/app"
)

const (
	readBlocks = 128  // in one snapshot: at most a quarter of a second
	readSteps  = 2000 // alike
	readRows   = 256  // of tables, between two rests
)

// Ways of reading.
const (
	whole   = true
	onlyNew = false
)

// reading is one proof of the ledger. It first reads what is old a few blocks
// at a time, so that no snapshot stays open for long; what came meanwhile and
// the tables it reads as they stand at one moment.
type reading struct {
	store  WalkStore
	proven *proven
	proof  Proof // what is not in proven.totals
	runs   map[int64]*run
	order  []*run
	links  map[place]*[32]byte // blocks that other chains point to

	b        Block
	series   []uint64 // hashes of b's series
	fold     *sums    // of blocks that proven does not hold yet
	tables   *slots
	position int64
	twice    *twice // nil: events that are counted twice are not looked for

	rows int64
	told func(read, of int64) // nil: nobody is told
	rest func(context.Context, share) error
}

func newReading(store WalkStore, p *proven, all bool) *reading {
	p.readings++
	c := &reading{store: store, proven: p, links: map[place]*[32]byte{}, fold: newSums(),
		tables: newSlots(p.slots.digester), rest: func(context.Context, share) error { return nil }}
	if all {
		c.twice = newTwice(idsAtOnce)
	}
	return c
}

// run reads. Unless the proof has faults, proven is right afterwards, also
// when there is an error: then it holds less.
func (c *reading) run(ctx context.Context) (Proof, error) {
	err := c.advance(ctx)
	if err == nil {
		err = c.finish(ctx)
	}
	if err == nil {
		c.end()
		err = c.findTwice(ctx)
	}
	t := &c.proven.totals
	c.proof.Blocks, c.proof.Bytes = c.proof.Blocks+t.Blocks, c.proof.Bytes+t.Bytes
	c.proof.Requests, c.proof.Outcomes = c.proof.Requests+t.Requests, c.proof.Outcomes+t.Outcomes
	c.proof.Events, c.proof.Corrected = c.proof.Events+t.Events, c.proof.Corrected+t.Corrected
	c.proof.Steps += c.proven.steps
	return c.proof, err
}

// start takes in the replicas as they stand.
func (c *reading) start(replicas []app.LedgerReplica) error {
	c.runs, c.order = map[int64]*run{}, nil
	for _, r := range replicas {
		ch := c.proven.chains[r.ID]
		if ch == nil {
			ch = &chain{last: app.LedgerLink{Replica: r.ID}, clock: r.StartedAt.UnixMilli(), held: map[app.Account]int64{}}
			c.proven.chains[r.ID] = ch
		}
		found := &run{LedgerReplica: r, chain: ch, last: ch.last, heard: ch.last.Seq, tail: &requests{under: &ch.open}}
		c.runs[r.ID], c.order = found, append(c.order, found)
		if r.Link.Seq != 0 && r.Link != ch.link {
			c.want(r.Link)
		}
	}
	return nil
}

// want has the hash of a block noted when it is read.
func (c *reading) want(link app.LedgerLink) {
	at := place{link.Replica, link.Seq}
	if c.links[at] != nil {
		return
	}
	c.links[at] = nil
	if ch := c.proven.chains[link.Replica]; ch != nil && ch.last.Seq == link.Seq {
		hash := ch.last.Hash
		c.links[at] = &hash
	}
}

// advance reads the applied blocks that nobody has proven, chains side by side
// in the order of time.
func (c *reading) advance(ctx context.Context) error {
	err := c.store.WalkLedger(ctx, app.LedgerWalk{Replicas: c.start, Pruned: c.pruned, Account: c.known,
		Position: func(n int64) error { c.position = n; return nil }})
	if err != nil {
		return err
	}
	heads, of, done := []*head{}, int64(0), int64(0)
	for _, r := range c.order {
		if r.Applied.Seq > r.last.Seq {
			heads = append(heads, &head{r.ID, r.last.Seq, r.Applied.Seq, r.clock})
			of += r.Applied.Seq - r.last.Seq
		}
	}
	err = c.inOrder(ctx, heads, func(h *head, seq int64, body []byte) error {
		done++
		err := c.block(h.replica, seq, body)
		h.clock = c.runs[h.replica].clock
		return err
	}, func() {
		c.flush()
		if c.told != nil {
			c.told(done, of)
		}
	})
	if err != nil {
		return err
	}
	return c.advanceSteps(ctx)
}

// head is where a chain is read.
type head struct {
	replica   int64
	seq, upto int64
	clock     int64 // Unix milliseconds
}

// inOrder reads the chains, the one that is furthest back in time first. paused
// is called between two parts.
func (c *reading) inOrder(ctx context.Context, heads []*head, each func(h *head, seq int64, body []byte) error, paused func()) error {
	for len(heads) > 0 {
		first := 0
		for i, h := range heads {
			if h.clock < heads[first].clock {
				first = i
			}
		}
		h := heads[first]
		if c.twice != nil {
			c.twice.low(h.clock)
		}
		before := h.seq
		err := c.store.Blocks(ctx, h.replica, h.seq, int(min(readBlocks, h.upto-h.seq)), func(seq int64, body []byte) error {
			if seq > h.upto { // those before are missing
				return nil
			}
			h.seq = seq
			return each(h, seq, body)
		})
		paused()
		if err == nil {
			err = c.rest(ctx, blocksShare)
		}
		if err != nil {
			return err
		}
		if h.seq == before || h.seq >= h.upto {
			heads[first] = heads[len(heads)-1]
			heads = heads[:len(heads)-1]
		}
	}
	return nil
}

// flush adds what was read to what is proven.
func (c *reading) flush() {
	if len(c.fold.cells)+len(c.fold.meters)+len(c.fold.members)+len(c.fold.draws) == 0 {
		return
	}
	c.proven.slots.fold(c.fold)
	c.proven.accounts.fold(c.fold)
	c.fold = newSums()
}

// finish reads the rest and the tables, as they stand at one moment.
func (c *reading) finish(ctx context.Context) error {
	rested := func() error {
		if c.rows++; c.rows%readRows != 0 {
			return nil
		}
		return c.rest(ctx, tablesShare)
	}
	defer c.flush()
	for _, g := range c.proven.accounts.groups {
		g.inTable.spent, g.inTable.held, g.inTable.pruned = 0, 0, 0
	}
	c.proof.Pruned = 0
	return c.store.WalkLedger(ctx, app.LedgerWalk{Replicas: c.start, Pruned: c.pruned, From: c.from, Block: c.block,
		Steps: c.proven.steps, Step: c.step, Position: func(n int64) error { c.position = n; c.flush(); return nil },
		Bucket:  func(b app.UsageBucket) error { c.proof.Buckets++; c.tables.bucket(&b); return rested() },
		Meter:   func(m app.MeterBucket) error { c.proof.Quantities++; c.tables.meterRow(&m); return rested() },
		Member:  func(m app.MeterMember) error { c.proof.Members++; c.tables.memberRow(&m); return rested() },
		Held:    c.held,
		Account: func(a app.AccountState) error { c.account(&a); return rested() },
	})
}

// from is the first block to read: the last that was proven, or one before it
// that another chain points to.
func (c *reading) from(replica int64) int64 {
	from := int64(math.MaxInt64)
	if r := c.runs[replica]; r == nil {
		return 1
	} else if from = max(1, r.chain.last.Seq); from == 1 {
		return 1
	}
	for at, hash := range c.links {
		if at.replica == replica && hash == nil && at.seq > 0 {
			from = min(from, at.seq)
		}
	}
	return from
}

// advanceSteps reads the steps that nobody has proven, of the replicas that
// start saw.
func (c *reading) advanceSteps(ctx context.Context) error {
	for c.proven.steps < c.position {
		n := 0
		err := c.store.Steps(ctx, c.proven.steps, int(min(readSteps, c.position-c.proven.steps)), func(s app.AppliedRange) error {
			n++
			if s.N > c.position { // those before are missing, as finish will find
				return nil
			}
			return c.step(s)
		})
		if err == nil {
			err = c.rest(ctx, blocksShare)
		}
		if err != nil || n < readSteps {
			return err
		}
	}
	return nil
}

// step takes in the next step.
func (c *reading) step(s app.AppliedRange) error {
	if s.N != c.proven.steps+1 {
		c.fault(s.Replica, 0, FaultStepsDiffer, "step %d follows step %d", s.N, c.proven.steps)
	}
	c.proven.steps = s.N
	ch := c.proven.chains[s.Replica]
	switch {
	case ch == nil || s.To <= s.From || s.From < 0:
		c.fault(s.Replica, 0, FaultStepsDiffer, "step %d is of blocks %d to %d of a run that has no such blocks", s.N, s.From+1, s.To)
	case ch.from == ch.to:
		ch.from, ch.to = s.From, s.To
	case s.From == ch.to:
		ch.to = s.To
	case s.To == ch.from: // what was folded before steps were numbered got its number later
		ch.from = s.From
	default:
		c.fault(s.Replica, 0, FaultStepsDiffer, "step %d is of blocks %d to %d; those before it were of blocks %d to %d",
			s.N, s.From+1, s.To, ch.from+1, ch.to)
	}
	return nil
}
