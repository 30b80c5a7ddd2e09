package metering

import (
	"slices"
	"time"

	"gatehouse/app"
)

// fill puts the batch into the writer's block.
func (w *writer) fill(b batch, now time.Time) *Block {
	w.refs, w.meters, w.account = emptied(w.refs), emptied(w.meters), emptied(w.account)
	block := &w.block
	block.empty()
	block.Seq, block.Link, block.Base = w.seq+1, w.link, millis(now.UnixMilli())
	b.group.seq = block.Seq
	for i := range b.intents {
		in := &b.intents[i]
		block.Intents = append(block.Intents, Intent{Series: w.ref(&in.series), At: in.at, Weight: in.weight})
		if in.load != (load{}) {
			w.unload(&in.series, in.at, b.with.take(in.load))
			b.group.held += min(1, int(in.load.holds))
		}
	}
	if b.group.held > 0 {
		w.open = append(w.open, b.group)
	}
	for i := range b.adjusts {
		w.adjust(&b.adjusts[i])
	}
	for i := range b.settles {
		s := &b.settles[i]
		carried := b.after.take(s.load)
		if s.ticket.group.seq == 0 {
			continue // its request was refused
		}
		block.Settles = append(block.Settles, w.settle(s))
		w.unload(&s.ticket.series, s.ticket.at, carried)
		if s.ticket.held {
			s.ticket.group.held--
		}
	}
	w.forgetSettled()
	return block
}

// openGroups is how many are never worth clearing.
const openGroups = 64

// forgetSettled keeps the oldest group with an open worst case at the head. One
// request may stay open for days: the others are cleared whenever there are
// twice as many as were left the last time.
func (w *writer) forgetSettled() {
	for len(w.open) > 0 && w.open[0].held <= 0 {
		w.open = w.open[1:]
	}
	if len(w.open) > max(openGroups, 2*w.kept) {
		w.open = slices.DeleteFunc(w.open, func(g *group) bool { return g.held <= 0 })
		w.kept = len(w.open)
	}
}

func (w *writer) settle(s *pendingSettle) Settle {
	return Settle{
		Series:    w.ref(&s.ticket.series),
		IntentSeq: s.ticket.group.seq,
		Index:     s.ticket.index,
		Bucket:    app.BucketStart(s.ticket.at),
		Status:    between(0, int64(s.status), maxStatus),
		BytesIn:   between(0, s.in, maxBytes),
		BytesOut:  between(0, s.out, maxBytes),
		Micros:    between(0, s.took.Microseconds(), maxDuration),
	}
}

// openFrom is the first block with a request whose worst case is not settled.
func (w *writer) openFrom() int64 {
	if len(w.open) > 0 {
		return w.open[0].seq
	}
	return w.block.Seq + 1
}

// ref is the series' index in the block.
func (w *writer) ref(s *Series) int {
	ref, known := w.refs[*s]
	if !known {
		ref = len(w.block.Series)
		w.refs[*s] = ref
		w.block.Series = append(w.block.Series, Series{
			app.OrgID(clean(string(s.Org))), app.KeyID(clean(string(s.Key))), app.RouteID(clean(string(s.Route)))})
	}
	return ref
}

// emptied returns an empty map, the same one unless it has grown so large that
// emptying it for each block would cost more than the block.
func emptied[K comparable, V any](m map[K]V) map[K]V {
	const large = 1024
	if m == nil || len(m) > large {
		return map[K]V{}
	}
	clear(m)
	return m
}
