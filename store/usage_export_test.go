package store

import (
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"gatehouse/app"
)

// step folds the replica's next blocks.
func step(t *testing.T, l *Ledger, replica, from, to int64) {
	t.Helper()
	ok, err := l.ApplyUsage(t.Context(), app.UsageApply{From: from, To: app.LedgerLink{Replica: replica, Seq: to}, Answered: -1})
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
}

func TestStepsFollowEachOther(t *testing.T) {
	eachLedger(t, func(t *testing.T, l *Ledger, _ Options) {
		one, two := openReplica(t, l), openReplica(t, l)
		for seq := range int64(3) {
			mustAppend(t, l, one.ID, seq+1, "aaaa")
			mustAppend(t, l, two.ID, seq+1, "bb")
		}
		step(t, l, one.ID, 0, 2)
		step(t, l, two.ID, 0, 3)
		step(t, l, one.ID, 2, 3)
		list, err := l.AppliedAfter(t.Context(), 0, 10)
		if err != nil || len(list) != 3 {
			t.Fatal(list, err)
		}
		for i, want := range []app.AppliedRange{{N: 1, Replica: one.ID, To: 2, Bytes: 8}, {N: 2, Replica: two.ID, To: 3, Bytes: 6},
			{N: 3, Replica: one.ID, From: 2, To: 3, Bytes: 4}} {
			if want.At = list[i].At; list[i] != want || want.At.IsZero() {
				t.Errorf("got %+v, want %+v", list[i], want)
			}
		}
		if list, err = l.AppliedAfter(t.Context(), 1, 1); err != nil || len(list) != 1 || list[0].N != 2 {
			t.Errorf("%+v, %v", list, err)
		}
		if end, err := l.AppliedEnd(t.Context()); end != 3 || err != nil {
			t.Errorf("the end is %d, %v", end, err)
		}
	})
}

func TestExportCursors(t *testing.T) {
	eachLedger(t, func(t *testing.T, l *Ledger, _ Options) {
		at := func(want string, c app.ExportCursor, err error, cursor, planned int64) {
			t.Helper()
			if err != nil || c.Cursor != cursor || c.Planned != planned {
				t.Errorf("%s: %+v, %v; want %d, planned %d", want, c, err, cursor, planned)
			}
		}
		c, err := l.ExportCursor(t.Context(), "a")
		if at("unknown", c, err, 0, 0); !c.UpdatedAt.IsZero() {
			t.Error("an unknown cursor has a time")
		}
		c, err = l.PlanExport(t.Context(), "a", app.ExportRange{Upto: 5})
		at("planned", c, err, 0, 5)
		c, err = l.PlanExport(t.Context(), "a", app.ExportRange{Upto: 7})
		at("planned twice: the first holds", c, err, 0, 5)
		for range 2 { // the second is another replica's
			if err := l.MoveExport(t.Context(), "a", app.ExportRange{Upto: 5}); err != nil {
				t.Error(err)
			}
		}
		c, err = l.PlanExport(t.Context(), "a", app.ExportRange{Upto: 7})
		at("planned from where it was", c, err, 5, 5)
		c, err = l.PlanExport(t.Context(), "a", app.ExportRange{After: 5, Upto: 7})
		at("planned again", c, err, 5, 7)
		if list, err := l.ExportCursors(t.Context()); err != nil || len(list) != 1 || list[0].Name != "a" || list[0].UpdatedAt.IsZero() {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

func dueEvent(id string) app.MeterEvent {
	at := time.UnixMilli(1_800_000_000_000).UTC()
	return app.MeterEvent{Identifier: id, Org: "org_1", Meter: "pages", EventName: "pages", Value: 3, At: at, State: app.MeterEventDue, NextAt: at}
}

// TestTheOutboxMovesWithItsCursor or not at all.
func TestTheOutboxMovesWithItsCursor(t *testing.T) {
	eachLedger(t, func(t *testing.T, l *Ledger, _ Options) {
		r := app.ExportRange{Upto: 4}
		if ok, err := l.InsertMeterEvents(t.Context(), "stripe", r, []app.MeterEvent{dueEvent("a"), dueEvent("b")}); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if ok, err := l.InsertMeterEvents(t.Context(), "stripe", r, []app.MeterEvent{dueEvent("c")}); ok || err != nil {
			t.Errorf("the same range again: %v, %v", ok, err)
		}
		r = app.ExportRange{After: 4, Upto: 6} // an identifier that is taken: nothing of it holds
		if ok, err := l.InsertMeterEvents(t.Context(), "stripe", r, []app.MeterEvent{dueEvent("d"), dueEvent("a")}); ok || err == nil {
			t.Errorf("an identifier twice: %v, %v", ok, err)
		}
		c, err := l.ExportCursor(t.Context(), "stripe")
		counts, failure := l.MeterEventCounts(t.Context())
		if err != nil || failure != nil || c.Cursor != 4 || counts[app.MeterEventDue] != 2 {
			t.Errorf("%+v, %v, %v, %v", c, counts, err, failure)
		}
	})
}

func TestAnEventIsClaimedByOne(t *testing.T) {
	eachDatabase(t, func(t *testing.T, o Options) {
		now := time.UnixMilli(1_800_000_000_000).UTC()
		o.Now = func() time.Time { return now }
		l := openLedger(t, o)
		var list []app.MeterEvent
		for id := range 50 {
			list = append(list, dueEvent(string(rune('A'+id))))
		}
		if _, err := l.InsertMeterEvents(t.Context(), "stripe", app.ExportRange{Upto: 1}, list); err != nil {
			t.Fatal(err)
		}
		var (
			wait    sync.WaitGroup
			mu      sync.Mutex
			claimed = map[string]app.MeterEvent{}
		)
		for range 4 {
			wait.Go(func() {
				for {
					some, err := l.ClaimMeterEvents(t.Context(), 7, time.Minute)
					mu.Lock()
					for _, e := range some {
						if _, twice := claimed[e.Identifier]; twice {
							t.Errorf("%s is claimed twice", e.Identifier)
						}
						claimed[e.Identifier] = e
					}
					enough := len(claimed) == len(list)
					mu.Unlock()
					if err != nil || enough {
						if err != nil {
							t.Error(err)
						}
						return
					}
				}
			})
		}
		wait.Wait()
		late := claimed["A"]
		now = now.Add(time.Hour) // the claim has run out
		if again, err := l.ClaimMeterEvents(t.Context(), 1, time.Minute); err != nil || len(again) != 1 || again[0].Attempts != 2 {
			t.Fatal(again, err)
		} else if late = claimed[again[0].Identifier]; late.Attempts != 1 {
			t.Errorf("%+v", late)
		}
		late.State = app.MeterEventDelivered
		if err := l.UpdateMeterEvent(t.Context(), late); err != nil {
			t.Error(err)
		}
		if counts, err := l.MeterEventCounts(t.Context()); err != nil || counts[app.MeterEventDelivered] != 0 {
			t.Errorf("who held it for too long changed it: %v, %v", counts, err)
		}
	})
}

func TestEventsAreRevivedAndForgotten(t *testing.T) {
	eachDatabase(t, func(t *testing.T, o Options) {
		now := time.UnixMilli(1_800_000_000_000).UTC()
		o.Now = func() time.Time { return now }
		l := openLedger(t, o)
		states := []app.MeterEventState{app.MeterEventParked, app.MeterEventWaiting, app.MeterEventDelivered}
		if _, err := l.InsertMeterEvents(t.Context(), "stripe", app.ExportRange{Upto: 1}, []app.MeterEvent{dueEvent("0"), dueEvent("1"), dueEvent("2")}); err != nil {
			t.Fatal(err)
		}
		list, err := l.ClaimMeterEvents(t.Context(), 9, time.Minute)
		if err != nil || len(list) != 3 {
			t.Fatal(list, err)
		}
		for _, e := range list {
			e.State, e.Reason, e.UnsureAt = states[e.Identifier[0]-'0'], "because", now
			if err := l.UpdateMeterEvent(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		if orgs, err := l.WaitingOrgs(t.Context()); err != nil || len(orgs) != 1 || orgs[0] != "org_1" {
			t.Errorf("%v, %v", orgs, err)
		}
		if found, err := l.MeterEvents(t.Context(), states, 2); err != nil || len(found) != 2 || found[0].Reason != "because" || !found[0].UnsureAt.Equal(now) {
			t.Errorf("%+v, %v", found, err)
		}
		for _, c := range []struct {
			state      app.MeterEventState
			org        app.OrgID
			identifier string
			want       int64
			unsure     bool
		}{
			{app.MeterEventParked, "", "1", 0, false}, {app.MeterEventParked, "", "0", 1, false},
			{app.MeterEventWaiting, "org_2", "", 0, false}, {app.MeterEventWaiting, "org_1", "", 1, true},
		} {
			if n, err := l.ReviveMeterEvents(t.Context(), c.state, c.org, c.identifier); n != c.want || err != nil {
				t.Errorf("%+v: %d, %v", c, n, err)
			}
			if c.want == 0 {
				continue
			}
			due, err := l.ClaimMeterEvents(t.Context(), 9, time.Minute)
			if err != nil || len(due) != 1 || due[0].UnsureAt.IsZero() == c.unsure || due[0].Round != 1 {
				t.Errorf("%+v: %+v, %v", c, due, err)
			}
		}
		for _, later := range []time.Duration{0, time.Millisecond} {
			if err := l.DeleteDeliveredMeterEvents(t.Context(), now.Add(later)); err != nil {
				t.Error(err)
			}
			if counts, err := l.MeterEventCounts(t.Context()); err != nil || counts[app.MeterEventDelivered] != 1-later.Milliseconds() || counts[app.MeterEventDue] != 2 {
				t.Errorf("%v, %v", counts, err)
			}
		}
	})
}

// TestUsageFromBeforeStepsIsOneStep opens what an older version left: its
// blocks have no number, and would never be exported.
func TestUsageFromBeforeStepsIsOneStep(t *testing.T) {
	eachDatabase(t, func(t *testing.T, o Options) {
		old := &Ledger{db: &Store{dialect: sqliteDialect, now: time.Now}}
		if err := old.connect(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		older := fstest.MapFS{}
		names, err := fs.Glob(usageMigrationFiles, "usagemigrations/*.sql")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if body, _ := usageMigrationFiles.ReadFile(name); !strings.Contains(name, "0005") {
				older[strings.TrimPrefix(name, "usagemigrations/")] = &fstest.MapFile{Data: body}
			}
		}
		if err := old.db.migrate(t.Context(), older, "usage_migration"); err != nil {
			t.Fatal(err)
		}
		for id, applied := range []int64{7, 0, 9} { // the third went on after steps were numbered
			_, err := old.db.write.ExecContext(t.Context(), `INSERT INTO main.usage_replica (id, node, sync, started_at, closed_at,
				link_replica, link_seq, link_hash, applied_seq, applied_hash) VALUES ($1, '', 'full', 1000, 2000, 0, 0, $3, $2, $3)`, id+1, applied, []byte{})
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, text := range []string{`INSERT INTO main.usage_applied (n, replica, from_seq, to_seq, at) VALUES (1, 3, 4, 9, 3000)`, `UPDATE main.usage_position SET n = 1`} {
			if _, err := old.db.write.ExecContext(t.Context(), text); err != nil {
				t.Fatal(err)
			}
		}
		if err := old.db.Close(); err != nil {
			t.Fatal(err)
		}
		l := openLedger(t, o)
		list, err := l.AppliedAfter(t.Context(), 0, 10)
		if err != nil || len(list) != 3 || list[1].Replica != 1 || list[1].From != 0 || list[1].To != 7 ||
			list[2].N != 3 || list[2].Replica != 3 || list[2].From != 0 || list[2].To != 4 {
			t.Fatalf("%+v, %v", list, err)
		}
		r := openReplica(t, l)
		mustAppend(t, l, r.ID, 1, "a")
		step(t, l, r.ID, 0, 1)
		if end, err := l.AppliedEnd(t.Context()); end != 4 || err != nil {
			t.Errorf("the next step is %d, %v", end, err)
		}
	})
}
