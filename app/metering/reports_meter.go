package metering

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"gatehouse/app"
)

// MeterFinder knows every meter by its slug; it fails with not_found.
type MeterFinder interface {
	Find(ctx context.Context, actor app.Actor, slug string) (app.Meter, error)
}

// maxMeterRows bounds what a report of a meter reads: rows told apart by all of
// their dimensions, and members of sets.
const maxMeterRows = 1_000_000

// Meter returns usage of one meter by start, then group. Who may ask is as for
// Usage. Without a group each step has a row, also without usage.
func (r Reports) Meter(ctx context.Context, actor app.Actor, q app.MeterQuery) (app.MeterReport, error) {
	who := app.UsageQuery{Org: q.Org}
	if err := authorize(actor, &who); err != nil {
		return app.MeterReport{}, err
	}
	q.Org = who.Org
	meter, err := r.findMeter(ctx, q.Meter)
	if err != nil {
		return app.MeterReport{}, err
	}
	steps, err := tidyMeter(&q, meter)
	if err != nil {
		return app.MeterReport{}, err
	}
	set := newMeterSet(q, meter, steps)
	tail := newSums()
	err = r.Store.MeterUsage(ctx, set.ranges(), maxMeterRows, set.row, set.member, tail.foldBytes)
	if err == nil {
		err = set.tail(tail)
	}
	if err != nil {
		return app.MeterReport{}, err
	}
	rows := set.sorted()
	if len(rows) > MaxUsageRows {
		return app.MeterReport{}, app.Invalid("group", "gives %d rows; at most %d are answered", len(rows), MaxUsageRows)
	}
	return app.MeterReport{Meter: meter, Since: q.Since, Until: q.Until, Rows: rows}, nil
}

// findMeter knows the built-in ones by itself. Who may see the usage may see
// what the meter is.
func (r Reports) findMeter(ctx context.Context, slug string) (app.Meter, error) {
	for _, m := range app.BuiltInMeters() {
		if m.Slug == slug {
			return m, nil
		}
	}
	if r.Meters == nil {
		return app.Meter{}, app.NotFound("meter")
	}
	return r.Meters.Find(ctx, app.Actor{Kind: app.ActorSystem}, slug)
}

// tidyMeter checks the query, widens it to whole buckets, and returns the
// starts of its steps, and its end.
func tidyMeter(q *app.MeterQuery, m app.Meter) ([]time.Time, error) {
	if q.Zone == nil {
		q.Zone = time.UTC
	}
	q.Since, q.Until = bucketTime(q.Since), bucketTime(q.Until.Add(app.BucketLength-1))
	var wrong []app.FieldError
	add := func(field, message string) { wrong = append(wrong, app.FieldError{Field: field, Message: message}) }
	if !q.Since.Before(q.Until) {
		add("until", "must lie after since")
	}
	if q.Until.Sub(q.Since) > MaxUsageRange {
		add("since", "must lie at most 400 days before until")
	}
	for _, name := range q.Group {
		if name != "key" && name != "route" && name != "org" && !slices.Contains(m.Dimensions, name) {
			add("group", "must be key, route, org or a dimension of the meter")
		}
	}
	for name := range q.Filter {
		if name != "key" && name != "route" && !slices.Contains(m.Dimensions, name) {
			add("filter", "must be of key, route or a dimension of the meter")
		}
	}
	switch q.Step {
	case "", app.StepBucket, app.StepHour, app.StepDay, app.StepMonth:
	default:
		add("step", "must be 15m, hour, day, month or left out")
	}
	if len(wrong) > 0 {
		return nil, app.InvalidFields(wrong)
	}
	steps := stepsOf(q)
	if len(steps) > MaxUsageRows {
		return nil, app.Invalid("step", "gives %d steps from since to until; at most %d are answered", len(steps)-1, MaxUsageRows)
	}
	return steps, nil
}

// stepsOf cuts the query's time: at whole days and months of its zone, whose
// first and last may be cut short, or every so long from since.
func stepsOf(q *app.MeterQuery) []time.Time {
	steps := []time.Time{q.Since}
	for at := q.Since; at.Before(q.Until); steps = append(steps, at) {
		next := q.Until
		year, month, day := at.In(q.Zone).Date()
		switch q.Step {
		case app.StepBucket:
			next = at.Add(app.BucketLength)
		case app.StepHour:
			next = at.Add(time.Hour)
		case app.StepDay:
			next = time.Date(year, month, day+1, 0, 0, 0, 0, q.Zone).UTC()
		case app.StepMonth:
			next = time.Date(year, month+1, 1, 0, 0, 0, 0, q.Zone).UTC()
		}
		// A zone of the past may lie at odd minutes, where no bucket begins.
		if next = bucketTime(next.Add(app.BucketLength - 1)); next.After(q.Until) {
			next = q.Until
		}
		at = next
	}
	return steps
}

// meterSet sums what the store and the tail tell by step and group.
type meterSet struct {
	q       app.MeterQuery
	meter   app.Meter
	steps   []time.Time // and the end
	dims    bool        // dimensions matter
	rows    map[meterGroup]*app.MeterBucket
	members map[meterGroup]map[int64]struct{}
}

// meterGroup names a row: the values of what was asked for, joined.
type meterGroup struct {
	start int64
	text  string
}

func newMeterSet(q app.MeterQuery, m app.Meter, steps []time.Time) *meterSet {
	s := &meterSet{q: q, meter: m, steps: steps, rows: map[meterGroup]*app.MeterBucket{}, members: map[meterGroup]map[int64]struct{}{}}
	for _, name := range q.Group {
		s.dims = s.dims || name != "key" && name != "route" && name != "org"
	}
	for name := range q.Filter {
		s.dims = s.dims || name != "key" && name != "route"
	}
	if len(q.Group) == 0 {
		for _, start := range steps[:len(steps)-1] {
			s.rows[meterGroup{start: start.UnixMilli()}] = &app.MeterBucket{}
		}
	}
	return s
}

// ranges are the steps, those of equal length that follow each other as one.
func (s *meterSet) ranges() (list []app.MeterRange) {
	base := app.MeterRange{Org: s.q.Org, Meter: s.q.Meter, Key: app.KeyID(s.q.Filter["key"]), Route: app.RouteID(s.q.Filter["route"]),
		ByOrg: slices.Contains(s.q.Group, "org"), ByKey: slices.Contains(s.q.Group, "key"), ByRoute: slices.Contains(s.q.Group, "route"),
		ByDims: s.dims, Latest: s.meter.Aggregation == app.AggregationLatest, Members: s.meter.Aggregation == app.AggregationUnique}
	for i, start := range s.steps[:len(s.steps)-1] {
		length := s.steps[i+1].Sub(start)
		if last := len(list) - 1; last >= 0 && list[last].Step == length {
			list[last].Until = s.steps[i+1]
			continue
		}
		next := base
		next.Since, next.Until, next.Step = start, s.steps[i+1], length
		list = append(list, next)
	}
	return list
}

// group names the row of usage, or not ok when a filter leaves it out.
func (s *meterSet) group(start time.Time, org app.OrgID, key app.KeyID, route app.RouteID, dims string) (g meterGroup, ok bool) {
	values := map[string]string{}
	if s.dims && dims != "" && json.Unmarshal([]byte(dims), &values) != nil {
		values = map[string]string{} // no dimensions of this program: they have none of these names
	}
	values["org"], values["key"], values["route"] = string(org), string(key), string(route)
	for name, want := range s.q.Filter {
		if name != "key" && name != "route" && values[name] != want {
			return g, false
		}
	}
	parts := make([]string, len(s.q.Group))
	for i, name := range s.q.Group {
		parts[i] = values[name]
	}
	return meterGroup{start.UnixMilli(), strings.Join(parts, "\x00")}, true // no text here holds NUL, see clean
}

func (s *meterSet) row(m app.MeterBucket) error {
	g, ok := s.group(m.Start, m.Org, m.Key, m.Route, m.Dims)
	if !ok {
		return nil
	}
	if s.rows[g] == nil {
		s.rows[g] = &app.MeterBucket{}
	}
	mergeMeter(s.rows[g], &m)
	return nil
}

func (s *meterSet) member(m app.MeterMember) error {
	g, ok := s.group(m.Start, m.Org, m.Key, m.Route, m.Dims)
	if !ok {
		return nil
	}
	if s.members[g] == nil {
		s.members[g] = map[int64]struct{}{}
	}
	s.members[g][m.Value] = struct{}{}
	return nil
}

// tail adds the blocks that the buckets do not hold yet.
func (s *meterSet) tail(t *sums) error {
	for _, b := range t.cells {
		if start, ok := s.within(b.Start, b.Org, b.Key, b.Route); ok && gateCounts(s.q.Meter) {
			s.row(app.MeterBucket{Start: start, Org: b.Org, Key: b.Key, Route: b.Route, Count: b.Requests, Sum: gateSum(s.q.Meter, b)})
		}
	}
	for _, m := range t.meters {
		if start, ok := s.within(m.Start, m.Org, m.Key, m.Route); ok && m.Meter == s.q.Meter {
			moved := *m
			moved.Start = start
			if m.Meter == app.MeterDuration { // uses are milliseconds, buckets microseconds
				moved.Sum *= 1000
			}
			s.row(moved)
		}
	}
	for m := range t.members {
		if start, ok := s.within(m.Start, m.Org, m.Key, m.Route); ok && m.Meter == s.q.Meter && s.meter.Aggregation == app.AggregationUnique {
			m.Start = start
			s.member(m)
		}
	}
	return nil
}

// within finds the step of a bucket that the query asks for.
func (s *meterSet) within(at time.Time, org app.OrgID, key app.KeyID, route app.RouteID) (start time.Time, ok bool) {
	if at.Before(s.q.Since) || !at.Before(s.q.Until) || s.q.Org != "" && s.q.Org != org ||
		s.q.Filter["key"] != "" && s.q.Filter["key"] != string(key) || s.q.Filter["route"] != "" && s.q.Filter["route"] != string(route) {
		return start, false
	}
	i, found := slices.BinarySearchFunc(s.steps, at, time.Time.Compare)
	if !found {
		i--
	}
	return s.steps[i], true
}

// gateCounts reports whether usage buckets hold the meter.
func gateCounts(meter string) bool {
	return meter == app.MeterRequests || meter == app.MeterBytes || meter == app.MeterDuration
}

// gateSum is what a usage bucket holds of the meter; durations in microseconds.
func gateSum(meter string, b *app.UsageBucket) int64 {
	switch meter {
	case app.MeterRequests:
		return b.Weight
	case app.MeterBytes:
		return b.BytesIn + b.BytesOut
	}
	return b.Duration.Microseconds()
}

func (s *meterSet) sorted() []app.MeterRow {
	type named struct {
		meterGroup
		app.MeterRow
	}
	list := make([]named, 0, len(s.rows))
	for g, m := range s.rows {
		row := app.MeterRow{Start: time.UnixMilli(g.start).UTC(), Value: s.value(g, m), Estimated: m.Estimated}
		if len(s.q.Group) > 0 {
			row.Group = map[string]string{}
			for i, value := range strings.Split(g.text, "\x00") {
				row.Group[s.q.Group[i]] = value
			}
		}
		list = append(list, named{g, row})
	}
	slices.SortFunc(list, func(a, b named) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.text, b.text)) })
	rows := make([]app.MeterRow, len(list))
	for i := range list {
		rows[i] = list[i].MeterRow
	}
	return rows
}

// value is the row's number. A count's uses have the value 1 each, so that a
// correction changes it.
func (s *meterSet) value(g meterGroup, m *app.MeterBucket) int64 {
	switch s.meter.Aggregation {
	case app.AggregationMax:
		return m.Max
	case app.AggregationLatest:
		return m.Latest
	case app.AggregationUnique:
		return int64(len(s.members[g]))
	}
	if s.q.Meter == app.MeterDuration {
		return m.Sum / 1000
	}
	return m.Sum
}
