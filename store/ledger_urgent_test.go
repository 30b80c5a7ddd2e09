package store

import (
	"context"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/store/storetest"
)

// TestBlocksAndSignsOfLifePassBesideLoans takes every connection that loans,
// returns and folds have.
func TestBlocksAndSignsOfLifePassBesideLoans(t *testing.T) {
	l := openLedger(t, Options{DSN: storetest.Postgres(t)})
	r := openReplica(t, l)
	for range ledgerWriters {
		taken, err := l.db.write.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
	}
	if _, err := l.Grant(t.Context(), r.ID, nil); !app.IsKind(err, app.KindUnavailable) {
		t.Errorf("there is a connection left: %v", err)
	}
	mustAppend(t, l, r.ID, 1, "a")
	mustAppend(t, l, r.ID, 1, "a") // its answer was lost: what is there is looked up
	if err := l.Beat(t.Context(), r.ID); err != nil {
		t.Errorf("a sign of life: %v", err)
	}
	claims := []app.EventMark{{ID: [16]byte{1}, Replica: r.ID, Seq: 2}}
	if ok, err := l.AppendEvents(t.Context(), r.ID, 2, []byte("b"), time.Now(), claims); err != nil || !ok {
		t.Errorf("events: %v, %v", ok, err)
	}
}

// TestATransactionThatStandsStillEnds lets a process pause between two
// statements, while it holds what everybody needs.
func TestATransactionThatStandsStillEnds(t *testing.T) {
	o := Options{DSN: storetest.Postgres(t), Standstill: time.Second}
	stopped, other := openLedger(t, o), openLedger(t, o)
	dead, living := openReplica(t, stopped), openReplica(t, other)
	silence(t, other, dead.ID)
	paused, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- stopped.db.system(context.Background(), ledgerReason, func(t *tx) error {
			_, err := t.exec(`UPDATE main.usage_replica SET answered = 0 WHERE id = $1`, dead.ID)
			if err == nil {
				_, err = t.exec(`UPDATE main.usage_position SET n = n + 1`)
			}
			close(paused)
			<-goOn
			return err
		})
	}()
	<-paused
	defer func() {
		close(goOn)
		if err := <-ended; err == nil {
			t.Error("the paused transaction was committed")
		}
	}()
	persist := func(what string, step func() (bool, error)) {
		t.Helper()
		var ok bool
		var err error
		for range 3 { // each waits for up to commitTimeout
			if ok, err = step(); ok && err == nil {
				return
			}
		}
		t.Errorf("%s: %v, %v", what, ok, err)
	}
	persist("fold", func() (bool, error) {
		return other.ApplyUsage(t.Context(), app.UsageApply{To: app.LedgerLink{Replica: living.ID, Seq: 1}, Answered: -1})
	})
	persist("fence", func() (bool, error) { return other.Fence(t.Context(), dead.ID, 15*time.Second, false) })
}
