package store

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"

	"gatehouse/app"
)

// MeterUsage sums the buckets of each range by step and by what rows are told
// apart by, and passes the members that are asked for. It passes each block
// that the buckets do not hold yet, of whichever organization, as all stood at
// one moment. It fails with usage_too_large beyond max rows or members.
func (l *Ledger) MeterUsage(ctx context.Context, ranges []app.MeterRange, max int, row func(app.MeterBucket) error,
	member func(app.MeterMember) error, tail func(replica, seq int64, body []byte) error) error {
	return l.snapshot(ctx, func(t *tx) error {
		if err := t.meterRanges(ranges, max, row, member); err != nil {
			return err
		}
		return t.tail(tail)
	})
}

func (t *tx) meterRanges(ranges []app.MeterRange, max int, row func(app.MeterBucket) error, member func(app.MeterMember) error) error {
	left := max
	for _, r := range ranges {
		counted := func(m app.MeterBucket) error { return spend(&left, max, row(m)) }
		if err := t.meterRange(r, left+1, counted); err != nil {
			return err
		}
		if !r.Members {
			continue
		}
		found := func(m app.MeterMember) error { return spend(&left, max, member(m)) }
		if err := t.memberRange(r, left+1, found); err != nil {
			return err
		}
	}
	return nil
}

// AccountUsage is MeterUsage without members, and answers what the buckets'
// draws charged to the account, as all stood at the same moment.
func (l *Ledger) AccountUsage(ctx context.Context, a app.Account, ranges []app.MeterRange, max int, row func(app.MeterBucket) error,
	tail func(replica, seq int64, body []byte) error) (charged int64, err error) {
	err = l.snapshot(ctx, func(t *tx) error {
		err := t.row(`SELECT spent - opening - held FROM quota_account
			WHERE org_id = $1 AND key_id = $2 AND meter = $3 AND period = $4 AND start_at = $5`, accountArgs(nil, &a)...).Scan(&charged)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err := t.meterRanges(ranges, max, row, nil); err != nil {
			return err
		}
		return t.tail(tail)
	})
	return charged, err
}

// spend takes one row from what is left.
func spend(left *int, max int, err error) error {
	if *left--; *left < 0 {
		return tooLarge(max)
	}
	return err
}

// meterRange reads usage_bucket for what the gate counts of each request, and
// usage_meter for every meter.
func (t *tx) meterRange(r app.MeterRange, limit int, row func(app.MeterBucket) error) error {
	scan := func(found scanner) error {
		var (
			m    = app.MeterBucket{Meter: r.Meter}
			step int64
		)
		err := found.Scan(&step, &m.Org, &m.Key, &m.Route, &m.Dims, &m.Count, &m.Sum, &m.Max, &m.Latest, &m.LatestAt, &m.Estimated)
		if err != nil {
			return err
		}
		m.Start = r.Since.Add(time.Duration(step) * r.Step)
		return row(m)
	}
	if column := gateColumn(r.Meter); column != "" {
		q := rangeQuery{r: r}
		text := q.head() + `, CAST('' AS TEXT) AS d, CAST(SUM(requests) AS BIGINT), CAST(SUM(` + column + `) AS BIGINT), 0, 0, 0, 0 FROM usage_bucket` +
			q.where("") + ` GROUP BY s, o, k, r LIMIT ` + q.bind(limit)
		if err := each(t, scan, text, q.args...); err != nil {
			return err
		}
	}
	q := rangeQuery{r: r}
	dims := apartBy(r.ByDims, "dims", "d")
	if r.Latest {
		text := `SELECT s, o, k, r, d, count, 0, 0, latest, latest_at, 0 FROM (` + q.head() + dims + `, count, latest, latest_at,
			ROW_NUMBER() OVER (PARTITION BY ` + q.parts() + ` ORDER BY latest_at DESC, latest DESC) AS place FROM usage_meter` +
			q.where(r.Meter) + ` AND count > 0) AS ranked WHERE place = 1 LIMIT ` + q.bind(limit)
		return each(t, scan, text, q.args...)
	}
	sum := "sum"
	if r.Meter == app.MeterDuration { // uses are milliseconds, buckets microseconds
		sum = "sum * 1000"
	}
	text := q.head() + dims + `, CAST(SUM(count) AS BIGINT), CAST(SUM(` + sum + `) AS BIGINT), COALESCE(MAX(max) FILTER (WHERE count > 0), 0), 0, 0,
		CAST(SUM(estimated) AS BIGINT) FROM usage_meter` + q.where(r.Meter) + ` GROUP BY s, o, k, r, d LIMIT ` + q.bind(limit)
	return each(t, scan, text, q.args...)
}

func (t *tx) memberRange(r app.MeterRange, limit int, member func(app.MeterMember) error) error {
	q := rangeQuery{r: r}
	text := strings.Replace(q.head(), "SELECT", "SELECT DISTINCT", 1) + apartBy(r.ByDims, "dims", "d") + `, value FROM usage_member` +
		q.where(r.Meter) + ` LIMIT ` + q.bind(limit)
	return each(t, func(found scanner) error {
		var (
			m    = app.MeterMember{Meter: r.Meter}
			step int64
		)
		if err := found.Scan(&step, &m.Org, &m.Key, &m.Route, &m.Dims, &m.Value); err != nil {
			return err
		}
		m.Start = r.Since.Add(time.Duration(step) * r.Step)
		return member(m)
	}, text, q.args...)
}

// gateColumn is what of usage_bucket a meter of the gate itself sums.
func gateColumn(meter string) string {
	switch meter {
	case app.MeterRequests:
		return "weight"
	case app.MeterBytes:
		return "bytes_in + bytes_out"
	case app.MeterDuration:
		return "duration_us"
	}
	return ""
}

// rangeQuery builds the text of one query of a range, parameters in the order
// in which they are bound.
type rangeQuery struct {
	r    app.MeterRange
	args []any
}

func (q *rangeQuery) bind(v any) string {
	q.args = append(q.args, v)
	return "$" + strconv.Itoa(len(q.args))
}

func (q *rangeQuery) step() string {
	if len(q.args) == 0 {
		q.bind(q.r.Since.UnixMilli())
		q.bind(q.r.Step.Milliseconds())
	}
	return `(start - $1) / $2`
}

// head selects the step and what rows are told apart by, but for dimensions.
func (q *rangeQuery) head() string {
	return `SELECT ` + q.step() + ` AS s` + apartBy(q.r.ByOrg, "org_id", "o") + apartBy(q.r.ByKey, "key_id", "k") + apartBy(q.r.ByRoute, "route_id", "r")
}

func apartBy(wanted bool, name, as string) string {
	if !wanted {
		name = `CAST('' AS TEXT)`
	}
	return `, ` + name + ` AS ` + as
}

// parts is what rows are told apart by, as a window needs it.
func (q *rangeQuery) parts() string {
	list := []string{q.step()}
	for i, wanted := range []bool{q.r.ByOrg, q.r.ByKey, q.r.ByRoute, q.r.ByDims} {
		if wanted {
			list = append(list, []string{"org_id", "key_id", "route_id", "dims"}[i])
		}
	}
	return strings.Join(list, ", ")
}

// where narrows to the range; the table has meters unless meter is empty.
func (q *rangeQuery) where(meter string) string {
	var terms []string
	if q.r.Org != "" {
		terms = append(terms, "org_id = "+q.bind(string(q.r.Org)))
	}
	if meter != "" {
		terms = append(terms, "meter = "+q.bind(meter))
	}
	terms = append(terms, "start >= $1", "start < "+q.bind(q.r.Until.UnixMilli()))
	if q.r.Key != "" {
		terms = append(terms, "key_id = "+q.bind(string(q.r.Key)))
	}
	if q.r.Route != "" {
		terms = append(terms, "route_id = "+q.bind(string(q.r.Route)))
	}
	return ` WHERE ` + strings.Join(terms, " AND ")
}
