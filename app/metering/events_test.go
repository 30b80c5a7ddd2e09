package metering_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

func openEvents(t testing.TB, s *store.Ledger) *metering.Events {
	t.Helper()
	e, err := metering.OpenEvents(t.Context(), metering.EventsOptions{Store: s, Node: "here", Patience: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func closeEvents(t testing.TB, e *metering.Events) {
	t.Helper()
	if err := e.Close(t.Context()); err != nil {
		t.Errorf("close events: %v", err)
	}
}

// reported is event n of an organization, worth n.
func reported(org string, n int64) app.Event {
	return app.Event{Org: app.OrgID(org), Source: "test", ID: fmt.Sprint("e", n), Type: "document", Time: time.Now(), Body: [8]byte{byte(n)},
		Uses: []app.Use{{Meter: "documents", Value: 1}, {Meter: "pages", Value: n}}}
}

func record(t testing.TB, e *metering.Events, list ...app.Event) (verdicts []app.EventVerdict) {
	t.Helper()
	results, err := e.Record(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		verdicts = append(verdicts, r.Verdict)
	}
	return verdicts
}

// sumOf is all that a meter counted of the organization.
func sumOf(t testing.TB, s metering.UsageStore, org, meter string) (sum int64) {
	t.Helper()
	reports := metering.Reports{Store: s, Meters: own{"documents": app.AggregationCount, "pages": app.AggregationSum}}
	report, err := reports.Meter(t.Context(), app.Actor{Kind: app.ActorSystem}, app.MeterQuery{Org: app.OrgID(org), Meter: meter,
		Since: time.Now().Add(-60 * 24 * time.Hour), Until: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range report.Rows {
		sum += row.Value
	}
	return sum
}

func TestEachEventIsCountedOnce(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		s := openLedger(t, o)
		e := openEvents(t, s)
		other := reported("org_1", 1)
		other.Body = [8]byte{99}
		old, future, imported := reported("org_1", 3), reported("org_1", 4), reported("org_1", 5)
		old.Time, future.Time = time.Now().Add(-36*24*time.Hour), time.Now().Add(time.Hour)
		imported.Time, imported.Import = old.Time, true
		nobody := reported("", 6)
		got := fmt.Sprint(record(t, e, reported("org_1", 1), reported("org_1", 1), other, reported("org_2", 1), old, future, imported, nobody))
		if want := "[accepted duplicate conflict accepted too_old rejected accepted rejected]"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got := fmt.Sprint(record(t, e, other, reported("org_1", 1), reported("org_1", 2))); got != "[conflict duplicate accepted]" {
			t.Errorf("again: %s", got)
		}
		closeEvents(t, e)
		if d, p := sumOf(t, s, "org_1", "documents"), sumOf(t, s, "org_1", "pages"); d != 3 || p != 1+5+2 {
			t.Errorf("%d documents, %d pages", d, p)
		}
		mustHold(t, s)
	})
}

func TestEventsSentAgainAcrossRestartsAreCountedOnce(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		const events = 300
		s := openLedger(t, o)
		left := map[int64]int{} // how often each is sent yet
		for n := range int64(events) {
			left[n] = 1 + rand.IntN(5)
		}
		sent := 0
		for restart := 0; len(left) > 0; restart++ {
			e := openEvents(t, s)
			for call := 0; call < 20 && len(left) > 0; call++ {
				var batch []app.Event
				for n := range left { // in no order
					if batch = append(batch, reported("org_1", n)); len(batch) == 20 {
						break
					}
				}
				for _, ev := range batch {
					var n int64
					fmt.Sscanf(ev.ID, "e%d", &n)
					if left[n]--; left[n] == 0 {
						delete(left, n)
					}
				}
				sent += len(batch)
				for _, verdict := range record(t, e, batch...) {
					if verdict != app.EventAccepted && verdict != app.EventDuplicate {
						t.Errorf("%s", verdict)
					}
				}
			}
			closeEvents(t, e)
		}
		if d, p := sumOf(t, s, "org_1", "documents"), sumOf(t, s, "org_1", "pages"); d != events || p != events*(events-1)/2 {
			t.Errorf("%d documents and %d pages of %d events sent %d times", d, p, events, sent)
		}
		mustHold(t, s)
	})
}

func TestTwoReplicasCountAnEventOnce(t *testing.T) {
	s := openLedger(t, store.Options{DSN: storetest.Postgres(t)})
	one, two := openEvents(t, s), openEvents(t, s)
	var accepted atomic.Int64
	var all sync.WaitGroup
	for p := range 8 {
		all.Go(func() {
			e := []*metering.Events{one, two}[p%2]
			for n := range int64(50) {
				results, err := e.Record(t.Context(), []app.Event{reported("org_1", 2*n), reported("org_1", 2*n+1)})
				if err != nil {
					t.Error(err)
				}
				for _, r := range results {
					if r.Verdict == app.EventAccepted {
						accepted.Add(1)
					}
				}
			}
		})
	}
	all.Wait()
	closeEvents(t, one)
	closeEvents(t, two)
	if d := sumOf(t, s, "org_1", "documents"); d != 100 || accepted.Load() != 100 {
		t.Errorf("%d counted, %d accepted of 100", d, accepted.Load())
	}
	mustHold(t, s)
}

// TestOneChainAloneCountsEventsOnSQLite opens a second one beside it: of the
// same process it is refused; another process's takes over.
func TestOneChainAloneCountsEventsOnSQLite(t *testing.T) {
	o := sqliteOptions(t)
	s := openLedger(t, o)
	one := openEvents(t, s)
	record(t, one, reported("org_1", 1))
	_, err := metering.OpenEvents(t.Context(), metering.EventsOptions{Store: s})
	if known := app.AsError(err); known == nil || known.Code != "event_chain_taken" {
		t.Errorf("a second chain of the process: %v", err)
	}
	if got := record(t, one, reported("org_1", 1), reported("org_1", 2)); fmt.Sprint(got) != "[duplicate accepted]" {
		t.Errorf("the first one says %v", got)
	}
	other := openLedger(t, o) // as another process has it
	two := openEvents(t, other)
	if got := record(t, two, reported("org_1", 2), reported("org_1", 3)); fmt.Sprint(got) != "[duplicate accepted]" {
		t.Errorf("the other process says %v", got)
	}
	if results, err := one.Record(t.Context(), []app.Event{reported("org_1", 3), reported("org_1", 4)}); err == nil {
		t.Errorf("the one that was taken over still counts: %v", results)
	}
	closeEvents(t, two)
	if d := sumOf(t, other, "org_1", "documents"); d != 3 {
		t.Errorf("%d are counted, want 3", d)
	}
	mustHold(t, other)
}

func TestAnEventsIdIsForgottenAfterItsLife(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		s := openLedger(t, o)
		e := openEvents(t, s)
		record(t, e, reported("org_1", 1))
		if n, err := s.ForgetEvents(t.Context(), time.Now().Add(-app.EventLife), 100); n != 0 || err != nil {
			t.Errorf("forgot %d, %v", n, err)
		}
		if n, err := s.ForgetEvents(t.Context(), time.Now().Add(time.Minute), 100); n != 1 || err != nil {
			t.Errorf("forgot %d, %v", n, err)
		}
		if got := record(t, e, reported("org_1", 1)); got[0] != app.EventAccepted {
			t.Errorf("got %v", got)
		}
		closeEvents(t, e)
	})
}
