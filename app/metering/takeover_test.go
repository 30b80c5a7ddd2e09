package metering_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/store"
)

// abandoned is a run that stopped between two statements: it gives no sign of
// life, and its store is as it left it. The database's clock has gone on.
type abandoned struct {
	*store.Ledger
	mu    sync.Mutex
	steps int // how many steps of a takeover still succeed; below 0: all
}

func (a *abandoned) Beat(context.Context, int64) error { return errDisk }

func (a *abandoned) step() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.steps == 0 {
		return errDisk
	}
	a.steps--
	return nil
}

func (a *abandoned) Fence(ctx context.Context, id int64, after time.Duration, starting bool) (bool, error) {
	if err := a.step(); err != nil {
		return false, err
	}
	return a.Ledger.Fence(ctx, id, after, starting)
}

func (a *abandoned) ApplyUsage(ctx context.Context, u app.UsageApply) (bool, error) {
	if err := a.step(); err != nil {
		return false, err
	}
	return a.Ledger.ApplyUsage(ctx, u)
}

func (a *abandoned) AppendFinal(ctx context.Context, replica, seq int64, body []byte) error {
	if err := a.step(); err != nil {
		return err
	}
	return a.Ledger.AppendFinal(ctx, replica, seq, body)
}

func (a *abandoned) Bury(ctx context.Context, id int64) error {
	if err := a.step(); err != nil {
		return err
	}
	return a.Ledger.Bury(ctx, id)
}

// leaveOpen starts a run that leaves two requests of three without outcome,
// and makes it look silent for two hours.
func leaveOpen(t *testing.T, o store.Options) (paused *metering.Ledger, open metering.Ticket) {
	t.Helper()
	paused = openMeter(t, metering.Options{Store: &abandoned{Ledger: openLedger(t, o), steps: -1}})
	account := monthly("org_1")
	var tickets []metering.Ticket
	for range 3 {
		in, _ := tokens(request("org_1", noon), account, 0)
		ticket := paused.Begin(in)
		if err := ticket.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		tickets = append(tickets, ticket)
	}
	_, out := tokens(request("org_1", noon), account, 30)
	receipt := paused.SettleTicket(tickets[1], out)
	if err := receipt.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	execute(t, rawDatabase(t, o), `UPDATE usage_replica SET seen_at = seen_at - 7200000 WHERE id = $1`, paused.Replica())
	return paused, tickets[0]
}

// wantSettled holds what a takeover leaves: 30 that were told, and twice the
// worst case.
func wantSettled(t *testing.T, s *store.Ledger) {
	t.Helper()
	wantRows(t, s, november, "23T12:00 map[] 230 (2 estimated)\n")
	if got := accounts(t, s); got != "org_1 tokens_output month: 230 spent, 0 held\n" {
		t.Error(got)
	}
	if proof := mustHold(t, s); proof.Held != 0 || proof.Unknown != 0 {
		t.Errorf("proof %+v", proof)
	}
}

func TestAPausedReplicaCanNeverCommitAgain(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		paused, open := leaveOpen(t, o)
		s := openLedger(t, o)
		taker := openMeter(t, metering.Options{Store: s})
		late := paused.Begin(request("org_1", noon))
		err := late.Wait(t.Context())
		wantUnavailable(t, err)
		if cause := app.AsError(app.AsError(err).Err); cause.Code != "ledger_fenced" {
			t.Errorf("refused for %v", cause)
		}
		if paused.Alive() {
			t.Error("a fenced replica takes itself for alive")
		}
		paused.Settle(open, app.Outcome{Status: 200})
		again := paused.Begin(request("org_1", noon))
		wantUnavailable(t, again.Wait(t.Context()))
		if !taker.Alive() {
			t.Error("who took over is not alive")
		}
		closeMeter(t, taker)
		wantSettled(t, s)
	})
}

func TestTwoTakeOverAtOnce(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		leaveOpen(t, o)
		s := openLedger(t, o)
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() { openMeter(t, metering.Options{Store: s}) })
		}
		wait.Wait()
		wantSettled(t, s)
	})
}

// TestATakeoverThatDiesIsFinishedByTheNext lets takers die after each number
// of steps.
func TestATakeoverThatDiesIsFinishedByTheNext(t *testing.T) {
	for steps := range 6 {
		t.Run(fmt.Sprint(steps), func(t *testing.T) {
			eachEngine(t, func(t *testing.T, o store.Options) {
				leaveOpen(t, o)
				s := openLedger(t, o)
				dying := openMeter(t, metering.Options{Store: &abandoned{Ledger: s, steps: steps}})
				if steps < 4 && dying.Stats().LegacyError == "" {
					t.Error("it did not die")
				}
				openMeter(t, metering.Options{Store: s})
				wantSettled(t, s)
			})
		})
	}
}

// TestALivingReplicaIsNotTakenOver starts a second process while the first
// gives signs of life (PostgreSQL), or in the same process (SQLite).
func TestALivingReplicaIsNotTakenOver(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		s := openLedger(t, o)
		living := openMeter(t, metering.Options{Store: s})
		account := monthly("org_1")
		in, out := tokens(request("org_1", noon), account, 5)
		ticket := living.Begin(in)
		if err := ticket.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		openMeter(t, metering.Options{Store: s, TakeOver: time.Millisecond})
		living.Settle(ticket, out)
		closeMeter(t, living)
		wantRows(t, s, november, "23T12:00 map[] 5\n")
		mustHold(t, s)
	})
}

// TestAnEndWithOpenRequestsIsLeftToTheNext closes a run whose request still
// holds something.
func TestAnEndWithOpenRequestsIsLeftToTheNext(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		first := openMeter(t, metering.Options{Store: openLedger(t, o)})
		in, _ := tokens(request("org_1", noon), monthly("org_1"), 0)
		ticket := first.Begin(in)
		if err := ticket.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		closeMeter(t, first)
		execute(t, rawDatabase(t, o), `UPDATE usage_replica SET seen_at = seen_at - 7200000`)
		s := openLedger(t, o)
		if proof := mustHold(t, s); proof.Held != 1 {
			t.Errorf("proof %+v", proof)
		}
		openMeter(t, metering.Options{Store: s})
		wantRows(t, s, november, "23T12:00 map[] 100 (1 estimated)\n")
		mustHold(t, s)
	})
}

// TestTheGatesOwnCountIsCompared tells the ledger of answers that it was not
// told to settle.
func TestTheGatesOwnCountIsCompared(t *testing.T) {
	for tally, want := range map[int64]bool{2: true, 3: false, 1: false} {
		s := openLedger(t, sqliteOptions(t))
		l := openMeter(t, metering.Options{Store: s})
		for _, status := range []int{200, 201, 302, 500, 101} {
			count(t, l, request("org_1", noon), status)
		}
		l.Tally(tally)
		closeMeter(t, l)
		proof, err := metering.Check(t.Context(), s)
		if err != nil || proof.OK() != want || proof.Answered != tally {
			t.Errorf("%d answers: %+v, %v", tally, proof, err)
		}
	}
}

func TestTheVerifierKeepsTheLastProof(t *testing.T) {
	o := sqliteOptions(t)
	db := smallLedger(t, o)
	v := &metering.Verifier{Store: openLedger(t, o), Clock: func() time.Time { return noon }}
	if _, at, err := v.Last(); !at.IsZero() || err != nil {
		t.Errorf("before the first: %v, %v", at, err)
	}
	if proof, err := v.Now(t.Context()); err != nil || !proof.OK() {
		t.Errorf("%+v, %v", proof, err)
	}
	execute(t, db, `DELETE FROM usage_bucket`)
	if proof, err := v.Now(t.Context()); err != nil || proof.OK() {
		t.Errorf("%+v, %v", proof, err)
	}
	if proof, at, err := v.Last(); proof.OK() || at != noon || err != nil {
		t.Errorf("%+v, %v, %v", proof, at, err)
	}
}
