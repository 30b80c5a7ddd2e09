package metering

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"gatehouse/app"
)

// sealAfter is for how many slots the largest and latest values and the members
// are kept row by row: six hours. Of what is older only a digest is kept.
const sealAfter = 24

// slot is the digests of all buckets that begin in the same 15 minutes.
type slot struct {
	requests, meters  digest
	count             int64  // requests, for people
	extremes, members uint64 // digests of what does not add up

	last map[uint64]extreme  // by row
	set  map[uint64]struct{} // of members
	// A sealed slot has neither of the two: what comes late could have changed
	// them in ways that its digest does not tell.
	sealed, staleExtremes, staleMembers bool
}

// extreme is what of a meter's bucket does not add up.
type extreme struct{ max, latest, at int64 }

// slots are the digests of a ledger's blocks, or of its tables.
type slots struct {
	*digester
	at   map[int64]*slot // by start, in slots since 1970
	orgs map[app.OrgID]*orgDigest
}

// orgDigest tells whose buckets differ.
type orgDigest struct{ requests, meters digest }

func newSlots(d *digester) *slots {
	return &slots{digester: d, at: map[int64]*slot{}, orgs: map[app.OrgID]*orgDigest{}}
}

func (s *slots) slot(start time.Time) *slot {
	at := start.UnixMilli() / bucketMillis
	found := s.at[at]
	if found == nil {
		found = &slot{}
		s.at[at] = found
	}
	return found
}

func (s *slots) org(id app.OrgID) *orgDigest {
	found := s.orgs[id]
	if found == nil {
		found = &orgDigest{}
		s.orgs[id] = found
	}
	return found
}

// bucket adds a bucket, or what is added to one.
func (s *slots) bucket(b *app.UsageBucket) {
	row := s.row(b.Start.UnixMilli(), string(b.Org), string(b.Key), string(b.Route))
	sum := s.of(row, b.Requests, b.Weight, b.Status2, b.Status3, b.Status4, b.Status5, b.Unknown, b.BytesIn, b.BytesOut,
		b.Duration.Microseconds())
	at := s.slot(b.Start)
	at.requests.plus(sum)
	at.count += b.Requests
	s.org(b.Org).requests.plus(sum)
}

// meter adds a bucket of a meter, or what is added to one, and returns its slot
// and its row.
func (s *slots) meter(m *app.MeterBucket) (*slot, uint64) {
	row := s.row(m.Start.UnixMilli(), string(m.Org), string(m.Key), string(m.Route), m.Meter, m.Dims)
	sum := s.of(row, m.Count, m.Sum, m.Estimated)
	at := s.slot(m.Start)
	at.meters.plus(sum)
	s.org(m.Org).meters.plus(sum)
	return at, row
}

func (s *slots) member(m *app.MeterMember) (*slot, uint64) {
	row := s.row(m.Start.UnixMilli(), string(m.Org), string(m.Key), string(m.Route), m.Meter, m.Dims)
	return s.slot(m.Start), s.all(row, m.Value)
}

// fold adds what blocks tell.
func (s *slots) fold(sums *sums) {
	for _, b := range sums.cells {
		s.bucket(b)
	}
	for _, m := range sums.meters {
		if at, row := s.meter(m); m.Count > 0 {
			at.merge(s.digester, row, m)
		}
	}
	for m := range sums.members {
		at, hash := s.member(&m)
		at.enter(hash)
	}
}

// merge takes in the largest and the latest value of what is added to a row.
func (s *slot) merge(d *digester, row uint64, m *app.MeterBucket) {
	if s.sealed {
		s.staleExtremes = true
		return
	}
	before, known := s.last[row]
	now := app.MeterBucket{}
	if known {
		now = app.MeterBucket{Count: 1, Max: before.max, Latest: before.latest, LatestAt: before.at}
		s.extremes -= d.all(row, before.max, before.latest, before.at)
	}
	mergeMeter(&now, m)
	if s.last == nil {
		s.last = map[uint64]extreme{}
	}
	s.last[row] = extreme{now.Max, now.Latest, now.LatestAt}
	s.extremes += d.all(row, now.Max, now.Latest, now.LatestAt)
}

// enter adds a member, unless it is there.
func (s *slot) enter(hash uint64) {
	if s.sealed {
		s.staleMembers = true
		return
	}
	if _, there := s.set[hash]; there {
		return
	}
	if s.set == nil {
		s.set = map[uint64]struct{}{}
	}
	s.set[hash] = struct{}{}
	s.members += hash
}

// meterRow and memberRow add rows of the tables.
func (s *slots) meterRow(m *app.MeterBucket) {
	at, row := s.meter(m)
	if m.Count != 0 || m.Max != 0 || m.Latest != 0 || m.LatestAt != 0 {
		at.extremes += s.all(row, m.Max, m.Latest, m.LatestAt)
	}
}

func (s *slots) memberRow(m *app.MeterMember) {
	at, hash := s.member(m)
	at.members += hash
}

// seal drops the rows of slots that are old: few of them are ever added to.
// What came late is taken as the tables have it, until the next whole reading.
func (s *slots) seal(tables *slots) {
	newest := int64(0)
	for at := range s.at {
		newest = max(newest, at)
	}
	for at, slot := range s.at {
		if at > newest-sealAfter {
			continue
		}
		slot.sealed, slot.last, slot.set = true, nil, nil
		if seen := tables.at[at]; seen != nil {
			slot.extremes, slot.members = seen.extremes, seen.members
		}
		slot.staleExtremes, slot.staleMembers = false, false
	}
}

// compare passes what differs between blocks and tables, as a code and a text.
func (s *slots) compare(tables *slots, differs func(code, text string)) {
	at := slices.Sorted(maps.Keys(s.at))
	for start := range tables.at {
		if s.at[start] == nil {
			at = append(at, start)
		}
	}
	requests, meters := s.concerned(tables)
	none := &slot{}
	for _, start := range at {
		blocks, table := s.at[start], tables.at[start]
		if blocks == nil {
			blocks = none
		}
		if table == nil {
			table = none
		}
		when := time.UnixMilli(start * bucketMillis).UTC().Format("2006-01-02 15:04")
		if blocks.requests != table.requests {
			differs(FaultBucketDiffers, fmt.Sprintf("usage of requests in the quarter-hour from %s UTC: it says %d requests in all, the blocks %d (or other sums differ)%s",
				when, table.count, blocks.count, requests))
		}
		switch {
		case blocks.meters != table.meters:
			differs(FaultMeterDiffers, fmt.Sprintf("usage of meters in the quarter-hour from %s UTC: counts or sums are not those of the blocks%s", when, meters))
		case blocks.extremes != table.extremes && !blocks.staleExtremes:
			differs(FaultMeterDiffers, fmt.Sprintf("usage of meters in the quarter-hour from %s UTC: largest or latest values are not those of the blocks", when))
		}
		if blocks.members != table.members && !blocks.staleMembers {
			differs(FaultMeterDiffers, fmt.Sprintf("different values of unique meters in the quarter-hour from %s UTC are not those of the blocks", when))
		}
	}
}

// concerned tells people whose buckets differ.
func (s *slots) concerned(tables *slots) (requests, meters string) {
	var ofRequests, ofMeters []string
	look := func(id app.OrgID, a, b *orgDigest) {
		if a.requests != b.requests {
			ofRequests = append(ofRequests, string(id))
		}
		if a.meters != b.meters {
			ofMeters = append(ofMeters, string(id))
		}
	}
	none := &orgDigest{}
	for id, a := range s.orgs {
		b := tables.orgs[id]
		if b == nil {
			b = none
		}
		look(id, a, b)
	}
	for id, b := range tables.orgs {
		if s.orgs[id] == nil {
			look(id, none, b)
		}
	}
	return listed(ofRequests), listed(ofMeters)
}

// listed names the first of the organizations.
func listed(ids []string) string {
	const most = 5
	if len(ids) == 0 {
		return ""
	}
	slices.Sort(ids)
	text, more := "; it concerns", ""
	if len(ids) > most {
		ids, more = ids[:most], " and others"
	}
	for i, id := range ids {
		if i > 0 {
			text += ","
		}
		text += fmt.Sprintf(" %q", id)
	}
	return text + more
}
