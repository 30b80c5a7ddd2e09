package limit

import (
	"strconv"
	"time"
)

// The fields follow draft-ietf-httpapi-ratelimit-headers-11 (May 2026):
//
//	RateLimit-Policy: "minute";q=100;w=60, "key.burst";q=10;w=1
//	RateLimit: "minute";r=50;t=30
//
// q is the quota per window, w the window in seconds, r what may be taken now,
// t for how many seconds no more than r should be taken. Cells in dry-run are
// not announced, since they bind nobody.

// describe prepares the constant parts of the fields of a rule. A policy is
// named after the limit, with its scope before it where that is not the
// organization, so that names differ.
func describe(r *rule) (name, policy string) {
	label := r.limit.Name
	if r.scope != ScopeOrg && string(r.scope) != label {
		label = string(r.scope) + "." + label
	}
	name = strconv.Quote(label) // a label holds nothing that would be escaped
	buf := append([]byte(name), ";q="...)
	buf = strconv.AppendInt(buf, r.limit.Requests, 10)
	buf = append(buf, ";w="...)
	buf = strconv.AppendInt(buf, Seconds(r.limit.Window.Std()), 10)
	return name, string(buf)
}

// AppendPolicy appends the value of RateLimit-Policy. It changes only with the
// limits, so it may be kept beside the resolved cells. Nothing is appended
// when there is nothing to announce.
func AppendPolicy(buf []byte, cells []*Cell) []byte {
	begin := len(buf)
	for _, c := range cells {
		if r := c.rule.Load(); !r.dryRun {
			buf = append(separate(buf, begin), r.policy...)
		}
	}
	return buf
}

// AppendRateLimit appends the value of RateLimit at the time now. After a
// refusal it holds only the cells that refuse, with t as their wait, because
// Retry-After must not end before t does. Otherwise t is at least the time to
// be full again, and at least the time in which r refills, so that a client
// that spreads r over t keeps the rate.
func AppendRateLimit(buf []byte, now time.Time, cells []*Cell, d *Decision) []byte {
	begin := len(buf)
	if d.Err != nil {
		return buf // nobody decided
	}
	for _, c := range cells {
		elapsed := c.home.clock.elapsed(now)
		tat, r, at := c.look(elapsed)
		if r.dryRun {
			continue
		}
		remaining, window := r.remaining(tat, at), r.wait(max(tat-at-r.slack, r.remaining(tat, at)*r.unit))
		if c.leased != nil {
			remaining = min(remaining+c.leased.held(elapsed), r.capacity)
		}
		if !d.OK {
			wait, possible := r.retry(tat, at, d.Units)
			if possible && wait == 0 && c != d.Refused {
				continue
			}
			window = wait
		}
		buf = append(separate(buf, begin), r.name...)
		buf = append(buf, ";r="...)
		buf = strconv.AppendInt(buf, remaining, 10)
		if d.OK || !d.TooLarge {
			buf = append(buf, ";t="...)
			buf = strconv.AppendInt(buf, Seconds(window), 10)
		}
	}
	return buf
}

func separate(buf []byte, begin int) []byte {
	if len(buf) > begin {
		buf = append(buf, ", "...)
	}
	return buf
}

// Legacy is the X-RateLimit-* family, for the one cell that binds most.
type Legacy struct {
	Limit     int64 // X-RateLimit-Limit: units per window
	Remaining int64 // X-RateLimit-Remaining: units left now
	Reset     int64 // X-RateLimit-Reset: Unix seconds at which the cell is full again
}

// Tightest describes the cell that refused or, without one, the cell that has
// the smallest part of its capacity left. It is false when no cell binds.
func Tightest(now time.Time, cells []*Cell, d *Decision) (Legacy, bool) {
	tight, lowest := d.Refused, 2.0
	for _, c := range cells {
		r := c.rule.Load()
		if d.Refused != nil || r.dryRun {
			continue
		}
		if part := float64(c.State(now).Remaining) / float64(r.capacity); part < lowest {
			tight, lowest = c, part
		}
	}
	if tight == nil {
		return Legacy{}, false
	}
	state := tight.State(now)
	reset := now.Add(state.Reset + time.Second - 1).Unix()
	return Legacy{Limit: tight.Limit().Requests, Remaining: state.Remaining, Reset: reset}, true
}
