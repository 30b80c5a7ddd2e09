package metering

import (
	"maps"

	"gatehouse/app"
)

func (c *reading) pruned(p app.AccountsPruned) error {
	c.proof.Pruned += p.Accounts
	c.proven.accounts.prune(p)
	return nil
}

// known makes the account known, so that what its period used is counted.
func (c *reading) known(a app.AccountState) error {
	if c.proven.readings == 1 && a.Period != app.PeriodMinute {
		c.proven.accounts.account(&a.Account)
	}
	return nil
}

// held compares what a replica's requests hold of an account.
func (c *reading) held(replica int64, d app.Draw) error {
	r := c.runs[replica]
	if r != nil && !r.listed {
		r.listed, r.noted = true, maps.Clone(r.chain.held)
	}
	if r == nil || r.noted[*d.Account] != d.Held || d.Held == 0 {
		c.fault(replica, 0, FaultHeldDiffers, "%s: it says that %d are held, the blocks otherwise", describeAccount(d.Account), d.Held)
	}
	if r != nil {
		delete(r.noted, *d.Account)
	}
	return nil
}

func describeAccount(a *app.Account) string {
	return "quota of " + a.Meter + " per " + string(a.Period) + " of organization " + string(a.Org) + ", key \"" + string(a.Key) + "\""
}

// account compares what was drawn with the account. Periods of minutes are
// shorter than a bucket, so of them it is not known what was used.
func (c *reading) account(a *app.AccountState) {
	c.proof.Accounts++
	g, sums := c.proven.accounts.account(&a.Account)
	if sums == nil {
		g.inTable.spent, g.inTable.held = plus(g.inTable.spent, a.Spent-a.Opening), plus(g.inTable.held, a.Held)
		return
	}
	sums.reading = c.proven.readings
	if a.Spent != plus(a.Opening, sums.spent) || a.Held != sums.held {
		c.fault(0, 0, FaultAccountDiffers, "%s: it says %d spent, of which %d opening, and %d held; the blocks drew %d and %d",
			describeAccount(&a.Account), a.Spent, a.Opening, a.Held, sums.spent, sums.held)
		return
	}
	if a.Period == app.PeriodMinute {
		return
	}
	charged, used := sums.spent-sums.held, sums.used
	if a.Meter == app.MeterDuration {
		used /= 1000 // charged in milliseconds
	}
	switch {
	case charged > used:
		c.fault(0, 0, FaultAccountOverdrawn, "%s: %d were charged, %d used", describeAccount(&a.Account), charged, used)
	case charged < used-a.Opening:
		c.proof.Undrawn++
	}
}

// end checks what only the whole walk can tell.
func (c *reading) end() {
	c.proven.slots.compare(c.tables, func(code, text string) { c.fault(0, 0, code, "%s", text) })
	for _, g := range c.proven.accounts.groups {
		c.endGroup(g)
	}
	for id := range c.proven.chains {
		if c.runs[id] == nil {
			c.fault(id, 0, FaultChainBroken, "no replica with this number is known any more")
		}
	}
	if c.position != c.proven.steps {
		c.fault(0, 0, FaultStepsDiffer, "the next step would be %d, and the last is %d", c.position+1, c.proven.steps)
	}
	for _, r := range c.order {
		c.proof.Replicas++
		if r.Sync != app.LedgerSyncFull {
			c.proof.Relaxed++
		}
		c.endChain(r)
		c.endReplica(r)
	}
	c.forget()
}

// forget drops what the next reading does not need. With faults there is none.
func (c *reading) forget() {
	if c.proof.Faulty == 0 {
		c.proven.slots.seal(c.tables)
	}
}

// endGroup finds accounts that the blocks know and the tables do not, and
// compares those that were pruned, as a sum.
func (c *reading) endGroup(g *groupSums) {
	for i := range g.list {
		if a := &g.list[i]; a.reading != c.proven.readings && (a.spent != 0 || a.held != 0) {
			c.fault(0, 0, FaultAccountDiffers, "%s: the blocks drew %d, and there is no account",
				describeAccount(&app.Account{Org: g.org, Key: g.key, Meter: g.meter, Period: g.period}), a.spent)
		}
	}
	there := &g.inTable
	if g.spent != plus(there.spent, there.pruned) || g.held != there.held {
		c.fault(0, 0, FaultAccountDiffers, "%s: accounts that ended long ago say %d spent and %d held in all; the blocks drew %d and %d",
			describeAccount(&app.Account{Org: g.org, Key: g.key, Meter: g.meter, Period: g.period}),
			plus(there.spent, there.pruned), there.held, g.spent, g.held)
	}
}

// endChain checks that a chain is there as far as the tables and an earlier
// reading know it.
func (c *reading) endChain(r *run) {
	switch {
	case r.heard != 0:
		c.fault(r.ID, r.heard, FaultBlockMissing, "block %d was there, and is not any more", r.heard)
	case r.Applied.Seq > r.last.Seq:
		c.fault(r.ID, r.last.Seq+1, FaultBlockMissing, "the usage buckets know blocks up to %d, the chain ends at %d", r.Applied.Seq, r.last.Seq)
	case r.Applied.Seq != 0 && r.Applied != r.chain.last:
		c.fault(r.ID, 0, FaultChainBroken, "block %d is not the one that the usage buckets saw", r.Applied.Seq)
	}
	if r.from != 0 || r.to != r.Applied.Seq {
		c.fault(r.ID, 0, FaultStepsDiffer, "steps are of blocks %d to %d, the usage buckets know %d", r.from+1, r.to, r.Applied.Seq)
	}
	if r.Link == r.link || r.Link.Seq == 0 {
		return
	}
	if hash := c.links[place{r.Link.Replica, r.Link.Seq}]; hash == nil || *hash != r.Link.Hash {
		c.fault(r.ID, 0, FaultChainBroken, "block %d of replica %d is not the one that the replica's first block saw", r.Link.Seq, r.Link.Replica)
		return
	}
	r.link = r.Link
}

// endReplica checks worst cases under way, and the gate's own count.
func (c *reading) endReplica(r *run) {
	c.proof.Unknown += r.tail.count()
	first := r.Applied.Seq + 1
	for key, in := range r.open.open {
		if in.held {
			c.proof.Held++
			first = min(first, key.seq)
		}
	}
	if first < r.OpenFrom || first <= r.Applied.Seq && !r.ClosedAt.IsZero() {
		c.fault(r.ID, first, FaultHeldDiffers, "a worst case without outcome is in block %d, and the replica says that there is none", first)
	}
	if !r.listed {
		r.noted = r.chain.held
	}
	for account, held := range r.noted {
		c.fault(r.ID, 0, FaultHeldDiffers, "%s: the blocks hold %d, and nothing is noted", describeAccount(&account), held)
	}
	if r.Answered < 0 {
		return
	}
	c.proof.Answered += r.Answered
	if closed := !r.ClosedAt.IsZero() && r.FencedAt.IsZero(); r.Answered > r.answered || closed && r.Answered != r.answered {
		c.fault(r.ID, 0, FaultAnswersDiffer, "the gate gave %d successful answers, the outcomes tell of %d", r.Answered, r.answered)
	}
}
