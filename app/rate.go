package app

import "time"

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
