package gateway

import (
	"context"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/app/quota"
)

// stepLines are the hard quotas of what is known only while a request runs;
// nil: nothing stops it.
type stepLines struct{ bytes, duration, seconds *quota.Line }

// steps reserves a quantity that is known only while it is used. The first step
// stands in the request's own hold and intent; each further one has a hold and
// a record of its own, durable before it is used, so a crash leaves charged
// what was reserved.
type steps struct {
	x        *exchange
	meter    string
	line     *quota.Line
	first    int64 // in the request's own hold
	least    int64 // which first is not lowered below
	reserved int64 // in all
	parts    []part
	settled  int64 // reserved by parts that were used up and are settled
	outcome  func(share int64) app.Outcome
}

// part is one further step.
type part struct {
	hold   quota.Hold
	ticket metering.Ticket
	amount int64
}

// shrinkage is by how much a step is lowered that the quotas do not cover.
const shrinkage = 4

// lower lowers the first step, which the quotas did not cover.
func (s *steps) lower() bool {
	if s.first <= s.least {
		return false
	}
	s.first = max(s.least, (s.first-s.least)/shrinkage+s.least)
	return true
}

// grow reserves most, or where that is not covered less, but not below least.
func (s *steps) grow(ctx context.Context, least, most int64) error {
	p := part{amount: most}
	for {
		err := s.line.Reserve(ctx, s.x.start, &p.hold, quota.Need{Meter: s.meter, Amount: p.amount})
		if err == nil {
			return s.note(ctx, &p)
		}
		if p.amount <= least || !app.IsKind(err, app.KindPayment) {
			return err
		}
		p.amount = max(least, p.amount/shrinkage)
	}
}

// note makes a step durable.
func (s *steps) note(ctx context.Context, p *part) error {
	in := s.x.intent(nil)
	in.Weight, in.More, in.Hold = 0, true, []app.Use{{Meter: s.meter, Value: p.amount}}
	in.Draws = p.hold.Draws(nil)
	p.ticket = s.x.g.Ledger.Begin(in)
	if err := p.ticket.Wait(ctx); err != nil {
		s.end(p, 0)
		return err
	}
	s.parts = append(s.parts, *p)
	s.reserved += p.amount
	return nil
}

// settle settles every step but the first by what was used in all, the earliest
// first, and returns what remains to the first.
func (s *steps) settle(used int64) (own int64) {
	s.settleUsed(used)
	own = max(0, used-s.settled)
	rest := max(0, own-s.first)
	for i := range s.parts {
		share := min(rest, s.parts[i].amount)
		s.end(&s.parts[i], share)
		rest, own = rest-share, own-share
	}
	s.parts = nil
	return own
}

// settleUsed settles the steps that are used up: what runs for days must not
// leave the ledger an open worst case for each of its steps.
func (s *steps) settleUsed(used int64) {
	for len(s.parts) > 0 && used-s.first-s.settled >= s.parts[0].amount {
		s.settled += s.parts[0].amount
		s.end(&s.parts[0], s.parts[0].amount)
		s.parts = s.parts[1:]
	}
}

// end settles one step. What it leaves is free only when the ledger has it.
func (s *steps) end(p *part, share int64) {
	out := app.Outcome{}
	if share > 0 {
		out = s.outcome(share)
	}
	out.Draws = p.hold.Correct(nil, quota.Need{Meter: s.meter, Amount: share})
	s.x.g.Ledger.Settle(p.ticket, out)
	p.hold.Free()
}

// prepareSteps begins what is reserved step by step of a request that the gate
// itself passes on; received is the length of its body, below 0 when nobody
// knows it.
func (x *exchange) prepareSteps(received int64) {
	if x.credential == nil {
		return
	}
	lines := &x.admission.steps
	if lines.bytes != nil {
		x.bytes = newByteSteps(x, lines.bytes, max(0, received))
	}
	if lines.duration != nil {
		x.lasting = newTimeSteps(x, app.MeterDuration, lines.duration)
	}
	if !x.upgrade || x.route.meters.none() {
		return
	}
	if x.socketSeconds = true; lines.seconds != nil {
		x.seconds = newTimeSteps(x, app.MeterSocketSeconds, lines.seconds)
	}
}

// lowerStep lowers the first step of the meter that refused, and reports
// whether it is worth to ask again.
func (x *exchange) lowerStep(refusal *app.Error) bool {
	if refusal == nil || refusal.Kind != app.KindPayment || refusal.Quota == nil {
		return false
	}
	switch refusal.Quota.Meter {
	case app.MeterBytes:
		return x.bytes != nil && x.bytes.lower()
	case app.MeterDuration:
		return x.lasting != nil && x.lasting.lower()
	case app.MeterSocketSeconds:
		return x.seconds != nil && x.seconds.lower()
	}
	return false
}

// stepHolds appends the first steps as worst cases.
func (x *exchange) stepHolds(holds []app.Use) []app.Use {
	add := func(s *steps) {
		s.reserved = s.first
		if s.first > 0 {
			holds = append(holds, app.Use{Meter: s.meter, Value: s.first})
		}
	}
	if x.bytes != nil {
		add(&x.bytes.steps)
	}
	if x.lasting != nil {
		add(&x.lasting.steps)
	}
	if x.seconds != nil {
		add(&x.seconds.steps)
	}
	return holds
}

// settleSteps settles the steps, and leaves in the outcome what belongs to the
// request's own intent.
func (x *exchange) settleSteps(out app.Outcome) app.Outcome {
	if x.bytes != nil {
		out = x.bytes.settle(out)
	}
	if x.lasting != nil {
		out = x.lasting.settleDuration(out)
	}
	if x.socketSeconds {
		seconds := socketSeconds(x.result.Lasted)
		if x.seconds != nil {
			seconds = x.seconds.settle(seconds)
		}
		if seconds > 0 {
			out.Uses = append(out.Uses, app.Use{Meter: app.MeterSocketSeconds, Value: seconds})
		}
	}
	x.endSteps()
	return out
}

// dropSteps gives back what steps reserved for a request that is not counted.
func (x *exchange) dropSteps() {
	if x.bytes != nil {
		x.bytes.settle(app.Outcome{})
	}
	if x.lasting != nil {
		x.lasting.settle(0)
	}
	if x.seconds != nil {
		x.seconds.settle(0)
	}
	x.endSteps()
}

func (x *exchange) endSteps() {
	x.bytes, x.lasting, x.seconds, x.socketSeconds = nil, nil, nil, false
}
