package quota_test

import (
	"bytes"
	"context"
	"database/sql"
	"log/slog"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/app/quota"
	"gatehouse/store"
)

// TestWhatIsImportedIntoAPrunedPeriodIsRight prunes accounts of hours and
// minutes, and draws on one of them again, as an import does.
func TestWhatIsImportedIntoAPrunedPeriodIsRight(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		past := &clock{at: time.Now().UTC().Add(-60 * 24 * time.Hour).Truncate(time.Hour)}
		o.Now = past.now
		c := &importing{clock: past}
		c.node = lazy(t, o, past, func(options *quota.Options) {
			options.Opening = c.opening
			options.Books = func(context.Context, app.OrgID) (*quota.Book, error) {
				return c.engine.Book(acmeOrg(), planOf(app.Quota{Meter: "tokens", Limit: 100, Period: app.PeriodHour},
					app.Quota{Meter: "tokens", Limit: 100, Period: app.PeriodMinute}, monthly("tokens", 1000)), nil), nil
			}
		})
		old := past.now()
		var log bytes.Buffer // of a fault that the next whole reading did not find
		verifier := &metering.Verifier{Store: c.store, WholeEvery: 24 * time.Hour, Log: slog.New(slog.NewTextHandler(&log, nil))}
		holds := func(pruned int64) {
			t.Helper()
			for name, read := range map[string]func() (metering.Proof, error){
				"going on": func() (metering.Proof, error) { return verifier.Next(t.Context()) },
				"whole":    func() (metering.Proof, error) { return metering.Check(t.Context(), c.store) },
			} {
				if proof, err := read(); err != nil || !proof.OK() || proof.Pruned != pruned {
					t.Fatalf("%s: %+v, %v", name, proof, err)
				}
				if log.Len() > 0 {
					t.Fatal(log.String())
				}
			}
		}
		for range 3 {
			c.report(t, past.now(), 10)
			past.move(time.Hour)
		}
		backdate(t, o, past.now())
		holds(0)
		past.move(39 * 24 * time.Hour)
		if err := c.store.DropEndedLeases(t.Context(), past.now()); err != nil {
			t.Fatal(err)
		}
		if err := c.engine.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		holds(0) // events may come still
		past.move(2 * 24 * time.Hour)
		if err := c.engine.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		if list := states(t, c.store, old); len(list) != 1 || list[0].Period != app.PeriodMonth {
			t.Fatalf("left: %+v", list)
		}
		holds(6)
		if err := c.engine.GiveBackIdle(t.Context()); err != nil { // which forgets what was lent of old periods
			t.Fatal(err)
		}
		c.report(t, old.Add(30*time.Minute), 7)
		for _, a := range states(t, c.store, old.Add(30*time.Minute)) {
			if a.Period == app.PeriodHour && (a.Spent != 17 || a.Opening != 10) {
				t.Errorf("after an import: %+v", a)
			}
		}
		holds(6)
	})
}

// importing is a node that counts events as their quotas want it.
type importing struct {
	*node
	clock *clock
}

func (c *importing) report(t *testing.T, at time.Time, amount int64) {
	t.Helper()
	draws, err := c.engine.EventDraws(t.Context(), acme, "", "tokens", at, amount, nil)
	if err != nil {
		t.Fatal(err)
	}
	before := c.ledger.Stats().Blocks
	ticket := c.ledger.Begin(app.Intent{At: at, Org: acme, Route: "r", Weight: 1, Uses: []app.Use{{Meter: "tokens", Value: amount}}, Draws: draws})
	if err := ticket.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.ledger.Settle(ticket, app.Outcome{Status: 200})
	await(t, "the account", func() bool {
		now := c.ledger.Stats()
		return now.Blocks > before && now.Blocks == now.Applied
	})
}

// backdate makes all accounts look changed at the time: PostgreSQL notes that by
// a clock of its own.
func backdate(t *testing.T, o store.Options, at time.Time) {
	t.Helper()
	if o.DSN == "" {
		return
	}
	db, err := sql.Open("pgx", o.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `UPDATE main.quota_account SET updated_at = $1`, at.UnixMilli()); err != nil {
		t.Fatal(err)
	}
}

// opening is what the buckets say of the account's period.
func (c *importing) opening(ctx context.Context, a app.Account) (sum int64, err error) {
	err = c.store.WalkLedger(ctx, app.LedgerWalk{Replicas: func([]app.LedgerReplica) error { return nil },
		Meter: func(m app.MeterBucket) error {
			if at := m.Start.UnixMilli(); a.Period != app.PeriodMinute && a.Start <= at && at < a.End {
				sum += m.Sum
			}
			return nil
		}})
	return sum, err
}
