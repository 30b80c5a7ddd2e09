package routing

import (
	"bytes"
	"strings"

	"gatehouse/app"
)

// separator stands between segments in a reading, where / may be part of one.
// No reading holds it otherwise: control characters are refused.
const separator = 0

// isPlain reports whether both readings of the path are the path itself: what
// nearly every request has.
func isPlain(path string) bool {
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_':
		case c == '/':
			if i > 0 && path[i-1] == '/' {
				return false
			}
		case c == '.':
			if i+1 == len(path) || path[i+1] == '/' {
				return false
			}
		case c <= ' ' || c == 0x7f || c == '%' || c == ';' || c == '\\' || c == '?' || c == '#' || c >= 'A' && c <= 'Z':
			return false
		}
	}
	return true
}

// readStrictly appends the strict reading of an escaped path to out.
func readStrictly(out []byte, escaped string) ([]byte, error) {
	for i := 0; i < len(escaped); i++ {
		c := escaped[i]
		switch {
		case c == '/':
			c = separator
		case c == '%':
			decoded, ok := unescape(escaped, i)
			if !ok || isControl(decoded) {
				return out, errMalformed()
			}
			c, i = decoded, i+2
		case isControl(c):
			return out, errMalformed()
		}
		out = append(out, c)
	}
	return out, nil
}

// readLoosely appends the loose reading of an escaped path, which is empty or
// begins with /, to out, which is empty. It refuses what no reading may hold.
func readLoosely(out []byte, escaped string) ([]byte, error) {
	for i := 0; i < len(escaped); i++ {
		c := escaped[i]
		if c == '%' {
			decoded, ok := unescape(escaped, i)
			if !ok {
				return out, errMalformed()
			}
			c, i = decoded, i+2
		}
		out = append(out, c)
	}
	out = decodeAgain(out)
	for i, c := range out {
		switch {
		case isControl(c):
			return out, errMalformed()
		case c == '\\':
			out[i] = '/'
		case c >= 'A' && c <= 'Z':
			out[i] = c + 'a' - 'A'
		}
	}
	return tidySegments(out)
}

// decodeAgain decodes in place what is still a percent-encoding.
func decodeAgain(path []byte) []byte {
	out := path[:0]
	for i := 0; i < len(path); i++ {
		c := path[i]
		if decoded, ok := unescape(path, i); c == '%' && ok {
			c, i = decoded, i+2
		}
		out = append(out, c)
	}
	return out
}

// tidySegments rewrites the path in place to separators and tidy segments.
func tidySegments(path []byte) ([]byte, error) {
	out, rest, more := path[:0], path, true
	for more {
		var segment []byte
		segment, rest, more = bytes.Cut(rest, []byte{'/'})
		if i := bytes.IndexAny(segment, ";?#"); i >= 0 {
			segment = segment[:i]
		}
		tidy := bytes.TrimRight(segment, ". ")
		if len(tidy) == 0 && bytes.IndexByte(segment, '.') >= 0 {
			return out, errDots()
		}
		if len(tidy) > 0 { // the path's first / makes room, so this overwrites only what was read
			out = append(append(out, separator), tidy...)
		}
	}
	return out, nil
}

// unescape reads the percent-encoding at i.
func unescape[P string | []byte](path P, i int) (byte, bool) {
	if i+2 >= len(path) {
		return 0, false
	}
	high, okHigh := unhex(path[i+1])
	low, okLow := unhex(path[i+2])
	return high<<4 | low, okHigh && okLow
}

func unhex(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

func isControl(c byte) bool { return c < ' ' || c == 0x7f }

func errMalformed() error {
	return &app.Error{Kind: app.KindInvalid, Code: "path_malformed",
		Message: "The path holds a malformed percent-encoding or a control character.",
		Advice:  "Encode the path as RFC 3986 says."}
}

func errDots() error {
	return &app.Error{Kind: app.KindInvalid, Code: "path_dots",
		Message: "The path holds a segment of dots, such as \"..\".",
		Advice:  "Resolve dot segments before sending the request."}
}

func errAmbiguous() error {
	return &app.Error{Kind: app.KindInvalid, Code: "path_ambiguous",
		Message: "The path can be read in two ways that belong to different routes.",
		Advice:  "Send it without encoded slashes, \";\", \"//\", and in the letters' case that the route has."}
}

// CutPrefix takes a route's prefix, which is decoded, from the front of a path
// as the client escaped it, by whole segments; nothing left is /. A path
// without the prefix stays as it is.
func CutPrefix(escaped, prefix string) (rest string, ok bool) {
	prefix = strings.TrimSuffix(prefix, "/")
	i := 0
	for j := 0; j < len(prefix); j, i = j+1, i+1 {
		if i >= len(escaped) {
			return escaped, false
		}
		c := escaped[i]
		if c == '%' {
			decoded, ok := unescape(escaped, i)
			if !ok || decoded == '/' {
				return escaped, false
			}
			c, i = decoded, i+2
		}
		if c != prefix[j] {
			return escaped, false
		}
	}
	switch rest = escaped[i:]; {
	case rest == "":
		return "/", true
	case rest[0] == '/':
		return rest, true
	}
	return escaped, false
}

// checkPrefix says what is wrong with a prefix that a route names. Prefixes
// are written decoded, and so that both readings cut them alike.
func checkPrefix(prefix string) string {
	switch {
	case !strings.HasPrefix(prefix, "/"):
		return "must begin with /"
	case strings.ContainsAny(prefix, `%;\?#`) || strings.ContainsFunc(prefix, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return `must be written decoded, without % ; \ ? # and control characters`
	}
	tidy := strings.TrimSuffix(prefix, "/")
	loose, err := readLoosely(nil, tidy)
	if err != nil || strings.Count(tidy, "/") != bytes.Count(loose, []byte{separator}) || len(loose) != len(tidy) {
		return "must hold no empty segment, and none that ends with a dot or a space"
	}
	return ""
}

// segments writes a decoded prefix as a reading of it.
func segments(prefix string) string {
	return strings.ReplaceAll(strings.TrimSuffix(prefix, "/"), "/", string(rune(separator)))
}
