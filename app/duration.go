package app

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a time.Duration that reads and writes as text in files and in
// JSON: "90s", "1m", "1h", "30d".
type Duration time.Duration

// Std returns the standard type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String writes the largest whole unit first: "1h", "1m30s", "30d".
func (d Duration) String() string {
	const day = 24 * time.Hour
	std := time.Duration(d)
	if std >= day && std%day == 0 {
		return strconv.FormatInt(int64(std/day), 10) + "d"
	}
	text := std.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// ParseDuration reads what String writes, and everything time.ParseDuration reads.
func ParseDuration(text string) (Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseInt(days, 10, 32)
		if err == nil && n >= 0 && n <= 36500 {
			return Duration(time.Duration(n) * 24 * time.Hour), nil
		}
	}
	std, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration such as \"90s\", \"1m\", \"1h\" or \"30d\"", text)
	}
	return Duration(std), nil
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}
