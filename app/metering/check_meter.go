package metering

import (
	"cmp"
	"slices"

	"gatehouse/app"
)

// usedBy names usage that accounts are held against; Key empty: of all keys.
type usedBy struct {
	org   app.OrgID
	key   app.KeyID
	meter string
}

// point is usage up to and with the bucket that begins at start.
type point struct{ start, sum int64 }

// count adds what an applied block tells of the replica itself.
func (r *chain) count(b *Block) {
	for i := range b.Settles {
		if s := b.Settles[i].Status; s >= 200 && s < 300 {
			r.answered++
		}
	}
	for _, d := range b.Draws {
		r.held[b.Accounts[d.Account]] += d.Held
	}
}

// index sums the folded usage over time, once all blocks are folded and before
// the comparison with the buckets takes it apart.
func (c *checker) index() {
	if c.used != nil {
		return
	}
	c.used = map[usedBy][]point{}
	add := func(org app.OrgID, key app.KeyID, meter string, start, sum int64) {
		if sum == 0 {
			return
		}
		c.used[usedBy{org, "", meter}] = append(c.used[usedBy{org, "", meter}], point{start, sum})
		if key != "" {
			c.used[usedBy{org, key, meter}] = append(c.used[usedBy{org, key, meter}], point{start, sum})
		}
	}
	for k, b := range c.folded.cells {
		add(k.Org, k.Key, app.MeterRequests, k.start, b.Weight)
		add(k.Org, k.Key, app.MeterBytes, k.start, b.BytesIn+b.BytesOut)
		add(k.Org, k.Key, app.MeterDuration, k.start, b.Duration.Milliseconds())
	}
	for k, m := range c.folded.meters {
		add(k.Org, k.Key, k.Meter, k.start, m.Sum)
	}
	for _, list := range c.used {
		slices.SortFunc(list, func(a, b point) int { return cmp.Compare(a.start, b.start) })
		for i := range list[1:] {
			list[i+1].sum += list[i].sum
		}
	}
}

// usedIn is the usage of an account's period.
func (c *checker) usedIn(a *app.Account) int64 {
	list := c.used[usedBy{a.Org, a.Key, a.Meter}]
	before := func(at int64) int64 {
		i, _ := slices.BinarySearchFunc(list, at, func(p point, at int64) int { return cmp.Compare(p.start, at) })
		if i == 0 {
			return 0
		}
		return list[i-1].sum
	}
	if a.End == 0 { // a lifetime
		return before(maxMillis)
	}
	return before(a.End) - before(a.Start)
}

func (c *checker) meter(m app.MeterBucket) error {
	c.proof.Quantities++
	c.index()
	key := meterCell{MeterSeries{Org: m.Org, Key: m.Key, Route: m.Route, Meter: m.Meter, Dims: m.Dims}, m.Start.UnixMilli()}
	folded := c.folded.meters[key]
	delete(c.folded.meters, key)
	switch {
	case folded == nil:
		c.fault(0, 0, FaultMeterDiffers, "%s: the blocks hold no such usage", describeMeter(&m))
	case *folded != m:
		c.fault(0, 0, FaultMeterDiffers, "%s: it says %d uses, %d in all; the blocks %d, %d (or others differ)",
			describeMeter(&m), m.Count, m.Sum, folded.Count, folded.Sum)
	}
	return nil
}

func describeMeter(m *app.MeterBucket) string {
	return "meter " + m.Meter + " " + m.Dims + ", " +
		describe(app.UsageBucket{Org: m.Org, Key: m.Key, Route: m.Route, UsageRow: app.UsageRow{Start: m.Start}})
}

func (c *checker) member(m app.MeterMember) error {
	c.proof.Members++
	if _, found := c.folded.members[m]; !found {
		c.fault(0, 0, FaultMeterDiffers, "meter %s of organization %q: the blocks hold no such member", m.Meter, m.Org)
	}
	delete(c.folded.members, m)
	return nil
}

// held compares what a replica's requests hold of an account.
func (c *checker) held(replica int64, d app.Draw) error {
	r := c.replicas[replica]
	if r == nil || r.held[*d.Account] != d.Held || d.Held == 0 {
		c.fault(replica, 0, FaultHeldDiffers, "%s: it says that %d are held, the blocks otherwise", describeAccount(d.Account), d.Held)
	}
	if r != nil {
		delete(r.held, *d.Account)
	}
	return nil
}

func describeAccount(a *app.Account) string {
	return "quota of " + a.Meter + " per " + string(a.Period) + " of organization " + string(a.Org) + ", key \"" + string(a.Key) + "\""
}

// account compares what was drawn with the account, and with what was used.
// Periods of minutes are shorter than a bucket, so only the first.
func (c *checker) account(a app.AccountState) error {
	c.proof.Accounts++
	c.index()
	drawn := c.folded.draws[a.Account]
	delete(c.folded.draws, a.Account)
	if drawn == nil {
		drawn = &app.Draw{}
	}
	if a.Spent != plus(a.Opening, drawn.Spent) || a.Held != drawn.Held {
		c.fault(0, 0, FaultAccountDiffers, "%s: it says %d spent, of which %d opening, and %d held; the blocks drew %d and %d",
			describeAccount(&a.Account), a.Spent, a.Opening, a.Held, drawn.Spent, drawn.Held)
		return nil
	}
	if a.Period == app.PeriodMinute {
		return nil
	}
	charged, used := drawn.Spent-drawn.Held, c.usedIn(&a.Account)
	switch {
	case charged > used:
		c.fault(0, 0, FaultAccountOverdrawn, "%s: %d were charged, %d used", describeAccount(&a.Account), charged, used)
	case charged < used-a.Opening:
		c.proof.Undrawn++
	}
	return nil
}

// endMeters finds what the blocks hold and the tables do not.
func (c *checker) endMeters() {
	for _, m := range c.folded.meters {
		c.fault(0, 0, FaultMeterDiffers, "%s: the blocks hold %d uses, the buckets none", describeMeter(m), m.Count)
	}
	for m := range c.folded.members {
		c.fault(0, 0, FaultMeterDiffers, "meter %s of organization %q: a member is missing", m.Meter, m.Org)
	}
	for _, d := range c.folded.draws {
		if d.Spent != 0 || d.Held != 0 {
			c.fault(0, 0, FaultAccountDiffers, "%s: the blocks drew %d, and there is no account", describeAccount(d.Account), d.Spent)
		}
	}
}

// endReplica checks worst cases under way, and the gate's own count.
func (c *checker) endReplica(r *chain) {
	first := r.Applied.Seq + 1
	for key, in := range r.open {
		if in.held {
			c.proof.Held++
			first = min(first, key.seq)
		}
	}
	if first < r.OpenFrom || first <= r.Applied.Seq && !r.ClosedAt.IsZero() {
		c.fault(r.ID, first, FaultHeldDiffers, "a worst case without outcome is in block %d, and the replica says that there is none", first)
	}
	for account, held := range r.held {
		if held != 0 {
			c.fault(r.ID, 0, FaultHeldDiffers, "%s: the blocks hold %d, and nothing is noted", describeAccount(&account), held)
		}
	}
	if r.Answered < 0 {
		return
	}
	c.proof.Answered += r.Answered
	if closed := !r.ClosedAt.IsZero() && r.FencedAt.IsZero(); r.Answered > r.answered || closed && r.Answered != r.answered {
		c.fault(r.ID, 0, FaultAnswersDiffer, "the gate gave %d successful answers, the outcomes tell of %d", r.Answered, r.answered)
	}
}
