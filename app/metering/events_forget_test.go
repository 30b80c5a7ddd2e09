package metering

import (
	"path/filepath"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// TestAnEventOfTheFutureIsCountedOnce reports an event whose time lies 14
// minutes ahead, and again when that is 35 days ago, less a moment.
func TestAnEventOfTheFutureIsCountedOnce(t *testing.T) {
	for name, o := range map[string]store.Options{
		"SQLite":     {Path: filepath.Join(t.TempDir(), "gatehouse.db")},
		"PostgreSQL": {DSN: storetest.Postgres(t)},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
			s, err := store.OpenLedger(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			ev := app.Event{Org: "org_1", ID: "1", Type: "t", Time: now.Add(14 * time.Minute), Uses: []app.Use{{Meter: "documents", Value: 1}}}
			for _, want := range []app.EventVerdict{app.EventAccepted, app.EventDuplicate} {
				e, err := OpenEvents(t.Context(), EventsOptions{Store: s, Node: "here", Now: func() time.Time { return now }, Patience: time.Minute})
				if err != nil {
					t.Fatal(err)
				}
				e.forget()
				got, err := e.Record(t.Context(), []app.Event{ev})
				if err != nil || got[0].Verdict != want {
					t.Errorf("%+v, %v, want %s", got, err, want)
				}
				if err := e.Close(t.Context()); err != nil {
					t.Error(err)
				}
				now = now.Add(app.EventLife + 13*time.Minute)
			}
		})
	}
}
