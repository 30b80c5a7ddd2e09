package store

import (
	"slices"
	"time"

	"gatehouse/app"
)

const (
	meterKey           = `org_id, meter, start, key_id, route_id, dims`
	meterBucketColumns = meterKey + `, count, sum, max, latest, latest_at, estimated`
	meterWidth         = 12
	memberColumns      = meterKey + `, value`
	memberWidth        = 7
	heldKey            = `replica, org_id, key_id, meter, period, start_at`
	heldColumns        = `replica, org_id, key_id, meter, period, start_at, end_at, held`
	heldWidth          = 8
)

// addMeters adds to the buckets of meters. What has no uses (a correction
// alone) has neither a largest nor a latest value.
func (t *tx) addMeters(list []app.MeterBucket, atOnce int) error {
	for part := range slices.Chunk(list, atOnce) {
		args := make([]any, 0, len(part)*meterWidth)
		for i := range part {
			m := &part[i]
			args = append(args, string(m.Org), m.Meter, m.Start.UnixMilli(), string(m.Key), string(m.Route), m.Dims,
				m.Count, m.Sum, m.Max, m.Latest, m.LatestAt, m.Estimated)
		}
		_, err := t.exec(`INSERT INTO main.usage_meter (`+meterBucketColumns+`) VALUES `+values(len(part), meterWidth)+`
			ON CONFLICT (`+meterKey+`) DO UPDATE SET count = usage_meter.count + excluded.count, sum = `+boundedSum("usage_meter", "sum")+`,
				estimated = usage_meter.estimated + excluded.estimated,
				max = CASE WHEN excluded.count > 0 AND (usage_meter.count = 0 OR excluded.max > usage_meter.max)
					THEN excluded.max ELSE usage_meter.max END,
				latest = CASE WHEN `+laterUse+` THEN excluded.latest ELSE usage_meter.latest END,
				latest_at = CASE WHEN `+laterUse+` THEN excluded.latest_at ELSE usage_meter.latest_at END`, args...)
		if err != nil {
			return err
		}
	}
	return nil
}

const laterUse = `excluded.count > 0 AND (usage_meter.count = 0 OR excluded.latest_at > usage_meter.latest_at
	OR excluded.latest_at = usage_meter.latest_at AND excluded.latest > usage_meter.latest)`

// addMembers adds the members that are not there.
func (t *tx) addMembers(list []app.MeterMember, atOnce int) error {
	for part := range slices.Chunk(list, atOnce) {
		args := make([]any, 0, len(part)*memberWidth)
		for i := range part {
			m := &part[i]
			args = append(args, string(m.Org), m.Meter, m.Start.UnixMilli(), string(m.Key), string(m.Route), m.Dims, m.Value)
		}
		_, err := t.exec(`INSERT INTO main.usage_member (`+memberColumns+`) VALUES `+values(len(part), memberWidth)+` ON CONFLICT DO NOTHING`, args...)
		if err != nil {
			return err
		}
	}
	return nil
}

// addHeld keeps what the replica's requests hold, of each account; what holds
// nothing any more leaves.
func (t *tx) addHeld(replica int64, draws []app.Draw, atOnce int) error {
	draws = slices.DeleteFunc(slices.Clone(draws), func(d app.Draw) bool { return d.Held == 0 })
	for part := range slices.Chunk(draws, atOnce) {
		args := make([]any, 0, len(part)*heldWidth)
		for _, d := range part {
			args = append(accountArgs(append(args, replica), d.Account), d.Account.End, d.Held)
		}
		_, err := t.exec(`INSERT INTO main.usage_held (`+heldColumns+`) VALUES `+values(len(part), heldWidth)+`
			ON CONFLICT (`+heldKey+`) DO UPDATE SET held = `+boundedSum("usage_held", "held"), args...)
		if err != nil {
			return err
		}
	}
	if len(draws) == 0 {
		return nil
	}
	_, err := t.exec(`DELETE FROM main.usage_held WHERE replica = $1 AND held = 0`, replica)
	return err
}

// addApplied numbers what was folded. The lock on the number is held from here
// to the commit, so numbers follow the order of commits.
func (t *tx) addApplied(u app.UsageApply, now int64) error {
	var n int64
	err := t.row(`UPDATE main.usage_position SET n = n + 1 RETURNING n`).Scan(&n)
	if err == nil {
		_, err = t.exec(`INSERT INTO main.usage_applied (n, replica, from_seq, to_seq, at) VALUES ($1, $2, $3, $4, $5)`,
			n, u.To.Replica, u.From, u.To.Seq, now)
	}
	return err
}

func meterScanner(pass func(app.MeterBucket) error) func(scanner) error {
	return func(row scanner) error {
		var (
			m     app.MeterBucket
			start int64
		)
		err := row.Scan(&m.Org, &m.Meter, &start, &m.Key, &m.Route, &m.Dims, &m.Count, &m.Sum, &m.Max, &m.Latest, &m.LatestAt, &m.Estimated)
		if err != nil {
			return err
		}
		m.Start = time.UnixMilli(start).UTC()
		return pass(m)
	}
}

func memberScanner(pass func(app.MeterMember) error) func(scanner) error {
	return func(row scanner) error {
		var (
			m     app.MeterMember
			start int64
		)
		if err := row.Scan(&m.Org, &m.Meter, &start, &m.Key, &m.Route, &m.Dims, &m.Value); err != nil {
			return err
		}
		m.Start = time.UnixMilli(start).UTC()
		return pass(m)
	}
}
