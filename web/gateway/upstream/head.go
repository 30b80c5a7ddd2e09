package upstream

import (
	"bytes"
	"net/textproto"
	"strconv"
	"strings"
)

// field is one header field of an answer, its name in canonical form.
type field struct{ name, value string }

// head is the beginning of an HTTP/1.1 answer as the direct path reads it. It
// follows http.ReadResponse (a fuzz test compares them), so that both paths
// agree on what an answer means, and is stricter where leniency is a risk.
type head struct {
	status  int
	fields  []field // without Transfer-Encoding; without Content-Length where it does not count
	length  int64   // Content-Length, -1 when absent or overridden
	chunked bool
	close   bool   // the connection cannot be used again
	upgrade string // Upgrade, for 101
}

// headEnd returns the length of the head at the start of data, up to and with
// the empty line, or 0 while it is incomplete. Bytes before from were looked
// at before and hold no end.
func headEnd(data []byte, from int) int {
	for {
		i := bytes.IndexByte(data[from:], '\n')
		if i < 0 {
			return 0
		}
		from += i + 1
		rest := data[from:]
		if len(rest) > 0 && rest[0] == '\n' {
			return from + 1
		}
		if len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n' {
			return from + 2
		}
	}
}

// parse reads a whole head. The fields share text's memory.
func (h *head) parse(text string) error {
	*h = head{fields: h.fields[:0], length: -1}
	line, rest := cutLine(text)
	modern, err := h.parseStatus(line)
	if err != nil {
		return err
	}
	if h.fields, err = parseFields(rest, h.fields); err != nil {
		return err
	}
	return h.frame(modern)
}

// parseStatus reads "HTTP/1.x 200 OK"; modern is HTTP/1.1 and later.
func (h *head) parseStatus(line string) (modern bool, err error) {
	const prefix = "HTTP/1."
	if len(line) < len(prefix)+2 || line[:len(prefix)] != prefix || line[len(prefix)+1] != ' ' {
		return false, malformed("status line")
	}
	minor := line[len(prefix)]
	code, _, _ := strings.Cut(strings.TrimLeft(line[len(prefix)+2:], " "), " ")
	if minor < '0' || minor > '9' || len(code) != 3 {
		return false, malformed("status line")
	}
	for i := range 3 {
		digit := code[i] - '0'
		if digit > 9 {
			return false, malformed("status code")
		}
		h.status = h.status*10 + int(digit)
	}
	if h.status < 100 {
		return false, malformed("status code")
	}
	return minor > '0', nil
}

// cutLine splits off the first line, without its end.
func cutLine(text string) (line, rest string) {
	line, rest, _ = strings.Cut(text, "\n")
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, rest
}

// parseFields reads header or trailer fields up to the empty line and appends
// them to fields. A folded line (obsolete, but answers have them) is joined
// with one space.
func parseFields(text string, fields []field) ([]field, error) {
	for first := true; ; first = false {
		line, rest := cutLine(text)
		if line == "" {
			return fields, nil
		}
		if first && (line[0] == ' ' || line[0] == '\t') {
			return fields, malformed("folded first header line")
		}
		text = rest
		for text != "" && (text[0] == ' ' || text[0] == '\t') {
			folded, rest := cutLine(text)
			line = trimBlank(line) + " " + trimBlank(folded)
			text = rest
		}
		f, err := parseField(line)
		if err != nil {
			return fields, err
		}
		fields = append(fields, f)
	}
}

func parseField(line string) (field, error) {
	colon := strings.IndexByte(line, ':')
	if colon <= 0 {
		return field{}, malformed("header line without a name")
	}
	name, value := line[:colon], trimBlank(line[colon+1:])
	for i := range len(name) {
		if !isToken[name[i]] {
			return field{}, malformed("header name")
		}
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return field{}, malformed("header value")
		}
	}
	return field{textproto.CanonicalMIMEHeaderKey(name), value}, nil
}

func trimBlank(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// isToken holds the characters of header names (RFC 9110 section 5.6.2).
var isToken = func() (table [256]bool) {
	for c := range table {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		digit := '0' <= c && c <= '9'
		table[c] = letter && c < 0x80 || digit || strings.IndexByte("!#$%&'*+-.^_`|~", byte(c)) >= 0
	}
	return table
}()

// frame decides how the body is delimited (RFC 9112 section 6.3) and drops the
// fields that say so and do not count.
func (h *head) frame(modern bool) error {
	var lengths, codings int
	var connection, coding string
	keepAlive := false
	for _, f := range h.fields {
		switch f.name {
		case "Content-Length":
			n, err := parseLength(f.value)
			if err != nil || (lengths > 0 && n != h.length) {
				return malformed("Content-Length")
			}
			h.length = n
			lengths++
		case "Transfer-Encoding":
			codings, coding = codings+1, f.value
		case "Connection":
			connection = f.value
			h.close = h.close || hasToken(connection, "close")
			keepAlive = keepAlive || hasToken(connection, "keep-alive")
		case "Upgrade":
			h.upgrade = f.value
		}
	}
	if !modern && !keepAlive {
		h.close = true
	}
	if codings > 0 {
		// HTTP/1.0 knows no codings: the body is what comes until the end.
		h.chunked = modern
		if modern && (codings > 1 || !strings.EqualFold(coding, "chunked")) {
			return malformed("Transfer-Encoding")
		}
		h.close = h.close || !modern || lengths > 0 // both lengths: trust nothing that follows
	}
	if codings > 0 || lengths > 1 {
		h.dropFraming(lengths)
	}
	return nil
}

// dropFraming removes Transfer-Encoding, a Content-Length that a chunked body
// overrides, and repetitions of it.
func (h *head) dropFraming(lengths int) {
	kept := h.fields[:0]
	for _, f := range h.fields {
		if f.name == "Content-Length" {
			lengths--
			if h.chunked || lengths > 0 {
				continue
			}
		}
		if f.name != "Transfer-Encoding" {
			kept = append(kept, f)
		}
	}
	h.fields = kept
	if h.chunked {
		h.length = -1
	}
}

// parseLength reads a Content-Length: digits only, no sign, no list.
func parseLength(text string) (int64, error) {
	n, err := strconv.ParseUint(text, 10, 63)
	return int64(n), err
}

// hasToken reports whether a comma-separated list holds the token, in any case.
func hasToken(list, token string) bool {
	if list == "" {
		return false
	}
	if strings.EqualFold(list, token) {
		return true
	}
	for part := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(trimBlank(part), token) {
			return true
		}
	}
	return false
}
