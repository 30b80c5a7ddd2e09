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
		meters := a.route.drawn(c)
		if len(meters) > 0 {
			a.quotas = book.Line(c.key.ID, meters...)
		}
		if a.sockets = a.quotas; !a.route.meters.none() {
			meters = append(meters, app.MeterSocketSeconds)
			a.sockets = book.Line(c.key.ID, meters...)
		}
		a.prepareSteps(c.key.ID, meters)
	}
	if a.route.Cost > 0 && a.route.Egress == nil {
		a.known = []app.Use{{Meter: app.MeterCost, Value: int64(a.route.Cost)}}
	}
}

// prepareSteps finds the hard quotas of what is reserved step by step.
func (a *admission) prepareSteps(key app.KeyID, meters []string) {
	for meter, line := range map[string]**quota.Line{app.MeterBytes: &a.steps.bytes,
		app.MeterDuration: &a.steps.duration, app.MeterSocketSeconds: &a.steps.seconds} {
		if slices.Contains(meters, meter) && a.state.capped(key, meter) {
			*line = a.state.book.Line(key, meter)
		}
	}
}

// line is what the request draws on; nil: no quota concerns it.
func (x *exchange) line() *quota.Line {
	if x.upgrade && x.credential != nil {
		return x.admission.sockets
	}
	return x.admission.quotas
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

// reserveOrdinary reserves what an ordinary request takes.
func (x *exchange) reserveOrdinary(ctx context.Context, line *quota.Line) error {
	var room [5]quota.Need
	for {
		err := x.reserve(ctx, line, x.ordinaryNeeds(room[:0]))
		if err == nil || !x.lowerStep(app.AsError(err)) {
			return err
		}
	}
}

// ordinaryNeeds appends what an ordinary request takes: exactly, where it is
// known. Of bytes and time it is the first step, where something stops them;
// else they are charged when the request has ended.
func (x *exchange) ordinaryNeeds(needs []quota.Need) []quota.Need {
	m := x.route.meters
	if m.requests {
		needs = append(needs, quota.Need{Meter: app.MeterRequests, Amount: x.weight, Final: true})
	}
	if x.bytes != nil {
		needs = append(needs, quota.Need{Meter: app.MeterBytes, Amount: x.bytes.first})
	}
	if x.lasting != nil {
		needs = append(needs, quota.Need{Meter: app.MeterDuration, Amount: x.lasting.first})
	}
	if x.seconds != nil {
		needs = append(needs, quota.Need{Meter: app.MeterSocketSeconds, Amount: x.seconds.first})
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
// What is left of its worst case is free only when the ledger has the outcome:
// so accounts stay within their ceilings in whichever block the next one is.
func (x *exchange) settle(out app.Outcome) {
	x.g.Ledger.Settle(x.ticket, x.final(out))
	x.free()
}

// final is the outcome with all that the request took. It is asked for once,
// and free is called when the ledger has it.
func (x *exchange) final(out app.Outcome) app.Outcome {
	x.metered = false
	if x.doubtful && x.g.Ledger.Void(x.ticket) { // in no block: nothing of it was charged
		x.release()
		return out
	}
	if x.paid != nil {
		out.Uses = x.paid.uses(out.Uses)
	}
	out = x.settleSteps(out)
	if !x.held {
		return out
	}
	var room [12]quota.Need
	used := room[:0]
	for _, meter := range [...]string{app.MeterBytes, app.MeterDuration} {
		if n := out.Quantity(meter); n > 0 {
			used = append(used, quota.Need{Meter: meter, Amount: n})
		}
	}
	for i := range out.Uses {
		used = append(used, quota.Need{Meter: out.Uses[i].Meter, Amount: out.Uses[i].Value})
	}
	out.Draws = x.hold.Correct(out.Draws, used...)
	return out
}

// free ends what was reserved for a request whose outcome the ledger has.
func (x *exchange) free() {
	if x.held {
		x.hold.Free()
		x.held = false
	}
}

// release gives back what was reserved for a request that was not counted.
func (x *exchange) release() {
	x.dropSteps()
	if x.held {
		x.hold.Release(nil)
		x.held = false
	}
}

// unknown is the outcome of a request of which nobody came to say how it ended.
func (x *exchange) unknown() (out app.Outcome) {
	if x.bytes != nil {
		out.BytesIn, out.BytesOut = x.bytes.passed()
	}
	if x.lasting != nil {
		out.Duration = app.Begun(x.g.Now().Sub(x.start))
	}
	return out
}
