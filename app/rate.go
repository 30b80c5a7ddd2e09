package app

import (
	"fmt"
	"strings"
	"time"
)

// TokenUsage is what one call of a language model took, or of a worst case may
// take. The classes do not overlap: Input is without CacheRead and CacheWrite,
// whichever way the API counts.
type TokenUsage struct {
	Input      int64 `json:"input"`
	Output     int64 `json:"output"`
	CacheRead  int64 `json:"cache_read"`
	CacheWrite int64 `json:"cache_write"`

	// CacheWriteLong are those of CacheWrite that are kept for longer than the
	// vendor's shortest time, such as an hour; of a worst case, those of Input
	// that may be.
	CacheWriteLong int64 `json:"cache_write_long,omitempty"`
	Searches       int64 `json:"searches,omitempty"` // of the web, that the vendor ran
	// Other says that there is more which costs money and of which no rate has
	// a price: sound, or other tools that the vendor runs.
	Other bool `json:"other,omitempty"`
	// Tier and Region are how and where the vendor served it, if that has a price
	// of its own: "" is the standard, AnyTier and AnyRegion are not known.
	Tier   string `json:"tier,omitempty"`
	Region string `json:"region,omitempty"`
}

// What may be any of those that a rate prices: the dearest counts.
const (
	AnyTier   = "*"
	AnyRegion = "*"
)

// Prompt is how many tokens the model was given, those of its cache included.
func (u TokenUsage) Prompt() int64 { return u.Input + u.CacheRead + u.CacheWrite }

// Rate is what a model costs the operator, from a day on. Prices are decimal
// dollars for one million tokens, with at most 12 places for one token.
type Rate struct {
	Model          string        `json:"model"`              // as the API names it; a trailing * matches any rest
	Provider       string        `json:"provider,omitempty"` // for people
	Input          string        `json:"input"`
	Output         string        `json:"output"`
	CacheRead      string        `json:"cache_read,omitempty"`       // default: Input
	CacheWrite     string        `json:"cache_write,omitempty"`      // default: Input
	CacheWriteLong string        `json:"cache_write_long,omitempty"` // default: not known
	Search         string        `json:"search,omitempty"`           // dollars for one search of the web; default: not known
	Variants       []RateVariant `json:"variants,omitempty"`         // other prices, where they hold
	MaxInput       int64         `json:"max_input,omitempty"`        // tokens of the model's context
	MaxOutput      int64         `json:"max_output,omitempty"`       // tokens that the model writes at most
	ValidFrom      time.Time     `json:"valid_from"`
}

// RateVariant are the prices of a model in the place of the rate's own: for a
// long prompt, for a tier of service, for a region, or for several at once.
// All of a call is priced by one variant: that of its tier and region with the
// highest AboveInput that its prompt exceeds.
type RateVariant struct {
	Tier           string `json:"tier,omitempty"`               // as the vendor's answer names it, such as flex; "": the standard one
	Region         string `json:"region,omitempty"`             // as the vendor's answer names it, such as us; "": anywhere
	AboveInput     int64  `json:"above_input_tokens,omitempty"` // for prompts of more tokens than that, cached ones included
	Input          string `json:"input"`
	Output         string `json:"output"`
	CacheRead      string `json:"cache_read,omitempty"`       // default: the variant's Input
	CacheWrite     string `json:"cache_write,omitempty"`      // default: the variant's Input
	CacheWriteLong string `json:"cache_write_long,omitempty"` // default: not known
}

// Base are the rate's own prices, as a variant.
func (r Rate) Base() RateVariant {
	return RateVariant{Input: r.Input, Output: r.Output, CacheRead: r.CacheRead, CacheWrite: r.CacheWrite, CacheWriteLong: r.CacheWriteLong}
}

// MaxTokens bounds the tokens of one call: a hundred times the largest context
// that any model has.
const MaxTokens = 100_000_000

// Bounds of the price list.
const (
	MaxRates      = 10_000
	MaxTokenPrice = Money(1_000_000 * Micros) // of one million tokens, and of one search
	MaxVariants   = 50                        // of one rate
	MaxSearches   = 10_000                    // of one call
)

// Matches reports whether the rate is for the model.
func (r Rate) Matches(model string) bool {
	if prefix, wild := strings.CutSuffix(r.Model, "*"); wild {
		return strings.HasPrefix(model, prefix)
	}
	return r.Model == model
}

// Check returns what is wrong with the rate, field by field.
func (r Rate) Check() []FieldError {
	var wrong []FieldError
	add := func(field, message string) { wrong = append(wrong, FieldError{field, message}) }
	if name := strings.TrimSuffix(r.Model, "*"); name == "" || len(r.Model) > 200 || strings.ContainsAny(name, "* \t\r\n") {
		add("model", "must be a model's name of at most 200 characters, or the beginning of names and a *")
	}
	if len(r.Provider) > 100 {
		add("provider", "must have at most 100 characters")
	}
	wrong = append(wrong, r.Base().checkPrices("")...)
	wrong = append(wrong, checkPrice("search", r.Search, true)...)
	wrong = append(wrong, r.checkVariants()...)
	for field, n := range map[string]int64{"max_input": r.MaxInput, "max_output": r.MaxOutput} {
		if n < 0 || n > MaxTokens {
			add(field, fmt.Sprintf("must be between 0 (not known) and %d tokens", MaxTokens))
		}
	}
	if r.ValidFrom.IsZero() || r.ValidFrom.Year() > 9999 {
		add("valid_from", "must be the time from which on the price holds, such as 2026-01-01T00:00:00Z")
	}
	return wrong
}

// checkVariants returns what is wrong with the variants, below "variants[0]".
func (r Rate) checkVariants() (wrong []FieldError) {
	if len(r.Variants) > MaxVariants {
		return []FieldError{{"variants", fmt.Sprintf("must be at most %d", MaxVariants)}}
	}
	type place struct {
		tier, region string
		above        int64
	}
	seen := map[place]bool{{}: true} // the rate's own prices
	for i, v := range r.Variants {
		at := fmt.Sprintf("variants[%d]", i)
		where := place{v.Tier, v.Region, v.AboveInput}
		if seen[where] {
			wrong = append(wrong, FieldError{at, "must have a tier, region or above_input_tokens that no other has"})
		}
		seen[where] = true
		for field, name := range map[string]string{"tier": v.Tier, "region": v.Region} {
			if len(name) > 50 || strings.ContainsAny(name, "* \t\r\n") {
				wrong = append(wrong, FieldError{at + "." + field, "must be a name of at most 50 characters, without blanks"})
			}
		}
		if v.AboveInput < 0 || v.AboveInput > MaxTokens {
			wrong = append(wrong, FieldError{at + ".above_input_tokens", fmt.Sprintf("must be between 0 and %d tokens", MaxTokens)})
		}
		wrong = append(wrong, v.checkPrices(at+".")...)
	}
	return wrong
}

func (v RateVariant) checkPrices(at string) (wrong []FieldError) {
	for _, price := range []struct {
		field, text string
		optional    bool
	}{{"input", v.Input, false}, {"output", v.Output, false}, {"cache_read", v.CacheRead, true}, {"cache_write", v.CacheWrite, true},
		{"cache_write_long", v.CacheWriteLong, true}} {
		wrong = append(wrong, checkPrice(at+price.field, price.text, price.optional)...)
	}
	return wrong
}

func checkPrice(field, text string, optional bool) []FieldError {
	if text == "" && optional {
		return nil
	}
	if amount, err := ParseMoney(text); err == nil && amount >= 0 && amount <= MaxTokenPrice {
		return nil
	}
	return []FieldError{{field, "must be dollars such as \"3\" or \"0.075\", for a million tokens or for one search, at most six decimals, at most a million"}}
}
