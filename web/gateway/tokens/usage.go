package tokens

import (
	"bytes"
	"encoding/json"

	"gatehouse/app"
)

// told is a usage object of any API; what it does not say is nil.
type told struct {
	PromptTokens     *int64   `json:"prompt_tokens"`     // OpenAI chat, completions, embeddings; includes what came from the cache
	CompletionTokens *int64   `json:"completion_tokens"` //
	TotalTokens      *int64   `json:"total_tokens"`
	PromptDetails    *details `json:"prompt_tokens_details"`
	CacheHit         *int64   `json:"prompt_cache_hit_tokens"` // DeepSeek

	InputTokens  *int64   `json:"input_tokens"`  // OpenAI responses: includes the cache; Anthropic: excludes it
	OutputTokens *int64   `json:"output_tokens"` //
	InputDetails *details `json:"input_tokens_details"`
	CacheRead    *int64   `json:"cache_read_input_tokens"`     // Anthropic, as all that follows
	CacheWrite   *int64   `json:"cache_creation_input_tokens"` // of any time
	CacheTimes   *struct {
		Hour *int64 `json:"ephemeral_1h_input_tokens"`
	} `json:"cache_creation"`
	ServerTools *struct {
		Searches *int64 `json:"web_search_requests"`
	} `json:"server_tool_use"`
	Speed  json.RawMessage `json:"speed"`
	Region json.RawMessage `json:"inference_geo"`
}

// details are what OpenAI says of the input beside its sum.
type details struct {
	Cached *int64 `json:"cached_tokens"`
	Wrote  *int64 `json:"cache_write_tokens"`
	Sound  *int64 `json:"audio_tokens"`
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

// part is a number that is part of another one: never below 0.
func part(n *int64) int64 {
	if n == nil {
		return 0
	}
	return min(max(*n, 0), app.MaxTokens)
}

// sums are the classes of usage as far as they were told: later words override.
type sums struct {
	usage     app.TokenUsage
	hasInput  bool
	hasOutput bool

	hasLong   bool // how long the cache keeps what was written
	searches  int64
	tier      string // see priced
	hasTier   bool
	region    string
	hasRegion bool
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
	if t.CacheTimes != nil && t.CacheTimes.Hour != nil {
		s.usage.CacheWriteLong, s.hasLong = part(t.CacheTimes.Hour), true
	}
	if t.ServerTools != nil && t.ServerTools.Searches != nil {
		s.searches = part(t.ServerTools.Searches)
	}
	if speed := unquote(t.Speed); speed != "" {
		s.tier, s.hasTier = anthropicSpeed(speed), true
	}
	if region := unquote(t.Region); region != "" {
		s.region, s.hasRegion = anthropicRegion(region), true
	}
}

// takeOpenAI takes the whole object: it is always complete.
func (s *sums) takeOpenAI(t *told) {
	input, output, more := t.PromptTokens, t.CompletionTokens, t.PromptDetails
	if input == nil {
		input, more = t.InputTokens, t.InputDetails
	}
	if more == nil {
		more = &details{}
	}
	cached := more.Cached
	if cached == nil && t.PromptTokens != nil {
		cached = t.CacheHit
	}
	if output == nil {
		output = t.OutputTokens
	}
	if input == nil {
		return
	}
	u := app.TokenUsage{Input: *input}
	u.CacheRead = min(part(cached), u.Input)
	u.Input -= u.CacheRead
	u.CacheWrite = min(part(more.Wrote), u.Input)
	u.Input -= u.CacheWrite
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
