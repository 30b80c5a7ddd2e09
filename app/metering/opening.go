package metering

import (
	"context"
	"time"

	"gatehouse/app"
)

// firstUsage is before anything was ever counted.
var firstUsage = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// Opening is what was used of an account's meter in its period before now: what
// a quota begins with that is opened in the middle of a period, or after it for
// usage that comes late. Of a period shorter than a bucket nothing is known, so
// it begins with nothing.
func (r Reports) Opening(ctx context.Context, a app.Account, now time.Time) (total int64, err error) {
	if a.Period == app.PeriodMinute {
		return 0, nil
	}
	since := time.UnixMilli(a.Start).UTC()
	if a.End == 0 {
		since = firstUsage
	}
	if end := time.UnixMilli(a.End).UTC(); a.End != 0 && end.Before(now) {
		now = end
	}
	q := app.MeterQuery{Org: a.Org, Meter: a.Meter, Filter: map[string]string{}}
	if a.Key != "" {
		q.Filter["key"] = string(a.Key)
	}
	for ; since.Before(now); since = q.Until {
		q.Since, q.Until = since, now
		if now.Sub(since) > MaxUsageRange {
			q.Until = since.Add(MaxUsageRange)
		}
		report, err := r.Meter(ctx, app.Actor{Kind: app.ActorSystem}, q)
		if err != nil {
			return 0, err
		}
		for _, row := range report.Rows {
			total += row.Value
		}
	}
	return total, nil
}
