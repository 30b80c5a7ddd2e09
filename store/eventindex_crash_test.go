package store

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/app"
)

// TestAWriterThatDiesBetweenAnyTwoStepsForgetsNothing ends the index's
// transactions after each number of them.
func TestAWriterThatDiesBetweenAnyTwoStepsForgetsNothing(t *testing.T) {
	for steps := int64(0); ; steps++ {
		if steps == 7 {
			steps = 30 // the parts before the eighth are written like the first
		}
		path := filepath.Join(t.TempDir(), "gatehouse.db")
		r := openRun(t, path)
		var done atomic.Int64
		r.l.index.disk.before = func() error {
			if done.Add(1) > steps {
				return fencedError(r.replica) // it ends for good
			}
			return nil
		}
		for first := int64(0); first < 10*runTable && done.Load() <= steps; first += runTable { // parts, and then a merge of eight
			r.report(first, runTable, runNow)
			for r.busy() && done.Load() <= steps {
				time.Sleep(100 * time.Microsecond)
			}
		}
		reported := r.seq * runBlock
		next := openRun(t, path)
		next.wantCounted(0, reported, true)
		next.wantCounted(100_000, 1000, false)
		next.settled()
		if begun := next.count(`SELECT COUNT(*) FROM usage_event_part WHERE state <> 1`); begun != 0 {
			t.Errorf("after %d steps %d parts are left that nobody reads", steps, begun)
		}
		if lost := next.count(`SELECT COUNT(*) FROM usage_event_page WHERE id / 4294967296 NOT IN (SELECT id FROM usage_event_part)`); lost != 0 {
			t.Errorf("after %d steps %d rows belong to no part", steps, lost)
		}
		if done.Load() <= steps {
			t.Logf("%d steps in all", done.Load())
			return
		}
	}
}

// TestAFailedStepIsDoneAgain fails every step of the index once, some of them
// after they were written.
func TestAFailedStepIsDoneAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	r := openRun(t, path)
	var tries atomic.Int64
	r.l.index.retry = time.Millisecond
	r.l.index.disk.before = func() error {
		if tries.Add(1)%2 == 1 {
			return errors.New("the disk is full")
		}
		return nil
	}
	r.report(0, 10*runTable, runNow)
	r.settled()
	r.wantCounted(0, 10*runTable, true)
	openRun(t, path).wantCounted(0, 10*runTable, true)
}

func TestOneChainAloneHasTheIndex(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	first := openRun(t, path)
	first.report(0, runBlock, runNow)
	second := &eventRun{t: t, l: first.l}
	if err := second.open(); err == nil || app.AsError(err).Code != "event_chain_taken" {
		t.Errorf("a second chain of the process: %v", err)
	}
	if _, err := first.l.AppendEvents(t.Context(), second.replica, 1, testBlock(0, 1, 0), runNow, nil); err == nil {
		t.Error("the second chain counts")
	}
	other := openLedger(t, indexOptions(path))
	opened, err := other.OpenReplica(t.Context(), app.LedgerReplica{Node: "there" + app.LedgerEventsSuffix, Sync: app.LedgerSyncFull, StartedAt: runNow})
	if err != nil {
		t.Fatal(err)
	}
	err = other.RecallEvents(t.Context(), opened.ID, runNow.Add(-app.EventLife), readTestBlock)
	if err == nil || app.AsError(err).Code != "event_chain_open" {
		t.Errorf("while another process may count: %v", err)
	}
	if _, err := other.CountedEvents(t.Context(), nil); err == nil {
		t.Error("it answers what it did not recall")
	}
	next := openRun(t, path) // it fences them all
	next.wantCounted(0, runBlock, true)
	_, err = first.l.AppendEvents(t.Context(), first.replica, 2, testBlock(500, 1, 0), runNow, nil)
	if err == nil || app.AsError(err).Code != "ledger_fenced" {
		t.Errorf("one that was taken over: %v", err)
	}
}

// TestWhoWasTakenOverWritesNoIndex has the old process fill a table after the
// new one read the index.
func TestWhoWasTakenOverWritesNoIndex(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	old := openRun(t, path)
	old.report(0, runTable-runBlock, runNow)
	next := openRun(t, path)
	x := old.l.index
	_, marks, _ := readTestBlock(old.replica, old.seq+1, testBlock(9000, runBlock, 0))
	x.add(old.replica, old.seq+1, runNow.UnixMilli(), marks)
	for noticed := false; !noticed && old.busy(); {
		select {
		case <-x.ended:
			noticed = true
		case <-time.After(time.Millisecond):
		}
	}
	if n := next.rows("usage_event_part") + next.rows("usage_event_position"); n != 0 {
		t.Errorf("it wrote %d rows", n)
	}
	next.wantCounted(0, runTable-runBlock, true)
}

// TestALostAnswerCountsOnce appends a block twice, as when the first answer was
// lost.
func TestALostAnswerCountsOnce(t *testing.T) {
	r := openRun(t, filepath.Join(t.TempDir(), "gatehouse.db"))
	body := testBlock(0, runBlock, 0)
	_, marks, _ := readTestBlock(r.replica, 1, body)
	mustAppend(t, r.l, r.replica, 1, string(body)) // and nobody hears of it
	r.wantCounted(0, runBlock, false)
	for range 2 {
		if ok, err := r.l.AppendEvents(t.Context(), r.replica, 1, body, runNow, marks); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	r.wantCounted(0, runBlock, true)
	if _, err := r.l.AppendEvents(t.Context(), r.replica, 1, testBlock(700, runBlock, 0), runNow, nil); err == nil || app.AsError(err).Code != "ledger_conflict" {
		t.Errorf("another block in its place: %v", err)
	}
	r.wantCounted(700, 1, false)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.l.db.write.Close(); err != nil { // nothing can be written
		t.Fatal(err)
	}
	_, marks, _ = readTestBlock(r.replica, 2, testBlock(800, runBlock, 0))
	if _, err := r.l.AppendEvents(ctx, r.replica, 2, testBlock(800, runBlock, 0), runNow, marks); err == nil {
		t.Error("written without a database")
	}
	r.wantCounted(800, runBlock, false)
}
