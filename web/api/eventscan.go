package api

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// encoding/json looks at each byte of a batch four times, and takes half of
// what an event costs. So a body is proved to be JSON once, and then read by
// what follows, which knows nothing of JSON but what valid JSON may hold. What
// is not plain (escapes, names in other cases, values of other types) it leaves
// to encoding/json: both say the same of each event.

// scanEvents reads an array of events from valid JSON.
func scanEvents(body []byte) (list []readEvent, err error) {
	const usual = 128 // bytes of an event
	list = make([]readEvent, 0, min(maxEvents, len(body)/usual+1))
	var before plainEvent
	for in := skipBlank(skipBlank(body)[1:]); in[0] != ']'; {
		if len(list) == maxEvents {
			return nil, errManyEvents()
		}
		var raw []byte
		raw, in = cutValue(in)
		list = append(list, scanEvent(raw, &before))
		before = list[len(list)-1].plainEvent
		if in = skipBlank(in); in[0] == ',' {
			in = skipBlank(in[1:])
		}
	}
	return list, nil
}

// scanEvent reads one event; one that is none has a reason.
func scanEvent(raw []byte, before *plainEvent) (e readEvent) {
	if len(raw) > maxEventLength || !scanPlain(raw, &e.plainEvent, before) {
		return readOne(raw)
	}
	return e
}

// scanPlain reads an event in its usual form; false: it has another one. Texts
// that the event before has as well are the same in memory.
func scanPlain(raw []byte, e, before *plainEvent) bool {
	if raw[0] != '{' {
		return false
	}
	for in := skipBlank(raw[1:]); in[0] != '}'; {
		var name, value []byte
		name, in = cutValue(in)
		value, in = cutValue(skipBlank(skipBlank(in)[1:])) // behind the colon
		if !e.set(name, value, before) {
			return false
		}
		if in = skipBlank(in); in[0] == ',' {
			in = skipBlank(in[1:])
		}
	}
	return true
}

// set takes in an attribute; false: it is not a usual one.
func (e *plainEvent) set(name, value []byte, before *plainEvent) bool {
	switch string(name) {
	case `"data"`:
		e.Data = json.RawMessage(value)
		return true
	case `"id"`:
		return plainText(value, &e.ID, "")
	case `"type"`:
		return plainText(value, &e.Type, before.Type)
	case `"source"`:
		return plainText(value, &e.Source, before.Source)
	case `"subject"`:
		return plainText(value, &e.Subject, before.Subject)
	case `"org"`:
		return plainText(value, &e.Org, before.Org)
	case `"time"`:
		return plainText(value, &e.Time, before.Time)
	case `"key"`:
		return plainText(value, &e.Key, before.Key)
	case `"specversion"`:
		return plainText(value, &e.SpecVersion, before.SpecVersion)
	}
	return false
}

// plainText reads a text without escapes.
func plainText(value []byte, to *string, before string) bool {
	if value[0] != '"' || bytes.IndexByte(value, '\\') >= 0 || !utf8.Valid(value) {
		return false
	}
	if text := value[1 : len(value)-1]; string(text) == before {
		*to = before
	} else {
		*to = string(text)
	}
	return true
}

// skipBlank skips what JSON allows between values.
func skipBlank(in []byte) []byte {
	for len(in) > 0 && (in[0] == ' ' || in[0] == '\n' || in[0] == '\t' || in[0] == '\r') {
		in = in[1:]
	}
	return in
}

// cutValue cuts the value off that valid JSON begins with.
func cutValue(in []byte) (value, rest []byte) {
	depth := 0
	for i := 0; i < len(in); i++ {
		switch in[i] {
		case '"':
			i += textEnd(in[i+1:])
		case '{', '[':
			depth++
			continue
		case '}', ']':
			if depth--; depth < 0 { // of what holds the value
				return in[:i], in[i:]
			}
		case ',', ' ', '\n', '\t', '\r', ':':
			if depth == 0 { // behind a number or a word
				return in[:i], in[i:]
			}
			continue
		default:
			continue
		}
		if depth == 0 {
			return in[:i+1], in[i+1:]
		}
	}
	return in, nil
}

// textEnd is how many bytes a text takes that begins behind its first quote,
// with its last one.
func textEnd(in []byte) int {
	for i := 0; i < len(in); i++ {
		switch in[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(in)
}
