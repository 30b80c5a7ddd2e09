package api

import (
	"bytes"
	"unicode/utf8"

	"gatehouse/app"
)

// checkText refuses JSON whose texts a database cannot hold, or that would
// come back as others: bytes that are no UTF-8, and the character NUL.
func checkText(body []byte) error {
	if !utf8.Valid(body) {
		return app.Invalid("body", "must be UTF-8 text")
	}
	for rest := body; ; {
		i := bytes.IndexByte(rest, '\\')
		if i < 0 || i+1 >= len(rest) {
			return nil
		}
		if bytes.HasPrefix(rest[i+1:], []byte("u0000")) {
			return app.Invalid("body", "must not hold the character NUL (\\u0000)")
		}
		rest = rest[i+2:] // with what is escaped, which may be a backslash
	}
}

// goodText reports whether a parameter can be looked for.
func goodText(text string) bool {
	return utf8.ValidString(text) && !bytes.ContainsRune([]byte(text), 0)
}
