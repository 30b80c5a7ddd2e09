package metering_test

import (
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/store"
)

// What a request that runs holds beside its first worst case is no request. It
// is counted as its outcome says; of a dead process whole, as an estimate.
func TestMoreForARequestThatRuns(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		paused := openMeter(t, metering.Options{Store: &abandoned{Ledger: openLedger(t, o), steps: -1}})
		account := monthly("org_1")
		account.Meter = app.MeterDuration
		holding := func(more bool, worst int64) metering.Ticket {
			in := request("org_1", noon)
			in.More, in.Hold = more, []app.Use{{Meter: app.MeterDuration, Value: worst}}
			in.Draws = []app.Draw{{Account: account, Spent: worst, Held: worst}}
			ticket := paused.Begin(in)
			if err := ticket.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			return ticket
		}
		holding(false, 5000)
		first := holding(true, 10_000)
		holding(true, 20_000)
		receipt := paused.SettleTicket(first, app.Outcome{Duration: 7 * time.Second, Draws: []app.Draw{{Account: account, Spent: -3000, Held: -10_000}}})
		if err := receipt.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := openLedger(t, o)
		duration := november
		duration.Meter = app.MeterDuration
		wantRows(t, s, duration, "23T12:00 map[] 7000\n") // the buckets do not hold it yet
		execute(t, rawDatabase(t, o), `UPDATE usage_replica SET seen_at = seen_at - 7200000 WHERE id = $1`, paused.Replica())
		closeMeter(t, openMeter(t, metering.Options{Store: s}))
		wantRows(t, s, duration, "23T12:00 map[] 32000 (2 estimated)\n")
		if got := accounts(t, s); got != "org_1 duration month: 32000 spent, 0 held\n" {
			t.Error(got)
		}
		if row := total(t, s); row.Requests != 1 || row.Weight != 1 || row.Unknown != 1 {
			t.Errorf("%+v", row)
		}
		if proof := mustHold(t, s); proof.Requests != 1 || proof.Outcomes != 1 || proof.Held != 0 {
			t.Errorf("%+v", proof)
		}
	})
}
