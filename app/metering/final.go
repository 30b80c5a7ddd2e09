package metering

import (
	"cmp"
	"maps"
	"slices"

	"gatehouse/app"
)

// leftovers are a dead replica's requests that hold a worst case and have no
// outcome.
type leftovers struct {
	last int64 // the last block that was read
	open map[requestKey]*leftover
}

type leftover struct {
	series Series
	at     int64
	holds  []heldUse
}

type heldUse struct {
	MeterSeries
	amount int64
}

// block adds what a block leaves open, and takes off what it settles.
func (l *leftovers) block(replica, seq int64, body []byte) error {
	var b Block
	if err := b.Decode(body); err != nil {
		return damaged(replica, seq, err)
	}
	l.last = seq
	for _, h := range b.Holds {
		in, key := &b.Intents[h.Intent], requestKey{seq, int64(h.Intent)}
		if l.open[key] == nil {
			l.open[key] = &leftover{series: b.Series[in.Series], at: in.At}
		}
		l.open[key].holds = append(l.open[key].holds, heldUse{b.Meters[h.Series], h.Amount})
	}
	for _, s := range b.Settles {
		delete(l.open, requestKey{s.IntentSeq, s.Index})
	}
	return nil
}

// final is the block that settles everything: each open request with the worst
// case as an estimate, and what accounts still hold as spent. It depends on the
// dead chain alone, so everybody makes the same.
func (l *leftovers) final(r app.LedgerRemains) *Block {
	dead := r.Replica
	w := writer{refs: map[Series]int{}, meters: map[MeterSeries]int{}, account: map[*app.Account]int{}}
	b := &w.block
	b.Replica, b.Seq, b.Base, b.Link = dead.ID, dead.Applied.Seq+1, millis(dead.FencedAt.UnixMilli()), dead.Applied
	if dead.Applied.Seq == 0 {
		b.Link = dead.Link
	}
	keys := slices.SortedFunc(maps.Keys(l.open), func(a, b requestKey) int {
		return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.index, b.index))
	})
	for _, key := range keys {
		in := l.open[key]
		b.Settles = append(b.Settles, Settle{Series: w.ref(&in.series), IntentSeq: key.seq, Index: key.index, Bucket: app.BucketStart(in.at)})
		for _, h := range in.holds {
			use := app.Use{Meter: h.Meter, Dims: h.Dims}
			b.Uses = append(b.Uses, Use{w.meter(&Series{h.Org, h.Key, h.Route}, &use), in.at, h.amount, true})
		}
	}
	for i := range r.Held {
		if d := &r.Held[i]; d.Held != 0 {
			w.draw(&app.Draw{Account: d.Account, Held: -d.Held})
		}
	}
	return b
}
