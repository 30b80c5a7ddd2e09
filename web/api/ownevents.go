package api

import (
	"context"
	"net/http"
	"slices"

	"gatehouse/app"
)

// ownEvents counts what callers report, and keeps an organization's own key
// from taking usage away: with a negative value it could lower what it pays,
// and pass its caps. Operators may, and then it is their correction.
type ownEvents struct{ Events }

type ownKey struct{}

// asOwn marks the calls of organizations' own keys for ownEvents.
func asOwn(handler rawHandler) rawHandler {
	return func(w http.ResponseWriter, r *http.Request, actor app.Actor) error {
		if actor.Kind == app.ActorKey {
			r = r.WithContext(context.WithValue(r.Context(), ownKey{}, true))
		}
		return handler(w, r, actor)
	}
}

// Record implements Events.
func (o ownEvents) Record(ctx context.Context, list []app.Event) ([]app.EventResult, error) {
	if ctx.Value(ownKey{}) == nil || !slices.ContainsFunc(list, takesAway) {
		return o.Events.Record(ctx, list)
	}
	results := make([]app.EventResult, len(list))
	var kept []app.Event
	var at []int
	for i, e := range list {
		if takesAway(e) {
			results[i] = app.EventResult{Verdict: app.EventRejected, Reason: "a negative value takes an operator's key"}
			continue
		}
		kept, at = append(kept, e), append(at, i)
	}
	recorded, err := o.Events.Record(ctx, kept)
	for i, result := range recorded {
		results[at[i]] = result
	}
	return results, err
}

// takesAway reports whether the event lowers what was used of a meter.
func takesAway(e app.Event) bool {
	return slices.ContainsFunc(e.Uses, func(u app.Use) bool { return u.Value < 0 && !u.Unique })
}
