package respond

import (
	"io"
	"log/slog"
	"regexp"
	"strings"
)

// NewLogger returns a logger that writes JSON or slog's text form to w, and
// masks whatever looks like a secret of ours, as the last belt: no call is
// meant to log one.
func NewLogger(w io.Writer, json bool, level slog.Leveler) *slog.Logger {
	return slog.New(newHandler(w, json, level))
}

func newHandler(w io.Writer, json bool, level slog.Leveler) slog.Handler {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: maskAttr}
	if json {
		return slog.NewJSONHandler(w, options)
	}
	return slog.NewTextHandler(w, options)
}

// secretPattern matches API keys (gk_, ga_), sessions (gs_, gc_) and JWTs.
// One-time links (gl_) are not among them: the log is where the first one is shown.
var secretPattern = regexp.MustCompile(
	`g[kasc]_[A-Za-z0-9_-]{16,}|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*`)

// mask is what stands in the place of a secret.
const mask = "[secret]"

func maskAttr(_ []string, attr slog.Attr) slog.Attr {
	switch attr.Value.Kind() {
	case slog.KindString:
		if text := attr.Value.String(); mayHoldSecret(text) {
			attr.Value = slog.StringValue(secretPattern.ReplaceAllString(text, mask))
		}
	case slog.KindAny:
		if err, ok := attr.Value.Any().(error); ok {
			attr.Value = slog.StringValue(secretPattern.ReplaceAllString(err.Error(), mask))
		}
	}
	return attr
}

// mayHoldSecret is a cheap look before the pattern runs.
func mayHoldSecret(text string) bool {
	return len(text) > 18 && (strings.Contains(text, "gk_") || strings.Contains(text, "ga_") ||
		strings.Contains(text, "gs_") || strings.Contains(text, "gc_") || strings.Contains(text, "eyJ"))
}

// tokenLength is the length from which a path segment of mixed letters and
// digits is taken for a token.
const tokenLength = 32

// SafePath returns the path as logs may show it: a segment that looks like a
// secret or a one-time token is masked.
func SafePath(path string) string {
	if len(path) <= tokenLength {
		return path
	}
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		if len(segment) >= tokenLength && looksRandom(segment) {
			segments[i] = mask
		}
	}
	return strings.Join(segments, "/")
}

// looksRandom reports whether the segment mixes upper case, lower case and
// digits as base62 and base64url do. Ids and slugs have no upper case.
func looksRandom(segment string) bool {
	var upper, lower, digit bool
	for _, c := range []byte(segment) {
		switch {
		case c >= 'A' && c <= 'Z':
			upper = true
		case c >= 'a' && c <= 'z':
			lower = true
		case c >= '0' && c <= '9':
			digit = true
		}
	}
	return upper && lower && digit
}
