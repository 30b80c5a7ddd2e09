package margin

import (
	"math/bits"
	"strings"
	"time"

	"gatehouse/app"
)

// Bounds finds the rate of a model at a time, for its MaxInput and MaxOutput.
func (s *Rates) Bounds(model string, at time.Time) (app.Rate, bool) {
	p, ok := s.table.Load().find(model, at)
	return p.rate, ok
}

// Price is what usage of a model costs at a time, rounded to micros once, half
// away from zero. A model without a rate is the error price_unknown, never 0.
// Usage of which the rate does not price all is the same error, beside what it
// costs by the dearest prices that are known.
func (s *Rates) Price(model string, at time.Time, u app.TokenUsage) (app.Money, error) {
	p, ok := s.table.Load().find(model, at)
	if !ok {
		return 0, errUnknown(model)
	}
	v, err := p.servedBy(u)
	if err != nil || u.Tier == app.AnyTier || u.Region == app.AnyRegion {
		return p.dearest(u, perMicro/2, p.mayServe(u, p.offers(u) != nil), variant.price), err
	}
	cost, err := v.price(u, p.search, perMicro/2), p.unpriced(u, v)
	if err == nil && v.tier != u.Tier {
		err = errUnpriced(model, "the tier "+quoted(u.Tier))
	}
	return cost, err
}

// PriceUp is Price for a worst case, rounded up, of the dearest prices that may
// apply, and with all input at the dearest that input may have: only the answer
// tells what went to the cache, and who served it. What the rate does not price
// is the error price_unknown.
func (s *Rates) PriceUp(model string, at time.Time, u app.TokenUsage) (app.Money, error) {
	p, ok := s.table.Load().find(model, at)
	if !ok {
		return 0, errUnknown(model)
	}
	err := p.offers(u)
	cost := p.dearest(u, perMicro-1, func(v variant) bool {
		if !p.mayServe(u, false)(v) {
			return false
		}
		if err == nil {
			err = p.unpriced(u, v)
		}
		return true
	}, variant.worst)
	if err != nil {
		return 0, err
	}
	return cost, nil
}

// servedBy finds the prices of the tier and region that the usage names. A tier
// that is cheaper than the standard by its nature is priced as the standard
// where the rate does not have it for such a prompt; others are not priced.
func (p *prices) servedBy(u app.TokenUsage) (variant, error) {
	tier, region := named(u)
	standard, known := p.best("", region, u.Prompt())
	v, ok := p.best(tier, region, u.Prompt())
	switch {
	case ok && (!known || v.above >= standard.above):
		return v, nil
	case known && isCheaper(tier):
		return standard, nil
	}
	return variant{}, errUnpriced(p.rate.Model, "the tier or region "+quoted(tier, region))
}

// best finds the variant of a tier and region with the highest bound that the
// prompt exceeds.
func (p *prices) best(tier, region string, prompt int64) (variant, bool) {
	for _, v := range p.variants {
		if v.tier == tier && v.region == region && v.holds(prompt) {
			return v, true
		}
	}
	return variant{}, false
}

// holds reports whether the variant may price a prompt of that length.
func (v variant) holds(prompt int64) bool { return v.above == 0 || prompt > v.above }

// named are the tier and region that the usage names: none where any may be.
func named(u app.TokenUsage) (tier, region string) {
	if u.Tier != app.AnyTier {
		tier = u.Tier
	}
	if u.Region != app.AnyRegion {
		region = u.Region
	}
	return tier, region
}

// isCheaper reports whether a tier is cheaper than the standard by its nature,
// so that the standard bounds it.
func isCheaper(tier string) bool { return tier == "flex" || tier == "batch" }

// offers is the error price_unknown where the rate has no prices at all of the
// tier and region that are asked for.
func (p *prices) offers(u app.TokenUsage) error {
	tier, region := named(u)
	for _, v := range p.variants {
		if (v.tier == tier || v.tier == "" && isCheaper(tier)) && v.region == region {
			return nil
		}
	}
	return errUnpriced(p.rate.Model, "the tier or region "+quoted(tier, region))
}

// mayServe tells which variants may price the usage: those of its tier, or of
// the standard that vendors fall back to; and those of its region. With all,
// every tier and region may.
func (p *prices) mayServe(u app.TokenUsage, all bool) func(variant) bool {
	return func(v variant) bool {
		tier := all || u.Tier == app.AnyTier || v.tier == u.Tier || v.tier == ""
		region := all || u.Region == app.AnyRegion || v.region == u.Region || v.region == ""
		return tier && region && v.holds(u.Prompt())
	}
}

// dearest is the highest cost of the usage over the variants that may price it.
func (p *prices) dearest(u app.TokenUsage, round uint64, may func(variant) bool, cost func(variant, app.TokenUsage, uint64, uint64) app.Money) (most app.Money) {
	for _, v := range p.variants {
		if may(v) {
			most = max(most, cost(v, u, p.search, round))
		}
	}
	return most
}

// unpriced is the error price_unknown where the usage has what the rate does
// not price.
func (p *prices) unpriced(u app.TokenUsage, v variant) error {
	switch {
	case u.CacheWriteLong > 0 && !v.longKnown:
		return errUnpriced(p.rate.Model, "what is cached for long (cache_write_long)")
	case u.Searches > 0 && !p.searched:
		return errUnpriced(p.rate.Model, "searches of the web (search)")
	case u.Other:
		return errUnpriced(p.rate.Model, "sound, or the tools that the vendor runs for the call")
	}
	return nil
}

// price is what usage costs by these prices.
func (v variant) price(u app.TokenUsage, search, round uint64) app.Money {
	long := min(u.CacheWriteLong, u.CacheWrite)
	return sum(round, class{u.Input, v.input}, class{u.Output, v.output}, class{u.CacheRead, v.read},
		class{u.CacheWrite - long, v.write}, class{long, v.long}, class{min(u.Searches, app.MaxSearches), search})
}

// worst is what usage costs at most by these prices, whatever part of its input
// is read from the cache or written to it.
func (v variant) worst(u app.TokenUsage, search, round uint64) app.Money {
	dearest := max(v.input, v.read, v.write)
	if u.CacheWriteLong > 0 {
		dearest = max(dearest, v.long)
	}
	return sum(round, class{u.Input, dearest}, class{u.Output, v.output}, class{u.CacheRead, dearest}, class{u.CacheWrite, dearest},
		class{min(u.Searches, app.MaxSearches), search})
}

// perMicro is how many of the units that prices are exact in make a micro.
const perMicro = 1_000_000

// class is one kind of token, or of search: how many, and the price of one in
// millionths of a micro.
type class struct {
	n     int64
	price uint64
}

// sum adds the classes exactly, in 128 bits, and divides once. Tokens beyond
// what a call may have count as that many: 5 × MaxTokens × MaxTokenPrice and
// MaxSearches × 10⁶ × MaxTokenPrice stay below 2⁷⁴, so nothing overflows.
func sum(round uint64, classes ...class) app.Money {
	var high, low, carry uint64
	for _, c := range classes {
		h, l := bits.Mul64(uint64(min(max(c.n, 0), app.MaxTokens)), c.price)
		low, carry = bits.Add64(low, l, 0)
		high, _ = bits.Add64(high, h, carry)
	}
	low, carry = bits.Add64(low, round, 0)
	high += carry
	quotient, _ := bits.Div64(high, low, perMicro)
	return app.Money(quotient)
}

func errUnknown(model string) error {
	name := "The call names no model"
	if model != "" {
		name = "There is no price for the model " + quoted(model)
	}
	return &app.Error{Kind: app.KindPayment, Code: "price_unknown", Message: name + ", so what it costs cannot be held to a budget.",
		Advice: "Ask the operator to add a rate for it, with `gatehouse rate apply` or POST /v1/rates."}
}

func errUnpriced(model, what string) error {
	return &app.Error{Kind: app.KindPayment, Code: "price_unknown",
		Message: "The rate of " + quoted(model) + " has no price for " + what + ", so what the call costs cannot be held to a budget.",
		Advice:  "Call without it, or ask the operator to add that price to the rate, with `gatehouse rate apply` or POST /v1/rates."}
}

// quoted are names in quotes, shortened, without empty ones.
func quoted(names ...string) string {
	text := ""
	for _, name := range names {
		if name != "" {
			text += ` "` + name[:min(len(name), 200)] + `"`
		}
	}
	return strings.TrimPrefix(text, " ")
}
