package quota

import (
	"context"

	"gatehouse/app"
)

// checkMeter refuses a meter that does not exist, or does not add quantities
// up: what is left of it would mean nothing. Without find every meter is known.
func checkMeter(ctx context.Context, find func(context.Context, string) (app.Meter, error), slug string) error {
	if find == nil {
		return nil
	}
	m, err := find(ctx, slug)
	switch {
	case app.IsKind(err, app.KindNotFound):
		return app.Invalid("meter", "there is no meter %q", slug)
	case err == nil && m.Aggregation != app.AggregationSum && m.Aggregation != app.AggregationCount:
		return app.Invalid("meter", "%q does not add up: its aggregation is %s", slug, m.Aggregation)
	}
	return err
}
