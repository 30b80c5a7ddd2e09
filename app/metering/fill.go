package metering

import (
	"time"

	"gatehouse/app"
)

// fill puts the batch into the writer's block.
func (w *writer) fill(b batch, now time.Time) *Block {
	w.refs = emptied(w.refs)
	block := &w.block
	block.Seq, block.Link, block.Base = w.seq+1, w.link, millis(now.UnixMilli())
	block.Series, block.Intents, block.Settles = block.Series[:0], block.Intents[:0], block.Settles[:0]
	b.group.seq = block.Seq
	for i := range b.intents {
		in := &b.intents[i]
		block.Intents = append(block.Intents, Intent{Series: w.ref(&in.series), At: in.at, Weight: in.weight})
	}
	for i := range b.settles {
		if s := &b.settles[i]; s.ticket.group.seq > 0 { // else its request was refused
			block.Settles = append(block.Settles, w.settle(s))
		}
	}
	return block
}

func (w *writer) settle(s *pendingSettle) Settle {
	return Settle{
		Series:    w.ref(&s.ticket.series),
		IntentSeq: s.ticket.group.seq,
		Index:     s.ticket.index,
		Bucket:    app.BucketStart(s.ticket.at),
		Status:    between(0, int64(s.out.Status), maxStatus),
		BytesIn:   between(0, s.out.BytesIn, maxBytes),
		BytesOut:  between(0, s.out.BytesOut, maxBytes),
		Micros:    between(0, s.out.Duration.Microseconds(), maxDuration),
	}
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
