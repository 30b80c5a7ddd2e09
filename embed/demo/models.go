package demo

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
)

// Models returns a stand-in for the paid APIs of language models: it speaks
// enough of Anthropic's messages and OpenAI's chat completions, streamed or
// not, to be called through the gate. It thinks nothing, and costs nothing.
func Models() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/messages", messages)
	mux.HandleFunc("POST /v1/chat/completions", completions)
	return mux
}

// prompt is what a call asks for, in either language.
type prompt struct {
	Model     string `json:"model"`
	MaxTokens int    `json:"max_tokens"`
	Stream    bool   `json:"stream"`
	Options   struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
}

// maxPrompt bounds a call's body, in bytes.
const maxPrompt = 1 << 20

// words is what the stand-in writes: one of these is about a token.
var words = strings.Fields("The report is ready and the figures of this month agree with the ledger in every line")

// reply reads the call, and decides how many tokens it reads and writes.
func reply(w http.ResponseWriter, r *http.Request) (p prompt, input, output int, ok bool) {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxPrompt)).Decode(&p); err != nil || p.Model == "" || p.MaxTokens < 1 {
		answer(w, http.StatusBadRequest, map[string]any{"type": "error", "error": map[string]string{
			"type": "invalid_request_error", "message": "send model, max_tokens and messages"}})
		return p, 0, 0, false
	}
	return p, 200 + rand.IntN(1800), min(p.MaxTokens, 50+rand.IntN(450)), true
}

func text(tokens int) string {
	said := make([]string, 0, tokens)
	for i := range min(tokens, len(words)) {
		said = append(said, words[i])
	}
	return strings.Join(said, " ")
}

func messages(w http.ResponseWriter, r *http.Request) {
	p, input, output, ok := reply(w, r)
	if !ok {
		return
	}
	cached := input / 2
	usage := map[string]int{"input_tokens": input - cached, "cache_read_input_tokens": cached, "cache_creation_input_tokens": 0, "output_tokens": output}
	if !p.Stream {
		answer(w, http.StatusOK, map[string]any{"id": "msg_demo", "type": "message", "role": "assistant", "model": p.Model,
			"content": []any{map[string]string{"type": "text", "text": text(output)}}, "stop_reason": "end_turn", "usage": usage})
		return
	}
	s := newStream(w)
	begun := map[string]int{"input_tokens": input - cached, "cache_read_input_tokens": cached, "output_tokens": 1}
	s.named("message_start", map[string]any{"message": map[string]any{"id": "msg_demo", "role": "assistant", "model": p.Model, "usage": begun}})
	s.named("content_block_start", map[string]any{"index": 0, "content_block": map[string]string{"type": "text", "text": ""}})
	for _, word := range strings.Fields(text(output)) {
		s.named("content_block_delta", map[string]any{"index": 0, "delta": map[string]string{"type": "text_delta", "text": word + " "}})
	}
	s.named("content_block_stop", map[string]any{"index": 0})
	s.named("message_delta", map[string]any{"delta": map[string]string{"stop_reason": "end_turn"}, "usage": map[string]int{"output_tokens": output}})
	s.named("message_stop", map[string]any{})
}

func completions(w http.ResponseWriter, r *http.Request) {
	p, input, output, ok := reply(w, r)
	if !ok {
		return
	}
	usage := map[string]any{"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
		"prompt_tokens_details": map[string]int{"cached_tokens": input / 4}}
	if !p.Stream {
		answer(w, http.StatusOK, map[string]any{"id": "chatcmpl-demo", "object": "chat.completion", "model": p.Model, "usage": usage,
			"choices": []any{map[string]any{"index": 0, "finish_reason": "stop", "message": map[string]string{"role": "assistant", "content": text(output)}}}})
		return
	}
	s := newStream(w)
	for _, word := range strings.Fields(text(output)) {
		s.data(map[string]any{"object": "chat.completion.chunk", "model": p.Model,
			"choices": []any{map[string]any{"index": 0, "delta": map[string]string{"content": word + " "}}}})
	}
	if p.Options.IncludeUsage {
		s.data(map[string]any{"object": "chat.completion.chunk", "model": p.Model, "choices": []any{}, "usage": usage})
	}
	fmt.Fprint(w, "data: [DONE]\n\n")
}

// stream writes server-sent events.
type stream struct{ w http.ResponseWriter }

func newStream(w http.ResponseWriter) stream {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	return stream{w}
}

func (s stream) data(v any) {
	raw, _ := json.Marshal(v) // maps of texts and numbers always marshal
	fmt.Fprintf(s.w, "data: %s\n\n", raw)
	http.NewResponseController(s.w).Flush()
}

func (s stream) named(name string, v map[string]any) {
	v["type"] = name
	fmt.Fprintf(s.w, "event: %s\n", name)
	s.data(v)
}
