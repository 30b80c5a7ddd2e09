package margin

import (
	"slices"
	"strings"
	"time"

	"gatehouse/app"
)

// prices of a model from a time on.
type prices struct {
	rate     app.Rate
	from     time.Time
	variants []variant // the base among them; of the same tier and region the highest bound first
	search   uint64    // one, in millionths of a micro
	searched bool      // search is known
}

// variant are prices in micros for a million tokens: so a token costs that many
// millionths of a micro, and sums are exact.
type variant struct {
	tier, region                     string
	above                            int64
	input, output, read, write, long uint64
	longKnown                        bool
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
	p := prices{rate: r, from: r.ValidFrom, searched: r.Search != ""}
	if p.searched {
		price, err := amount(r, r.Search)
		if err != nil {
			return prices{}, err
		}
		p.search = price * perMicro
	}
	for _, v := range append([]app.RateVariant{r.Base()}, r.Variants...) {
		read, err := readVariant(r, v)
		if err != nil {
			return prices{}, err
		}
		p.variants = append(p.variants, read)
	}
	slices.SortStableFunc(p.variants, func(a, b variant) int { return int(b.above - a.above) })
	return p, nil
}

func readVariant(r app.Rate, v app.RateVariant) (variant, error) {
	p := variant{tier: v.Tier, region: v.Region, above: v.AboveInput, longKnown: v.CacheWriteLong != ""}
	for _, field := range []struct {
		to   *uint64
		text string
	}{{&p.input, v.Input}, {&p.output, v.Output}, {&p.read, or(v.CacheRead, v.Input)}, {&p.write, or(v.CacheWrite, v.Input)},
		{&p.long, or(v.CacheWriteLong, v.CacheWrite, v.Input)}} {
		price, err := amount(r, field.text)
		if err != nil {
			return variant{}, err
		}
		*field.to = price
	}
	return p, nil
}

// amount reads a price in micros.
func amount(r app.Rate, text string) (uint64, error) {
	price, err := app.ParseMoney(text)
	if err != nil || price < 0 || price > app.MaxTokenPrice {
		return 0, app.Invalid("rates."+r.Model, "%q is no price", text)
	}
	return uint64(price), nil
}

// or is the first text that is not empty.
func or(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
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
