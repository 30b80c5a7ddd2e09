package gateway

import (
	"context"

	"gatehouse/app"
	"gatehouse/app/quota"
)

// dispatch reserves what the request may take and counts it: every request
// that passes the gate, of whatever kind of route, comes through here, after
// its limits and places and before anything is done for it. What its limits
// took stays taken when a quota refuses.
func (g *Gateway) dispatch(ctx context.Context, x *exchange) error {
	if x.asks.meter != "" {
		return x.dispatchMeter(ctx)
	}
	if x.admission.quotas != nil {
		var room [4]quota.Need
		if err := x.reserve(ctx, x.admission.quotas, x.ordinaryNeeds(room[:0])); err != nil {
			return err
		}
	}
	if x.upgrade && x.credential != nil && !x.route.meters.none() {
		if err := x.reserveSocket(ctx); err != nil {
			x.release()
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
		in.Draws = append(x.draws, in.Draws...) // of a WebSocket's seconds
	}
	x.ticket, x.metered = x.g.Ledger.Begin(in), true
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
	if x.seconds != nil {
		in = x.seconds.intent(in)
	}
	return in
}
