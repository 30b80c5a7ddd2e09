package store

import (
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"math"
	"path/filepath"
	"testing"
	"time"

	"gatehouse/app"
)

// The tests' blocks say how many events they count from which number on, and
// when they were received.
func testBlock(from, events, received int64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil,
		uint64(from)), uint64(events)), uint64(received))
}

// testMark is event n; its body is its number.
func testMark(replica, seq, n int64) app.EventMark {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
	return app.EventMark{ID: [16]byte(sum[:]), Body: [8]byte(binary.BigEndian.AppendUint64(nil, uint64(n))), Replica: replica, Seq: seq}
}

func readTestBlock(replica, seq int64, body []byte) (received time.Time, marks []app.EventMark, err error) {
	from, events := int64(binary.BigEndian.Uint64(body)), int64(binary.BigEndian.Uint64(body[8:]))
	for n := range events {
		marks = append(marks, testMark(replica, seq, from+n))
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(body[16:]))), marks, nil
}

// eventRun is one run of a process that counts events on SQLite, in blocks of
// 100.
type eventRun struct {
	t       testing.TB
	l       *Ledger
	replica int64
	seq     int64
}

const (
	runBlock = 100
	runTable = 500 // ids in memory
)

var runNow = time.UnixMilli(4_000_000_000)

func indexOptions(path string) Options {
	return Options{Path: path, EventIndex: EventIndexOptions{MaxRecent: runTable}}
}

func openRun(t testing.TB, path string) *eventRun {
	t.Helper()
	r := &eventRun{t: t, l: openLedger(t, indexOptions(path))}
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	return r
}

// open starts a chain, after it has ended what others left.
func (r *eventRun) open() error {
	ctx := r.t.Context()
	opened, err := r.l.OpenReplica(ctx, app.LedgerReplica{Node: "here" + app.LedgerEventsSuffix, Sync: app.LedgerSyncFull, StartedAt: runNow})
	if err != nil {
		return err
	}
	dead, err := r.l.Dead(ctx, 0, true)
	for _, d := range dead {
		if _, failed := r.l.Fence(ctx, d.ID, 0, true); failed != nil {
			err = failed
		}
	}
	r.replica, r.seq = opened.ID, 0
	return errors.Join(err, r.l.RecallEvents(ctx, opened.ID, runNow.Add(-app.EventLife), readTestBlock))
}

// report appends events from a number on that were received at a time.
func (r *eventRun) report(from, events int64, received time.Time) {
	r.t.Helper()
	for first := from; first < from+events; first += runBlock {
		r.seq++
		body := testBlock(first, runBlock, received.UnixMilli())
		_, marks, _ := readTestBlock(r.replica, r.seq, body)
		for { // there may be no room for a moment
			ok, err := r.l.AppendEvents(r.t.Context(), r.replica, r.seq, body, received, marks)
			if err != nil && app.AsError(err).Code == "event_index_behind" {
				time.Sleep(time.Millisecond)
				continue
			}
			if err != nil || !ok {
				r.t.Fatalf("block %d: %v, %v", r.seq, ok, err)
			}
			break
		}
	}
}

// wantCounted holds that each of the events is known, and with its own body.
func (r *eventRun) wantCounted(from, events int64, want bool) {
	r.t.Helper()
	var ids [][16]byte
	for n := range events {
		ids = append(ids, testMark(0, 0, from+n).ID)
	}
	counted, err := r.l.CountedEvents(r.t.Context(), ids)
	if err != nil {
		r.t.Fatal(err)
	}
	for n := range events {
		m, known := counted[ids[n]]
		if known != want || known && (m != testMark(m.Replica, m.Seq, from+n) || m.Replica == 0 || m.Seq == 0) {
			r.t.Fatalf("event %d: known %v, want %v: %+v", from+n, known, want, m)
		}
	}
}

// settled waits until the index has nothing more to write, and returns how many
// parts it has.
func (r *eventRun) settled() int {
	r.t.Helper()
	x := r.l.index
	for r.busy() {
		time.Sleep(time.Millisecond)
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.parts)
}

// rows counts rows of a table of usage.db.
func (r *eventRun) rows(table string) (n int64) {
	r.t.Helper()
	if err := r.l.db.read.QueryRow(`SELECT COUNT(*) FROM ` + table).Scan(&n); err != nil {
		r.t.Fatal(err)
	}
	return n
}

func TestEventsAreKnownWhereverTheirIdsAre(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	r := openRun(t, path)
	r.report(0, 40*runTable, runNow) // some in memory, in parts, and in merged parts
	r.wantCounted(0, 40*runTable, true)
	r.wantCounted(100_000, 5000, false)
	if parts := r.settled(); parts < 2 || parts > 16 {
		t.Errorf("%d parts", parts)
	}
	r.report(40*runTable, runTable/2, runNow)
	again := openRun(t, path) // after a crash, as another process
	again.wantCounted(0, 40*runTable+runTable/2, true)
	again.wantCounted(100_000, 5000, false)
	if again.l.index.recent.count == 0 {
		t.Error("nothing was read from blocks")
	}
	if err := again.l.CloseReplica(t.Context(), again.replica); err != nil {
		t.Fatal(err)
	}
	if err := again.open(); err != nil { // in the same process
		t.Fatal(err)
	}
	again.wantCounted(0, 40*runTable+runTable/2, true)
}

// busy reports whether the index has something to write yet.
func (r *eventRun) busy() bool {
	x := r.l.index
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.full)+len(x.dropped) > 0 || x.alike() != nil
}

func (r *eventRun) count(query string) (n int64) {
	r.t.Helper()
	if err := r.l.db.read.QueryRow(query).Scan(&n); err != nil {
		r.t.Fatal(err)
	}
	return n
}

func TestIdsAreForgottenWithTheirPart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	r := openRun(t, path)
	old := runNow.Add(-app.EventLife - time.Hour)
	r.report(0, 2*runTable, old)
	r.report(2*runTable, 2*runTable, runNow)
	r.report(4*runTable, runTable/2, runNow)
	r.settled()
	forget := func() (n int64) {
		n, err := r.l.ForgetEvents(t.Context(), runNow.Add(-app.EventLife), runTable)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if a, b, c := forget(), forget(), forget(); a != runTable || b != runTable || c != 0 {
		t.Errorf("forgot %d, %d, %d", a, b, c)
	}
	r.wantCounted(0, 2*runTable, false)
	r.wantCounted(2*runTable, 2*runTable+runTable/2, true)
	if parts := r.settled(); parts != 2 || r.rows("usage_event_part") != 2 {
		t.Errorf("%d parts, %d rows", parts, r.rows("usage_event_part"))
	}
	again := openRun(t, path) // the blocks are still there
	again.wantCounted(0, 2*runTable, false)
	again.wantCounted(2*runTable, 2*runTable+runTable/2, true)
}

// TestIdsInMemoryAgeToo reports little: what is old is written even so, or
// forgotten.
func TestIdsInMemoryAgeToo(t *testing.T) {
	r := openRun(t, filepath.Join(t.TempDir(), "gatehouse.db"))
	r.report(0, runBlock, runNow.Add(-app.EventLife-time.Hour))
	if n, err := r.l.ForgetEvents(t.Context(), runNow.Add(-app.EventLife), math.MaxInt); n != runBlock || err != nil {
		t.Errorf("forgot %d, %v", n, err)
	}
	r.wantCounted(0, runBlock, false)
	r.report(1000, runBlock, runNow.Add(-25*time.Hour))
	if n, err := r.l.ForgetEvents(t.Context(), runNow.Add(-app.EventLife), math.MaxInt); n != 0 || err != nil {
		t.Errorf("forgot %d, %v", n, err)
	}
	r.wantCounted(1000, runBlock, true)
	if parts := r.settled(); parts != 1 {
		t.Errorf("a day's ids are not written: %d parts", parts)
	}
	r.report(2000, runBlock, runNow.Add(-25*time.Hour))
	r.report(3000, runBlock, runNow)
	if parts := r.settled(); parts != 2 {
		t.Errorf("a day's ids are not written when others come: %d parts", parts)
	}
	r.wantCounted(1000, runBlock, true)
	r.wantCounted(2000, runBlock, true)
	r.wantCounted(3000, runBlock, true)
}

// TestAnUpgradeRemembersTheIdsOfTheOldTable opens a database as the version
// before the index left it.
func TestAnUpgradeRemembersTheIdsOfTheOldTable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	r := openRun(t, path)
	r.report(0, 3*runTable, runNow)
	if err := r.l.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(filepath.Dir(path), "usage.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, text := range []string{`DROP TABLE usage_event_position`, `DROP TABLE usage_event_part`, `DROP TABLE usage_event_page`,
		`CREATE TABLE usage_event_id (id BYTEA PRIMARY KEY, body BYTEA NOT NULL, received BIGINT NOT NULL, replica BIGINT NOT NULL, seq BIGINT NOT NULL)`,
		`DELETE FROM usage_migration WHERE number = 6`} {
		if _, err := db.Exec(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	next := openRun(t, path)
	next.wantCounted(0, 3*runTable, true)
	next.wantCounted(100_000, 1000, false)
	if next.rows("sqlite_master WHERE name = 'usage_event_id'") != 0 {
		t.Error("the old table is still there")
	}
}

// TestAPartThatIsReplacedWhileItIsReadIsNotTakenForEmpty looks in a part as
// whoever began to before it was merged.
func TestAPartThatIsReplacedWhileItIsReadIsNotTakenForEmpty(t *testing.T) {
	r := openRun(t, filepath.Join(t.TempDir(), "gatehouse.db"))
	x := r.l.index
	r.report(0, runTable, runNow)
	r.settled()
	x.mu.RLock()
	before := x.parts[0]
	x.mu.RUnlock()
	r.report(runTable, 7*runTable, runNow)
	if parts := r.settled(); parts != 1 {
		t.Fatalf("%d parts", parts)
	}
	ids := [][16]byte{testMark(0, 0, 1).ID}
	if err := x.inPart(t.Context(), before, ids, map[[16]byte]app.EventMark{}); err != errPartGone {
		t.Errorf("got %v", err)
	}
	r.wantCounted(0, 8*runTable, true)
}
