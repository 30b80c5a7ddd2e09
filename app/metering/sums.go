package metering

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"gatehouse/app"
)

// cell names a usage bucket.
type cell struct {
	Series
	start int64 // Unix milliseconds
}

// sums folds blocks into usage buckets, buckets of meters and draws. Folding only adds, so blocks may come
// in any order.
type sums struct {
	cells map[cell]*app.UsageBucket
	last  []lastCell // per series of the block at hand

	meters  map[meterCell]*app.MeterBucket
	members map[app.MeterMember]struct{}
	draws   map[app.Account]*app.Draw
}

// lastCell is the bucket that a series was last counted in: nearly always the
// one of its next record.
type lastCell struct {
	start  int64
	bucket *app.UsageBucket
}

func newSums() *sums {
	return &sums{cells: map[cell]*app.UsageBucket{}, meters: map[meterCell]*app.MeterBucket{},
		members: map[app.MeterMember]struct{}{}, draws: map[app.Account]*app.Draw{}}
}

// fold adds what the block tells. An INTENT counts as unknown until its SETTLE
// with a status; one that holds more for a request is not counted.
func (s *sums) fold(b *Block) {
	s.last = slices.Grow(s.last[:0], len(b.Series))[:len(b.Series)]
	clear(s.last)
	for i := range b.Intents {
		r := &b.Intents[i]
		if r.More() {
			continue
		}
		u := s.bucket(b, r.Series, app.BucketStart(r.At))
		u.Requests++
		u.Weight += r.Weight
		u.Unknown++
	}
	for i := range b.Settles {
		r := &b.Settles[i]
		settle(s.bucket(b, r.Series, r.Bucket), r)
	}
	if b.metered() {
		s.foldMeters(b)
	}
}

func (s *sums) bucket(b *Block, series int, start int64) *app.UsageBucket {
	last := &s.last[series]
	if last.bucket != nil && last.start == start {
		return last.bucket
	}
	key := cell{b.Series[series], start}
	found := s.cells[key]
	if found == nil {
		found = &app.UsageBucket{Org: key.Org, Key: key.Key, Route: key.Route}
		found.Start = time.UnixMilli(start).UTC()
		s.cells[key] = found
	}
	*last = lastCell{start, found}
	return found
}

func settle(u *app.UsageBucket, r *Settle) {
	known := int64(1)
	switch {
	case r.Status >= 500:
		u.Status5++
	case r.Status >= 400:
		u.Status4++
	case r.Status >= 300:
		u.Status3++
	case r.Status >= 100: // 101 is a success: the connection was switched
		u.Status2++
	default:
		known = 0
	}
	u.Unknown -= known
	u.BytesIn += r.BytesIn
	u.BytesOut += r.BytesOut
	u.Duration += time.Duration(r.Micros) * time.Microsecond
}

// sorted lists the buckets in the order in which every process adds them, so
// that two never wait for each other in a circle.
func (s *sums) sorted() []app.UsageBucket {
	list := make([]app.UsageBucket, 0, len(s.cells))
	for _, bucket := range s.cells {
		list = append(list, *bucket)
	}
	slices.SortFunc(list, func(a, b app.UsageBucket) int {
		return cmp.Or(cmp.Compare(a.Org, b.Org), a.Start.Compare(b.Start), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Route, b.Route))
	})
	return list
}

// progress is how far a replica's blocks have come.
type progress struct {
	to       app.LedgerLink // the last block
	openFrom int64          // as app.UsageApply
	answered int64          // as app.UsageApply
}

// pendingSums is what is written but not yet applied. The writer adds, the
// applier takes.
type pendingSums struct {
	mu    sync.Mutex
	sums  *sums
	at    progress // with the last block in it
	dirty chan struct{}
}

func newPendingSums() *pendingSums {
	return &pendingSums{sums: newSums(), dirty: make(chan struct{}, 1)}
}

func (p *pendingSums) add(b *Block, at progress) {
	p.mu.Lock()
	p.sums.fold(b)
	p.at = at
	p.mu.Unlock()
	p.mark()
}

// mark tells the applier that there is something to do.
func (p *pendingSums) mark() {
	select {
	case p.dirty <- struct{}{}:
	default:
	}
}

// take hands over the sums, up to and with the block.
func (p *pendingSums) take() (*sums, progress) {
	fresh := newSums()
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := p.sums
	p.sums = fresh
	return taken, p.at
}
