package gateway

import (
	"context"

	"gatehouse/app"
	"gatehouse/app/quota"
)

// Meters knows what is counted; metering.Meters fills it.
type Meters interface {
	Meter(slug string) (m app.Meter, known bool)
}

// maxCheckAmount bounds what one check may take of a meter: a million dollars,
// in micros.
const maxCheckAmount = 1_000_000_000_000

// checked is what /v1/check counts in place of a request; an empty meter is
// the request itself.
type checked struct {
	meter  string
	amount int64
}

// most is the largest amount that the question may name.
func (q CheckRequest) most() int64 {
	if q.Meter == "" || q.Meter == app.MeterRequests {
		return app.MaxWeight
	}
	return maxCheckAmount
}

// asked reads which meter the question means. Only what adds up can be taken
// in amounts, and bytes and duration are the gate's own to count.
func (g *Gateway) asked(q CheckRequest) (checked, error) {
	if q.Meter == "" || q.Meter == app.MeterRequests {
		return checked{}, nil
	}
	amount := max(1, q.Amount)
	known, meter := false, app.Meter{}
	if g.Meters != nil {
		meter, known = g.Meters.Meter(q.Meter)
	}
	switch {
	case !known:
		return checked{}, errMeterUnknown(q.Meter)
	case q.Meter == app.MeterBytes || q.Meter == app.MeterDuration:
		return checked{}, app.Invalid("meter", "must not be bytes or duration, which the gate counts by itself")
	case meter.Aggregation == app.AggregationSum, meter.Aggregation == app.AggregationCount && amount == 1:
		return checked{q.Meter, amount}, nil
	}
	return checked{}, app.Invalid("meter", "must be one that sums values (or a count, of which a check takes 1)")
}

// dispatchMeter reserves and counts at once what a check takes of a meter.
func (x *exchange) dispatchMeter(ctx context.Context) error {
	if x.credential != nil {
		line := x.admission.state.book.Line(x.credential.key.ID, x.asks.meter)
		need := quota.Need{Meter: x.asks.meter, Amount: x.asks.amount, Final: true}
		if err := x.reserve(ctx, line, []quota.Need{need}); err != nil {
			return err
		}
	}
	in := x.intent([]app.Use{{Meter: x.asks.meter, Value: x.asks.amount}})
	in.Weight = 0
	x.begin(in)
	return nil
}
