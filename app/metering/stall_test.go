package metering_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/store"
)

var errDisk = errors.New("no space left on device")

// impatient is short enough for a test to wait for, and long enough for a
// commit on a loaded machine. Tests that wait for it do so side by side.
const impatient = 5 * time.Second

func wantUnavailable(t *testing.T, err error) {
	t.Helper()
	known := app.AsError(err)
	if known == nil || known.Kind != app.KindUnavailable || known.Code != "ledger_unavailable" || known.RetryAfter <= 0 {
		t.Fatalf("got %v, want ledger_unavailable with Retry-After", err)
	}
	if strings.Contains(known.Message+known.Advice, "device") {
		t.Fatalf("the cause is shown: %q", known.Message)
	}
}

// untilReady waits until the ledger takes requests again.
func untilReady(t *testing.T, l *metering.Ledger) {
	t.Helper()
	for l.Ready() != nil {
		if t.Context().Err() != nil {
			t.Fatal("the ledger did not recover")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestAShortFailureIsNotNoticed(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		s := &faulty{Ledger: openLedger(t, o)}
		l := openMeter(t, metering.Options{Store: s, Patience: time.Minute})
		var tries atomic.Int64
		s.onAppend(func(do func() error) error {
			if tries.Add(1) <= 3 {
				return errDisk
			}
			return do()
		})
		count(t, l, request("org_1", noon), 200)
		if tries.Load() != 4 {
			t.Errorf("%d tries, want 4", tries.Load())
		}
		if got := l.Stats(); !got.StalledSince.IsZero() || got.LastError == "" {
			t.Errorf("stats %+v", got)
		}
		closeMeter(t, l)
		if got := total(t, s); got.Requests != 1 {
			t.Errorf("got %+v", got)
		}
		mustHold(t, s)
	})
}

func TestNothingIsAcknowledgedWithoutACommit(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, o store.Options) {
		s := &faulty{Ledger: openLedger(t, o)}
		l := openMeter(t, metering.Options{Store: s, Patience: impatient})
		count(t, l, request("org_1", noon), 200)
		var broken atomic.Bool
		broken.Store(true)
		s.onAppend(func(do func() error) error {
			if broken.Load() {
				return errDisk
			}
			return do()
		})
		first := l.Begin(request("org_1", noon)) // in the block that is tried again and again
		wantUnavailable(t, first.Wait(t.Context()))
		l.Settle(first, app.Outcome{Status: 503})
		for range 10 { // refused at once
			ticket := l.Begin(request("org_1", noon))
			wantUnavailable(t, ticket.Wait(t.Context()))
			l.Settle(ticket, app.Outcome{Status: 503})
		}
		wantUnavailable(t, l.Ready())
		if got := l.Stats(); got.StalledSince.IsZero() || !strings.Contains(got.LastError, "no space") || got.Refused != 10 {
			t.Errorf("stats %+v", got)
		}
		if got := total(t, s); got.Requests != 1 {
			t.Errorf("%d requests are counted while nothing can be written, want 1", got.Requests)
		}
		broken.Store(false)
		untilReady(t, l)
		count(t, l, request("org_1", noon), 200)
		closeMeter(t, l)
		// The first one's block was written in the end, with how it ended.
		if got := total(t, s); got.Requests != 3 || got.Status2 != 2 || got.Status5 != 1 || got.Unknown != 0 {
			t.Errorf("got %+v", got)
		}
		mustHold(t, s)
	})
}

func TestACommitThatHangsRefuses(t *testing.T) {
	t.Parallel()
	s := &faulty{Ledger: openLedger(t, sqliteOptions(t))}
	l := openMeter(t, metering.Options{Store: s, Patience: impatient})
	release, entered := make(chan struct{}), make(chan struct{}, 10)
	s.onAppend(func(do func() error) error {
		entered <- struct{}{}
		<-release
		return do()
	})
	inside := l.Begin(request("org_1", noon))
	<-entered
	early := l.Begin(request("org_1", noon))
	l.Settle(early, app.Outcome{Status: 200})
	behind := l.Begin(request("org_1", noon)) // waits for the next block, which never comes
	wantUnavailable(t, behind.Wait(t.Context()))
	wantUnavailable(t, inside.Wait(t.Context()))
	l.Settle(behind, app.Outcome{Status: 503})
	l.Settle(inside, app.Outcome{Status: 503})
	if got := l.Stats(); got.StalledSince.IsZero() {
		t.Error("the stall is not told")
	}
	close(release)
	untilReady(t, l)
	count(t, l, request("org_1", noon), 200)
	closeMeter(t, l)
	if got := total(t, s); got.Requests != 2 || got.Status5 != 1 || got.Status2 != 1 {
		t.Errorf("got %+v", got)
	}
	mustHold(t, s)
}

func TestAFullQueueRefuses(t *testing.T) {
	s := &faulty{Ledger: openLedger(t, sqliteOptions(t))}
	l := openMeter(t, metering.Options{Store: s, Patience: time.Hour, MaxPending: 3})
	release, entered := make(chan struct{}), make(chan struct{}, 10)
	s.onAppend(func(do func() error) error {
		entered <- struct{}{}
		<-release
		return do()
	})
	tickets := []metering.Ticket{l.Begin(request("org_1", noon))}
	<-entered
	for range 3 {
		tickets = append(tickets, l.Begin(request("org_1", noon)))
	}
	over := l.Begin(request("org_1", noon))
	wantUnavailable(t, over.Wait(t.Context()))
	l.Settle(over, app.Outcome{Status: 503})
	close(release)
	for _, ticket := range tickets {
		if err := ticket.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		l.Settle(ticket, app.Outcome{Status: 200})
	}
	closeMeter(t, l)
	if got := total(t, s); got.Requests != 4 || got.Status2 != 4 {
		t.Errorf("got %+v", got)
	}
	mustHold(t, s)
}

func TestALostAnswerOfACommitDoesNotDouble(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		s := &faulty{Ledger: openLedger(t, o)}
		l := openMeter(t, metering.Options{Store: s})
		var tries atomic.Int64
		s.onAppend(func(do func() error) error {
			err := do()
			if tries.Add(1)%2 == 1 {
				return errors.Join(err, errDisk) // written, but nobody heard it
			}
			return err
		})
		for range 5 {
			count(t, l, request("org_1", noon), 200)
		}
		closeMeter(t, l)
		if got := total(t, s); got.Requests != 5 || got.Status2 != 5 {
			t.Errorf("got %+v", got)
		}
		mustHold(t, s)
	})
}

func TestAWaiterThatLeavesIsStillCounted(t *testing.T) {
	s := &faulty{Ledger: openLedger(t, sqliteOptions(t))}
	l := openMeter(t, metering.Options{Store: s})
	release := make(chan struct{})
	s.onAppend(func(do func() error) error { <-release; return do() })
	ctx, leave := context.WithCancel(t.Context())
	ticket := l.Begin(request("org_1", noon))
	leave()
	if err := ticket.Wait(ctx); !app.IsKind(err, app.KindCancelled) {
		t.Errorf("got %v, want cancelled", err)
	}
	l.Settle(ticket, app.Outcome{})
	close(release)
	closeMeter(t, l)
	if got := total(t, s); got.Requests != 1 || got.Unknown != 1 {
		t.Errorf("got %+v", got)
	}
	mustHold(t, s)
}

func TestRelaxedAnswersBeforeItCommits(t *testing.T) {
	t.Parallel()
	s := &faulty{Ledger: openLedger(t, sqliteOptions(t))}
	l := openMeter(t, metering.Options{Store: s, Sync: app.LedgerSyncRelaxed, Patience: impatient, MaxPending: 3})
	release, entered := make(chan struct{}), make(chan struct{}, 10)
	s.onAppend(func(do func() error) error {
		entered <- struct{}{}
		<-release
		return do()
	})
	count(t, l, request("org_1", noon), 200)
	<-entered
	for range 3 { // not one of them waits for the disk
		count(t, l, request("org_1", noon), 200)
	}
	over := l.Begin(request("org_1", noon))
	wantUnavailable(t, over.Wait(t.Context()))
	close(release)
	closeMeter(t, l)
	if got := total(t, s); got.Requests != 4 || got.Status2 != 4 {
		t.Errorf("got %+v", got)
	}
	if proof := mustHold(t, s); proof.Relaxed != 1 {
		t.Error("the ledger does not say that it was relaxed")
	}
}

func TestCloseSaysWhatItCouldNotWrite(t *testing.T) {
	t.Parallel()
	s := &faulty{Ledger: openLedger(t, sqliteOptions(t))}
	l := openMeter(t, metering.Options{Store: s, Patience: impatient})
	s.onAppend(func(func() error) error { return errDisk })
	ticket := l.Begin(request("org_1", noon))
	wantUnavailable(t, ticket.Wait(t.Context()))
	l.Settle(ticket, app.Outcome{Status: 503})
	for range 10 {
		l.Settle(l.Begin(request("org_1", noon)), app.Outcome{Status: 503}) // refused: nothing of it is kept
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Close(ctx); err == nil || !strings.Contains(err.Error(), "with 2 records") || !errors.Is(err, errDisk) {
		t.Errorf("got %v, want 2 records and why", err)
	}
	mustHold(t, s)
}
