// Package tokens reads calls of language models and their answers: what a call
// may take at most, and what it took. It knows the OpenAI API (and what is
// compatible with it) and the Anthropic API, does no I/O, and keeps nothing.
//
// A call is inspected before it goes out, rewritten where the answer would not
// tell its usage otherwise, and its answer is fed through a Reader, which finds
// the usage and says which bytes the client may have already.
package tokens

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"

	"gatehouse/app"
)

// Kind is what a call asks for.
type Kind uint8

// Kinds of call.
const (
	KindFree       Kind = iota // takes no tokens, as far as it is known: models listed, answers looked up
	KindUnknown                // may take what nobody here can count: batches, images, audio, realtime
	KindChat                   // OpenAI chat completions
	KindCompletion             // OpenAI legacy completions
	KindEmbedding              // OpenAI embeddings
	KindResponse               // OpenAI responses
	KindMessage                // Anthropic messages
)

// OutputUnsaid is a Call's Output where the call sets no bound.
const OutputUnsaid = -1

// Call is what is known of a call before it is answered.
type Call struct {
	API        app.EgressAPI
	Kind       Kind
	Model      string // as the call names it
	Stream     bool
	WantsUsage bool // the client asked for the chunk with the usage of a stream itself

	// Output bounds the tokens that are written, of all choices together;
	// OutputUnsaid where the call does not, and the model's own bound counts
	// for each of Choices.
	Output  int64
	Choices int64

	// Input bounds the tokens that are read, see weigh. Where Context is true
	// the call also names content that is not in it (a former response, a
	// file), so only the model's context is a bound. Rounds is how often the
	// model may read it: more than once where the vendor runs tools itself.
	Input   int64
	Context bool
	Rounds  int64

	// What else has a price of its own, see app.TokenUsage. Tier and Region are
	// what the call asks for, of the standard and any (app.AnyTier) where it
	// leaves that to the vendor. Long says that some of it may be cached for
	// longer than the vendor's shortest time.
	Tier, Region string
	Long         bool
	Searches     int64
	Other        bool
}

// Counted reports whether the call's answer tells what it took.
func (c Call) Counted() bool { return c.Kind >= KindChat }

// Worst is the most that the call may take of a model which reads maxInput and
// writes maxOutput tokens at most; 0 is not known, and then known is false
// where only that would be a bound. All input is in Input, though some may turn
// out as cached.
func (c Call) Worst(maxInput, maxOutput int64) (worst app.TokenUsage, known bool) {
	if !c.Counted() {
		return worst, c.Kind == KindFree
	}
	input, output := c.Input, c.Output
	if c.Kind == KindCompletion {
		maxInput *= c.Choices // each of several prompts may fill it
	}
	if maxInput > 0 && c.Kind != KindEmbedding && (c.Context || input > maxInput) {
		input = maxInput // the vendor refuses what is more
	}
	if output == OutputUnsaid {
		output = maxOutput * c.Choices
	}
	known = !(c.Context && maxInput <= 0) && !(c.Output == OutputUnsaid && maxOutput <= 0)
	worst = app.TokenUsage{Input: min(input*c.Rounds, app.MaxTokens), Output: min(output, app.MaxTokens),
		Tier: c.Tier, Region: c.Region, Searches: c.Searches, Other: c.Other}
	if c.Long {
		worst.CacheWriteLong = worst.Input
	}
	return worst, known
}

// Inspect reads a call: path is that of the API, escaped or not, body is all of
// the request's. Bodies that cannot be read for certain (no JSON, a name twice,
// a number that is none) are refused with the code call_malformed, because what
// is not understood here might be at the vendor's.
func Inspect(api app.EgressAPI, path string, body []byte) (Call, error) {
	call := Call{API: api, Choices: 1, Rounds: 1, Output: OutputUnsaid}
	if api == app.EgressHTTP {
		return call, nil
	}
	place := segments(path)
	call.Kind = kindOf(api, place, len(body) > 0)
	if !call.Counted() {
		return call, nil
	}
	if err := call.read(body); err != nil {
		return Call{}, &app.Error{Kind: app.KindInvalid, Code: "call_malformed",
			Message: "The body of the call cannot be read: " + err.Error() + ".",
			Advice:  "Send a JSON object as the API describes it, uncompressed.", Err: err}
	}
	if call.Model == "" {
		call.Model = deployment(place)
	}
	return call, nil
}

// segments are the path's, decoded, without empty ones.
func segments(path string) []string {
	path, _, _ = strings.Cut(path, "?")
	if decoded, err := url.PathUnescape(path); err == nil {
		path = decoded
	}
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// kindOf tells the kind by the end of the path, because vendors put different
// things before it.
func kindOf(api app.EgressAPI, place []string, hasBody bool) Kind {
	end := func(names ...string) bool {
		if len(place) < len(names) {
			return false
		}
		for i, name := range names {
			if place[len(place)-len(names)+i] != name {
				return false
			}
		}
		return true
	}
	openai, anthropic := api == app.EgressOpenAI, api == app.EgressAnthropic
	switch {
	case end("realtime"):
		return KindUnknown // a WebSocket: it has no body, and costs
	case !hasBody:
		return KindFree
	case openai && end("chat", "completions"):
		return KindChat
	case openai && end("completions"):
		return KindCompletion
	case openai && end("embeddings"):
		return KindEmbedding
	case openai && end("responses"):
		return KindResponse
	case anthropic && end("messages"):
		return KindMessage
	case openai && (end("moderations") || end("responses", "input_tokens")), anthropic && end("messages", "count_tokens"):
		return KindFree
	}
	return KindUnknown
}

// deployment is the model that Azure has in its path.
func deployment(place []string) string {
	for i, name := range place {
		if name == "deployments" && i+1 < len(place) {
			return place[i+1]
		}
	}
	return ""
}

// read takes in what the body says.
func (c *Call) read(body []byte) error {
	if !json.Valid(body) {
		return errors.New("it is not valid JSON")
	}
	top, err := object(body)
	if err != nil {
		return err
	}
	f := fields{body: body, top: top}
	f.refuseOtherCase()
	c.Model = f.text("model")
	c.Stream = f.flag("stream")
	c.WantsUsage = f.wantsUsage()
	c.readOutput(&f)
	c.readTier(&f)
	if f.err == nil {
		c.weigh(top, body, &f)
	}
	return f.err
}

// readOutput finds what bounds the output.
func (c *Call) readOutput(f *fields) {
	limit := int64(OutputUnsaid)
	for _, name := range limitNames(c.Kind) {
		if n, given := f.number(name); given {
			limit = max(limit, n)
		}
	}
	switch c.Kind {
	case KindEmbedding:
		limit = 0
	case KindChat:
		c.Choices = f.count("n")
	case KindCompletion:
		if limit == OutputUnsaid {
			limit = 16 // the API's own default
		}
		c.Choices = max(f.count("n"), f.count("best_of")) * f.prompts()
	}
	if c.Output = limit; limit > 0 {
		c.Output = min(limit, app.MaxTokens) * c.Choices
	}
}

// limitNames are the members that bound the output of one choice, the current
// name first.
func limitNames(kind Kind) []string {
	switch kind {
	case KindChat:
		return []string{"max_completion_tokens", "max_tokens"}
	case KindResponse:
		return []string{"max_output_tokens"}
	case KindMessage, KindCompletion:
		return []string{"max_tokens"}
	}
	return nil
}
