package metering_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// The reporting victim sends the same events in every run, batch by batch in
// an order of its own, and tells each batch that was acknowledged, until it is
// killed.
const (
	reporterDSN = "GATEHOUSE_TEST_REPORTER_DSN" // or the path of gatehouse.db
	victimBatch = 50
)

// victimBatches is how many there are: on SQLite more than a victim reports
// before it is killed, so that each writes parts of its own.
func victimBatches(dsn string) int {
	if store.IsPostgres(dsn) {
		return 400
	}
	return 2000
}

func TestReportingVictim(t *testing.T) {
	dsn := os.Getenv(reporterDSN)
	if dsn == "" {
		t.Skip("started by the test that kills it")
	}
	s, err := store.OpenLedger(t.Context(), crowded(dsn))
	if err != nil {
		t.Fatal(err)
	}
	e, err := metering.OpenEvents(t.Context(), metering.EventsOptions{Store: s, Node: "victim", Patience: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for {
		for _, n := range rand.Perm(victimBatches(dsn)) {
			if _, err := e.Record(context.Background(), victimEvents(n)); err != nil {
				continue // not acknowledged
			}
			var told [4]byte
			binary.LittleEndian.PutUint32(told[:], uint32(n))
			os.Stdout.Write(told[:]) // four bytes to a pipe are written whole
		}
	}
}

// crowded keeps so few ids in memory that a victim is killed while it writes
// and merges them, too.
func crowded(dsn string) store.Options {
	return store.Options{DSN: dsn, EventIndex: store.EventIndexOptions{MaxRecent: 500}}
}

func victimEvents(batch int) []app.Event {
	list := make([]app.Event, victimBatch)
	for i, n := range rand.Perm(victimBatch) {
		list[i] = reported("org_1", int64(batch*victimBatch+n))
	}
	return list
}

// killReporter starts a victim, kills it at a random time and adds which
// batches it was acknowledged.
func killReporter(dsn string, acknowledged map[int]bool) error {
	victim := exec.Command(os.Args[0], "-test.run=^TestReportingVictim$")
	victim.Env = append(os.Environ(), reporterDSN+"="+dsn)
	victim.Stderr = os.Stderr
	out, err := victim.StdoutPipe()
	if err == nil {
		err = victim.Start()
	}
	if err != nil {
		return err
	}
	in, told, killed := bufio.NewReader(out), [4]byte{}, false
	for {
		if _, err := io.ReadFull(in, told[:]); err != nil {
			break // killed
		}
		acknowledged[int(binary.LittleEndian.Uint32(told[:]))] = true
		if !killed {
			killed = true
			time.AfterFunc(time.Duration(rand.Int64N(int64(200*time.Millisecond))), func() { victim.Process.Kill() })
		}
	}
	victim.Wait() // killed
	if !killed {
		return errors.New("the victim was acknowledged nothing")
	}
	return nil
}

func TestEventsOfKilledReplicasAreCountedOnce(t *testing.T) {
	dsn := map[string]func() string{
		"SQLite":     func() string { return sqliteOptions(t).Path },
		"PostgreSQL": func() string { return storetest.Postgres(t) },
	}
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		t.Run(engine, func(t *testing.T) {
			dsn, acknowledged := dsn[engine](), map[int]bool{}
			for range kills(t, 6) {
				if err := killReporter(dsn, acknowledged); err != nil {
					t.Fatal(err)
				}
			}
			afterReporters(t, dsn, acknowledged)
		})
	}
}

// afterReporters sends everything once more: what was acknowledged is known,
// and each event counts once in all.
func afterReporters(t *testing.T, dsn string, acknowledged map[int]bool) {
	t.Helper()
	s := openLedger(t, crowded(dsn))
	e := openEvents(t, s)
	for n := range victimBatches(dsn) {
		for _, verdict := range record(t, e, victimEvents(n)...) {
			if verdict != app.EventDuplicate && (acknowledged[n] || verdict != app.EventAccepted) {
				t.Fatalf("an event of batch %d is %s; acknowledged before: %v", n, verdict, acknowledged[n])
			}
		}
	}
	closeEvents(t, e)
	want := victimBatches(dsn)
	if got := sumOf(t, s, "org_1", "documents"); got != int64(want*victimBatch) {
		t.Errorf("%d events are counted, want %d", got, want*victimBatch)
	}
	mustHold(t, s)
	t.Logf("%d of %d batches were acknowledged before", len(acknowledged), want)
}
