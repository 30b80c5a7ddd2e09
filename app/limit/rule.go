package limit

import (
	"math"
	"math/bits"
	"time"

	"gatehouse/app"
)

// The arithmetic is in ticks. A unit of a limit costs a whole number of ticks
// and the clock advances by a whole number of ticks, so nothing drifts. Where
// the window divides by the requests (100 a minute) a tick is a nanosecond.
const (
	// maxFull bounds the ticks of a full cell, so that every amount is exact
	// in the doubles (53 bits) that Redis' Lua counts with.
	maxFull = int64(1) << 52
	// maxElapsed bounds the clock: 73 years after the authority began.
	maxElapsed = int64(1) << 61
)

// rule is the arithmetic of one rate limit, shared by all cells that have it.
type rule struct {
	limit    app.RateLimit
	scope    Scope
	capacity int64  // units at most at once
	unit     int64  // ticks that one unit costs
	full     int64  // ticks of capacity
	scale    uint64 // ticks a nanosecond, in 2⁻⁶⁴; 0 means exactly one
	slack    int64  // 1 when clock readings are rounded down to a tick, else 0
	dryRun   bool
	policy   string // the item of RateLimit-Policy
	name     string // the policy's name as a quoted string
}

// newRule prepares the arithmetic. A limit that breaks RateLimit.Check is read
// as the nearest stricter one that does not.
func newRule(l app.RateLimit, scope Scope) *rule {
	window := max(int64(l.Window), 1)
	requests := min(max(l.Requests, 1), window)
	r := &rule{limit: l, scope: scope, capacity: min(max(l.Capacity(), 1), maxFull), dryRun: l.Mode == app.LimitModeDryRun}
	r.unit = max(min(window/requests, maxFull/r.capacity), 1)
	r.full = r.unit * r.capacity
	if hi, lo := bits.Mul64(uint64(requests), uint64(r.unit)); hi == 0 && lo < uint64(window) {
		r.scale, _ = bits.Div64(lo, 0, uint64(window))
		r.slack = 1
	}
	r.name, r.policy = describe(r)
	return r
}

// ticks turns elapsed nanoseconds into ticks, rounded down.
func (r *rule) ticks(elapsed int64) int64 {
	if r.scale == 0 {
		return elapsed
	}
	hi, _ := bits.Mul64(uint64(elapsed), r.scale)
	return int64(hi)
}

// wait turns ticks into the shortest time in which the clock advances by them.
func (r *rule) wait(ticks int64) time.Duration {
	switch {
	case ticks <= 0:
		return 0
	case r.scale == 0:
		return time.Duration(ticks)
	case uint64(ticks) >= r.scale:
		return math.MaxInt64
	}
	ns, rest := bits.Div64(uint64(ticks), 0, r.scale)
	if rest > 0 {
		ns++
	}
	return time.Duration(min(ns, math.MaxInt64))
}

// advance answers the theoretical arrival time (the tick at which a cell is
// full again) after n units are taken at the tick now, and whether they may be.
//
// A reading of the clock may be a fraction of a tick early, so a full cell
// starts from the next tick: a unit never refills before its time.
func (r *rule) advance(tat, now, n int64) (next int64, ok bool) {
	switch {
	case n > r.capacity:
		return tat, false
	case tat <= now:
		return now + r.slack + n*r.unit, true
	}
	next = tat + n*r.unit
	return next, next <= now+r.full
}

// remaining is how many units may be taken at the tick now.
func (r *rule) remaining(tat, now int64) int64 {
	used := max(tat-now-r.slack, 0)
	return max(r.full-used, 0) / r.unit
}

// retry is how long to wait at the tick now until n units may be taken; zero
// when they may be now, and false when they never can be.
func (r *rule) retry(tat, now, n int64) (time.Duration, bool) {
	if n > r.capacity {
		return 0, false
	}
	if next, ok := r.advance(tat, now, n); !ok {
		return r.wait(next - now - r.full), true
	}
	return 0, true
}
