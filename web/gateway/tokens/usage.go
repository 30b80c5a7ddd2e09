package tokens

import (
	"bytes"
	"encoding/json"

	"gatehouse/app"
)

// told is a usage object of any API; what it does not say is nil.
type told struct {
	PromptTokens     *int64 `json:"prompt_tokens"`     // OpenAI chat, completions, embeddings; includes what came from the cache
	CompletionTokens *int64 `json:"completion_tokens"` //
	TotalTokens      *int64 `json:"total_tokens"`
	PromptDetails    *struct {
		Cached *int64 `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
	CacheHit *int64 `json:"prompt_cache_hit_tokens"` // DeepSeek

	InputTokens  *int64 `json:"input_tokens"`  // OpenAI responses: includes the cache; Anthropic: excludes it
	OutputTokens *int64 `json:"output_tokens"` //
	InputDetails *struct {
		Cached *int64 `json:"cached_tokens"`
	} `json:"input_tokens_details"`
	CacheRead  *int64 `json:"cache_read_input_tokens"`     // Anthropic
	CacheWrite *int64 `json:"cache_creation_input_tokens"` //
}

// decodeTold reads a usage object. What is malformed, or beyond any bound,
// tells nothing.
func decodeTold(raw []byte) *told {
	var t told
	if len(raw) == 0 || raw[0] != '{' || json.Unmarshal(raw, &t) != nil {
		return nil
	}
	for _, n := range []*int64{t.PromptTokens, t.CompletionTokens, t.TotalTokens, t.InputTokens, t.OutputTokens, t.CacheRead, t.CacheWrite} {
		if n != nil && (*n < 0 || *n > app.MaxTokens) {
			return nil
		}
	}
	return &t
}

// sums are the classes of usage as far as they were told: later words override.
type sums struct {
	usage     app.TokenUsage
	hasInput  bool
	hasOutput bool
}

// take adds what an object says.
func (s *sums) take(api app.EgressAPI, t *told) {
	if api == app.EgressAnthropic {
		s.takeAnthropic(t)
		return
	}
	s.takeOpenAI(t)
}

// takeAnthropic overrides class by class: a message_delta need not repeat the
// input that message_start told.
func (s *sums) takeAnthropic(t *told) {
	if t.InputTokens != nil {
		s.usage.Input, s.hasInput = *t.InputTokens, true
	}
	if t.OutputTokens != nil {
		s.usage.Output, s.hasOutput = *t.OutputTokens, true
	}
	if t.CacheRead != nil {
		s.usage.CacheRead = *t.CacheRead
	}
	if t.CacheWrite != nil {
		s.usage.CacheWrite = *t.CacheWrite
	}
}

// takeOpenAI takes the whole object: it is always complete.
func (s *sums) takeOpenAI(t *told) {
	input, output, cached := t.PromptTokens, t.CompletionTokens, t.CacheHit
	if t.PromptDetails != nil && t.PromptDetails.Cached != nil {
		cached = t.PromptDetails.Cached
	}
	if input == nil {
		input = t.InputTokens
		if t.InputDetails != nil {
			cached = t.InputDetails.Cached
		}
	}
	if output == nil {
		output = t.OutputTokens
	}
	if input == nil {
		return
	}
	u := app.TokenUsage{Input: *input}
	if cached != nil {
		u.CacheRead = min(max(*cached, 0), u.Input)
		u.Input -= u.CacheRead
	}
	if output != nil {
		u.Output = *output
	}
	if t.TotalTokens != nil { // some leave what the model thought out of completion_tokens, and bill it
		u.Output = max(u.Output, *t.TotalTokens-*input)
	}
	s.usage, s.hasInput, s.hasOutput = u, true, true
}

// speaksOfUsage is the quick look that spares most lines the decoding: the
// name "usage", followed by an object.
func speaksOfUsage(line []byte) bool {
	for {
		i := bytes.Index(line, []byte(`"usage"`))
		if i < 0 {
			return false
		}
		line = line[i+len(`"usage"`):]
		at := skipBlank(line, 0)
		if at < len(line) && line[at] == ':' {
			if at = skipBlank(line, at+1); at < len(line) && line[at] == '{' {
				return true
			}
		}
	}
}
