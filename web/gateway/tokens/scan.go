package tokens

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The scanner reads JSON that is known to be valid and leaves values where they
// stand, so that a body can be edited without touching the rest of it.

// member is one of an object: where its value stands in the text.
type member struct {
	name     string
	from, to int
}

// object lists the members of the object that the text is. A name that is
// there twice is an error: readers differ in which one they take.
func object(text []byte) ([]member, error) {
	at := skipBlank(text, 0)
	if at >= len(text) || text[at] != '{' {
		return nil, errors.New("it is not a JSON object")
	}
	var list []member
	seen := map[string]bool{}
	err := eachMember(text, at, func(m member) error {
		if seen[m.name] {
			return fmt.Errorf("%q is there twice", m.name)
		}
		seen[m.name] = true
		list = append(list, m)
		return nil
	})
	return list, err
}

// eachMember calls f for each member of the object at text[at].
func eachMember(text []byte, at int, f func(member) error) error {
	at = skipBlank(text, at+1)
	for text[at] != '}' {
		if text[at] == ',' {
			at = skipBlank(text, at+1)
		}
		end := skipValue(text, at)
		name := unquote(text[at:end])
		at = skipBlank(text, end)
		at = skipBlank(text, at+1) // the colon
		end = skipValue(text, at)
		if err := f(member{name, at, end}); err != nil {
			return err
		}
		at = skipBlank(text, end)
	}
	return nil
}

// eachElement calls f for each element of the array at text[at].
func eachElement(text []byte, at int, f func(from, to int)) {
	at = skipBlank(text, at+1)
	for text[at] != ']' {
		if text[at] == ',' {
			at = skipBlank(text, at+1)
		}
		end := skipValue(text, at)
		f(at, end)
		at = skipBlank(text, end)
	}
}

func skipBlank(text []byte, at int) int {
	for at < len(text) && (text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t') {
		at++
	}
	return at
}

// skipValue returns the end of the value that begins at text[at].
func skipValue(text []byte, at int) int {
	switch text[at] {
	case '"':
		return skipString(text, at)
	case '{', '[':
		return skipNested(text, at)
	}
	for at < len(text) {
		switch text[at] {
		case ',', '}', ']', ' ', '\n', '\r', '\t':
			return at
		}
		at++
	}
	return at
}

func skipString(text []byte, at int) int {
	for at++; text[at] != '"'; at++ {
		if text[at] == '\\' {
			at++
		}
	}
	return at + 1
}

func skipNested(text []byte, at int) int {
	for depth := 0; ; at++ {
		switch text[at] {
		case '"':
			at = skipString(text, at) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return at + 1
			}
		}
	}
}

// unquote decodes a JSON string; what is none is "".
func unquote(raw []byte) (text string) {
	if len(raw) < 2 || raw[0] != '"' || json.Unmarshal(raw, &text) != nil {
		return ""
	}
	return text
}

// fields reads members of a body's top object; err is the first that cannot be
// read.
type fields struct {
	body []byte
	top  []member
	err  error
}

// refuseOtherCase refuses the names that bound what a call takes in another case
// of letters: there are servers that read them alike.
func (f *fields) refuseOtherCase() {
	known := [...]string{"model", "stream", "n", "best_of", "max_tokens", "max_completion_tokens", "max_output_tokens",
		"service_tier", "speed", "inference_geo"}
	for _, m := range f.top {
		for _, name := range known {
			if m.name != name && strings.EqualFold(m.name, name) {
				f.fail(m.name, "written as "+name)
			}
		}
	}
}

// raw is the value of a member, nil where it is absent or null.
func (f *fields) raw(name string) []byte {
	for _, m := range f.top {
		if m.name == name {
			if raw := f.body[m.from:m.to]; string(raw) != "null" {
				return raw
			}
		}
	}
	return nil
}

func (f *fields) fail(name, want string) {
	if f.err == nil {
		f.err = fmt.Errorf("%q must be %s", name, want)
	}
}

func (f *fields) text(name string) string {
	raw := f.raw(name)
	if raw != nil && raw[0] != '"' {
		f.fail(name, "a text")
	}
	return unquote(raw)
}

func (f *fields) flag(name string) bool {
	switch raw := string(f.raw(name)); raw {
	case "", "false":
		return false
	case "true":
		return true
	}
	f.fail(name, "true or false")
	return false
}

// number is a member that counts something.
func (f *fields) number(name string) (n int64, given bool) {
	raw := f.raw(name)
	if raw == nil {
		return 0, false
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || n < 0 {
		f.fail(name, "a whole number of at least 0")
		return 0, false
	}
	return n, true
}

// count is a number from 1 to 1,000, by default 1.
func (f *fields) count(name string) int64 {
	const most = 1000 // vendors allow 128 at most
	n, given := f.number(name)
	if !given {
		return 1
	}
	if n < 1 || n > most {
		f.fail(name, "between 1 and 1000")
		return 1
	}
	return n
}

// prompts is how many there are in a legacy completion: a list of texts or of
// lists of tokens holds several, a list of tokens is one.
func (f *fields) prompts() int64 {
	raw := f.raw("prompt")
	if raw == nil || raw[0] != '[' {
		return 1
	}
	var n int64
	eachElement(raw, 0, func(from, _ int) {
		if raw[from] == '"' || raw[from] == '[' {
			n++
		}
	})
	return max(n, 1)
}

// wantsUsage reports whether stream_options asks for the chunk with the usage.
func (f *fields) wantsUsage() (wants bool) {
	raw := f.raw("stream_options")
	if raw == nil {
		return false
	}
	options, err := object(raw)
	if err != nil {
		f.fail("stream_options", "an object")
		return false
	}
	inner := fields{body: raw, top: options}
	wants = inner.flag("include_usage")
	if inner.err != nil && f.err == nil {
		f.err = inner.err
	}
	return wants
}
