package app

import (
	"fmt"
	"strings"
	"time"
)

// TokenUsage is what one call of a language model took. The classes do not
// overlap: Input is without CacheRead and CacheWrite, whichever way the API
// counts.
type TokenUsage struct {
	Input      int64 `json:"input"`
	Output     int64 `json:"output"`
	CacheRead  int64 `json:"cache_read"`
	CacheWrite int64 `json:"cache_write"`
}

// Rate is what a model costs the operator, from a day on. Prices are decimal
// dollars for one million tokens, with at most 12 places for one token.
type Rate struct {
	Model      string    `json:"model"`              // as the API names it; a trailing * matches any rest
	Provider   string    `json:"provider,omitempty"` // for people
	Input      string    `json:"input"`
	Output     string    `json:"output"`
	CacheRead  string    `json:"cache_read,omitempty"`  // default: Input
	CacheWrite string    `json:"cache_write,omitempty"` // default: Input
	MaxInput   int64     `json:"max_input,omitempty"`   // tokens of the model's context
	MaxOutput  int64     `json:"max_output,omitempty"`  // tokens that the model writes at most
	ValidFrom  time.Time `json:"valid_from"`
}

// MaxTokens bounds the tokens of one call: a hundred times the largest context
// that any model has.
const MaxTokens = 100_000_000

// Bounds of the price list.
const (
	MaxRates      = 10_000
	MaxTokenPrice = Money(1_000_000 * Micros) // of one million tokens
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
	for _, price := range []struct {
		field, text string
		optional    bool
	}{{"input", r.Input, false}, {"output", r.Output, false}, {"cache_read", r.CacheRead, true}, {"cache_write", r.CacheWrite, true}} {
		if price.text == "" && price.optional {
			continue
		}
		if amount, err := ParseMoney(price.text); err != nil || amount < 0 || amount > MaxTokenPrice {
			add(price.field, "must be dollars for a million tokens such as \"3\" or \"0.075\", at most six decimals, at most a million")
		}
	}
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
