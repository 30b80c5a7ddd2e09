package gateway

import (
	"context"
	"net/http"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/app/quota"
	"gatehouse/web/gateway/tokens"
)

// Rates knows what models cost; margin.Rates fills it.
type Rates interface {
	// Bounds finds the rate of a model, for what it reads and writes at most.
	Bounds(model string, at time.Time) (app.Rate, bool)
	// Price is what usage costs; a model without a rate is price_unknown, and so
	// is, beside the cost as far as it is known, what the rate does not price.
	Price(model string, at time.Time, u app.TokenUsage) (app.Money, error)
	// PriceUp is Price of a worst case.
	PriceUp(model string, at time.Time, u app.TokenUsage) (app.Money, error)
}

// minClampedOutput is how many tokens a call is left at least when its output
// is lowered to what budgets cover; fewer answer nothing, and still cost the
// input.
const minClampedOutput = 16

// clampAttempts bounds how often the output is lowered, as other calls take
// from the same budgets meanwhile.
const clampAttempts = 6

// paidCall is one call to a paid API on its way.
type paidCall struct {
	x          *exchange
	attributes map[string]string
	body       []byte
	call       tokens.Call
	dims       string

	bounded bool           // worst is one
	worst   app.TokenUsage //
	money   app.Money      // what worst costs
	unknown error          // why money is not known; nil: it is
	clamped int64          // output that budgets cover; 0: what was asked for

	went  bool // the vendor may have heard of it
	began time.Time
	broke error // how passing it on failed
	answerState
}

// prepare reads the call and finds out what it may take at most.
func (p *paidCall) prepare() (*http.Request, error) {
	x := p.x
	request := x.toVendor()
	x.out.Drain = drainCall
	if x.route.Egress.API == app.EgressHTTP {
		p.dims = metering.Dims(p.attributes)
		p.bounded, p.money = true, x.route.Cost
		return request, nil
	}
	var err error
	if p.body, err = x.readCall(); err != nil {
		return nil, err
	}
	if p.call, err = tokens.Inspect(x.route.Egress.API, x.out.Path, p.body); err != nil {
		return nil, err
	}
	p.attributes["model"] = p.call.Model
	p.dims = metering.Dims(p.attributes)
	p.weigh()
	x.out.Filter = p.answer
	return request, p.mayPass()
}

// rewrite is the request with the body that goes out.
func (p *paidCall) rewrite(request *http.Request) (*http.Request, error) {
	p.began = time.Now()
	if p.x.route.Egress.API != app.EgressHTTP {
		p.x.carry(request, p.call.Rewrite(p.body, p.clamped))
	}
	return request, nil
}

// weigh finds the worst case and its price.
func (p *paidCall) weigh() {
	switch {
	case p.call.Kind == tokens.KindFree:
		p.bounded = true
		return
	case p.x.g.Rates == nil:
		p.unknown = errPriceUnknown()
	}
	var rate app.Rate
	if p.x.g.Rates != nil {
		rate, _ = p.x.g.Rates.Bounds(p.call.Model, p.x.start)
	}
	if rate.MaxOutput == 0 {
		rate.MaxOutput = p.x.route.Egress.MaxOutput
	}
	p.worst, p.bounded = p.call.Worst(rate.MaxInput, rate.MaxOutput)
	p.price()
}

// price prices the worst case.
func (p *paidCall) price() {
	switch {
	case !p.call.Counted():
		p.unknown = errPriceUnknown() // images, audio, batches: nobody here can tell
	case p.x.g.Rates != nil:
		if p.money, p.unknown = p.x.g.Rates.PriceUp(p.call.Model, p.x.start, p.worst); p.unknown == nil {
			p.money += p.x.route.Cost
		}
	}
}

// mayPass refuses a call of which nobody can tell whether what stops the
// organization would cover it.
func (p *paidCall) mayPass() error {
	money, counted := p.caps(app.MeterCost), p.caps(app.MeterTokensInput) || p.caps(app.MeterTokensOutput) ||
		p.caps(app.MeterTokensCacheRead) || p.caps(app.MeterTokensCacheWrite)
	switch {
	case money && p.unknown != nil:
		return p.unknown
	case counted && p.call.Kind == tokens.KindUnknown:
		return errPriceUnknown()
	case (money || counted) && !p.bounded:
		return errUnbounded()
	}
	return nil
}

func (p *paidCall) caps(meter string) bool {
	return p.x.admission.state.capped(p.x.credential.key.ID, meter)
}

// reserve reserves the worst case in all quotas at once, and where the route
// says so, as much of its output as they cover.
func (p *paidCall) reserve(ctx context.Context) error {
	for attempt := 0; ; attempt++ {
		err := p.reserveOnce(ctx)
		if err == nil || !p.x.route.Egress.Clamp || attempt == clampAttempts || !p.clamp(app.AsError(err), attempt) {
			return err
		}
	}
}

func (p *paidCall) reserveOnce(ctx context.Context) error {
	x := p.x
	for {
		var needs []quota.Need
		if x.credential.mode != onBehalf {
			needs = x.ordinaryNeeds(needs)
		}
		for _, use := range p.holds() {
			needs = append(needs, quota.Need{Meter: use.Meter, Amount: use.Value})
		}
		if len(needs) == 0 {
			return nil
		}
		err := x.reserve(ctx, x.admission.quotas, needs)
		if err == nil || !x.lowerStep(app.AsError(err)) {
			return err
		}
	}
}

// holds is the worst case as quantities. What is read may turn out to be read
// from the cache or written to it: that is held where something stops it.
func (p *paidCall) holds() (list []app.Use) {
	add := func(meter string, n int64) {
		if n > 0 {
			list = append(list, app.Use{Meter: meter, Dims: p.dims, Value: n})
		}
	}
	add(app.MeterTokensInput, p.worst.Input)
	add(app.MeterTokensOutput, p.worst.Output)
	for _, meter := range [...]string{app.MeterTokensCacheRead, app.MeterTokensCacheWrite} {
		if p.worst.Input > 0 && p.caps(meter) {
			add(meter, p.worst.Input)
		}
	}
	if p.unknown == nil {
		add(app.MeterCost, int64(p.money))
	}
	return list
}

// clamp lowers the output to what the quota that refused covers. What others
// reserve meanwhile is not seen in its numbers, so each further attempt is
// content with half.
func (p *paidCall) clamp(refusal *app.Error, attempt int) bool {
	if refusal.Kind != app.KindPayment || refusal.Quota == nil || p.worst.Output == 0 {
		return false
	}
	q := refusal.Quota
	left, output := (q.Limit-q.Used-q.Reserved)>>attempt, int64(0)
	switch q.Meter {
	case app.MeterTokensOutput:
		output = left
	case app.MeterCost:
		output = p.affordable(app.Money(left))
	}
	output = min(output, p.worst.Output-1)
	output -= output % p.call.Choices
	if output < minClampedOutput*p.call.Choices {
		return false
	}
	p.clamped, p.worst.Output = output, output
	p.price()
	return true
}

// affordable is the largest output whose price, with the input's, the money
// covers.
func (p *paidCall) affordable(money app.Money) int64 {
	low, high := int64(0), p.worst.Output // low is covered, or 0; high is not
	for high-low > 1 {
		middle := low + (high-low)/2
		u := p.worst
		u.Output = middle
		cost, err := p.x.g.Rates.PriceUp(p.call.Model, p.x.start, u)
		if err == nil && cost+p.x.route.Cost <= money {
			low = middle
		} else {
			high = middle
		}
	}
	return low
}
