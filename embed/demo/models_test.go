package demo

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestModelsSpeakBothLanguages(t *testing.T) {
	server := httptest.NewServer(Models())
	defer server.Close()
	for _, c := range []struct {
		name, path, body string
		status           int
		holds            []string
	}{
		{"messages", "/v1/messages", `{"model":"m","max_tokens":60}`, 200, []string{`"input_tokens"`, `"cache_read_input_tokens"`, `"end_turn"`}},
		{"messages, streamed", "/v1/messages", `{"model":"m","max_tokens":60,"stream":true}`, 200,
			[]string{"event: message_start\n", `"message_delta"`, "event: message_stop\n"}},
		{"chat", "/v1/chat/completions", `{"model":"m","max_tokens":60}`, 200, []string{`"prompt_tokens"`, `"cached_tokens"`}},
		{"chat, streamed, with usage", "/v1/chat/completions", `{"model":"m","max_tokens":60,"stream":true,"stream_options":{"include_usage":true}}`, 200,
			[]string{`"choices":[]`, "data: [DONE]\n\n"}},
		{"no model", "/v1/messages", `{"max_tokens":60}`, 400, []string{"invalid_request_error"}},
		{"no tokens", "/v1/chat/completions", `{"model":"m"}`, 400, []string{"invalid_request_error"}},
	} {
		got, err := http.Post(server.URL+c.path, "application/json", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(got.Body)
		got.Body.Close()
		if err != nil || got.StatusCode != c.status {
			t.Errorf("%s: %d, %v: %s", c.name, got.StatusCode, err, body)
		}
		for _, part := range c.holds {
			if !strings.Contains(string(body), part) {
				t.Errorf("%s: no %q in\n%s", c.name, part, body)
			}
		}
	}
	got, err := http.Post(server.URL+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"m","max_tokens":60,"stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	if body, _ := io.ReadAll(got.Body); strings.Contains(string(body), "usage") {
		t.Errorf("usage in a stream that did not ask for it:\n%s", body)
	}
}
