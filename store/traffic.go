package store

import (
	"context"
	"time"

	"gatehouse/app"
)

// How long traffic is kept: minutes serve the ranges up to a day, hours the
// longer ones.
const (
	trafficMinutesKept = 48 * time.Hour
	trafficHoursKept   = 400 * 24 * time.Hour
)

// trafficUnit is the length of a row in seconds, and how long rows are kept.
func trafficUnit(hourly bool) (seconds int64, kept time.Duration) {
	if hourly {
		return 3600, trafficHoursKept
	}
	return 60, trafficMinutesKept
}

const trafficReason reason = "traffic counts every organization and the whole gate"

// SaveTraffic inserts or replaces the rows, by the minute or by the hour, and
// drops those past keeping.
func (s *Store) SaveTraffic(ctx context.Context, hourly bool, list []app.TrafficRow, refusals []app.RefusalRow) error {
	unit, kept := trafficUnit(hourly)
	return s.system(ctx, trafficReason, func(t *tx) error {
		for _, row := range list {
			if err := t.saveTraffic(unit, row); err != nil {
				return err
			}
		}
		for _, row := range refusals {
			_, err := t.exec(`INSERT INTO traffic_refusal (unit, start_at, code, replica, count)
				VALUES ($1, $2, $3, $4, $5)
				ON CONFLICT (unit, start_at, code, replica) DO UPDATE SET count = excluded.count`,
				unit, row.Start.UnixMilli(), row.Code, row.Replica, row.Count)
			if err != nil {
				return err
			}
		}
		return t.dropTraffic(unit, s.now().Add(-kept))
	})
}

func (t *tx) saveTraffic(unit int64, row app.TrafficRow) error {
	_, err := t.exec(`INSERT INTO traffic (unit, start_at, org_id, replica, allowed, refused, failed, latency, own)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (unit, start_at, org_id, replica) DO UPDATE SET allowed = excluded.allowed,
			refused = excluded.refused, failed = excluded.failed, latency = excluded.latency, own = excluded.own`,
		unit, row.Start.UnixMilli(), string(row.Org), row.Replica, row.Allowed, row.Refused, row.Failed, row.Latency, row.Own)
	return err
}

func (t *tx) dropTraffic(unit int64, before time.Time) error {
	if _, err := t.exec(`DELETE FROM traffic WHERE unit = $1 AND start_at < $2`, unit, before.UnixMilli()); err != nil {
		return err
	}
	_, err := t.exec(`DELETE FROM traffic_refusal WHERE unit = $1 AND start_at < $2`, unit, before.UnixMilli())
	return err
}

// Traffic returns the whole gate's rows that begin at since or later, of every
// replica but the one named (empty: of all), oldest first.
func (s *Store) Traffic(ctx context.Context, hourly bool, since time.Time, but string) (list []app.TrafficRow, err error) {
	unit, _ := trafficUnit(hourly)
	err = s.systemRead(ctx, trafficReason, func(t *tx) error {
		list, err = rows(t, func(row scanner) (r app.TrafficRow, err error) {
			var start int64
			err = row.Scan(&start, &r.Replica, &r.Allowed, &r.Refused, &r.Failed, &r.Latency, &r.Own)
			r.Start = time.UnixMilli(start).UTC()
			return r, err
		}, `SELECT start_at, replica, allowed, refused, failed, latency, own FROM traffic
			WHERE unit = $1 AND start_at >= $2 AND org_id = '' AND replica <> $3 ORDER BY start_at`,
			unit, since.UnixMilli(), but)
		return err
	})
	return list, err
}

// OrgTraffic returns organizations' rows that begin at since or later, summed
// over every replica but the one named.
func (s *Store) OrgTraffic(ctx context.Context, hourly bool, since time.Time, but string) (list []app.TrafficRow, err error) {
	unit, _ := trafficUnit(hourly)
	err = s.systemRead(ctx, trafficReason, func(t *tx) error {
		list, err = rows(t, func(row scanner) (r app.TrafficRow, err error) {
			var start int64
			err = row.Scan(&start, &r.Org, &r.Allowed, &r.Refused, &r.Failed)
			r.Start = time.UnixMilli(start).UTC()
			return r, err
		}, `SELECT start_at, org_id, CAST(SUM(allowed) AS BIGINT), CAST(SUM(refused) AS BIGINT), CAST(SUM(failed) AS BIGINT)
			FROM traffic WHERE unit = $1 AND start_at >= $2 AND org_id <> '' AND replica <> $3
			GROUP BY start_at, org_id`, unit, since.UnixMilli(), but)
		return err
	})
	return list, err
}

// RefusalTraffic returns how often each reason stopped a request since the
// time, summed over every replica but the one named.
func (s *Store) RefusalTraffic(ctx context.Context, hourly bool, since time.Time, but string) (list []app.RefusalRow, err error) {
	unit, _ := trafficUnit(hourly)
	err = s.systemRead(ctx, trafficReason, func(t *tx) error {
		list, err = rows(t, func(row scanner) (r app.RefusalRow, err error) {
			err = row.Scan(&r.Code, &r.Count)
			return r, err
		}, `SELECT code, CAST(SUM(count) AS BIGINT) FROM traffic_refusal
			WHERE unit = $1 AND start_at >= $2 AND replica <> $3 GROUP BY code`, unit, since.UnixMilli(), but)
		return err
	})
	return list, err
}
