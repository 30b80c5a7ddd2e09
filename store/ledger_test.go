package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/store/storetest"
)

// eachLedger runs the test on a fresh ledger of each engine.
func eachLedger(t *testing.T, test func(t *testing.T, l *Ledger, again Options)) {
	for engine, o := range map[string]func() Options{
		"SQLite":     func() Options { return Options{Path: filepath.Join(t.TempDir(), "gatehouse.db")} },
		"PostgreSQL": func() Options { return Options{DSN: storetest.Postgres(t)} },
	} {
		t.Run(engine, func(t *testing.T) {
			options := o()
			test(t, openLedger(t, options), options)
		})
	}
}

func openLedger(t testing.TB, o Options) *Ledger {
	t.Helper()
	l, err := OpenLedger(t.Context(), o)
	if err != nil {
		t.Fatalf("open the ledger: %v", err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close the ledger: %v", err)
		}
	})
	return l
}

func openReplica(t testing.TB, l *Ledger) app.LedgerReplica {
	t.Helper()
	r, err := l.OpenReplica(t.Context(), app.LedgerReplica{Node: "here", Sync: app.LedgerSyncFull, StartedAt: time.UnixMilli(1000).UTC()})
	if err != nil {
		t.Fatalf("open a replica: %v", err)
	}
	return r
}

func mustAppend(t testing.TB, l *Ledger, replica, seq int64, body string) {
	t.Helper()
	if err := l.AppendBlock(t.Context(), replica, seq, []byte(body)); err != nil {
		t.Fatalf("append block %d: %v", seq, err)
	}
}

// held are the replica's blocks after a seq.
func held(t *testing.T, l *Ledger, replica, after int64, max int) (list []string) {
	t.Helper()
	err := l.Blocks(t.Context(), replica, after, max, func(seq int64, body []byte) error {
		list = append(list, fmt.Sprint(seq, body[0]-'a'))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestLedgerKeepsBlocksInOrder(t *testing.T) {
	eachLedger(t, func(t *testing.T, l *Ledger, _ Options) {
		one, two := openReplica(t, l), openReplica(t, l)
		for seq := range int64(5) {
			mustAppend(t, l, one.ID, seq+1, string(rune('a'+seq)))
			mustAppend(t, l, two.ID, seq+1, "x")
		}
		if got := fmt.Sprint(held(t, l, one.ID, 1, 3)); got != "[2 1 3 2 4 3]" {
			t.Errorf("got %v", got)
		}
		stop := errors.New("enough")
		err := l.Blocks(t.Context(), one.ID, 0, 10, func(int64, []byte) error { return stop })
		if !errors.Is(err, stop) {
			t.Errorf("the reader's error is %v", err)
		}
	})
}

func TestABlockIsWrittenOnceAndNeverReplaced(t *testing.T) {
	eachLedger(t, func(t *testing.T, l *Ledger, again Options) {
		r := openReplica(t, l)
		mustAppend(t, l, r.ID, 1, "a")
		mustAppend(t, l, r.ID, 1, "a") // its answer was lost
		other := openLedger(t, again)
		mustAppend(t, other, r.ID, 1, "a")
		err := other.AppendBlock(t.Context(), r.ID, 1, []byte("b"))
		if known := app.AsError(err); known == nil || known.Code != "ledger_conflict" {
			t.Errorf("another block in its place: %v", err)
		}
		if got := held(t, l, r.ID, 0, 10); !slices.Equal(got, []string{"1 0"}) {
			t.Errorf("got %v", got)
		}
	})
}

func TestReplicasAreLinkedAndNeverShareANumber(t *testing.T) {
	eachLedger(t, func(t *testing.T, l *Ledger, again Options) {
		first := openReplica(t, l)
		if first.ID != 1 || first.Link != (app.LedgerLink{}) {
			t.Errorf("the first is %+v", first)
		}
		mustAppend(t, l, first.ID, 1, "a")
		mustAppend(t, l, first.ID, 2, "b")
		openReplica(t, l) // writes nothing
		want := app.LedgerLink{Replica: 1, Seq: 2, Hash: sha256.Sum256([]byte("b"))}
		if third := openReplica(t, l); third.ID != 3 || third.Link != want {
			t.Errorf("the third is %+v, want a link to %+v", third, want)
		}
		var (
			mu   sync.Mutex
			ids  []int64
			wait sync.WaitGroup
		)
		for range 8 {
			other := openLedger(t, again)
			wait.Go(func() {
				r, err := other.OpenReplica(context.Background(), app.LedgerReplica{Sync: app.LedgerSyncFull})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				ids = append(ids, r.ID)
			})
		}
		wait.Wait()
		slices.Sort(ids)
		if fmt.Sprint(ids) != "[4 5 6 7 8 9 10 11]" {
			t.Errorf("numbers %v", ids)
		}
	})
}

func bucket(org string, start int64, requests int64) app.UsageBucket {
	return app.UsageBucket{Org: app.OrgID(org), Key: "k", Route: "r", UsageRow: app.UsageRow{
		Start: time.UnixMilli(start).UTC(), Requests: requests, Weight: 2 * requests, Status2: 3 * requests, Status3: 4 * requests,
		Status4: 5 * requests, Status5: 6 * requests, Unknown: -requests, BytesIn: 8 * requests, BytesOut: 9 * requests,
		Duration: time.Duration(requests) * time.Millisecond}}
}

// walked is what a whole walk sees, as text.
func walked(t *testing.T, l *Ledger) (replicas []app.LedgerReplica, buckets []app.UsageBucket, blocks int) {
	t.Helper()
	err := l.WalkLedger(t.Context(), app.LedgerWalk{
		Replicas: func(list []app.LedgerReplica) error { replicas = list; return nil },
		Block:    func(int64, int64, []byte) error { blocks++; return nil },
		Bucket:   func(b app.UsageBucket) error { buckets = append(buckets, b); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(buckets, func(a, b app.UsageBucket) int { return strings.Compare(string(a.Org), string(b.Org)) })
	return replicas, buckets, blocks
}

func TestBucketsMoveOnlyFromWhereTheyStand(t *testing.T) {
	eachLedger(t, func(t *testing.T, l *Ledger, _ Options) {
		r := openReplica(t, l)
		for seq := range int64(3) {
			mustAppend(t, l, r.ID, seq+1, "a")
		}
		apply := func(from, to int64, list ...app.UsageBucket) bool {
			ok, err := l.ApplyUsage(t.Context(), app.UsageApply{From: from, To: app.LedgerLink{Replica: r.ID, Seq: to, Hash: [32]byte{byte(to)}}, Buckets: list})
			if err != nil {
				t.Fatal(err)
			}
			return ok
		}
		if waiting, err := l.Unapplied(t.Context()); err != nil || len(waiting) != 1 || waiting[0].ID != r.ID {
			t.Errorf("unapplied %v, %v", waiting, err)
		}
		if !apply(0, 2, bucket("a", 900_000, 1), bucket("b", 900_000, 2)) || apply(0, 2, bucket("a", 900_000, 100)) || apply(1, 3, bucket("a", 900_000, 100)) {
			t.Error("moved from where they do not stand, or did not move from where they do")
		}
		if !apply(2, 3, bucket("a", 900_000, 10)) {
			t.Error("did not move on")
		}
		if waiting, err := l.Unapplied(t.Context()); err != nil || len(waiting) != 0 {
			t.Errorf("unapplied %v, %v", waiting, err)
		}
		if at, err := l.Applied(t.Context(), r.ID); err != nil || at != (app.LedgerLink{Replica: r.ID, Seq: 3, Hash: [32]byte{3}}) {
			t.Errorf("applied %+v, %v", at, err)
		}
		_, buckets, blocks := walked(t, l)
		if want := []app.UsageBucket{bucket("a", 900_000, 11), bucket("b", 900_000, 2)}; !slices.Equal(buckets, want) || blocks != 3 {
			t.Errorf("%d blocks, buckets\n%+v, want\n%+v", blocks, buckets, want)
		}
	})
}

func TestAFailedApplyChangesNothing(t *testing.T) {
	eachLedger(t, func(t *testing.T, l *Ledger, _ Options) {
		r := openReplica(t, l)
		list := make([]app.UsageBucket, 0, 200)
		for i := range 200 {
			list = append(list, bucket(fmt.Sprintf("%03d", i), 0, 1))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if ok, err := l.ApplyUsage(ctx, app.UsageApply{To: app.LedgerLink{Replica: r.ID, Seq: 1}, Buckets: list}); ok || err == nil {
			t.Errorf("ok %v, %v", ok, err)
		}
		if ok, err := l.ApplyUsage(t.Context(), app.UsageApply{To: app.LedgerLink{Replica: r.ID, Seq: 1}, Buckets: list}); !ok || err != nil {
			t.Errorf("ok %v, %v", ok, err)
		}
		if _, buckets, _ := walked(t, l); !slices.Equal(buckets, list) {
			t.Errorf("%d buckets, want %d", len(buckets), len(list))
		}
	})
}

func TestReplicasThatEndAreNoted(t *testing.T) {
	eachLedger(t, func(t *testing.T, l *Ledger, _ Options) {
		r := openReplica(t, l)
		if err := l.CloseReplica(t.Context(), r.ID); err != nil {
			t.Fatal(err)
		}
		if err := l.CloseReplica(t.Context(), 99); !app.IsKind(err, app.KindNotFound) {
			t.Errorf("a replica that is none: %v", err)
		}
		if _, err := l.Applied(t.Context(), 99); !app.IsKind(err, app.KindNotFound) {
			t.Errorf("a replica that is none: %v", err)
		}
		replicas, _, _ := walked(t, l)
		if len(replicas) != 1 || replicas[0].ClosedAt.IsZero() || replicas[0].Node != "here" || !replicas[0].StartedAt.Equal(r.StartedAt) {
			t.Errorf("got %+v", replicas)
		}
	})
}

func TestLedgerFileIsTheOwnersAlone(t *testing.T) {
	dir := t.TempDir()
	openLedger(t, Options{Path: filepath.Join(dir, "gatehouse.db")})
	info, err := os.Stat(filepath.Join(dir, "usage.db"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v", info, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "gatehouse.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the ledger touches gatehouse.db: %v", err)
	}
}

// TestTheLogBeginsAnew writes without a pause: checkpoints beside the writer
// alone would never meet the log's end, and the log would grow for ever.
func TestTheLogBeginsAnew(t *testing.T) {
	l := openLedger(t, Options{Path: filepath.Join(t.TempDir(), "gatehouse.db")})
	r := openReplica(t, l)
	body := []byte(strings.Repeat("x", 1<<20))
	var (
		wait    sync.WaitGroup
		written = make(chan struct{})
		stop    = make(chan struct{})
	)
	wait.Go(func() {
		for seq := int64(1); ; seq++ {
			if err := l.AppendBlock(context.Background(), r.ID, seq, body); err != nil {
				t.Error(err)
				return
			}
			switch seq {
			case 70: // more than checkpointPages
				close(written)
			case 71:
				body = body[:20_000] // from now on quickly, and without a pause
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	<-written
	for move := 1; ; move++ {
		if err := l.checkpoints.move(t.Context()); err != nil {
			t.Fatal(err)
		}
		pages, err := checkpoint(t.Context(), l.db.read)
		if err != nil {
			t.Fatal(err)
		}
		if pages < checkpointPages {
			break
		}
		if move == 30 {
			t.Errorf("after %d checkpoints the log still has %d pages", move, pages)
			break
		}
	}
	close(stop)
	wait.Wait()
}

func TestLedgerCommitsDurablyOnSQLite(t *testing.T) {
	l := openLedger(t, Options{Path: filepath.Join(t.TempDir(), "gatehouse.db")})
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "wal_autocheckpoint": "0"} {
		var got string
		if err := l.db.write.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s, %v, want %s", pragma, got, err, want)
		}
	}
}

func TestLedgerMakesPostgresCommitDurably(t *testing.T) {
	dsn := storetest.Postgres(t)
	for _, c := range []struct{ server, want string }{{"off", "on"}, {"local", "local"}, {"on", "on"}} {
		set, err := withParameter(dsn, "synchronous_commit", c.server)
		if err != nil {
			t.Fatal(err)
		}
		l := openLedger(t, Options{DSN: set})
		var got string
		if err := l.db.write.QueryRowContext(t.Context(), `SHOW synchronous_commit`).Scan(&got); err != nil || got != c.want {
			t.Errorf("where the server says %s: %s, %v, want %s", c.server, got, err, c.want)
		}
	}
}

// TestReadersDoNotHoldUpCommits keeps a report open, long, beside a writer.
func TestReadersDoNotHoldUpCommits(t *testing.T) {
	eachLedger(t, func(t *testing.T, l *Ledger, _ Options) {
		r := openReplica(t, l)
		mustAppend(t, l, r.ID, 1, "a")
		err := l.Blocks(t.Context(), r.ID, 0, 10, func(int64, []byte) error {
			mustAppend(t, l, r.ID, 2, "b") // within the reader's transaction
			ok, err := l.ApplyUsage(t.Context(), app.UsageApply{To: app.LedgerLink{Replica: r.ID, Seq: 1}})
			if !ok {
				t.Error("buckets did not move")
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkApplyUsage(b *testing.B) {
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		for _, buckets := range []int{10, 1000} {
			b.Run(fmt.Sprintf("%s/%d", engine, buckets), func(b *testing.B) {
				o := Options{Path: filepath.Join(b.TempDir(), "gatehouse.db")}
				if engine == "PostgreSQL" {
					o = Options{DSN: storetest.Postgres(b)}
				}
				l := openLedger(b, o)
				r := openReplica(b, l)
				var list []app.UsageBucket
				for i := range buckets {
					list = append(list, bucket(fmt.Sprintf("org_%026d", i), 900_000, 1))
				}
				for n := int64(0); b.Loop(); n++ {
					ok, err := l.ApplyUsage(b.Context(), app.UsageApply{From: n, To: app.LedgerLink{Replica: r.ID, Seq: n + 1}, Buckets: list})
					if !ok || err != nil {
						b.Fatal(ok, err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(buckets), "µs/bucket")
			})
		}
	}
}
