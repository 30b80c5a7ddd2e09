package tokens

import (
	"strings"

	"gatehouse/app"
)

// What the input is bounded by. A token stands for at least one byte of text,
// and the JSON around a message is longer than the tokens that mark it, so the
// bytes of the body bound what is text. Beside:
//   - An image takes at most imageOpenAI or imageAnthropic tokens, wherever it
//     is; its own bytes do not count.
//   - A file, a document, a former response, a conversation, a stored prompt
//     may hold anything: the model's context is the bound (Context).
//   - Tools bring a prompt of the vendor's: toolPrompt, and once more for each
//     tool that the vendor defined.
//   - Tools that the vendor runs (searching, fetching, code, MCP) ask the
//     model again with their results, as often as the call allows, or
//     toolRounds times: the context is the bound of each round.
//   - Audio counts by its bytes: even the tightest coding has more than the
//     ten tokens a second that vendors count.
const (
	imageOpenAI    = 50_000 // gpt-4o-mini multiplies: 2,833 + 5,667 for each of 8 tiles; others stay below 11,000
	imageAnthropic = 8_000  // the largest that a model takes in is 4,784
	toolPrompt     = 1_000  // Anthropic's documentation lists 245–804
	toolRounds     = 10     // after which Anthropic pauses a turn
	searchesUnsaid = 100    // where a call does not say how many: ten in each round
)

// weigh bounds the input.
func (c *Call) weigh(top []member, body []byte, f *fields) {
	s := scale{body: body, image: imageOpenAI}
	if c.Kind == KindMessage {
		s.image = imageAnthropic
	}
	c.Input = s.value(skipBlank(body, 0), len(body))
	for _, m := range top {
		if string(body[m.from:m.to]) != "null" && elsewhere(m.name, body[m.from]) {
			s.context = true
		}
	}
	c.Context, c.Long = s.context, s.long
	c.Other = s.sound || wantsSound(f.raw("modalities")) || f.raw("search_parameters") != nil || f.raw("plugins") != nil
	c.weighTools(f)
}

// elsewhere reports whether a member of the body refers to content that the
// vendor keeps.
func elsewhere(name string, first byte) bool {
	switch name {
	case "previous_response_id", "conversation", "container", "context_management":
		return true
	case "prompt": // of a response a stored one; of a completion the text itself
		return first == '{'
	}
	return false
}

// wantsSound reports whether an answer is asked for as sound.
func wantsSound(modalities []byte) bool {
	if len(modalities) == 0 || modalities[0] != '[' {
		return false
	}
	sound := false
	eachElement(modalities, 0, func(from, to int) { sound = sound || unquote(modalities[from:to]) == "audio" })
	return sound
}

// weighTools adds what tools bring along.
func (c *Call) weighTools(f *fields) {
	rounds, bounded, runs := int64(0), true, f.raw("web_search_options") != nil || strings.Contains(c.Model, "search")
	c.Other = c.Other || runs // its answer does not tell the searches
	searches := int64(0)
	if f.raw("mcp_servers") != nil {
		runs, bounded = true, false
	}
	if raw := f.raw("tools"); raw != nil && raw[0] == '[' {
		c.Input += toolPrompt
		eachElement(raw, 0, func(from, to int) {
			kind, uses := toolOf(raw[from:to])
			if kind == "" || kind == "function" || kind == "custom" {
				return
			}
			c.Input += toolPrompt
			if !clientRuns(kind) {
				runs = true
				switch {
				case strings.HasPrefix(kind, "web_search"):
					searches += searchesOf(uses)
				case !costsNothing(kind):
					c.Other = true
				}
				bounded = bounded && uses > 0
				rounds += uses
			}
		})
	}
	if !runs {
		return
	}
	if n, given := f.number("max_tool_calls"); given {
		rounds, bounded = n, true
		searches = min(searches, n)
	}
	c.Searches = min(searches, app.MaxSearches)
	if !bounded || rounds == 0 || rounds > 1000 {
		rounds = toolRounds
	}
	c.Context, c.Rounds = true, 1+rounds
}

// toolOf reads the type of a tool, and how often it may be used (0: not said).
func toolOf(raw []byte) (kind string, uses int64) {
	if raw[0] != '{' {
		return "", 0
	}
	top, err := object(raw)
	if err != nil {
		return "unknown", 0
	}
	f := fields{body: raw, top: top}
	kind = f.text("type")
	uses, _ = f.number("max_uses")
	return kind, uses
}

// clientRuns reports whether a tool that the vendor defined is run by the caller.
func clientRuns(kind string) bool {
	for _, prefix := range []string{"bash", "text_editor", "computer", "memory", "local_shell", "shell", "apply_patch"} {
		if strings.HasPrefix(kind, prefix) {
			return true
		}
	}
	return false
}

// searchesOf is how often a tool may search that may be used so often (0: not
// said).
func searchesOf(uses int64) int64 {
	if uses == 0 {
		return searchesUnsaid
	}
	return uses
}

// costsNothing reports whether a tool that the vendor runs costs no more than
// its tokens. Code costs by the time that it runs, and files by the search, of
// which answers tell nothing.
func costsNothing(kind string) bool {
	for _, prefix := range []string{"mcp", "web_fetch", "tool_search"} {
		if strings.HasPrefix(kind, prefix) {
			return true
		}
	}
	return false
}

// scale weighs values in tokens.
type scale struct {
	body    []byte
	image   int64
	context bool
	long    bool // something is to be cached for longer than the shortest time
	sound   bool // something is sound
}

// value is the bound of one value: its bytes, but for images.
func (s *scale) value(from, to int) int64 {
	switch s.body[from] {
	case '{':
		return s.object(from, to)
	case '[':
		weight := int64(2)
		eachElement(s.body, from, func(from, to int) { weight += s.value(from, to) + 1 })
		return weight
	}
	return int64(to - from)
}

// isShortest reports whether a time to keep what is cached is the shortest that
// the vendor has, which a call need not name.
func isShortest(time string) bool {
	switch time {
	case "", "5m", "30m", "in_memory":
		return true
	}
	return false
}

func (s *scale) object(from, to int) int64 {
	weight, picture, image := int64(2), int64(0), false
	_ = eachMember(s.body, from, func(m member) error {
		switch m.name {
		case "file_id", "file_url", "file_data":
			s.context = true
		case "ttl", "prompt_cache_retention": // whatever else has such a name does no harm
			s.long = s.long || !isShortest(unquote(s.body[m.from:m.to]))
		case "type":
			switch unquote(s.body[m.from:m.to]) {
			case "input_audio", "audio":
				s.sound = true
			case "image", "image_url", "input_image", "computer_screenshot":
				image = true
			case "document", "file", "input_file", "container_upload", "item_reference":
				s.context = true
			}
		}
		weigh := int64(len(m.name)) + 4 + s.value(m.from, m.to)
		switch m.name {
		case "source", "image_url", "image":
			picture += weigh
		default:
			weight += weigh
		}
		return nil
	})
	if image {
		picture = s.image
	}
	return weight + picture
}
