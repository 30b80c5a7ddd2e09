package metering_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/store"
)

// everyByte reports whether tails are cut at every byte, and not at a part of
// them.
func everyByte() bool { return os.Getenv("GATEHOUSE_LONG") != "" }

var tails = map[string]func(*testing.T) tail{"requests": requestsTail, "events": eventsTail}

// TestATailCutAtAnyByte cuts SQLite's log at every byte of the last block, and
// lets zeros follow some, as power failures leave it. What was acknowledged before
// is counted, the last block wholly or not at all; open worst cases settle.
func TestATailCutAtAnyByte(t *testing.T) {
	for name, of := range tails {
		t.Run(name, func(t *testing.T) {
			l := of(t)
			places := l.places()
			const parts = 8
			for part := range parts {
				t.Run(fmt.Sprint("part ", part), func(t *testing.T) {
					t.Parallel()
					for i := part; i < len(places); i += parts {
						l.restart(t, l.log[:places[i]], places[i] == l.after)
						if places[i] < l.after && (places[i]-l.before)%some == 0 {
							torn := append(slices.Clone(l.log[:places[i]]), make([]byte, l.after-places[i])...)
							l.restart(t, torn, slices.Equal(torn, l.log))
						}
					}
				})
			}
			t.Logf("the last block is bytes %d to %d of the log: cut at %d places, with zeros behind some", l.before, l.after, len(places))
		})
	}
}

// some is how far apart the places of the short form are.
const some = 233

// places are where to cut: the ends, around the frames' borders, and every byte
// or some between.
func (l *tail) places() (places []int) {
	const frame, header = 4096 + 24, 24
	for at := l.before; at <= l.after; at++ {
		into := (at - l.before) % frame
		border := into <= 1 || into == frame-1 || into == header-1 || into == header
		if everyByte() || border || (at-l.before)%some == 0 {
			places = append(places, at)
		}
	}
	return places
}

// restart starts on what is left, ends, and looks.
func (l *tail) restart(t *testing.T, log []byte, whole bool) {
	t.Helper()
	dir := inMemory(t)
	defer os.RemoveAll(dir)
	writeFile(t, filepath.Join(dir, "usage.db"), l.file)
	writeFile(t, filepath.Join(dir, "usage.db-wal"), log)
	inner, err := store.OpenLedger(t.Context(), store.Options{Path: filepath.Join(dir, "gatehouse.db")})
	if err != nil {
		t.Fatalf("cut to %d bytes: %v", len(log), err)
	}
	defer inner.Close()
	s := &tailStore{Ledger: inner, fold: true}
	mustHold(t, s)
	m, err := metering.Open(t.Context(), metering.Options{Store: s})
	if err != nil {
		t.Fatalf("cut to %d bytes: %v", len(log), err)
	}
	closeMeter(t, m)
	want := l.without
	if whole {
		want = l.with
	}
	if got := counts(t, inner); got != want {
		t.Errorf("cut to %d bytes: counted\n%swant\n%s", len(log), got, want)
	}
	if proof := mustHold(t, s); proof.Held != 0 {
		t.Errorf("cut to %d bytes: proof %+v", len(log), proof)
	}
	l.again(t, s, whole)
}

// inMemory is a folder in memory where the system has one: syncs to a disk
// would take most of the time.
func inMemory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "gatehouse-tail-")
	if err != nil {
		dir, err = os.MkdirTemp(t.TempDir(), "tail")
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// counts is everything that the tails count, in one text.
func counts(t *testing.T, s *store.Ledger) string {
	t.Helper()
	sum := func(meter string) (value, estimated int64) {
		q := november
		q.Meter, q.Until = meter, noon.Add(240*time.Hour)
		meters := own{"documents": app.AggregationCount, "pages": app.AggregationSum}
		for slug, aggregation := range ownMeters {
			meters[slug] = aggregation
		}
		report, err := metering.Reports{Store: s, Meters: meters}.Meter(t.Context(), system, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range report.Rows {
			value, estimated = value+row.Value, estimated+row.Estimated
		}
		return value, estimated
	}
	tokens, estimated := sum(app.MeterTokensOutput)
	calls, _ := sum("calls")
	level, _ := sum("level")
	visitors, _ := sum("visitors")
	return fmt.Sprintf("%d requests; %d tokens, %d estimated; calls %d, level %d, visitors %d; %d documents, %d pages\n%s", total(t, s).Requests,
		tokens, estimated, calls, level, visitors, sumOf(t, s, "org_1", "documents"), sumOf(t, s, "org_1", "pages"), accounts(t, s))
}

// TestABodyCutAtAnyByteIsFound damages the last block in a whole database: the
// check finds each, and the next start tells.
func TestABodyCutAtAnyByteIsFound(t *testing.T) {
	for name, of := range tails {
		t.Run(name, func(t *testing.T) {
			l := of(t)
			o := store.Options{Path: filepath.Join(t.TempDir(), "gatehouse.db")}
			writeFile(t, filepath.Join(filepath.Dir(o.Path), "usage.db"), l.file)
			writeFile(t, filepath.Join(filepath.Dir(o.Path), "usage.db-wal"), l.log)
			s, db := openLedger(t, o), rawDatabase(t, o)
			const last = ` WHERE seq = (SELECT MAX(seq) FROM usage_block)`
			for i := range l.body {
				execute(t, db, `UPDATE usage_block SET body = $1`+last, l.body[:i])
				if got := faults(t, s); !slices.Contains(got, "block_damaged") {
					t.Errorf("cut to %d of %d bytes: found %v", i, len(l.body), got)
				}
				changed := slices.Clone(l.body)
				changed[i] ^= 1 << (i % 8)
				execute(t, db, `UPDATE usage_block SET body = $1`+last, changed)
				if got := faults(t, s); !slices.Contains(got, "block_damaged") {
					t.Errorf("byte %d of %d flipped: found %v", i, len(l.body), got)
				}
			}
			execute(t, db, `UPDATE usage_block SET body = $1`+last, l.body)
			mustHold(t, s)
			execute(t, db, `UPDATE usage_block SET body = $1`+last, l.body[:len(l.body)-1])
			if m := openMeter(t, metering.Options{Store: s}); m.Stats().LegacyError == "" {
				t.Error("the start does not tell of the damaged block")
			}
			t.Logf("%d bytes cut, and as many flipped", len(l.body))
		})
	}
}
