package limit

import (
	"fmt"
	"strconv"
	"time"

	"gatehouse/app"
)

// AddressDecision is the answer of the limiter of addresses.
type AddressDecision struct {
	OK         bool
	RetryAfter time.Duration // how long the address is blocked yet; zero with OK
	Remaining  int64         // units left
	Reset      time.Duration // until all units are there again
	Limit      app.RateLimit
}

// Problem is the refusal as an error for the client; nil when the decision is OK.
func (d *AddressDecision) Problem(now time.Time) *app.Error {
	if d.OK {
		return nil
	}
	return blockedAddress(d.Limit, d.RetryAfter, now)
}

// Problem is the refusal of an address that Blocked found blocked until then.
func (a *Addresses) Problem(now, until time.Time) *app.Error {
	return blockedAddress(a.rule.limit, until.Sub(now), now)
}

func blockedAddress(l app.RateLimit, wait time.Duration, now time.Time) *app.Error {
	return &app.Error{Kind: app.KindRateLimited, Code: "address_blocked", RetryAfter: wait,
		Limit: &app.LimitDetail{Name: l.Name, Scope: string(ScopeAddress), Limit: l.Requests,
			WindowSec: int64(l.Window.Std() / time.Second), ResetsAt: now.Add(wait).UTC()},
		Message: "Your address sent too many requests that did not authenticate.",
		Advice:  fmt.Sprintf("Check your credential, and wait %d s before the next request.", Seconds(wait))}
}

// AppendPolicy appends the address limit's value of RateLimit-Policy.
func (a *Addresses) AppendPolicy(buf []byte) []byte { return append(buf, a.rule.policy...) }

// AppendRateLimit appends the address limit's value of RateLimit.
func (a *Addresses) AppendRateLimit(buf []byte, d *AddressDecision) []byte {
	buf = append(buf, a.rule.name...)
	buf = append(buf, ";r="...)
	remaining := d.Remaining
	if !d.OK {
		remaining = 0
	}
	buf = strconv.AppendInt(buf, remaining, 10)
	buf = append(buf, ";t="...)
	return strconv.AppendInt(buf, Seconds(d.Reset), 10)
}
