package store

import (
	"context"
	"testing"
	"time"

	"gatehouse/app"
)

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if known := app.AsError(err); known == nil || known.Code != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

// silence makes the replica look silent for a minute.
func silence(t *testing.T, l *Ledger, id int64) {
	t.Helper()
	if _, err := l.db.write.ExecContext(t.Context(), `UPDATE main.usage_replica SET seen_at = seen_at - 60000 WHERE id = $1`, id); err != nil {
		t.Fatal(err)
	}
}

func fence(t *testing.T, l *Ledger, id int64, want bool) {
	t.Helper()
	if fenced, err := l.Fence(t.Context(), id, 15*time.Second, true); err != nil || fenced != want {
		t.Errorf("fenced %v, %v, want %v", fenced, err, want)
	}
}

func TestAFencedReplicaWritesNothing(t *testing.T) {
	eachLedger(t, func(t *testing.T, l *Ledger, again Options) {
		r := openReplica(t, l)
		mustAppend(t, l, r.ID, 1, "a")
		if err := l.Beat(t.Context(), r.ID); err != nil {
			t.Fatal(err)
		}
		other := openLedger(t, again)
		fence(t, l, r.ID, false) // it gave a sign of life, and is this process's own
		wantCode(t, other.AppendFinal(t.Context(), r.ID, 2, []byte("z")), "ledger_conflict")
		silence(t, l, r.ID)
		fence(t, other, r.ID, true)
		fence(t, other, r.ID, true) // again: by another taker
		wantCode(t, l.AppendBlock(t.Context(), r.ID, 2, []byte("b")), "ledger_fenced")
		wantCode(t, l.Beat(t.Context(), r.ID), "ledger_fenced")
		mustAppend(t, l, r.ID, 1, "a") // committed before: its answer was lost
		if got := held(t, l, r.ID, 0, 10); len(got) != 1 {
			t.Errorf("blocks %v", got)
		}
		if err := other.AppendFinal(t.Context(), r.ID, 2, []byte("z")); err != nil {
			t.Error(err)
		}
		if err := other.AppendFinal(t.Context(), r.ID, 2, []byte("z")); err != nil {
			t.Errorf("the same by another taker: %v", err)
		}
		wantCode(t, l.AppendBlock(t.Context(), r.ID, 2, []byte("b")), "ledger_fenced")
	})
}

func TestAReplicaIsBuriedWhenItsChainIsApplied(t *testing.T) {
	eachLedger(t, func(t *testing.T, l *Ledger, again Options) {
		r := openReplica(t, l)
		mustAppend(t, l, r.ID, 1, "a")
		other := openLedger(t, again)
		silence(t, l, r.ID)
		dead := func() int {
			list, err := other.Dead(t.Context(), 15*time.Second, true)
			if err != nil {
				t.Fatal(err)
			}
			return len(list)
		}
		closed := func() bool {
			replicas, _, _ := walked(t, l)
			return !replicas[0].ClosedAt.IsZero()
		}
		account := &app.Account{Org: "org_1", Meter: "cost", Period: app.PeriodLifetime}
		apply := app.UsageApply{To: app.LedgerLink{Replica: r.ID, Seq: 1}, Draws: []app.Draw{{Account: account, Spent: 5, Held: 5}}, Answered: -1}
		if dead() != 1 {
			t.Error("the silent replica is not among the dead")
		}
		for _, step := range []struct {
			name string
			do   func() error
			want bool
		}{
			{"not fenced", func() error { return other.Bury(t.Context(), r.ID) }, false},
			{"not applied", func() error { fence(t, other, r.ID, true); return other.Bury(t.Context(), r.ID) }, false},
			{"applied", func() error { _, err := other.ApplyUsage(t.Context(), apply); return err }, false},
			{"buried", func() error { return other.Bury(t.Context(), r.ID) }, true},
			{"buried again", func() error { return other.Bury(t.Context(), r.ID) }, true},
		} {
			if err := step.do(); err != nil || closed() != step.want {
				t.Errorf("%s: closed %v, %v", step.name, closed(), err)
			}
		}
		if dead() != 0 {
			t.Error("a buried replica is among the dead")
		}
		fence(t, other, r.ID, false)
		remains, err := other.Remains(t.Context(), r.ID, func(int64, int64, []byte) error { return nil })
		if err != nil || len(remains.Held) != 0 {
			t.Errorf("remains %+v, %v", remains, err)
		}
	})
}

// TestAFenceWaitsForABlockUnderWay holds a fence open while a block comes: the
// block waits, and then finds the fence. PostgreSQL alone can do both at once.
func TestAFenceWaitsForABlockUnderWay(t *testing.T) {
	eachLedger(t, func(t *testing.T, l *Ledger, again Options) {
		r := openReplica(t, l)
		other := openLedger(t, again)
		written := make(chan error)
		err := other.db.system(t.Context(), ledgerReason, func(tx *tx) error {
			var id int64
			if err := tx.row(`SELECT id FROM usage_replica WHERE id = $1`+tx.dialect.lockRow, r.ID).Scan(&id); err != nil {
				return err
			}
			go func() { written <- l.AppendBlock(context.Background(), r.ID, 1, []byte("a")) }()
			_, err := tx.exec(`UPDATE main.usage_replica SET fenced_at = 1 WHERE id = $1`, r.ID)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, <-written, "ledger_fenced")
	})
}

func TestFoldsAreNumberedInTheOrderOfTheirCommits(t *testing.T) {
	eachLedger(t, func(t *testing.T, l *Ledger, _ Options) {
		one, two := openReplica(t, l), openReplica(t, l)
		for i, u := range []app.UsageApply{{To: app.LedgerLink{Replica: one.ID, Seq: 2}}, {To: app.LedgerLink{Replica: two.ID, Seq: 1}},
			{From: 2, To: app.LedgerLink{Replica: one.ID, Seq: 3}}} {
			if ok, err := l.ApplyUsage(t.Context(), u); !ok || err != nil {
				t.Fatal(i, ok, err)
			}
			var replica, from, to int64
			err := l.db.read.QueryRowContext(t.Context(), `SELECT replica, from_seq, to_seq FROM usage_applied WHERE n = $1`, i+1).Scan(&replica, &from, &to)
			if err != nil || replica != u.To.Replica || from != u.From || to != u.To.Seq {
				t.Errorf("number %d: replica %d, %d to %d, %v", i+1, replica, from, to, err)
			}
		}
	})
}
