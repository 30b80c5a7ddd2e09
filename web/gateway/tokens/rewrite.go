package tokens

import (
	"slices"
	"strconv"

	"gatehouse/app"
)

const askForUsage = `"stream_options":{"include_usage":true}`

// Injects reports whether Rewrite asks for usage that the client did not ask
// for, so that the Reader hides what tells it.
func (c Call) Injects() bool {
	return c.API == app.EgressOpenAI && c.Stream && !c.WantsUsage && (c.Kind == KindChat || c.Kind == KindCompletion)
}

// Rewrite returns the body as it goes out: a stream of OpenAI's is asked for
// its usage, and where clampOutput is above 0, the output is bounded by that
// many tokens (of all choices together, at least one each). Everything else
// stays as it is, byte for byte; a body with nothing to change is returned
// itself. The body must be the one that was inspected.
func (c Call) Rewrite(body []byte, clampOutput int64) []byte {
	if !c.Counted() {
		return body
	}
	top, err := object(body)
	if err != nil {
		return body // Inspect has refused it
	}
	e := editor{body: body, top: top}
	if c.Injects() {
		e.askForUsage()
	}
	if clampOutput > 0 && c.Kind != KindEmbedding && (c.Output == OutputUnsaid || c.Output > clampOutput) {
		e.clamp(limitNames(c.Kind), max(1, clampOutput/c.Choices))
	}
	return e.apply()
}

// editor collects changes of a JSON object's text.
type editor struct {
	body    []byte
	top     []member
	changes []change
}

// change puts text in the place of body[from:to].
type change struct {
	from, to int
	text     string
}

func (e *editor) find(name string) (member, bool) {
	for _, m := range e.top {
		if m.name == name {
			return m, true
		}
	}
	return member{}, false
}

func (e *editor) replace(m member, text string) {
	e.changes = append(e.changes, change{m.from, m.to, text})
}

// insert adds a member at the beginning of the object at body[at].
func (e *editor) insert(at int, text string) {
	at++
	if e.body[skipBlank(e.body, at)] != '}' {
		text += ","
	}
	e.changes = append(e.changes, change{at, at, text})
}

// askForUsage sets include_usage and leaves other stream options alone.
func (e *editor) askForUsage() {
	start := skipBlank(e.body, 0)
	options, ok := e.find("stream_options")
	if !ok {
		e.insert(start, askForUsage)
		return
	}
	if e.body[options.from] != '{' { // null
		e.replace(options, `{"include_usage":true}`)
		return
	}
	inserted := false
	_ = eachMember(e.body, options.from, func(m member) error {
		if m.name == "include_usage" {
			e.replace(m, "true")
			inserted = true
		}
		return nil
	})
	if !inserted {
		e.insert(options.from, `"include_usage":true`)
	}
}

// clamp lowers what bounds the output, and sets it where nothing does. Names
// are the members that may, the current one first.
func (e *editor) clamp(names []string, most int64) {
	text, bounded := strconv.FormatInt(most, 10), false
	for _, name := range names {
		m, ok := e.find(name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(string(e.body[m.from:m.to]), 10, 64)
		if err == nil {
			bounded = true
		}
		if err == nil && n > most {
			e.replace(m, text)
		}
	}
	if bounded {
		return
	}
	if m, null := e.find(names[0]); null {
		e.replace(m, text)
		return
	}
	e.insert(skipBlank(e.body, 0), `"`+names[0]+`":`+text)
}

func (e *editor) apply() []byte {
	if len(e.changes) == 0 {
		return e.body
	}
	// Two insertions at the start keep their order, each with its comma; only
	// one into an empty object would lack it, and a call is never empty.
	slices.SortStableFunc(e.changes, func(a, b change) int { return a.from - b.from })
	out, at := make([]byte, 0, len(e.body)+64), 0
	for _, c := range e.changes {
		out = append(append(out, e.body[at:c.from]...), c.text...)
		at = c.to
	}
	return append(out, e.body[at:]...)
}
