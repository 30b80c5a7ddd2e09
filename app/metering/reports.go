package metering

import (
	"cmp"
	"context"
	"slices"
	"time"

	"gatehouse/app"
)

// ScopeRead lets an operator's key read the usage of every organization.
const ScopeRead = "usage:read"

// Bounds of a report: an answer stays a few megabytes, and a query within what
// one index range covers.
const (
	MaxUsageRows  = 10_000
	MaxUsageRange = 400 * 24 * time.Hour // a year, with room to compare
)

// Reports tells what was counted. It reads the store alone, so it is exact in
// the process that counts as in any other, and when none runs.
type Reports struct {
	Store  UsageStore
	Meters MeterFinder // of meters that are not built in; nil: there are none
}

// Usage returns the rows of the query by start, then group: usage per step
// and, when grouped, per group with usage. Without a group each step has a
// row, also without usage. Since and Until are widened to whole buckets, and
// steps are counted from Since. An operator with usage:read sees every
// organization, others their own alone; another's is not found.
func (r Reports) Usage(ctx context.Context, actor app.Actor, q app.UsageQuery) ([]app.UsageRow, error) {
	if err := authorize(actor, &q); err != nil {
		return nil, err
	}
	if err := tidy(&q); err != nil {
		return nil, err
	}
	if steps := q.Until.Sub(q.Since) / q.Step; steps > MaxUsageRows {
		return nil, app.Invalid("step", "gives %d steps from since to until; at most %d are answered", steps, MaxUsageRows)
	}
	return r.rows(ctx, q, MaxUsageRows)
}

// Totals returns what each organization used, one row each, for lists. Who
// may see one organization alone gets that one.
func (r Reports) Totals(ctx context.Context, actor app.Actor, since, until time.Time) (map[app.OrgID]app.UsageRow, error) {
	q := app.UsageQuery{Since: since, Until: until, Group: "org"}
	if err := authorize(actor, &q); err != nil {
		return nil, err
	}
	if err := tidy(&q); err != nil {
		return nil, err
	}
	rows, err := r.rows(ctx, q, 0)
	totals := make(map[app.OrgID]app.UsageRow, len(rows))
	for _, row := range rows {
		totals[app.OrgID(row.Group)] = row
	}
	return totals, err
}

func authorize(actor app.Actor, q *app.UsageQuery) error {
	switch {
	case actor.MayManage(ScopeRead):
		return nil
	case actor.Kind == app.ActorOperator:
		return &app.Error{Kind: app.KindForbidden, Code: "forbidden", Message: "This credential may not read usage.",
			Advice: "Use one with the scope " + ScopeRead + "."}
	case actor.OrgID == "":
		return &app.Error{Kind: app.KindUnauthenticated, Code: "unauthenticated", Message: "Usage is shown to known callers alone.",
			Advice: "Sign in, or send an API key."}
	case q.Org == "":
		q.Org = actor.OrgID
	case q.Org != actor.OrgID:
		return app.NotFound("organization")
	}
	return nil
}

// tidy checks the query and widens it to whole buckets; Step is never 0 after.
func tidy(q *app.UsageQuery) error {
	q.Since, q.Until = bucketTime(q.Since), bucketTime(q.Until.Add(app.BucketLength-1))
	var wrong []app.FieldError
	if !q.Since.Before(q.Until) {
		wrong = append(wrong, app.FieldError{Field: "until", Message: "must lie after since"})
	}
	if q.Until.Sub(q.Since) > MaxUsageRange {
		wrong = append(wrong, app.FieldError{Field: "since", Message: "must lie at most 400 days before until"})
	}
	if q.Step < 0 || q.Step%app.BucketLength != 0 {
		wrong = append(wrong, app.FieldError{Field: "step", Message: "must be a multiple of 15 minutes, or 0 for the whole range"})
	}
	switch q.Group {
	case "", "key", "route", "org":
	default:
		wrong = append(wrong, app.FieldError{Field: "group", Message: "must be key, route, org or left out"})
	}
	if len(wrong) > 0 {
		return app.InvalidFields(wrong)
	}
	if q.Step == 0 {
		q.Step = q.Until.Sub(q.Since)
	}
	return nil
}

func bucketTime(t time.Time) time.Time {
	return time.UnixMilli(app.BucketStart(t.UnixMilli())).UTC()
}

// rows reads the buckets and adds the blocks that they do not hold yet.
func (r Reports) rows(ctx context.Context, q app.UsageQuery, max int) ([]app.UsageRow, error) {
	tail := newSums()
	rows, err := r.Store.Usage(ctx, q, max, tail.foldBytes)
	if err != nil {
		return nil, err
	}
	set := newRowSet(q)
	for _, row := range rows {
		set.add(row)
	}
	for _, bucket := range tail.cells {
		if matches(q, bucket) {
			row := bucket.UsageRow
			row.Group = groupOf(q.Group, bucket)
			set.add(row)
		}
	}
	return set.sorted(), nil
}

func matches(q app.UsageQuery, b *app.UsageBucket) bool {
	return (q.Org == "" || q.Org == b.Org) && (q.Key == "" || q.Key == b.Key) && (q.Route == "" || q.Route == b.Route) &&
		!b.Start.Before(q.Since) && b.Start.Before(q.Until)
}

func groupOf(group string, b *app.UsageBucket) string {
	switch group {
	case "key":
		return string(b.Key)
	case "route":
		return string(b.Route)
	case "org":
		return string(b.Org)
	}
	return ""
}

// rowSet sums rows by step and group.
type rowSet struct {
	q    app.UsageQuery
	rows map[rowKey]*app.UsageRow
}

type rowKey struct {
	step  time.Duration // since q.Since, in whole steps
	group string
}

func newRowSet(q app.UsageQuery) *rowSet {
	s := &rowSet{q: q, rows: map[rowKey]*app.UsageRow{}}
	if q.Group == "" {
		for start := q.Since; start.Before(q.Until); start = start.Add(q.Step) {
			s.add(app.UsageRow{Start: start})
		}
	}
	return s
}

func (s *rowSet) add(row app.UsageRow) {
	key := rowKey{row.Start.Sub(s.q.Since) / s.q.Step, row.Group}
	sum := s.rows[key]
	if sum == nil {
		sum = &app.UsageRow{Start: s.q.Since.Add(key.step * s.q.Step), Group: row.Group}
		s.rows[key] = sum
	}
	sum.Add(row)
}

func (s *rowSet) sorted() []app.UsageRow {
	list := make([]app.UsageRow, 0, len(s.rows))
	for _, row := range s.rows {
		list = append(list, *row)
	}
	slices.SortFunc(list, func(a, b app.UsageRow) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Group, b.Group))
	})
	return list
}
