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
	known := !app.IsKind(err, app.KindNotFound)
	if err != nil && known {
		return err
	}
	if wrong := (app.Quota{Meter: slug}).CheckMeter(m, known); wrong != "" {
		return app.Invalid("meter", "%s", wrong)
	}
	return nil
}
