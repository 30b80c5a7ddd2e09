package app

import "fmt"

// LimitMode says whether a rate limit refuses or only reports.
type LimitMode string

// FailMode says what a rate limit does while its shared authority (Redis) is away.
type FailMode string

// Modes of a rate limit.
const (
	LimitModeEnforce LimitMode = "enforce"
	LimitModeDryRun  LimitMode = "dry_run" // counts and reports what it would refuse

	FailOpen   FailMode = "open"   // let requests pass, counted and visible
	FailClosed FailMode = "closed" // refuse with 503
)

// RateLimit allows Requests units per Window, refilled evenly (GCRA), with at
// most Burst at once. A request takes its route's weight in units.
type RateLimit struct {
	Name     string    `json:"name"` // unique beside its neighbours, a-z 0-9 - _
	Requests int64     `json:"requests"`
	Window   Duration  `json:"window"`
	Burst    int64     `json:"burst,omitempty"`   // default: Requests
	Mode     LimitMode `json:"mode,omitempty"`    // default: enforce
	OnLoss   FailMode  `json:"on_loss,omitempty"` // default: the installation's
}

// MaxRateLimits bounds how many rate limits one plan, key or route may carry.
const MaxRateLimits = 8

// Capacity returns the burst in units.
func (l RateLimit) Capacity() int64 {
	if l.Burst > 0 {
		return l.Burst
	}
	return l.Requests
}

// Check returns what is wrong with the limit, field by field below path.
func (l RateLimit) Check(path string) []FieldError {
	var wrong []FieldError
	add := func(field, format string, args ...any) {
		wrong = append(wrong, FieldError{path + "." + field, fmt.Sprintf(format, args...)})
	}
	if !ValidLabel(l.Name) {
		add("name", "must be 1–40 of a-z 0-9 - _")
	}
	if l.Requests < 1 || l.Requests > 1e9 {
		add("requests", "must be between 1 and 1,000,000,000")
	}
	if w := l.Window.Std().Seconds(); w < 1 || w > 366*86400 {
		add("window", "must be between 1s and 366d")
	}
	if l.Burst < 0 || l.Burst > 1e9 {
		add("burst", "must be between 1 and 1,000,000,000, or left out")
	}
	if l.Mode != "" && l.Mode != LimitModeEnforce && l.Mode != LimitModeDryRun {
		add("mode", "must be enforce or dry_run")
	}
	if l.OnLoss != "" && l.OnLoss != FailOpen && l.OnLoss != FailClosed {
		add("on_loss", "must be open or closed")
	}
	return wrong
}

// CheckRateLimits checks a list of limits and that their names differ.
func CheckRateLimits(path string, limits []RateLimit) []FieldError {
	var wrong []FieldError
	if len(limits) > MaxRateLimits {
		wrong = append(wrong, FieldError{path, fmt.Sprintf("must hold at most %d limits", MaxRateLimits)})
	}
	seen := map[string]bool{}
	for i, l := range limits {
		at := fmt.Sprintf("%s[%d]", path, i)
		wrong = append(wrong, l.Check(at)...)
		if seen[l.Name] {
			wrong = append(wrong, FieldError{at + ".name", "is used twice"})
		}
		seen[l.Name] = true
	}
	return wrong
}

// ValidLabel reports whether the text can name a limit, route, upstream or
// meter: 1–40 of a-z 0-9 - _.
func ValidLabel(text string) bool {
	if len(text) == 0 || len(text) > 40 {
		return false
	}
	for _, c := range []byte(text) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
