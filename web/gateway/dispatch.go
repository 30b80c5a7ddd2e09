package gateway

import (
	"context"
	"time"

	"gatehouse/app"
)

// dispatch reserves what the request may take and counts it: every request
// that passes the gate, of whatever kind of route, comes through here, after
// its limits and places and before anything is done for it. What its limits
// took stays taken when a quota refuses.
func (g *Gateway) dispatch(ctx context.Context, x *exchange) error {
	if x.asks.meter != "" {
		return x.dispatchMeter(ctx)
	}
	if line := x.line(); line != nil {
		if err := x.reserveOrdinary(ctx, line); err != nil {
			return err
		}
	}
	x.begin(x.intent(x.admission.known))
	if !x.held {
		return nil
	}
	// What stops at a limit is not even begun while nothing can be counted.
	err := x.doubt(x.ticket.Refused())
	x.forwarded = err == nil
	return err
}

// begin counts the request, if anything of it is counted.
func (x *exchange) begin(in app.Intent) {
	x.forwarded = true
	if x.route.meters.none() && len(in.Uses) == 0 && len(in.Hold) == 0 {
		return
	}
	if x.held {
		x.draws = x.hold.Draws(x.draws[:0])
		in.Draws, in.Hold = x.draws, x.stepHolds(in.Hold)
	}
	x.ticket, x.metered = x.g.Ledger.Begin(in), true
	if x.lasting != nil {
		x.lasting.run(time.Now().Add(x.start.Sub(x.g.Now())))
	}
}

// wait waits until it is durable that the request passed.
func (x *exchange) wait(ctx context.Context) error { return x.doubt(x.ticket.Wait(ctx)) }

// doubt notes that the request may not be counted after all.
func (x *exchange) doubt(err error) error {
	x.doubtful = x.doubtful || err != nil
	return err
}

// intent is what the ledger writes of the request before its answer.
func (x *exchange) intent(uses []app.Use) app.Intent {
	in := app.Intent{At: x.start, Route: x.route.ledger, Uses: uses}
	if x.route.meters.requests {
		in.Weight = x.weight
	}
	if x.credential != nil {
		in.Org, in.Key = x.credential.actor.OrgID, x.credential.key.ID
	}
	return in
}
