package quota_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/app/quota"
	"gatehouse/store"
)

func TestAnEventWaitsUntilItsQuotasCanBeRead(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		var (
			n    *node
			down atomic.Bool
		)
		n = run(t, o, func(q *quota.Options) {
			q.Books = func(context.Context, app.OrgID) (*quota.Book, error) {
				if down.Load() {
					return nil, &app.Error{Kind: app.KindUnavailable, Code: "store_timeout"}
				}
				return n.engine.Book(acmeOrg(), planOf(monthly("documents", 100)), nil), nil
			}
		})
		events, err := metering.OpenEvents(t.Context(), metering.EventsOptions{Store: n.store, Draws: n.engine.EventDraws, Patience: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		defer events.Close(context.Background())
		list := []app.Event{{Org: acme, ID: "1", Type: "t", Time: time.Now(), Uses: []app.Use{{Meter: "documents", Value: 100}}}}
		down.Store(true)
		results, err := events.Record(t.Context(), list)
		if known := app.AsError(err); known == nil || known.Code != "ledger_unavailable" || known.RetryAfter <= 0 {
			t.Errorf("%+v, %v, want ledger_unavailable with Retry-After", results, err)
		}
		down.Store(false)
		if results, err = events.Record(t.Context(), list); err != nil || results[0].Verdict != app.EventAccepted {
			t.Errorf("sent again: %+v, %v", results, err)
		}
		await(t, "the account", func() bool {
			list := states(t, n.store, time.Now())
			return len(list) == 1 && list[0].Spent == 100
		})
	})
}
