package margin

import (
	"math/bits"
	"slices"
	"strings"
	"time"

	"gatehouse/app"
)

// prices of a model from a time on, in micros for a million tokens: so a token
// costs that many millionths of a micro, and sums are exact.
type prices struct {
	rate                                 app.Rate
	from                                 time.Time
	input, output, cacheRead, cacheWrite uint64
}

// table is the price list as it is asked.
type table struct {
	exact map[string][]prices // each the newest first
	wild  []pattern           // the longest first
}

type pattern struct {
	prefix string
	list   []prices
}

// compile makes the table of a list that has been checked.
func compile(list []app.Rate) (*table, error) {
	t := &table{exact: map[string][]prices{}}
	wild := map[string][]prices{}
	for _, r := range list {
		p, err := read(r)
		if err != nil {
			return nil, err
		}
		if prefix, ok := strings.CutSuffix(r.Model, "*"); ok {
			wild[prefix] = append(wild[prefix], p)
		} else {
			t.exact[r.Model] = append(t.exact[r.Model], p)
		}
	}
	for _, list := range t.exact {
		newestFirst(list)
	}
	for prefix, list := range wild {
		newestFirst(list)
		t.wild = append(t.wild, pattern{prefix, list})
	}
	slices.SortFunc(t.wild, func(a, b pattern) int { return len(b.prefix) - len(a.prefix) })
	return t, nil
}

func newestFirst(list []prices) {
	slices.SortFunc(list, func(a, b prices) int { return b.from.Compare(a.from) })
}

// read parses a rate's prices.
func read(r app.Rate) (prices, error) {
	p := prices{rate: r, from: r.ValidFrom}
	for _, field := range []struct {
		to              *uint64
		text, otherwise string
	}{{&p.input, r.Input, ""}, {&p.output, r.Output, ""}, {&p.cacheRead, r.CacheRead, r.Input}, {&p.cacheWrite, r.CacheWrite, r.Input}} {
		text := field.text
		if text == "" {
			text = field.otherwise
		}
		amount, err := app.ParseMoney(text)
		if err != nil || amount < 0 || amount > app.MaxTokenPrice {
			return prices{}, app.Invalid("rates."+r.Model, "%q is no price", text)
		}
		*field.to = uint64(amount)
	}
	return p, nil
}

// find finds the prices of a model at a time: those of its exact name before
// those of the longest beginning, of either the newest that is valid.
func (t *table) find(model string, at time.Time) (prices, bool) {
	if t == nil || model == "" {
		return prices{}, false
	}
	if p, ok := valid(t.exact[model], at); ok {
		return p, true
	}
	for _, pattern := range t.wild {
		if !strings.HasPrefix(model, pattern.prefix) {
			continue
		}
		if p, ok := valid(pattern.list, at); ok {
			return p, true
		}
	}
	return prices{}, false
}

func valid(list []prices, at time.Time) (prices, bool) {
	for _, p := range list {
		if !p.from.After(at) {
			return p, true
		}
	}
	return prices{}, false
}

// Bounds finds the rate of a model at a time, for its MaxInput and MaxOutput.
func (s *Rates) Bounds(model string, at time.Time) (app.Rate, bool) {
	p, ok := s.table.Load().find(model, at)
	return p.rate, ok
}

// Price is what usage of a model costs at a time, rounded to micros once, half
// away from zero. A model without a rate is the error price_unknown: never 0.
func (s *Rates) Price(model string, at time.Time, u app.TokenUsage) (app.Money, error) {
	p, ok := s.table.Load().find(model, at)
	if !ok {
		return 0, errUnknown(model)
	}
	return sum(perMicro/2, []class{{u.Input, p.input}, {u.Output, p.output}, {u.CacheRead, p.cacheRead}, {u.CacheWrite, p.cacheWrite}}), nil
}

// PriceUp is Price for a worst case, rounded up, and with all input at the
// dearest of the three prices that input may have: only the answer tells what
// went to the cache.
func (s *Rates) PriceUp(model string, at time.Time, u app.TokenUsage) (app.Money, error) {
	p, ok := s.table.Load().find(model, at)
	if !ok {
		return 0, errUnknown(model)
	}
	dearest := max(p.input, p.cacheRead, p.cacheWrite)
	return sum(perMicro-1, []class{{u.Input, dearest}, {u.Output, p.output}, {u.CacheRead, dearest}, {u.CacheWrite, dearest}}), nil
}

// perMicro is how many of the units that prices are exact in make a micro.
const perMicro = 1_000_000

// class is one kind of token: how many, and the price of a million in micros.
type class struct {
	tokens int64
	price  uint64
}

// sum adds the classes exactly, in 128 bits, and divides once. Tokens beyond
// what a call may have count as that many: 4 × MaxTokens × MaxTokenPrice stays
// below 2⁶⁹, so nothing overflows.
func sum(round uint64, classes []class) app.Money {
	var high, low, carry uint64
	for _, c := range classes {
		h, l := bits.Mul64(uint64(min(max(c.tokens, 0), app.MaxTokens)), c.price)
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
		name = "There is no price for the model \"" + model[:min(len(model), 200)] + "\""
	}
	return &app.Error{Kind: app.KindPayment, Code: "price_unknown", Message: name + ", so what it costs cannot be held to a budget.",
		Advice: "Ask the operator to add a rate for it, with `gatehouse rate apply` or POST /v1/rates."}
}
