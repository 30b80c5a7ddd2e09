package tokens

import (
	"bytes"
	"compress/gzip"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatehouse/app"
)

// record is an answer of testdata and what is in it.
type record struct {
	file  string
	kind  Kind
	want  app.TokenUsage
	found bool
	end   string // begins what is kept back until Finish; "" is nothing
}

var unsaid = app.TokenUsage{}

var records = []record{
	{"openai_chat.sse", KindChat, app.TokenUsage{Input: 19, Output: 10}, true, "data: [DONE]"},
	{"openai_chat_cached_crlf.sse", KindChat, app.TokenUsage{Input: 86, Output: 300, CacheRead: 1920}, true, "data: [DONE]"},
	{"openai_chat_cr_bom.sse", KindChat, app.TokenUsage{Input: 19, Output: 10}, true, "data: [DONE]"},
	{"openai_chat_comments.sse", KindChat, app.TokenUsage{Input: 19, Output: 10}, true, "data:[DONE]"},
	{"openai_chat_multiline.sse", KindChat, app.TokenUsage{Input: 19, Output: 10}, true, "data: [DONE]"},
	{"openai_chat_error.sse", KindChat, unsaid, false, ""},
	{"openai_chat_cut.sse", KindChat, unsaid, false, ""},
	{"openai_legacy.sse", KindCompletion, app.TokenUsage{Input: 5, Output: 2}, true, "data: [DONE]"},
	{"compatible_no_usage.sse", KindChat, unsaid, false, "data: [DONE]"},
	{"compatible_last_chunk.sse", KindChat, app.TokenUsage{Input: 11, Output: 4}, true, "data: [DONE]"},
	{"compatible_each_chunk.sse", KindChat, app.TokenUsage{Input: 11, Output: 3}, true, "data: [DONE]"},
	{"compatible_unfinished.sse", KindChat, app.TokenUsage{Input: 11, Output: 2}, true, "data: [DONE]"},
	{"compatible_no_done.sse", KindChat, app.TokenUsage{Input: 19, Output: 10}, true, ""},
	{"compatible_zero.sse", KindChat, app.TokenUsage{}, true, "data: [DONE]"},
	{"deepseek.sse", KindChat, app.TokenUsage{Input: 36, Output: 7, CacheRead: 64}, true, "data: [DONE]"},
	{"groq.sse", KindChat, app.TokenUsage{Input: 24, Output: 9}, true, "data: [DONE]"},
	{"xai.sse", KindChat, app.TokenUsage{Input: 32, Output: 103}, true, "data: [DONE]"},
	{"azure.sse", KindChat, app.TokenUsage{Input: 19, Output: 10}, true, "data: [DONE]"},
	{"openai_responses.sse", KindResponse, app.TokenUsage{Input: 25, Output: 11, CacheRead: 12}, true, "event: response.completed"},
	{"openai_responses_incomplete.sse", KindResponse, app.TokenUsage{Input: 25, Output: 11, CacheRead: 12}, true, "event: response.incomplete"},
	{"openai_responses_failed.sse", KindResponse, unsaid, false, "event: response.failed"},
	{"openai_responses_unnamed.sse", KindResponse, app.TokenUsage{Input: 25, Output: 11, CacheRead: 12}, true, `data: {"type":"response.completed"`},
	{"openai_responses_error.sse", KindResponse, unsaid, false, ""},
	{"anthropic.sse", KindMessage, app.TokenUsage{Input: 25, Output: 15}, true, "event: message_stop"},
	{"anthropic_cached.sse", KindMessage, app.TokenUsage{Input: 1004, Output: 510, CacheRead: 20000, CacheWrite: 1600}, true, "event: message_stop"},
	{"anthropic_unnamed_crlf.sse", KindMessage, app.TokenUsage{Input: 25, Output: 15}, true, `data: {"type":"message_stop"`},
	{"anthropic_error.sse", KindMessage, unsaid, false, ""},
	{"anthropic_no_delta.sse", KindMessage, unsaid, false, "event: message_stop"},
	{"openai_chat.json", KindChat, app.TokenUsage{Input: 86, Output: 300, CacheRead: 1920}, true, "}"},
	{"openai_responses.json", KindResponse, app.TokenUsage{Input: 25, Output: 11, CacheRead: 12}, true, "}"},
	{"openai_responses_background.json", KindResponse, unsaid, false, "}"},
	{"openai_embeddings.json", KindEmbedding, app.TokenUsage{Input: 8}, true, "}"},
	{"openai_completion.json", KindCompletion, app.TokenUsage{Input: 5, Output: 7}, true, "}"},
	{"openai_error.json", KindChat, unsaid, false, "}"},
	{"anthropic.json", KindMessage, app.TokenUsage{Input: 2095, Output: 503, CacheRead: 30, CacheWrite: 10}, true, "}"},
}

func (c record) raw(t testing.TB) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", c.file))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (c record) stream() bool { return strings.HasSuffix(c.file, ".sse") }

func (c record) reader(asked bool, coding string) *Reader {
	api := app.EgressOpenAI
	if c.kind == KindMessage {
		api = app.EgressAnthropic
	}
	kind := "application/json"
	if c.stream() {
		kind = "text/event-stream; charset=utf-8"
	}
	return NewReader(api, Call{Kind: c.kind, Stream: c.stream(), WantsUsage: asked}, kind, coding)
}

var (
	anEvent = regexp.MustCompile(`(?s).*?(?:\r\n\r\n|\n\n|\r\r)|.+$`)
	hidden  = regexp.MustCompile(`(?s)"choices":\s*\[\],\s*(?:data: )?\s*"usage":\s*\{`)
)

// visible is what a client that did not ask for the usage sees of the answer.
func (c record) visible(raw []byte) string {
	if !c.stream() || c.kind != KindChat && c.kind != KindCompletion {
		return string(raw)
	}
	out := ""
	for _, event := range anEvent.FindAllString(string(raw), -1) {
		if !hidden.MatchString(event) {
			out += event
		}
	}
	return out
}

// feed writes the pieces and returns what passed before and after the end.
func feed(t testing.TB, r *Reader, pieces ...[]byte) (passed, rest string) {
	t.Helper()
	defer r.Close()
	var out []byte
	for _, piece := range pieces {
		kept := bytes.Clone(piece)
		pass, err := r.Write(piece)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, pass...)
		if !bytes.Equal(kept, piece) {
			t.Fatal("the piece was changed")
		}
		for i := range piece { // it is valid until the call returns, no longer
			piece[i] = '#'
		}
	}
	last, err := r.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return string(out), string(last)
}

// cut copies raw in pieces that end at the places.
func cut(raw []byte, places ...int) (pieces [][]byte) {
	from := 0
	for _, to := range append(places, len(raw)) {
		pieces = append(pieces, bytes.Clone(raw[from:to]))
		from = to
	}
	return pieces
}

// check feeds the pieces; want is what the client must get.
func (c record) check(t *testing.T, how, want string, asked bool, coding string, pieces [][]byte) {
	t.Helper()
	r := c.reader(asked, coding)
	passed, rest := feed(t, r, pieces...)
	if passed+rest != want {
		t.Fatalf("%s %s: the client gets\n%q\nnot\n%q", c.file, how, passed+rest, want)
	}
	if usage, found := r.Usage(); usage != c.want || found != c.found {
		t.Fatalf("%s %s: usage is %+v %t, not %+v %t", c.file, how, usage, found, c.want, c.found)
	}
	if kept := strings.LastIndex(want, c.end); c.end != "" && len(passed) > kept {
		t.Fatalf("%s %s: %q passed before the end", c.file, how, passed[kept:])
	}
	if c.end == "" && len(rest) > 40 && coding == "" && c.file != "openai_chat_cut.sse" && c.file != "compatible_no_done.sse" {
		t.Fatalf("%s %s: %q was kept back", c.file, how, rest)
	}
}

func TestRecordsAtEverySplit(t *testing.T) {
	for _, c := range records {
		t.Run(c.file, func(t *testing.T) {
			t.Parallel()
			raw := c.raw(t)
			for _, asked := range []bool{false, true} {
				want := c.visible(raw)
				if asked {
					want = string(raw)
				}
				c.check(t, "whole", want, asked, "", cut(raw))
				every := make([]int, len(raw))
				for i := range raw {
					every[i] = i
					c.check(t, "in two", want, asked, "", cut(raw, i))
				}
				c.check(t, "byte by byte", want, asked, "", cut(raw, every...))
				random := rand.New(rand.NewPCG(3, uint64(len(raw))))
				for range 200 {
					a, b := random.IntN(len(raw)), random.IntN(len(raw))
					c.check(t, "in three", want, asked, "", cut(raw, min(a, b), max(a, b)))
				}
			}
		})
	}
}

func TestEventsPassWhenTheyAreWhole(t *testing.T) {
	for _, coding := range []string{"", "gzip"} {
		c := records[0]
		r := c.reader(false, coding)
		defer r.Close()
		var wire bytes.Buffer
		w := gzip.NewWriter(&wire)
		for _, event := range anEvent.FindAllString(string(c.raw(t)), -1) {
			piece := []byte(event)
			if coding != "" {
				w.Write(piece)
				w.Flush()
				piece = bytes.Clone(wire.Bytes())
				wire.Reset()
			}
			want := event
			if hidden.MatchString(event) || strings.Contains(event, "[DONE]") {
				want = ""
			}
			if pass, err := r.Write(piece); err != nil || string(pass) != want {
				t.Errorf("%q: %q passed, %v", event, pass, err)
			}
		}
	}
}

func TestCommentsPassAtOnce(t *testing.T) {
	r := records[0].reader(false, "")
	for _, text := range []string{": ping\n", ":\r", "\n", "\n", ":x\n\n"} {
		if pass, _ := r.Write([]byte(text)); string(pass) != text {
			t.Errorf("of %q passed %q", text, pass)
		}
	}
}

// TestWhatBreaksOff cuts each record everywhere: what is found then must be the
// truth already.
func TestWhatBreaksOff(t *testing.T) {
	for _, c := range records {
		raw := c.raw(t)
		for i := range raw {
			r := c.reader(false, "")
			feed(t, r, bytes.Clone(raw[:i]))
			if usage, found := r.Usage(); found && usage != c.want {
				t.Fatalf("%s cut at %d: found %+v", c.file, i, usage)
			}
		}
	}
}

func TestEstimate(t *testing.T) {
	worst := app.TokenUsage{Input: 5000, Output: 1000}
	for _, row := range []struct {
		file string
		kind Kind
		want app.TokenUsage
	}{
		{"compatible_no_usage.sse", KindChat, worst},
		{"anthropic_error.sse", KindMessage, app.TokenUsage{Input: 25, Output: 1000}}, // the input was said, the output was a placeholder
	} {
		c := record{file: row.file, kind: row.kind}
		r := c.reader(false, "")
		feed(t, r, c.raw(t))
		if got := r.Estimate(worst); got != row.want {
			t.Errorf("%s: %+v, want %+v", c.file, got, row.want)
		}
	}
}

func TestLongEventsPassUnread(t *testing.T) {
	long := strings.Repeat("x", maxEvent)
	for _, end := range []string{"\n", "\r\n", "\r"} {
		text := "data: " + long + long + end + "data: more" + end + end + "data: [DONE]" + end + end
		r := records[0].reader(false, "")
		first := len("data: ") + maxEvent + 1
		if pass, _ := r.Write([]byte(text[:first])); len(pass) != first {
			t.Errorf("%q: %d of %d bytes are held", end, first-len(pass), first)
		}
		passed, rest := feed(t, r, []byte(text[first:]))
		if passed+rest != text[first:] || !strings.HasPrefix(rest, "data: [DONE]") {
			t.Errorf("%q: kept back %.40q", end, rest)
		}
	}
	// the end of a long last event is kept back, so that the client cannot act on it
	text := "event: response.completed\ndata: {\"type\":\"response.completed\",\"x\":\"" + long + "\"}\n\n"
	r := record{kind: KindResponse, file: "x.sse"}.reader(false, "")
	passed, rest := feed(t, r, []byte(text[:1000]), []byte(text[1000:len(text)-1]), []byte("\n"))
	if passed != text[:len(text)-1] || rest != "\n" {
		t.Errorf("passed %d bytes, kept back %.40q", len(passed), rest)
	}
	if _, found := r.Usage(); found {
		t.Error("found what was not read")
	}
}

func TestNothingIsKeptForEver(t *testing.T) {
	for _, row := range []struct{ file, text, more string }{
		{"x.sse", "data: [DONE]\n\n", "data: more\n\n"},
		{"x.json", "{}", "          "},
	} {
		r := record{kind: KindChat, file: row.file}.reader(false, "")
		in, out := len(row.text), 0
		pass, _ := r.Write([]byte(row.text))
		out += len(pass)
		for range 3 * (maxEvent + maxTail) / len(row.more) {
			pass, _ := r.Write([]byte(row.more))
			in, out = in+len(row.more), out+len(pass)
		}
		if in-out > len(row.more) {
			t.Errorf("%s: %d bytes are held", row.file, in-out)
		}
	}
}

func TestOtherAnswers(t *testing.T) {
	for name, row := range map[string]struct {
		kind, contentType, text string
		stream                  bool
		want                    int64 // of Input
	}{
		"an error page":               {"", "text/html", "<html>{\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}</html>", false, 0},
		"a stream without its type":   {"", "", "data: {\"choices\":[{\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\n", true, 3},
		"a stream that calls it JSON": {"", "application/json", "\n: x\n\ndata: {\"choices\":[{\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\n", true, 3},
		"JSON with blanks and a mark": {"", "application/json", "\xef\xbb\xbf \r\n {\"usage\" : {\"prompt_tokens\" : 4,\n\"completion_tokens\":1} , \"x\":[] } ", false, 4},
		"a list":                      {"", "application/json", "[{\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":1}}]", false, 0},
		"usage deeper":                {"", "application/json", "{\"a\":{\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":1}}}", false, 0},
		"usage as a value":            {"", "application/json", "{\"a\":\"usage\",\"b\":{\"prompt_tokens\":4,\"completion_tokens\":1}}", false, 0},
		"usage as a text":             {"", "application/json", "{\"usage\":\"{\",\"b\":{\"prompt_tokens\":4,\"completion_tokens\":1}}", false, 0},
		"negative":                    {"", "application/json", "{\"usage\":{\"prompt_tokens\":-4,\"completion_tokens\":1}}", false, 0},
		"beyond any bound":            {"", "application/json", "{\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":1000000000000}}", false, 0},
		"more cached than read":       {"", "application/json", "{\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":1,\"prompt_tokens_details\":{\"cached_tokens\":9}}}", false, 0},
		"no number":                   {"", "application/json", "{\"usage\":{\"prompt_tokens\":\"4\",\"completion_tokens\":1}}", false, 0},
		"a fraction":                  {"", "application/json", "{\"usage\":{\"prompt_tokens\":4.5,\"completion_tokens\":1}}", false, 0},
		"nested details":              {"", "application/json", "{\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":1,\"completion_tokens_details\":{\"x\":{}}},\"y\":1}", false, 4},
	} {
		r := NewReader(app.EgressOpenAI, Call{Kind: KindChat, Stream: row.stream}, row.contentType, "")
		passed, rest := feed(t, r, []byte(row.text))
		if passed+rest != row.text {
			t.Errorf("%s: the client gets %q", name, passed+rest)
		}
		usage, _ := r.Usage()
		if usage.Input != row.want {
			t.Errorf("%s: %+v", name, usage)
		}
	}
}

// FuzzReader: the client gets what came, whatever it is and however it is cut;
// and neither the usage nor what is hidden depends on the cut.
func FuzzReader(f *testing.F) {
	for _, c := range records {
		f.Add(c.raw(f), uint8(c.kind), uint64(7), false)
	}
	f.Add([]byte("data:\r\n\rdata: [DONE]\n"), uint8(KindChat), uint64(1), true)
	f.Fuzz(func(t *testing.T, raw []byte, kind uint8, seed uint64, asked bool) {
		c := record{kind: KindChat + Kind(kind%5), file: []string{"x.sse", "x.json"}[seed%2]}
		one := c.reader(asked, "")
		passed, rest := feed(t, one, bytes.Clone(raw))
		if (asked || !one.call.Injects()) && passed+rest != string(raw) {
			t.Fatalf("the client gets %q of %q", passed+rest, raw)
		}
		random := rand.New(rand.NewPCG(seed, 1))
		var places []int
		for at := 0; at < len(raw); at += 1 + random.IntN(20) {
			places = append(places, at)
		}
		several := c.reader(asked, "")
		passedToo, restToo := feed(t, several, cut(raw, places...)...)
		usage, found := one.Usage()
		usageToo, foundToo := several.Usage()
		if passedToo+restToo != passed+rest || usage != usageToo || found != foundToo {
			t.Fatalf("in pieces %q and %+v, whole %q and %+v", passedToo+restToo, usageToo, passed+rest, usage)
		}
	})
}

func BenchmarkReader(b *testing.B) {
	c := records[0]
	event := anEvent.FindAll(c.raw(b), -1)[1]
	stream := bytes.Repeat(event, 1000)
	b.SetBytes(int64(len(stream)))
	for b.Loop() {
		r := c.reader(false, "")
		for rest := stream; len(rest) > 0; rest = rest[len(event):] {
			r.Write(rest[:len(event)])
		}
	}
}
