package tokens

import (
	"bytes"
	"testing"

	"gatehouse/app"
)

// What a call asks for beside its tokens, which has a price of its own.
func TestWhatACallAsksForBeside(t *testing.T) {
	type asked struct {
		tier, region string
		long         bool
		searches     int64
		other        bool
	}
	const any = app.AnyTier
	for _, row := range []struct {
		name, kind, body string
		want             asked
	}{
		{"a chat leaves the tier to its project", "chat/completions", `{"model":"m"}`, asked{tier: any}},
		{"auto", "chat/completions", `{"service_tier":"auto"}`, asked{tier: any}},
		{"null", "responses", `{"service_tier":null}`, asked{tier: any}},
		{"the standard", "chat/completions", `{"service_tier":"default"}`, asked{}},
		{"the standard, as others call it", "chat/completions", `{"service_tier":"on_demand"}`, asked{}},
		{"flex", "responses", `{"service_tier":"flex"}`, asked{tier: "flex"}},
		{"fast is priority", "responses", `{"service_tier":"fast"}`, asked{tier: "priority"}},
		{"an unknown tier", "chat/completions", `{"service_tier":"ultrafast"}`, asked{tier: "ultrafast"}},
		{"embeddings have none", "embeddings", `{"input":"x"}`, asked{}},
		{"completions have none", "completions", `{"prompt":"x"}`, asked{}},
		{"a message leaves the region to its workspace", "messages", `{"max_tokens":1}`, asked{region: any}},
		{"what was bought before costs the same", "messages", `{"service_tier":"auto"}`, asked{region: any}},
		{"anywhere", "messages", `{"inference_geo":"global"}`, asked{}},
		{"fast, in a region", "messages", `{"speed":"fast","inference_geo":"us"}`, asked{tier: "fast", region: "us"}},
		{"the standard speed", "messages", `{"speed":"standard","inference_geo":"global"}`, asked{}},

		{"cached for the shortest time", "messages", `{"inference_geo":"global","system":[{"type":"text","cache_control":{"type":"ephemeral","ttl":"5m"}}]}`, asked{}},
		{"cached without a time", "messages", `{"inference_geo":"global","system":[{"type":"text","cache_control":{"type":"ephemeral"}}]}`, asked{}},
		{"cached for an hour", "messages", `{"inference_geo":"global","system":[{"type":"text","cache_control":{"type":"ephemeral","ttl":"1h"}}]}`, asked{long: true}},
		{"all of it", "messages", `{"inference_geo":"global","cache_control":{"t\u0074l":"\u0031h"}}`, asked{long: true}},
		{"kept long by OpenAI", "responses", `{"service_tier":"default","prompt_cache_retention":"24h"}`, asked{long: true}},
		{"kept short by OpenAI", "responses", `{"service_tier":"default","prompt_cache_retention":"in_memory"}`, asked{}},

		{"searches", "messages", `{"inference_geo":"global","tools":[{"type":"web_search_20250305","max_uses":3}]}`, asked{searches: 3}},
		{"searches without a bound", "messages", `{"inference_geo":"global","tools":[{"type":"web_search_20250305"}]}`, asked{searches: searchesUnsaid}},
		{"searches of a response", "responses", `{"service_tier":"default","tools":[{"type":"web_search"}],"max_tool_calls":4}`, asked{searches: 4}},
		{"fetching costs its tokens", "messages", `{"inference_geo":"global","tools":[{"type":"web_fetch_20250910"},{"type":"bash_20250124"},{"name":"f"}]}`, asked{}},
		{"code that the vendor runs", "messages", `{"inference_geo":"global","tools":[{"type":"code_execution_20250825"}]}`, asked{other: true}},
		{"files that the vendor searches", "responses", `{"service_tier":"default","tools":[{"type":"file_search"}]}`, asked{other: true}},
		{"searches of which a chat does not tell", "chat/completions", `{"service_tier":"default","web_search_options":{}}`, asked{other: true}},
		{"searches of xAI", "chat/completions", `{"service_tier":"default","search_parameters":{"mode":"on"}}`, asked{other: true}},
		{"sound is sent", "chat/completions", `{"service_tier":"default","messages":[{"content":[{"type":"input_audio","input_audio":{"data":"x"}}]}]}`, asked{other: true}},
		{"sound is wanted", "chat/completions", `{"service_tier":"default","modalities":["text","a\u0075dio"]}`, asked{other: true}},
		{"no sound is wanted", "chat/completions", `{"service_tier":"default","modalities":["text"]}`, asked{}},
	} {
		api := app.EgressOpenAI
		if row.kind == "messages" {
			api = app.EgressAnthropic
		}
		c := inspect(t, api, "/v1/"+row.kind, row.body)
		if got := (asked{c.Tier, c.Region, c.Long, c.Searches, c.Other}); got != row.want {
			t.Errorf("%s: %+v, want %+v", row.name, got, row.want)
		}
		worst, _ := c.Worst(1000, 100)
		if worst.Tier != c.Tier || worst.Region != c.Region || worst.Searches != c.Searches || worst.Other != c.Other || (worst.CacheWriteLong == worst.Input) != c.Long {
			t.Errorf("%s: the worst case is %+v", row.name, worst)
		}
	}
	for _, body := range []string{`{"service_tier":1}`, `{"Service_Tier":"flex"}`, `{"service_tier":"flex","service_tier":"default"}`} {
		if _, err := Inspect(app.EgressOpenAI, "/v1/responses", []byte(body)); err == nil {
			t.Errorf("%s is accepted", body)
		}
	}
	for _, body := range []string{`{"speed":true}`, `{"SPEED":"fast"}`, `{"Inference_Geo":"us"}`} {
		if _, err := Inspect(app.EgressAnthropic, "/v1/messages", []byte(body)); err == nil {
			t.Errorf("%s is accepted", body)
		}
	}
}

// served are answers that tell how they were served, and what they took.
var served = []struct {
	name, kind, call, answer string
	want                     app.TokenUsage
}{
	{"a chat", "chat/completions", `{}`,
		`{"id":"c","service_tier":"flex","choices":[{"message":{"content":"service_tier"}}],"usage":{"prompt_tokens":100,"completion_tokens":20,"prompt_tokens_details":{"cached_tokens":60,"cache_write_tokens":30}}}`,
		app.TokenUsage{Input: 10, CacheRead: 60, CacheWrite: 30, Output: 20, Tier: "flex"}},
	{"a chat that tells its tier last", "chat/completions", `{"service_tier":"priority"}`,
		`{"usage":{"prompt_tokens":9,"completion_tokens":2},"x":{"service_tier":"flex"},"service_tier":"default"}`,
		app.TokenUsage{Input: 9, Output: 2}},
	{"a chat of a vendor without tiers", "chat/completions", `{}`,
		`{"usage":{"prompt_tokens":9,"completion_tokens":2},"service_tier":null}`, app.TokenUsage{Input: 9, Output: 2}},
	{"a cheaper tier that is not confirmed", "chat/completions", `{"service_tier":"flex"}`,
		`{"usage":{"prompt_tokens":9,"completion_tokens":2}}`, app.TokenUsage{Input: 9, Output: 2}},
	{"a dearer tier that is not denied", "chat/completions", `{"service_tier":"priority"}`,
		`{"usage":{"prompt_tokens":9,"completion_tokens":2}}`, app.TokenUsage{Input: 9, Output: 2, Tier: "priority"}},
	{"a streamed chat", "chat/completions", `{"stream":true}`,
		"data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}],\"service_tier\":\"fast\",\"usage\":null}\n\n" +
			"data: {\"choices\":[],\"service_tier\":\"fast\",\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n",
		app.TokenUsage{Input: 9, Output: 2, Tier: "priority"}},
	{"a streamed chat without tiers", "chat/completions", `{"stream":true}`,
		"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n",
		app.TokenUsage{Input: 9, Output: 2}},
	{"a response", "responses", `{"tools":[{"type":"web_search"}],"prompt_cache_retention":"24h"}`,
		`{"service_tier":"priority","output":[{"type":"web_search_call","action":{"type":"web_search_call"}},{"type":"message","content":[{"type":"web_search_call"}]},{"id":"w","type":"web_search_call"}],` +
			`"tools":[{"type":"web_search"}],"usage":{"input_tokens":100,"output_tokens":20,"input_tokens_details":{"cached_tokens":10,"cache_write_tokens":50}}}`,
		app.TokenUsage{Input: 40, CacheRead: 10, CacheWrite: 50, CacheWriteLong: 50, Output: 20, Searches: 2, Tier: "priority"}},
	{"a streamed response", "responses", `{"stream":true,"tools":[{"type":"web_search"},{"type":"image_generation"}]}`,
		"event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"service_tier\":\"default\",\"output\":[{\"type\":\"web_search_call\"},{\"type\":\"message\"}]," +
			"\"usage\":{\"input_tokens\":100,\"output_tokens\":20}}}\n\n",
		app.TokenUsage{Input: 100, Output: 20, Searches: 1, Other: true}},
	{"searches that nobody asked for", "responses", `{}`,
		`{"output":[{"type":"web_search_call"}],"usage":{"input_tokens":100,"output_tokens":20}}`, app.TokenUsage{Input: 100, Output: 20}},
	{"a message", "messages", `{"tools":[{"type":"web_search_20250305"}]}`,
		`{"content":[],"usage":{"input_tokens":10,"cache_read_input_tokens":40,"cache_creation_input_tokens":30,"cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20},` +
			`"output_tokens":5,"service_tier":"priority","speed":"fast","inference_geo":"us","server_tool_use":{"web_search_requests":2}}}`,
		app.TokenUsage{Input: 10, CacheRead: 40, CacheWrite: 30, CacheWriteLong: 20, Output: 5, Searches: 2, Tier: "fast", Region: "us"}},
	{"a message of the standard", "messages", `{"speed":"fast"}`,
		`{"usage":{"input_tokens":10,"output_tokens":5,"speed":"standard","inference_geo":"not_available"}}`, app.TokenUsage{Input: 10, Output: 5}},
	{"a message that is silent", "messages", `{"speed":"fast","cache_control":{"ttl":"1h"}}`,
		`{"usage":{"input_tokens":10,"output_tokens":5,"cache_creation_input_tokens":7}}`,
		app.TokenUsage{Input: 10, Output: 5, CacheWrite: 7, CacheWriteLong: 7, Tier: "fast"}},
	{"a message that says more than it wrote", "messages", `{}`,
		`{"usage":{"input_tokens":10,"output_tokens":5,"cache_creation_input_tokens":7,"cache_creation":{"ephemeral_1h_input_tokens":900}}}`,
		app.TokenUsage{Input: 10, Output: 5, CacheWrite: 7, CacheWriteLong: 7}},
	{"a streamed message", "messages", `{"stream":true,"tools":[{"type":"web_search_20250305","max_uses":5}]}`,
		"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":10,\"cache_creation_input_tokens\":30,\"cache_creation\":{\"ephemeral_1h_input_tokens\":30},\"output_tokens\":1,\"inference_geo\":\"us\"}}}\n\n" +
			"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":5,\"server_tool_use\":{\"web_search_requests\":3}}}\n\n" +
			"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
		app.TokenUsage{Input: 10, CacheWrite: 30, CacheWriteLong: 30, Output: 5, Searches: 3, Region: "us"}},
}

func TestHowACallWasServedAtEverySplit(t *testing.T) {
	for _, row := range served {
		api := app.EgressOpenAI
		if row.kind == "messages" {
			api = app.EgressAnthropic
		}
		call := inspect(t, api, "/v1/"+row.kind, row.call)
		raw := []byte(row.answer)
		check := func(how string, pieces [][]byte) {
			t.Helper()
			r := NewReader(api, call, contentType(call), "")
			feed(t, r, pieces...)
			if got, found := r.Usage(); !found || got != row.want {
				t.Fatalf("%s %s: %+v %t, want %+v", row.name, how, got, found, row.want)
			}
		}
		check("whole", cut(raw))
		every := make([]int, len(raw))
		for i := range raw {
			every[i] = i
			check("in two", cut(raw, i))
		}
		check("byte by byte", cut(raw, every...))
	}
}

func contentType(call Call) string {
	if call.Stream {
		return "text/event-stream"
	}
	return "application/json"
}

// An answer that breaks off behind its usage, but before its tier, may have been
// served in any.
func TestATierThatDidNotCome(t *testing.T) {
	for _, row := range []struct{ call, want string }{{`{}`, app.AnyTier}, {`{"service_tier":"default"}`, ""}, {`{"service_tier":"flex"}`, ""}, {`{"service_tier":"fast"}`, "priority"}} {
		call := inspect(t, app.EgressOpenAI, "/v1/responses", row.call)
		r := NewReader(app.EgressOpenAI, call, "application/json", "")
		feed(t, r, []byte(`{"usage":{"input_tokens":100,"output_tokens":20},"service_`))
		if got, found := r.Usage(); !found || got.Input != 100 || got.Tier != row.want {
			t.Errorf("%s: %+v %t, want the tier %q", row.call, got, found, row.want)
		}
	}
}

// What was not told to its end is estimated by what the call allowed.
func TestSearchesAreEstimated(t *testing.T) {
	call := inspect(t, app.EgressAnthropic, "/v1/messages", `{"stream":true,"max_tokens":9,"tools":[{"type":"web_search_20250305","max_uses":5}]}`)
	worst, _ := call.Worst(1000, 100)
	r := NewReader(app.EgressAnthropic, call, "text/event-stream", "")
	feed(t, r, bytes.Clone([]byte("data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":10,\"output_tokens\":1,\"inference_geo\":\"global\"}}}\n\n")))
	if _, found := r.Usage(); found {
		t.Error("found what did not come")
	}
	if got, want := r.Estimate(worst), (app.TokenUsage{Input: 10, Output: 9, Searches: 5}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
