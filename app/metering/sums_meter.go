package metering

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"gatehouse/app"
)

// meterCell names a bucket of a meter.
type meterCell struct {
	MeterSeries       // never Unique
	start       int64 // Unix milliseconds
}

// foldMeters adds the block's quantities and draws. Holds and events add
// nothing by themselves.
func (s *sums) foldMeters(b *Block) {
	for i := range b.Uses {
		r := &b.Uses[i]
		s.use(&b.Meters[r.Series], r)
	}
	for i := range b.Adjusts {
		r := &b.Adjusts[i]
		m := s.meter(&b.Meters[r.Series], app.BucketStart(r.At))
		m.Sum = plus(m.Sum, r.Value)
	}
	for i := range b.Draws {
		r := &b.Draws[i]
		s.draw(b.Accounts[r.Account], r.Spent, r.Held)
	}
}

func (s *sums) use(series *MeterSeries, r *Use) {
	start := app.BucketStart(r.At)
	m := s.meter(series, start)
	if m.Estimated += int64(bit(r.Estimated)); series.Unique {
		m.Count++
		s.members[app.MeterMember{Org: m.Org, Meter: m.Meter, Start: m.Start, Key: m.Key, Route: m.Route, Dims: m.Dims, Value: r.Value}] = struct{}{}
		return
	}
	mergeMeter(m, &app.MeterBucket{Count: 1, Sum: r.Value, Max: r.Value, Latest: r.Value, LatestAt: r.At})
}

// mergeMeter adds what another bucket of the same meter holds.
func mergeMeter(m, o *app.MeterBucket) {
	if o.Count > 0 {
		if m.Count == 0 || o.Max > m.Max {
			m.Max = o.Max
		}
		if m.Count == 0 || o.LatestAt > m.LatestAt || o.LatestAt == m.LatestAt && o.Latest > m.Latest {
			m.Latest, m.LatestAt = o.Latest, o.LatestAt
		}
	}
	m.Count += o.Count
	m.Sum = plus(m.Sum, o.Sum)
	m.Estimated += o.Estimated
}

func (s *sums) meter(series *MeterSeries, start int64) *app.MeterBucket {
	key := meterCell{*series, start}
	key.Unique = false
	found := s.meters[key]
	if found == nil {
		found = &app.MeterBucket{Org: key.Org, Meter: key.Meter, Start: time.UnixMilli(start).UTC(), Key: key.Key, Route: key.Route, Dims: key.Dims}
		s.meters[key] = found
	}
	return found
}

func (s *sums) draw(a app.Account, spent, held int64) {
	d := s.draws[a]
	if d == nil {
		d = &app.Draw{Account: &a}
		s.draws[a] = d
	}
	d.Spent, d.Held = plus(d.Spent, spent), plus(d.Held, held)
}

// apply is what moves the buckets from a block to a later one. Everything is
// sorted, for the reason that sorted tells.
func (s *sums) apply(from int64, to app.LedgerLink) app.UsageApply {
	u := app.UsageApply{From: from, To: to, Buckets: s.sorted(), Answered: -1}
	for _, m := range s.meters {
		u.Meters = append(u.Meters, *m)
	}
	slices.SortFunc(u.Meters, func(a, b app.MeterBucket) int {
		return cmp.Or(cmp.Compare(a.Org, b.Org), cmp.Compare(a.Meter, b.Meter), a.Start.Compare(b.Start),
			cmp.Compare(a.Key, b.Key), cmp.Compare(a.Route, b.Route), cmp.Compare(a.Dims, b.Dims))
	})
	u.Members = slices.SortedFunc(maps.Keys(s.members), func(a, b app.MeterMember) int {
		return cmp.Or(cmp.Compare(a.Org, b.Org), cmp.Compare(a.Meter, b.Meter), a.Start.Compare(b.Start), cmp.Compare(a.Key, b.Key),
			cmp.Compare(a.Route, b.Route), cmp.Compare(a.Dims, b.Dims), cmp.Compare(a.Value, b.Value))
	})
	for _, d := range s.draws {
		u.Draws = append(u.Draws, *d)
	}
	slices.SortFunc(u.Draws, func(a, b app.Draw) int { return a.Account.Compare(b.Account) })
	return u
}
