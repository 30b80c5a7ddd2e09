package metering

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/store"
)

// TestWhatAProofCosts measures it, on a ledger of 35 days with so many million
// requests, and as many events: GATEHOUSE_VERIFY_MILLIONS=5 go test -run
// WhatAProofCosts -timeout 1h -v ./app/metering.
func TestWhatAProofCosts(t *testing.T) {
	millions, err := strconv.Atoi(os.Getenv("GATEHOUSE_VERIFY_MILLIONS"))
	if err != nil {
		t.Skip("a measurement, which takes minutes")
	}
	dir := t.TempDir()
	s, err := store.OpenLedger(t.Context(), store.Options{Path: dir + "/gatehouse.db"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	db, err := sql.Open("sqlite", "file:"+dir+"/usage.db?_pragma=synchronous(off)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	began := time.Now()
	g := newCostly(t, s)
	g.db = db
	g.grow(t, millions*1_000_000/requestsABlock)
	t.Logf("written in %s", time.Since(began).Round(time.Second))

	v := &Verifier{Store: s, WholeEvery: time.Hour}
	v.hurry.Store(1) // without rests
	report := func(name string) {
		t.Helper()
		peak := watchHeap()
		began, cpu := time.Now(), processor()
		proof, err := v.Next(t.Context())
		took, cpu := time.Since(began), processor()-cpu
		most := peak()
		if err != nil || !proof.OK() {
			t.Fatalf("%s: %+v, %v", name, proof, err)
		}
		t.Logf("%s: read %d of %d blocks (%d MB), %d requests, %d events, %d + %d sums, %d accounts, %d steps: %s, %s of processor, heap at most %d MiB more",
			name, proof.Read, proof.Blocks, proof.Bytes>>20, proof.Requests, proof.Events, proof.Buckets, proof.Quantities, proof.Accounts, proof.Steps,
			took.Round(time.Millisecond), cpu.Round(time.Millisecond), most>>20)
	}
	report("whole")
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before := m.HeapAlloc
	report("nothing new")
	g.grow(t, 500)
	report("a little new")
	v.proven = nil
	runtime.GC()
	runtime.ReadMemStats(&m)
	t.Logf("kept between two readings: %d KiB", (int64(before)-int64(m.HeapAlloc))>>10)
}

const requestsABlock = 50

// costly writes a ledger: of 60 keys of 20 organizations, with tokens of 2
// models, a quota each, and events of a meter.
type costly struct {
	store   *store.Ledger
	db      *sql.DB // where blocks are written, many at once
	waiting []any
	chains  [2]app.LedgerReplica
	links   [2]app.LedgerLink
	at      time.Time
	written int
	writer  encoder
	rand    *rand.Rand
}

func newCostly(t *testing.T, s *store.Ledger) *costly {
	g := &costly{store: s, at: time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC), rand: rand.New(rand.NewPCG(1, 2))}
	for i := range g.chains {
		r, err := s.OpenReplica(t.Context(), app.LedgerReplica{Node: "n", Sync: app.LedgerSyncFull, StartedAt: g.at})
		if err != nil {
			t.Fatal(err)
		}
		g.chains[i], g.links[i] = r, app.LedgerLink{Replica: r.ID}
	}
	return g
}

// grow writes so many blocks of requests, and events for each.
func (g *costly) grow(t *testing.T, blocks int) {
	t.Helper()
	pace := 35 * 24 * time.Hour / time.Duration(max(blocks, 100_000))
	var sums [2]*sums
	from := [2]int64{g.links[0].Seq, g.links[1].Seq}
	for i := range blocks {
		g.at = g.at.Add(pace)
		for chain, b := range []*Block{g.requests(), g.reported()} {
			if sums[chain] == nil {
				sums[chain] = newSums()
			}
			g.write(t, chain, b, sums[chain])
			if i%1000 == 999 || i == blocks-1 { // as the applier does, every so often
				g.flush(t)
				u := sums[chain].apply(from[chain], g.links[chain])
				if ok, err := g.store.ApplyUsage(t.Context(), u); err != nil || !ok {
					t.Fatal(ok, err)
				}
				from[chain], sums[chain] = g.links[chain].Seq, nil
			}
		}
	}
}

func (g *costly) write(t *testing.T, chain int, b *Block, s *sums) {
	t.Helper()
	b.Replica, b.Seq, b.Link, b.Base = g.chains[chain].ID, g.links[chain].Seq+1, g.links[chain], g.at.UnixMilli()
	if b.Seq == 1 {
		b.Link = g.chains[chain].Link
	}
	body, hash := g.writer.encode(b)
	g.waiting = append(g.waiting, b.Replica, b.Seq, slices.Clone(body))
	g.links[chain] = app.LedgerLink{Replica: b.Replica, Seq: b.Seq, Hash: hash}
	s.fold(b)
}

func (g *costly) flush(t *testing.T) {
	t.Helper()
	begun, err := g.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer begun.Rollback()
	for row := range slices.Chunk(g.waiting, 3) {
		if _, err := begun.ExecContext(t.Context(), `INSERT INTO usage_block (replica, seq, body) VALUES ($1, $2, $3)`, row...); err != nil {
			t.Fatal(err)
		}
	}
	if g.waiting = nil; begun.Commit() != nil {
		t.Fatal("not written")
	}
}

func (g *costly) key() (org app.OrgID, key app.KeyID) {
	n := g.rand.IntN(60)
	return app.OrgID(fmt.Sprintf("org_01hgw2bbg00000000000%06d", n%50)), app.KeyID(fmt.Sprintf("key_01hgw2bbg00000000000%06d", n))
}

func (g *costly) requests() *Block {
	b, at := &Block{}, g.at.UnixMilli()
	seq := g.links[0].Seq + 1
	month := time.Date(g.at.Year(), g.at.Month(), 1, 0, 0, 0, 0, time.UTC)
	for i := range requestsABlock {
		org, key := g.key()
		b.Series = append(b.Series, Series{org, key, "rte_01hgw2bbg0000000000000001a"})
		b.Intents = append(b.Intents, Intent{i, at, 1})
		b.Settles = append(b.Settles, Settle{Series: i, IntentSeq: seq, Index: int64(i), Bucket: app.BucketStart(at), Status: 200, BytesIn: 300, BytesOut: 4000, Micros: 80_000})
		b.Meters = append(b.Meters, MeterSeries{Org: org, Key: key, Route: "rte_01hgw2bbg0000000000000001a", Meter: app.MeterTokensOutput, Dims: `{"model":"m` + strconv.Itoa(g.rand.IntN(2)) + `"}`})
		took := g.rand.Int64N(1000)
		b.Uses = append(b.Uses, Use{Series: i, At: at, Value: took})
		a := app.Account{Org: org, Meter: app.MeterTokensOutput, Period: app.PeriodMonth, Start: month.UnixMilli(), End: month.AddDate(0, 1, 0).UnixMilli()}
		b.draw(a, took)
	}
	return b
}

// draw adds to the draw on the account.
func (b *Block) draw(a app.Account, spent int64) {
	for i := range b.Accounts {
		if b.Accounts[i] == a {
			b.Draws[i].Spent += spent
			return
		}
	}
	b.Accounts, b.Draws = append(b.Accounts, a), append(b.Draws, Draw{Account: len(b.Accounts), Spent: spent})
}

func (g *costly) reported() *Block {
	b, at := &Block{}, g.at.UnixMilli()
	for i := range requestsABlock {
		org, key := g.key()
		g.written++
		id := "b1946ac9-2ff8-4d1b-9ea1-" + strconv.Itoa(g.written)
		sum := sha256.Sum256([]byte(id))
		b.Meters = append(b.Meters, MeterSeries{Org: org, Key: key, Meter: "documents"})
		b.Events = append(b.Events, Event{Org: org, Key: key, Source: "worker", ID: id, Type: "document", At: at, Received: at, ID16: [16]byte(sum[:16])})
		b.Uses = append(b.Uses, Use{Series: i, At: at, Value: 1})
	}
	return b
}

// processor is what this process has used of the processors.
func processor() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// watchHeap returns a function that says how much the heap grew at most.
func watchHeap() func() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before := m.HeapAlloc
	var most atomic.Uint64
	ctx, end := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			most.Store(max(most.Load(), now.HeapAlloc))
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return func() uint64 {
		end()
		<-done
		return most.Load() - min(before, most.Load())
	}
}
