package metering_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// outage is PostgreSQL while nobody reaches it, and after: this process does so
// first. Another one, which lives, comes back with this one's second sign.
type outage struct {
	*store.Ledger
	mu    sync.Mutex
	down  bool
	signs int   // that arrived since the end of the outage
	other int64 // the replica that comes back
	early bool  // somebody was looked for before two signs had arrived
}

func (o *outage) Beat(ctx context.Context, id int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.down {
		return errDisk
	}
	if o.signs++; o.signs == 2 {
		if err := o.Ledger.Beat(ctx, o.other); err != nil {
			return err
		}
	}
	return o.Ledger.Beat(ctx, id)
}

// Dead takes for dead who was silent for a minute, whatever the pulse's pace.
func (o *outage) Dead(ctx context.Context, _ time.Duration, starting bool) ([]app.LedgerReplica, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.down {
		return nil, errDisk
	}
	o.early = o.early || !starting && o.signs < 2
	return o.Ledger.Dead(ctx, time.Minute, starting)
}

func (o *outage) Fence(ctx context.Context, id int64, _ time.Duration, starting bool) (bool, error) {
	return o.Ledger.Fence(ctx, id, time.Minute, starting)
}

func TestAfterAnOutageNobodyWhoLivesIsTakenOver(t *testing.T) {
	db := storetest.Postgres(t)
	o := store.Options{DSN: db}
	s := &outage{Ledger: openLedger(t, o), down: true}
	open := func(node string) int64 {
		r, err := s.OpenReplica(t.Context(), app.LedgerReplica{Node: node, Sync: app.LedgerSyncFull, StartedAt: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		return r.ID
	}
	s.other = open("lives")
	dead := open("died")
	openMeter(t, metering.Options{Store: s, DeadAfter: 600 * time.Millisecond, TakeOver: 10 * time.Millisecond})
	execute(t, rawDatabase(t, o), `UPDATE usage_replica SET seen_at = seen_at - 600000 WHERE id IN ($1, $2)`, s.other, dead)
	s.mu.Lock()
	s.down = false
	s.mu.Unlock()
	closed := func() (replicas map[int64]app.LedgerReplica) {
		replicas = map[int64]app.LedgerReplica{}
		err := s.WalkLedger(t.Context(), app.LedgerWalk{Replicas: func(list []app.LedgerReplica) error {
			for _, r := range list {
				replicas[r.ID] = r
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		return replicas
	}
	for closed()[dead].ClosedAt.IsZero() {
		if t.Context().Err() != nil {
			t.Fatal("the dead replica was never taken over")
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.early {
		t.Error("the dead were looked for as soon as the outage was over")
	}
	if r := closed()[s.other]; !r.FencedAt.IsZero() {
		t.Error("a replica that lives was taken over")
	}
}

// TestAProcessThatStartsTakesNobodyOverSoon: the database may have been away for
// everybody but it.
func TestAProcessThatStartsTakesNobodyOverSoon(t *testing.T) {
	o := store.Options{DSN: storetest.Postgres(t)}
	s := openLedger(t, o)
	silent, err := s.OpenReplica(t.Context(), app.LedgerReplica{Node: "silent", Sync: app.LedgerSyncFull, StartedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	execute(t, rawDatabase(t, o), `UPDATE usage_replica SET seen_at = seen_at - 1800000`)
	openMeter(t, metering.Options{Store: s, TakeOver: time.Hour})
	if err := s.Beat(t.Context(), silent.ID); err != nil {
		t.Errorf("it comes back, and %v", err)
	}
}
