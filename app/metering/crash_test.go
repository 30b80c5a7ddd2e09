package metering_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// The victim is this test's program, started again: it counts as fast as it
// can and tells each request that it got acknowledged, until it is killed.
// A request's weight is its number, so the blocks tell which ones they hold.
const (
	victimDSN   = "GATEHOUSE_TEST_VICTIM_DSN" // or the path of gatehouse.db
	victimFirst = "GATEHOUSE_TEST_VICTIM_FIRST"
	killsWanted = "GATEHOUSE_TEST_KILLS" // how many kills instead of the short form
)

func TestVictim(t *testing.T) {
	dsn := os.Getenv(victimDSN)
	if dsn == "" {
		t.Skip("started by the tests that kill it")
	}
	first, err := strconv.ParseInt(os.Getenv(victimFirst), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.OpenLedger(t.Context(), store.Options{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	l, err := metering.Open(t.Context(), metering.Options{Store: s})
	if err != nil {
		t.Fatal(err)
	}
	var next atomic.Int64
	next.Store(first)
	for range 32 {
		go produce(l, &next)
	}
	select {} // until it is killed
}

func produce(l *metering.Ledger, next *atomic.Int64) {
	var told [8]byte
	for {
		n := next.Add(1)
		ticket := l.Begin(app.Intent{At: noon.Add(time.Duration(n%4) * app.BucketLength), Org: app.OrgID(fmt.Sprint("org_", n%8)),
			Key: app.KeyID(fmt.Sprint("key_", n%32)), Route: "files", Weight: n})
		if ticket.Wait(context.Background()) != nil {
			continue // not acknowledged
		}
		binary.LittleEndian.PutUint64(told[:], uint64(n))
		os.Stdout.Write(told[:]) // eight bytes to a pipe are written whole
		l.Settle(ticket, app.Outcome{Status: 200, BytesOut: n})
	}
}

// killOne starts a victim, kills it at a random time and adds what it told.
func killOne(dsn string, first int64, acknowledged map[int64]bool) error {
	victim := exec.Command(os.Args[0], "-test.run=^TestVictim$")
	victim.Env = append(os.Environ(), victimDSN+"="+dsn, victimFirst+"="+strconv.FormatInt(first, 10))
	victim.Stderr = os.Stderr
	out, err := victim.StdoutPipe()
	if err == nil {
		err = victim.Start()
	}
	if err != nil {
		return err
	}
	in, told, killed := bufio.NewReader(out), [8]byte{}, false
	for {
		if _, err := io.ReadFull(in, told[:]); err != nil {
			break // killed: the pipe ended, perhaps with half a number
		}
		acknowledged[int64(binary.LittleEndian.Uint64(told[:]))] = true
		if !killed {
			killed = true
			time.AfterFunc(time.Duration(rand.Int64N(int64(400*time.Millisecond))), func() { victim.Process.Kill() })
		}
	}
	victim.Wait() // killed
	if !killed {
		return errors.New("the victim acknowledged nothing")
	}
	return nil
}

// timesWritten counts in how many blocks each request is, by its weight.
func timesWritten(t *testing.T, s *store.Ledger) map[int64]int {
	t.Helper()
	times := map[int64]int{}
	eachBlock(t, s, func(b *metering.Block) {
		for _, in := range b.Intents {
			times[in.Weight]++
		}
	})
	return times
}

// eachBlock passes every block of the ledger.
func eachBlock(t *testing.T, s *store.Ledger, pass func(*metering.Block)) {
	t.Helper()
	err := s.WalkLedger(t.Context(), app.LedgerWalk{Replicas: func([]app.LedgerReplica) error { return nil },
		Block: func(replica, seq int64, body []byte) error {
			var b metering.Block
			err := b.Decode(body)
			if err == nil {
				pass(&b)
			}
			return err
		}})
	if err != nil {
		t.Fatal(err)
	}
}

func kills(t *testing.T, short int) int {
	wanted := os.Getenv(killsWanted)
	if wanted == "" {
		return short
	}
	n, err := strconv.Atoi(wanted)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestKilledAtAnyTimeNothingIsLostOrDoubled(t *testing.T) {
	short := map[string]int{"SQLite": 10, "PostgreSQL": 4}
	dsn := map[string]func() string{
		"SQLite":     func() string { return sqliteOptions(t).Path },
		"PostgreSQL": func() string { return storetest.Postgres(t) },
	}
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		t.Run(engine, func(t *testing.T) {
			dsn, acknowledged := dsn[engine](), map[int64]bool{}
			for kill := range kills(t, short[engine]) {
				if err := killOne(dsn, int64(kill)*1_000_000, acknowledged); err != nil {
					t.Fatal(err)
				}
			}
			afterKills(t, dsn, acknowledged)
		})
	}
}

func afterKills(t *testing.T, dsn string, acknowledged map[int64]bool) {
	t.Helper()
	s := openLedger(t, store.Options{DSN: dsn})
	sum := total(t, s) // what the last victim left is read from its blocks
	closeMeter(t, openMeter(t, metering.Options{Store: s}))
	if after := total(t, s); after != sum {
		t.Errorf("applying changed the sums:\n%+v\n%+v", sum, after)
	}
	proof, written := mustHold(t, s), timesWritten(t, s)
	lost, doubled := 0, 0
	for n := range acknowledged {
		if written[n] == 0 {
			lost++
		}
	}
	for _, times := range written {
		if times != 1 {
			doubled++
		}
	}
	if lost > 0 || doubled > 0 {
		t.Errorf("of %d acknowledged requests %d are lost, %d doubled", len(acknowledged), lost, doubled)
	}
	if sum.Requests != int64(len(written)) || proof.Requests != sum.Requests {
		t.Errorf("%d requests in the blocks, %d in the usage", len(written), sum.Requests)
	}
	t.Logf("acknowledged %d, in the ledger %d (%d without outcome), %d runs, %d blocks, %d bytes a request: lost %d, doubled %d",
		len(acknowledged), len(written), proof.Unknown, proof.Replicas-1, proof.Blocks, proof.Bytes/proof.Requests, lost, doubled)
}

// TestReplicasOnOnePostgres lets three processes count at once while each is
// killed and started again.
func TestReplicasOnOnePostgres(t *testing.T) {
	dsn := storetest.Postgres(t)
	const replicas = 3
	results, wanted := make([]map[int64]bool, replicas), kills(t, 3)
	var wait sync.WaitGroup
	for r := range replicas {
		results[r] = map[int64]bool{}
		wait.Go(func() {
			for kill := range wanted {
				if err := killOne(dsn, int64(r*1000+kill)*100_000, results[r]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	acknowledged := map[int64]bool{}
	for _, result := range results {
		maps.Copy(acknowledged, result)
	}
	afterKills(t, dsn, acknowledged)
}

// TestPostgresRestartsUnderLoad stops the server under a ledger that counts:
// requests are refused meanwhile, and afterwards all is as it was.
func TestPostgresRestartsUnderLoad(t *testing.T) {
	server, dsn := storetest.NewPostgres(t)
	o := store.Options{DSN: dsn}
	s := openLedger(t, o)
	l := openMeter(t, metering.Options{Store: s, Patience: impatient})
	for range 20 {
		count(t, l, request("org_1", noon), 200)
	}
	server.Stop()
	ticket := l.Begin(request("org_1", noon))
	wantUnavailable(t, ticket.Wait(t.Context()))
	l.Settle(ticket, app.Outcome{Status: 503})
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	untilReady(t, l)
	for range 20 {
		count(t, l, request("org_1", noon), 200)
	}
	closeMeter(t, l)
	if got := total(t, s); got.Status2 != 40 || got.Requests < 40 || got.Requests > 41 {
		t.Errorf("got %+v", got)
	}
	mustHold(t, s)
}
