package metering_test

import (
	"context"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// ending tells each try of a step of a ledger's end.
type ending struct {
	*store.Ledger
	answered, closed, applied chan error
	hold                      chan struct{} // not nil: buckets wait until it is closed
}

func (e *ending) NoteAnswered(ctx context.Context, id, answered int64) error {
	return told(e.answered, e.Ledger.NoteAnswered(ctx, id, answered))
}

func (e *ending) CloseReplica(ctx context.Context, id int64) error {
	return told(e.closed, e.Ledger.CloseReplica(ctx, id))
}

func (e *ending) ApplyUsage(ctx context.Context, u app.UsageApply) (bool, error) {
	if e.hold != nil {
		<-e.hold
	}
	ok, err := e.Ledger.ApplyUsage(ctx, u)
	return ok, told(e.applied, err)
}

// Applied is what folding asks for first, once a try has failed.
func (e *ending) Applied(ctx context.Context, replica int64) (app.LedgerLink, error) {
	link, err := e.Ledger.Applied(ctx, replica)
	return link, told(e.applied, err)
}

// told passes the error on; nobody may be listening.
func told(to chan error, err error) error {
	select {
	case to <- err:
	default:
	}
	return err
}

// openEnding returns a ledger which has counted ten requests.
func openEnding(t *testing.T, dsn string, hold chan struct{}) (*ending, *metering.Ledger) {
	t.Helper()
	s := &ending{Ledger: openLedger(t, store.Options{DSN: dsn}), hold: hold, answered: make(chan error), closed: make(chan error), applied: make(chan error)}
	l := openMeter(t, metering.Options{Store: s})
	for range 10 {
		count(t, l, request("org_1", noon), 200)
	}
	l.Tally(10)
	return s, l
}

// settled waits until all is written and, if asked for, folded.
func settled(t *testing.T, l *metering.Ledger, folded bool) {
	t.Helper()
	for s := l.Stats(); s.Outcomes < 10 || folded && s.Applied < s.Blocks; s = l.Stats() {
		if t.Context().Err() != nil {
			t.Fatal("not written")
		}
		time.Sleep(time.Millisecond)
	}
}

// ended holds that the end of so many runs is noted, with what the gate
// answered.
func ended(t *testing.T, dsn string, runs int64) {
	t.Helper()
	s := openLedger(t, store.Options{DSN: dsn})
	replicas := func(list []app.LedgerReplica) error {
		for _, r := range list {
			if r.ClosedAt.IsZero() || r.Answered != 10 {
				t.Errorf("replica %+v: its end is not noted", r)
			}
		}
		return nil
	}
	if err := s.WalkLedger(t.Context(), app.LedgerWalk{Replicas: replicas}); err != nil {
		t.Error(err)
	}
	if got := total(t, s); got.Status2 != 10*runs {
		t.Errorf("got %+v", got)
	}
	mustHold(t, s)
}

// TestTheLastWordsWaitForPostgres closes a ledger while the server is away, on
// connections that broke with it: the end is noted once it is back.
func TestTheLastWordsWaitForPostgres(t *testing.T) {
	server, dsn := storetest.NewPostgres(t)
	start := func(t *testing.T) {
		t.Helper()
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("all is folded", func(t *testing.T) {
		s, l := openEnding(t, dsn, nil)
		settled(t, l, true)
		server.Stop()
		result := closing(t, l)
		failsFirst(t, s.answered, result)
		start(t)
		if err := <-result; err != nil {
			t.Fatalf("close: %v", err)
		}
		ended(t, dsn, 1)
	})
	t.Run("buckets lag behind", func(t *testing.T) {
		hold := make(chan struct{})
		s, l := openEnding(t, dsn, hold)
		settled(t, l, false)
		server.Stop()
		result := closing(t, l)
		close(hold)
		for range 3 { // the last of them at the earliest is of the close
			failsFirst(t, s.applied, result)
		}
		start(t)
		if err := <-result; err != nil {
			t.Fatalf("close: %v", err)
		}
		ended(t, dsn, 2)
	})
	t.Run("it stays away", func(t *testing.T) {
		s, l := openEnding(t, dsn, nil)
		settled(t, l, true)
		server.Stop()
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-s.answered
			cancel()
		}()
		if err := l.Close(ctx); err == nil {
			t.Error("the end is noted on a server that is away")
		}
		start(t)
	})
}

func closing(t *testing.T, l *metering.Ledger) chan error {
	result := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		result <- l.Close(ctx)
	}()
	return result
}

// failsFirst waits for a try that the close survives.
func failsFirst(t *testing.T, tried, result chan error) {
	t.Helper()
	select {
	case <-tried:
	case err := <-result:
		t.Fatalf("close did not wait: %v", err)
	}
}
