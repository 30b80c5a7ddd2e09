package metering

import (
	"context"
	"time"

	"gatehouse/app"
)

// firstUsage is before anything was ever counted.
var firstUsage = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// Opening is what was used of an account's meter in its period before now: what
// a quota shows whose account was not asked for yet. Of a period shorter than a
// bucket nothing is known, so it is nothing.
func (r Reports) Opening(ctx context.Context, a app.Account, now time.Time) (int64, error) {
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
	err = r.Store.MeterUsage(ctx, set.ranges(), maxMeterRows, set.row, set.member, tail.foldBytes)
	if err == nil {
		err = set.tail(tail)
	}
	return set.total(), err
}
