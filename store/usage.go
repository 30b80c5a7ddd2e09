package store

import (
	"context"
	"math"
	"strconv"
	"strings"
	"time"

	"gatehouse/app"
)

const bucketColumns = `org_id, start, key_id, route_id, requests, weight,
	status_2xx, status_3xx, status_4xx, status_5xx, unknown, bytes_in, bytes_out, duration_us`

// bucketSums are the columns that are added up.
var bucketSums = []string{"requests", "weight", "status_2xx", "status_3xx", "status_4xx", "status_5xx",
	"unknown", "bytes_in", "bytes_out", "duration_us"}

const bucketWidth = 14 // columns of a bucket

// How many buckets one statement adds. A statement to PostgreSQL is a round
// trip; SQLite is quickest one by one (4.8 µs a row against 17 µs in 64s).
const (
	sqliteBuckets   = 1
	postgresBuckets = 64
)

// Unapplied lists the replicas that have blocks which the buckets do not hold.
func (l *Ledger) Unapplied(ctx context.Context) (list []app.LedgerReplica, err error) {
	err = l.snapshot(ctx, func(t *tx) error {
		list, err = t.unapplied()
		return err
	})
	return list, err
}

// unapplied asks for each replica's last block by itself: a join would let the
// planner read every block there is.
func (t *tx) unapplied() ([]app.LedgerReplica, error) {
	return rows(t, scanReplica, `SELECT `+replicaColumns+` FROM usage_replica r WHERE closed_at = 0
		AND (SELECT MAX(b.seq) FROM usage_block b WHERE b.replica = r.id) > applied_seq ORDER BY id`)
}

// Applied is the replica's last block that the buckets hold.
func (l *Ledger) Applied(ctx context.Context, replica int64) (app.LedgerLink, error) {
	var r app.LedgerReplica
	err := l.snapshot(ctx, func(t *tx) (err error) {
		r, err = scanReplica(t.row(`SELECT `+replicaColumns+` FROM usage_replica WHERE id = $1`, replica))
		return found("replica", err)
	})
	return r.Applied, err
}

// ApplyUsage adds to the buckets and accounts, moves the replica's applied block
// and numbers the move, in one transaction. It is not ok, and does nothing, when the buckets do not stand
// at u.From: somebody else has moved them.
func (l *Ledger) ApplyUsage(ctx context.Context, u app.UsageApply) (ok bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, asAppError(ctx, err)
	}
	ctx, cancel := l.commitContext(ctx)
	defer cancel()
	err = l.db.system(ctx, ledgerReason, func(t *tx) error {
		n, err := t.exec(`UPDATE main.usage_replica SET applied_seq = $3, applied_hash = $4,
				open_from = CASE WHEN open_from < $5 THEN $5 ELSE open_from END,
				answered = CASE WHEN answered < $6 THEN $6 ELSE answered END
			WHERE id = $1 AND applied_seq = $2`, u.To.Replica, u.From, u.To.Seq, u.To.Hash[:], u.OpenFrom, u.Answered)
		if ok = n == 1; !ok {
			return err
		}
		return t.fold(u, l.bucketsAtOnce(), l.db.now().UnixMilli())
	})
	return ok && err == nil, err
}

// fold adds what the blocks tell, in the order in which every process takes
// its locks.
func (t *tx) fold(u app.UsageApply, atOnce int, now int64) error {
	err := t.addBuckets(u.Buckets, atOnce)
	if err == nil {
		err = t.addMeters(u.Meters, atOnce)
	}
	if err == nil {
		err = t.addMembers(u.Members, atOnce)
	}
	if err == nil && len(u.Draws) > 0 {
		err = t.applyDraws(u.To.Replica, u.Draws, now)
	}
	if err == nil {
		err = t.addHeld(u.To.Replica, u.Draws, atOnce)
	}
	if err == nil {
		err = t.addApplied(u, now)
	}
	return err
}

func (l *Ledger) bucketsAtOnce() int {
	if l.onPostgres() {
		return postgresBuckets
	}
	return sqliteBuckets
}

func (t *tx) addBuckets(list []app.UsageBucket, atOnce int) error {
	statement, err := t.sql.PrepareContext(t.ctx, addBucketsText(min(atOnce, max(1, len(list)))))
	if err != nil {
		return err
	}
	defer statement.Close()
	args := make([]any, 0, atOnce*bucketWidth)
	for ; len(list) >= atOnce; list = list[atOnce:] {
		if _, err := statement.ExecContext(t.ctx, bucketArgs(args[:0], list[:atOnce])...); err != nil {
			return err
		}
	}
	if len(list) > 0 {
		_, err = t.exec(addBucketsText(len(list)), bucketArgs(args[:0], list)...)
	}
	return err
}

// addBucketsText inserts n buckets, or adds them to those that are there.
func addBucketsText(n int) string {
	var text strings.Builder
	text.WriteString(`INSERT INTO main.usage_bucket (` + bucketColumns + `) VALUES `)
	for i := range n * bucketWidth {
		switch {
		case i == 0:
			text.WriteString("($1")
		case i%bucketWidth == 0:
			text.WriteString("), ($" + strconv.Itoa(i+1))
		default:
			text.WriteString(", $" + strconv.Itoa(i+1))
		}
	}
	text.WriteString(`) ON CONFLICT (org_id, start, key_id, route_id) DO UPDATE SET `)
	for i, column := range bucketSums {
		if i > 0 {
			text.WriteString(", ")
		}
		text.WriteString(column + " = usage_bucket." + column + " + excluded." + column)
	}
	return text.String()
}

func bucketArgs(args []any, list []app.UsageBucket) []any {
	for i := range list {
		b := &list[i]
		args = append(args, string(b.Org), b.Start.UnixMilli(), string(b.Key), string(b.Route), b.Requests, b.Weight,
			b.Status2, b.Status3, b.Status4, b.Status5, b.Unknown, b.BytesIn, b.BytesOut, b.Duration.Microseconds())
	}
	return args
}

func bucketScanner(pass func(app.UsageBucket) error) func(scanner) error {
	return func(row scanner) error {
		var (
			b             app.UsageBucket
			start, micros int64
		)
		err := row.Scan(&b.Org, &start, &b.Key, &b.Route, &b.Requests, &b.Weight,
			&b.Status2, &b.Status3, &b.Status4, &b.Status5, &b.Unknown, &b.BytesIn, &b.BytesOut, &micros)
		if err != nil {
			return err
		}
		b.Start, b.Duration = time.UnixMilli(start).UTC(), time.Duration(micros)*time.Microsecond
		return pass(b)
	}
}

// Usage sums the buckets that match the query by step and group, and passes
// each block that the buckets do not hold yet, of whichever organization, as
// both stood at one moment. It fails with usage_too_large beyond max rows; 0
// is no bound.
func (l *Ledger) Usage(ctx context.Context, q app.UsageQuery, max int, tail func(replica, seq int64, body []byte) error) (list []app.UsageRow, err error) {
	err = l.snapshot(ctx, func(t *tx) error {
		if list, err = t.usage(q, max); err != nil {
			return err
		}
		return t.tail(tail)
	})
	return list, err
}

func (t *tx) tail(pass func(replica, seq int64, body []byte) error) error {
	replicas, err := t.unapplied()
	for _, r := range replicas {
		each := func(seq int64, body []byte) error { return pass(r.ID, seq, body) }
		if err := t.blocks(r.ID, r.Applied.Seq, math.MaxInt32, each); err != nil {
			return err
		}
	}
	return err
}

func (t *tx) usage(q app.UsageQuery, max int) ([]app.UsageRow, error) {
	if max == 0 {
		max = math.MaxInt32 - 1
	}
	text, args := usageText(q, max+1)
	list, err := rows(t, usageScanner(q), text, args...)
	if len(list) > max {
		return nil, tooLarge(max)
	}
	return list, err
}

func tooLarge(max int) error {
	return &app.Error{Kind: app.KindInvalid, Code: "usage_too_large",
		Message: "The answer would have more than " + strconv.Itoa(max) + " rows.",
		Advice:  "Ask for larger steps, a shorter time, or one key or route."}
}

func usageText(q app.UsageQuery, limit int) (string, []any) {
	var args []any
	bind := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	var where []string
	filter := func(column, value string) {
		if value != "" {
			where = append(where, column+" = "+bind(value))
		}
	}
	filter("org_id", string(q.Org))
	since := bind(q.Since.UnixMilli())
	where = append(where, "start >= "+since, "start < "+bind(q.Until.UnixMilli()))
	filter("key_id", string(q.Key))
	filter("route_id", string(q.Route))
	text := `SELECT (start - ` + since + `) / ` + bind(q.Step.Milliseconds()) + ` AS step, ` + groupColumn(q.Group) + ` AS label`
	for _, column := range bucketSums {
		text += `, CAST(SUM(` + column + `) AS BIGINT)`
	}
	return text + ` FROM usage_bucket WHERE ` + strings.Join(where, " AND ") +
		` GROUP BY step, label LIMIT ` + bind(limit), args
}

func groupColumn(group string) string {
	switch group {
	case "key":
		return "key_id"
	case "route":
		return "route_id"
	case "org":
		return "org_id"
	}
	return "CAST('' AS TEXT)"
}

func usageScanner(q app.UsageQuery) func(scanner) (app.UsageRow, error) {
	return func(row scanner) (r app.UsageRow, err error) {
		var step, micros int64
		err = row.Scan(&step, &r.Group, &r.Requests, &r.Weight, &r.Status2, &r.Status3, &r.Status4, &r.Status5,
			&r.Unknown, &r.BytesIn, &r.BytesOut, &micros)
		r.Start, r.Duration = q.Since.Add(time.Duration(step)*q.Step), time.Duration(micros)*time.Microsecond
		return r, err
	}
}
