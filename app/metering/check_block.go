package metering

import (
	"crypto/sha256"

	"gatehouse/app"
)

// block takes in the next block of a chain, or one that was proven before.
func (c *reading) block(replica, seq int64, body []byte) error {
	r := c.runs[replica]
	if r == nil {
		c.fault(replica, seq, FaultChainBroken, "no replica with this number is known")
		return nil
	}
	c.proof.Read++
	hash := sha256.Sum256(body)
	if _, wanted := c.links[place{replica, seq}]; wanted {
		c.links[place{replica, seq}] = &hash
	}
	if seq <= r.chain.last.Seq {
		c.again(r, seq, body, hash)
		return nil
	}
	if seq != r.last.Seq+1 {
		c.fault(replica, r.last.Seq+1, FaultBlockMissing, "blocks %d to %d are missing", r.last.Seq+1, seq-1)
		r.gaps = append(r.gaps, gap{r.last.Seq + 1, seq - 1})
	}
	totals := &c.proof
	if seq <= r.Applied.Seq {
		totals = &c.proven.totals
	}
	if err := c.b.Decode(body); err != nil {
		c.fault(replica, seq, FaultBlockDamaged, "%v", err)
		r.gaps = append(r.gaps, gap{seq, seq})
	} else {
		c.contents(r, seq, &c.b, totals)
	}
	r.last = app.LedgerLink{Replica: replica, Seq: seq, Hash: hash}
	if seq <= r.Applied.Seq {
		r.chain.last = r.last
	}
	totals.Blocks++
	totals.Bytes += int64(len(body))
	return nil
}

// again compares a block that an earlier reading has proven: where a chain
// goes on, and where a new chain points to.
func (c *reading) again(r *run, seq int64, body []byte, hash [32]byte) {
	link := app.LedgerLink{Replica: r.ID, Seq: seq, Hash: hash}
	err := c.b.Decode(body)
	switch {
	case err != nil:
		c.fault(r.ID, seq, FaultBlockDamaged, "%v", err)
	case r.again.Seq != 0 && (r.again.Seq != seq-1 || c.b.Link != r.again):
		c.fault(r.ID, seq, FaultChainBroken, "it is not the successor of the block before it")
	case seq == r.heard && link != r.chain.last:
		c.fault(r.ID, seq, FaultChainBroken, "it is not the block that was proven before")
	}
	if r.again = link; seq == r.heard {
		r.heard = 0
	}
}

func (c *reading) contents(r *run, seq int64, b *Block, totals *Proof) {
	want := r.last
	if want.Seq == 0 {
		want = r.Link
	}
	if b.Replica != r.ID || b.Seq != seq || b.Link != want && r.last.Seq == seq-1 {
		c.fault(r.ID, seq, FaultChainBroken, "it is not the successor of the block before it")
	}
	applied := seq <= r.Applied.Seq
	open := r.tail
	if applied {
		open = &r.open
	}
	c.series = c.series[:0]
	for i := range b.Series {
		s := &b.Series[i]
		c.series = append(c.series, c.proven.slots.row(0, string(s.Org), string(s.Key), string(s.Route)))
	}
	c.requests(seq, b, open)
	for i := range b.Settles {
		totals.Outcomes += int64(1 - bit(c.match(r, seq, open, &b.Settles[i])))
	}
	totals.Requests += b.requests()
	totals.Events += int64(len(b.Events))
	totals.Corrected += int64(len(b.Adjusts))
	if len(b.Events) > 0 {
		r.events = true
		c.twice.block(b)
	}
	if applied {
		c.fold.fold(b)
		r.chain.count(b)
	}
}

func (c *reading) requests(seq int64, b *Block, open *requests) {
	for i := range b.Intents {
		in := &b.Intents[i]
		open.add(requestKey{seq, int64(i)}, openRequest{series: c.series[in.Series], bucket: app.BucketStart(in.At), more: in.More()})
	}
	for i := range b.Holds {
		key := requestKey{seq, int64(b.Holds[i].Intent)}
		in := open.open[key]
		in.held = true
		open.open[key] = in
	}
}

// match finds the request of an outcome, once. It may be more of a request, and
// none itself.
func (c *reading) match(r *run, seq int64, open *requests, s *Settle) (more bool) {
	in, found := open.end(requestKey{s.IntentSeq, s.Index})
	if found && in.series == c.series[s.Series] && in.bucket == s.Bucket || !found && r.unread(s.IntentSeq) {
		return in.more
	}
	c.fault(r.ID, seq, FaultOutcomeUnmatched,
		"an outcome of request %d in block %d: there is no such request, or it has one already", s.Index, s.IntentSeq)
	return in.more
}
