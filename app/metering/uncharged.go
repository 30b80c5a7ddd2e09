package metering

import (
	"context"
	"time"

	"gatehouse/app"
)

// Uncharged is what was used of an account's meter in its period before now and
// is in no draw on it, whether that is applied or not: what an account begins
// with when it is opened. Usage was charged before that where it could not be
// opened in time. It is never below 0.
func (r Reports) Uncharged(ctx context.Context, a app.Account, now time.Time) (int64, error) {
	since, until, ok := openingSpan(a, now)
	if !ok {
		return 0, nil
	}
	meter, err := r.findMeter(ctx, a.Meter)
	if err != nil {
		return 0, err
	}
	set := openingSet(a, meter, since, until)
	tail := newSums()
	charged, err := r.Store.AccountUsage(ctx, a, set.ranges(), maxMeterRows, set.row, tail.foldBytes)
	if err == nil {
		err = set.tail(tail)
	}
	if err != nil {
		return 0, err
	}
	for account, d := range tail.draws {
		if account.Compare(&a) == 0 {
			charged += d.Spent - d.Held
		}
	}
	return max(0, set.total()-charged), nil
}

// openingSpan is the part of the account's period before now, in whole buckets;
// not ok where nothing is known of it.
func openingSpan(a app.Account, now time.Time) (since, until time.Time, ok bool) {
	if a.Period == app.PeriodMinute {
		return since, until, false
	}
	since, until = time.UnixMilli(a.Start).UTC(), now
	if a.End == 0 {
		since = firstUsage
	}
	if end := time.UnixMilli(a.End).UTC(); a.End != 0 && end.Before(now) {
		until = end
	}
	since, until = bucketTime(since), bucketTime(until.Add(app.BucketLength-1))
	return since, until, since.Before(until)
}

// openingSet sums usage of the account's meter, of its key if it has one, in
// steps of a range's length.
func openingSet(a app.Account, m app.Meter, since, until time.Time) *meterSet {
	q := app.MeterQuery{Org: a.Org, Meter: a.Meter, Filter: map[string]string{}, Since: since, Until: until}
	if a.Key != "" {
		q.Filter["key"] = string(a.Key)
	}
	steps := []time.Time{since}
	for at := since.Add(MaxUsageRange); at.Before(until); at = at.Add(MaxUsageRange) {
		steps = append(steps, at)
	}
	return newMeterSet(q, m, append(steps, until))
}

// total adds up all rows.
func (s *meterSet) total() (sum int64) {
	for _, row := range s.sorted() {
		sum += row.Value
	}
	return sum
}
