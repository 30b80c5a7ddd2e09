package tokens

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"gatehouse/app"
)

func inspect(t testing.TB, api app.EgressAPI, path, body string) Call {
	t.Helper()
	call, err := Inspect(api, path, []byte(body))
	if err != nil {
		t.Fatalf("%s %s: %v", path, body, err)
	}
	return call
}

func TestWhatACallAsksFor(t *testing.T) {
	const some = `{"model":"m"}`
	for _, row := range []struct {
		api        app.EgressAPI
		path, body string
		want       Kind
	}{
		{app.EgressOpenAI, "/v1/chat/completions", some, KindChat},
		{app.EgressOpenAI, "/openai/v1/chat/completions/", some, KindChat},
		{app.EgressOpenAI, "//v1/chat//completions", some, KindChat},
		{app.EgressOpenAI, "/v1/chat/%63ompletions?x=/v1/models", some, KindChat},
		{app.EgressOpenAI, "/v1%2Fchat%2Fcompletions", some, KindChat},
		{app.EgressOpenAI, "/v1/completions", some, KindCompletion},
		{app.EgressOpenAI, "/v1/embeddings", some, KindEmbedding},
		{app.EgressOpenAI, "/v1/responses", some, KindResponse},
		{app.EgressOpenAI, "/v1/responses/resp_1", "", KindFree},
		{app.EgressOpenAI, "/v1/responses/input_tokens", some, KindFree},
		{app.EgressOpenAI, "/v1/models", "", KindFree},
		{app.EgressOpenAI, "/v1/moderations", some, KindFree},
		{app.EgressOpenAI, "/v1/realtime", "", KindUnknown},
		{app.EgressOpenAI, "/v1/images/generations", some, KindUnknown},
		{app.EgressOpenAI, "/v1/batches", some, KindUnknown},
		{app.EgressOpenAI, "/v1/audio/speech", "not JSON", KindUnknown},
		{app.EgressOpenAI, "/v1/messages", some, KindUnknown},
		{app.EgressAnthropic, "/v1/messages", some, KindMessage},
		{app.EgressAnthropic, "/v1/messages/count_tokens", some, KindFree},
		{app.EgressAnthropic, "/v1/messages/batches", some, KindUnknown},
		{app.EgressAnthropic, "/v1/complete", some, KindUnknown},
		{app.EgressAnthropic, "/v1/chat/completions", some, KindUnknown},
		{app.EgressHTTP, "/v1/chat/completions", "not JSON", KindFree},
	} {
		if got := inspect(t, row.api, row.path, row.body); got.Kind != row.want {
			t.Errorf("%s %s: %d, want %d", row.api, row.path, got.Kind, row.want)
		}
	}
}

func TestBoundsOfACall(t *testing.T) {
	messages := `"messages":[{"role":"user","content":"Hi"}]`
	for _, row := range []struct {
		kind            string // of the path
		body            string
		model           string
		stream, asked   bool
		output, choices int64
		context         bool
		rounds          int64
	}{
		{"chat/completions", `{"model":"gpt-4o",` + messages + `}`, "gpt-4o", false, false, OutputUnsaid, 1, false, 1},
		{"chat/completions", `{"model":"gpt-4o","max_tokens":100}`, "gpt-4o", false, false, 100, 1, false, 1},
		{"chat/completions", `{"max_tokens":100,"max_completion_tokens":300,"n":3,"stream":true}`, "", true, false, 900, 3, false, 1},
		{"chat/completions", `{"max_tokens":null,"n":null,"stream":null,"stream_options":null}`, "", false, false, OutputUnsaid, 1, false, 1},
		{"chat/completions", `{"max_tokens":0}`, "", false, false, 0, 1, false, 1},
		{"chat/completions", `{"\u006dodel":"x","m\u0061x_tokens":5}`, "x", false, false, 5, 1, false, 1},
		{"chat/completions", `{"stream":true,"stream_options":{"include_usage":true}}`, "", true, true, OutputUnsaid, 1, false, 1},
		{"chat/completions", `{"stream":true,"stream_options":{"include_usage":false}}`, "", true, false, OutputUnsaid, 1, false, 1},
		{"chat/completions", `{"max_output_tokens":5}`, "", false, false, OutputUnsaid, 1, false, 1},
		{"chat/completions", `{"max_tokens":9000000000000000000,"n":10}`, "", false, false, 10 * app.MaxTokens, 10, false, 1},
		{"chat/completions", `{"web_search_options":{},"max_tokens":1}`, "", false, false, 1, 1, true, 11},
		{"chat/completions", `{"model":"gpt-4o-search-preview","max_tokens":1}`, "gpt-4o-search-preview", false, false, 1, 1, true, 11},
		{"chat/completions", `{"messages":[{"content":[{"type":"file","file":{"file_id":"f"}}]}],"max_tokens":1}`, "", false, false, 1, 1, true, 1},
		{"deployments/gpt-x/chat/completions", `{"max_tokens":1}`, "gpt-x", false, false, 1, 1, false, 1},
		{"completions", `{"prompt":"x"}`, "", false, false, 16, 1, false, 1},
		{"completions", `{"prompt":["x","y"],"n":2,"best_of":5,"max_tokens":10}`, "", false, false, 100, 10, false, 1},
		{"completions", `{"prompt":[1,2,3],"max_tokens":10}`, "", false, false, 10, 1, false, 1},
		{"completions", `{"prompt":[[1,2],[3]],"max_tokens":10}`, "", false, false, 20, 2, false, 1},
		{"embeddings", `{"input":["a","b"],"max_tokens":10}`, "", false, false, 0, 1, false, 1},
		{"responses", `{"input":"x","max_output_tokens":7,"max_tokens":9}`, "", false, false, 7, 1, false, 1},
		{"responses", `{"previous_response_id":"resp_1"}`, "", false, false, OutputUnsaid, 1, true, 1},
		{"responses", `{"previous_response_id":null,"conversation":null}`, "", false, false, OutputUnsaid, 1, false, 1},
		{"responses", `{"prompt":{"id":"pmpt_1"}}`, "", false, false, OutputUnsaid, 1, true, 1},
		{"responses", `{"input":[{"content":[{"type":"input_file","file_url":"https://x"}]}]}`, "", false, false, OutputUnsaid, 1, true, 1},
		{"responses", `{"input":[{"type":"item_reference","id":"x"}]}`, "", false, false, OutputUnsaid, 1, true, 1},
		{"responses", `{"tools":[{"type":"function","name":"f"},{"type":"custom"},{"type":"local_shell"}]}`, "", false, false, OutputUnsaid, 1, false, 1},
		{"responses", `{"tools":[{"type":"web_search"}],"max_tool_calls":3}`, "", false, false, OutputUnsaid, 1, true, 4},
		{"responses", `{"tools":[{"type":"mcp"}]}`, "", false, false, OutputUnsaid, 1, true, 11},
		{"messages", `{"max_tokens":1024,"stream":true}`, "", true, false, 1024, 1, false, 1},
		{"messages", `{"max_tokens":1,"messages":[{"content":[{"type":"document","source":{"type":"url"}}]}]}`, "", false, false, 1, 1, true, 1},
		{"messages", `{"max_tokens":1,"tools":[{"type":"web_search_20250305","max_uses":2},{"type":"web_fetch_20250910","max_uses":3}]}`, "", false, false, 1, 1, true, 6},
		{"messages", `{"max_tokens":1,"tools":[{"type":"web_search_20250305","max_uses":2},{"type":"code_execution_20250825"}]}`, "", false, false, 1, 1, true, 11},
		{"messages", `{"max_tokens":1,"tools":[{"name":"f"},{"type":"bash_20250124"},{"type":"computer_20250124"}]}`, "", false, false, 1, 1, false, 1},
		{"messages", `{"max_tokens":1,"tools":[{"type":"bash_20250124","type":"web_search_20250305"}]}`, "", false, false, 1, 1, true, 11},
		{"messages", `{"max_tokens":1,"mcp_servers":[{}]}`, "", false, false, 1, 1, true, 11},
	} {
		api := app.EgressOpenAI
		if row.kind == "messages" {
			api = app.EgressAnthropic
		}
		c := inspect(t, api, "/v1/"+row.kind, row.body)
		got := fmt.Sprint(c.Model, c.Stream, c.WantsUsage, c.Output, c.Choices, c.Context, c.Rounds)
		want := fmt.Sprint(row.model, row.stream, row.asked, row.output, row.choices, row.context, row.rounds)
		if got != want {
			t.Errorf("%s %s:\n got %s\nwant %s", row.kind, row.body, got, want)
		}
	}
}

func TestWhatCannotBeReadIsRefused(t *testing.T) {
	for _, body := range []string{"x", "[]", `"a"`, "{", `{"a":1}{`, "\x1f\x8b", `{"model":"a","model":"b"}`, `{"max_tokens":1,"max\u005ftokens":9}`,
		`{"max_tokens":"1"}`, `{"max_tokens":1.5}`, `{"max_tokens":1e9}`, `{"max_tokens":-1}`, `{"max_tokens":99999999999999999999}`, `{"max_tokens":{}}`,
		`{"n":0}`, `{"n":"5"}`, `{"n":100000}`, `{"model":5}`, `{"stream":"true"}`, `{"stream":1}`, `{"stream_options":[]}`,
		`{"stream_options":{"include_usage":1}}`, `{"stream_options":{"include_usage":true,"include_usage":false}}`, `{"max_tokens":1,"MAX_TOKENS":1000}`, `{"max_tokenſ":1000}`} {
		_, err := Inspect(app.EgressOpenAI, "/v1/chat/completions", []byte(body))
		if err == nil || app.AsError(err).Code != "call_malformed" || !app.IsKind(err, app.KindInvalid) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestInputIsBoundedByBytesAndImages(t *testing.T) {
	picture := strings.Repeat("A", 2_000_000)
	for _, row := range []struct {
		name, body string
		from, to   int64
	}{
		{"text", `{"messages":[{"role":"user","content":"` + strings.Repeat("é", 1000) + `"}]}`, 2000, 2100},
		{"escaped text", `{"messages":[{"role":"user","content":"` + strings.Repeat(`\u00e9`, 1000) + `"}]}`, 2000, 6100},
		{"an image inside", `{"messages":[{"content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,` + picture + `"}},{"type":"text","text":"what?"}]}]}`, imageOpenAI, imageOpenAI + 200},
		{"images elsewhere", `{"messages":[{"content":[{"type":"image_url","image_url":{"url":"https://x/1"}},{"type":"image_url","image_url":{"url":"https://x/2"}}]}]}`, 2 * imageOpenAI, 2*imageOpenAI + 200},
		{"text that calls itself an image", `{"messages":[{"content":[{"type":"image_url","type":"text","text":"` + picture + `"}]}]}`, 2_000_000, 2_100_000},
		{"text about images", `{"messages":[{"content":"{\"type\":\"image_url\"}"}]}`, 20, 70},
		{"audio", `{"messages":[{"content":[{"type":"input_audio","input_audio":{"data":"` + picture + `"}}]}]}`, 2_000_000, 2_000_200},
		{"tools", `{"tools":[{"type":"function","function":{}},{"type":"custom"}]}`, toolPrompt, toolPrompt + 100},
	} {
		c := inspect(t, app.EgressOpenAI, "/chat/completions", row.body)
		if c.Input < row.from || c.Input > row.to || c.Context {
			t.Errorf("%s: %d %t, want %d–%d", row.name, c.Input, c.Context, row.from, row.to)
		}
	}
	c := inspect(t, app.EgressAnthropic, "/messages", `{"max_tokens":1,"messages":[{"content":[{"type":"tool_result","content":[{"type":"image","source":{"data":"`+picture+`"}}]}]}],"tools":[{"type":"bash_20250124"}]}`)
	if c.Input < imageAnthropic+2*toolPrompt || c.Input > imageAnthropic+2*toolPrompt+300 {
		t.Errorf("an image of Anthropic's: %d", c.Input)
	}
}

func TestWorst(t *testing.T) {
	for _, row := range []struct {
		name                string
		call                Call
		maxInput, maxOutput int64
		want                app.TokenUsage
		known               bool
	}{
		{"as said", Call{Kind: KindChat, Input: 50, Output: 20, Choices: 1, Rounds: 1}, 0, 0, app.TokenUsage{Input: 50, Output: 20}, true},
		{"the model's output", Call{Kind: KindChat, Input: 50, Output: OutputUnsaid, Choices: 3, Rounds: 1}, 100, 40, app.TokenUsage{Input: 50, Output: 120}, true},
		{"nobody says", Call{Kind: KindChat, Input: 50, Output: OutputUnsaid, Choices: 1, Rounds: 1}, 100, 0, app.TokenUsage{Input: 50}, false},
		{"more than fits", Call{Kind: KindChat, Input: 500, Output: 1, Choices: 1, Rounds: 1}, 100, 0, app.TokenUsage{Input: 100, Output: 1}, true},
		{"from elsewhere", Call{Kind: KindResponse, Input: 5, Context: true, Output: 1, Choices: 1, Rounds: 4}, 100, 0, app.TokenUsage{Input: 400, Output: 1}, true},
		{"from elsewhere without end", Call{Kind: KindResponse, Input: 5, Context: true, Output: 1, Choices: 1, Rounds: 1}, 0, 0, app.TokenUsage{Input: 5, Output: 1}, false},
		{"several prompts", Call{Kind: KindCompletion, Input: 500, Output: 1, Choices: 3, Rounds: 1}, 100, 0, app.TokenUsage{Input: 300, Output: 1}, true},
		{"many embeddings", Call{Kind: KindEmbedding, Input: 50_000, Choices: 1, Rounds: 1}, 8192, 0, app.TokenUsage{Input: 50_000}, true},
		{"free", Call{Kind: KindFree}, 0, 0, app.TokenUsage{}, true},
		{"unknown", Call{Kind: KindUnknown}, 10, 10, app.TokenUsage{}, false},
	} {
		got, known := row.call.Worst(row.maxInput, row.maxOutput)
		if got != row.want || known != row.known {
			t.Errorf("%s: %+v %t, want %+v %t", row.name, got, known, row.want, row.known)
		}
	}
}

func TestRewrite(t *testing.T) {
	for _, row := range []struct {
		path, body string
		clamp      int64
		want       string
	}{
		{"chat/completions", `{"model":"m"}`, 0, ""},
		{"chat/completions", ` { "model":"m", "stream" : true }`, 0, ` {"stream_options":{"include_usage":true}, "model":"m", "stream" : true }`},
		{"chat/completions", `{"stream":true,"stream_options":null}`, 0, `{"stream":true,"stream_options":{"include_usage":true}}`},
		{"chat/completions", `{"stream":true,"stream_options":{}}`, 0, `{"stream":true,"stream_options":{"include_usage":true}}`},
		{"chat/completions", `{"stream":true,"stream_options":{"include_obfuscation":false}}`, 0, `{"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}}`},
		{"chat/completions", `{"stream":true,"stream_options":{ "include_usage" : false }}`, 0, `{"stream":true,"stream_options":{ "include_usage" : true }}`},
		{"chat/completions", `{"stream":true,"stream_options":{"include_usage":true}}`, 0, ""},
		{"completions", `{"stream":true}`, 0, `{"stream_options":{"include_usage":true},"stream":true}`},
		{"responses", `{"stream":true}`, 0, ""},
		{"embeddings", `{"input":"x"}`, 10, ""},
		{"chat/completions", `{"max_tokens":100}`, 100, ""},
		{"chat/completions", `{"max_tokens":100}`, 40, `{"max_tokens":40}`},
		{"chat/completions", `{"max_tokens": 100,"max_completion_tokens":30}`, 40, `{"max_tokens": 40,"max_completion_tokens":30}`},
		{"chat/completions", `{"max_tokens":100,"n":3}`, 100, `{"max_tokens":33,"n":3}`},
		{"chat/completions", `{"max_tokens":100,"n":3}`, 2, `{"max_tokens":1,"n":3}`},
		{"chat/completions", `{"model":"m"}`, 40, `{"max_completion_tokens":40,"model":"m"}`},
		{"chat/completions", `{"max_tokens":null}`, 40, `{"max_completion_tokens":40,"max_tokens":null}`},
		{"chat/completions", `{"max_completion_tokens":null}`, 40, `{"max_completion_tokens":40}`},
		{"chat/completions", `{"stream":true}`, 40, `{"stream_options":{"include_usage":true},"max_completion_tokens":40,"stream":true}`},
		{"chat/completions", `{}`, 40, `{"max_completion_tokens":40}`},
		{"responses", `{"input":"x"}`, 40, `{"max_output_tokens":40,"input":"x"}`},
		{"messages", `{"max_tokens":100,"stream":true}`, 40, `{"max_tokens":40,"stream":true}`},
		{"completions", `{"prompt":"x"}`, 10, `{"max_tokens":10,"prompt":"x"}`},
		{"completions", `{"prompt":"x"}`, 16, ""},
		{"images", `{"prompt":"x"}`, 16, ""},
	} {
		api := app.EgressOpenAI
		if row.path == "messages" {
			api = app.EgressAnthropic
		}
		if row.want == "" {
			row.want = row.body
		}
		call := inspect(t, api, row.path, row.body)
		if got := string(call.Rewrite([]byte(row.body), row.clamp)); got != row.want {
			t.Errorf("%s %s to %d:\n got %s\nwant %s", row.path, row.body, row.clamp, got, row.want)
		}
	}
}

// FuzzCall: what is rewritten is JSON, says the same, asks for its usage, and
// is bounded by what it was clamped to.
func FuzzCall(f *testing.F) {
	for _, body := range []string{`{"model":"m","messages":[{"role":"user","content":"Hi \ud83d\ude00"}],"stream":true,"n":2,"max_tokens":100}`,
		`{"stream":true,"stream_options":{"include_usage":false},"max_completion_tokens":null,"tools":[{"type":"web_search","max_uses":2}]}`,
		`{"a":[{"type":"image","source":{"data":"x"}},[],{},-1.5e+3,"\\\""] , "max_tokens" : 7}`, `{"stream":true , "x":{}}`, ` {}`} {
		for kind := range uint8(5) {
			f.Add([]byte(body), kind, int64(5))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, kind uint8, clamp int64) {
		path := []string{"chat/completions", "completions", "embeddings", "responses", "messages"}[kind%5]
		api := app.EgressOpenAI
		if path == "messages" {
			api = app.EgressAnthropic
		}
		call, err := Inspect(api, path, body)
		if err != nil || !call.Counted() {
			return
		}
		again, err := Inspect(api, path, call.Rewrite(body, clamp))
		if err != nil {
			t.Fatalf("%s became %s: %v", body, call.Rewrite(body, clamp), err)
		}
		if call.Injects() && !again.WantsUsage {
			t.Fatalf("%s became %s", body, call.Rewrite(body, clamp))
		}
		if clamp > 0 && again.Output > max(clamp, again.Choices) || clamp > 0 && again.Output == OutputUnsaid {
			t.Fatalf("%s clamped to %d became %s", body, clamp, call.Rewrite(body, clamp))
		}
		var before, after map[string]any
		if json.Unmarshal(body, &before) != nil || json.Unmarshal(call.Rewrite(body, clamp), &after) != nil {
			t.Fatal("no object")
		}
		for name, value := range before {
			if !strings.HasPrefix(name, "max_") && name != "stream_options" && fmt.Sprint(value) != fmt.Sprint(after[name]) {
				t.Fatalf("%q was %v and is %v", name, value, after[name])
			}
		}
	})
}

func BenchmarkInspect(b *testing.B) {
	body := []byte(`{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"` + strings.Repeat("words and ", 400) + `"}]}`)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		call, err := Inspect(app.EgressOpenAI, "/v1/chat/completions", body)
		if err != nil || len(call.Rewrite(body, 0)) == len(body) {
			b.Fatal(err)
		}
	}
}
