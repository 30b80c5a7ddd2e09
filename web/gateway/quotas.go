package gateway

import (
	"context"
	"slices"

	"gatehouse/app"
	"gatehouse/app/quota"
)

// Overrides reads what replaces a plan's quotas for one organization.
type Overrides interface {
	QuotaOverrides(ctx context.Context, org app.OrgID) ([]app.QuotaOverride, error)
}

// drawn are the meters whose quotas a credential's requests on the route draw
// on. What the app calls for an organization is no traffic of that
// organization: it draws on money and tokens alone.
func (rt *route) drawn(c *credential) (meters []string) {
	if c.mode != onBehalf {
		for name, counted := range map[string]bool{app.MeterRequests: rt.meters.requests,
			app.MeterBytes: rt.meters.bytes, app.MeterDuration: rt.meters.duration} {
			if counted {
				meters = append(meters, name)
			}
		}
	}
	switch {
	case rt.Egress != nil && rt.Egress.API != app.EgressHTTP:
		meters = append(meters, app.MeterCost, app.MeterTokensInput, app.MeterTokensOutput,
			app.MeterTokensCacheRead, app.MeterTokensCacheWrite)
	case rt.Egress != nil || rt.Cost > 0:
		meters = append(meters, app.MeterCost)
	}
	return meters
}

// prepareQuotas resolves which quotas the admission's requests draw on.
func (a *admission) prepareQuotas(c *credential) {
	if book := a.state.book; book != nil {
		if meters := a.route.drawn(c); len(meters) > 0 {
			a.quotas = book.Line(c.key.ID, meters...)
		}
		if !a.route.meters.none() {
			a.sockets = book.Line(c.key.ID, app.MeterSocketSeconds)
		}
	}
	if a.route.Cost > 0 && a.route.Egress == nil {
		a.known = []app.Use{{Meter: app.MeterCost, Value: int64(a.route.Cost)}}
	}
}

// capped reports whether a hard quota of the organization, or of the key,
// stops the meter.
func (s *orgState) capped(key app.KeyID, meter string) bool {
	if s.book == nil {
		return false
	}
	stops := func(q app.Quota) bool { return q.Meter == meter && q.Hard() }
	for _, q := range s.plan.Quotas {
		replaced := slices.ContainsFunc(s.overrides, func(o app.QuotaOverride) bool { return o.Key == "" && o.Same(q) })
		if stops(q) && !replaced {
			return true
		}
	}
	return slices.ContainsFunc(s.overrides, func(o app.QuotaOverride) bool {
		return (o.Key == "" || o.Key == key) && !o.Unlimited && stops(o.Quota)
	})
}

// needs appends what an ordinary request takes: exactly, where it is known.
// Bytes and duration are charged when the request has ended; until then it
// only must not find them used up.
func (x *exchange) ordinaryNeeds(needs []quota.Need) []quota.Need {
	m := x.route.meters
	if m.requests {
		needs = append(needs, quota.Need{Meter: app.MeterRequests, Amount: x.weight, Final: true})
	}
	if m.bytes {
		needs = append(needs, quota.Need{Meter: app.MeterBytes})
	}
	if m.duration {
		needs = append(needs, quota.Need{Meter: app.MeterDuration})
	}
	for _, use := range x.admission.known {
		needs = append(needs, quota.Need{Meter: use.Meter, Amount: use.Value, Final: true})
	}
	return needs
}

// reserve reserves all of the needs in the line's quotas, or fails.
func (x *exchange) reserve(ctx context.Context, line *quota.Line, needs []quota.Need) error {
	if line == nil {
		return nil
	}
	if x.hold == nil {
		x.hold = &quota.Hold{}
	}
	if err := line.Reserve(ctx, x.start, x.hold, needs...); err != nil {
		return err
	}
	x.held = true
	return nil
}

// settle tells the ledger how the request ended, and its quotas what it took.
func (x *exchange) settle(out app.Outcome) { x.g.Ledger.Settle(x.ticket, x.final(out)) }

// final is the outcome with all that the request took. It is asked for once.
func (x *exchange) final(out app.Outcome) app.Outcome {
	x.metered = false
	if x.doubtful && x.g.Ledger.Void(x.ticket) { // in no block: nothing of it was charged
		x.release()
		return out
	}
	if x.paid != nil {
		out.Uses = x.paid.uses(out.Uses)
		return x.charge(out, x.paid.used()...)
	}
	if x.seconds != nil {
		out = x.seconds.settle(out, x.result.Lasted)
		x.seconds = nil
	}
	return x.charge(out)
}

// charge adds to the outcome what it draws on quotas beyond the intent.
func (x *exchange) charge(out app.Outcome, used ...quota.Need) app.Outcome {
	if !x.held {
		return out
	}
	for _, meter := range [...]string{app.MeterBytes, app.MeterDuration} {
		if n := out.Quantity(meter); n > 0 {
			used = append(used, quota.Need{Meter: meter, Amount: n})
		}
	}
	out.Draws = x.hold.Settle(out.Draws, used...)
	x.held = false
	return out
}

// release gives back what was reserved for a request that was not counted.
func (x *exchange) release() {
	if x.held {
		x.hold.Release(nil)
		x.held = false
	}
	if x.seconds != nil {
		x.seconds.release()
		x.seconds = nil
	}
}
