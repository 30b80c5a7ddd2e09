package metering_test

import (
	"testing"

	"gatehouse/app"
	"gatehouse/app/metering"
)

// Outcomes that wait for a commit are more than a block takes, and draw on more
// accounts than one request can: all of it is in later blocks.
func TestABacklogOfOutcomesLosesNoDraw(t *testing.T) {
	const requests, draws = 26_000, 8
	s := &faulty{Ledger: openLedger(t, sqliteOptions(t))}
	l := openMeter(t, metering.Options{Store: s, MaxPending: requests})
	var tickets []metering.Ticket
	for range requests {
		tickets = append(tickets, l.Begin(request("org_1", noon)))
	}
	if err := tickets[requests-1].Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	account := monthly("org_1")
	out := app.Outcome{Status: 200, Uses: []app.Use{{Meter: account.Meter, Value: draws}}}
	for range draws {
		out.Draws = append(out.Draws, app.Draw{Account: account, Spent: 1})
	}
	held, going := make(chan struct{}), make(chan struct{})
	s.onAppend(func(do func() error) error {
		select {
		case held <- struct{}{}:
			<-going
		default:
		}
		return do()
	})
	l.Begin(request("org_2", noon))
	<-held
	for _, ticket := range tickets {
		l.Settle(ticket, out)
	}
	close(going)
	closeMeter(t, l)
	if got := accounts(t, s.Ledger); got != "org_1 tokens_output month: 208000 spent, 0 held\n" {
		t.Error(got)
	}
	mustHold(t, s.Ledger)
}
