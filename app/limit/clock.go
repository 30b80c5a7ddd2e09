package limit

import "time"

// clock counts nanoseconds since it began. With times of time.Now it follows
// the monotonic clock, which no correction of the wall clock moves.
type clock struct {
	begun time.Time
	now   func() time.Time
}

func newClock(now func() time.Time) clock {
	if now == nil {
		now = time.Now
	}
	return clock{begun: now(), now: now}
}

// elapsed is the time since the clock began, within 0 and maxElapsed.
func (c *clock) elapsed(now time.Time) int64 {
	return min(max(int64(now.Sub(c.begun)), 0), maxElapsed)
}
