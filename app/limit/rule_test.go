package limit

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"gatehouse/app"
)

// hand is a clock that tests move by hand.
type hand struct{ at time.Time }

func newHand() *hand                 { return &hand{time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)} }
func (h *hand) Now() time.Time       { return h.at }
func (h *hand) Pass(d time.Duration) { h.at = h.at.Add(d) }
func per(requests int64, window time.Duration, burst int64) app.RateLimit {
	return app.RateLimit{Name: "test", Requests: requests, Window: app.Duration(window), Burst: burst}
}

// bucket is the model: a leaky bucket in exact rational arithmetic. A schedule
// keeps "burst + rate·t over any interval" if and only if it never overflows.
type bucket struct {
	level, burst, rate *big.Rat // rate in units a nanosecond
	last               time.Time
}

func newBucket(l app.RateLimit, now time.Time) *bucket {
	return &bucket{level: new(big.Rat), burst: big.NewRat(l.Capacity(), 1),
		rate: big.NewRat(l.Requests, int64(l.Window)), last: now}
}

// room is how much fits at the time.
func (b *bucket) room(now time.Time) *big.Rat {
	if dt := now.Sub(b.last); dt > 0 {
		b.level.Sub(b.level, new(big.Rat).Mul(b.rate, big.NewRat(int64(dt), 1)))
		if b.level.Sign() < 0 {
			b.level.SetInt64(0)
		}
		b.last = now
	}
	return new(big.Rat).Sub(b.burst, b.level)
}

func (b *bucket) add(n int64) { b.level.Add(b.level, big.NewRat(n, 1)) }

var someLimits = []app.RateLimit{
	per(1, time.Second, 1),
	per(3, time.Second, 0),
	per(7, time.Second, 2),
	per(100, time.Minute, 0),
	per(100, time.Minute, 1),
	per(100, time.Minute, 1000),
	per(10_000, time.Hour, 0),
	per(999_999_937, time.Second, 0),
	per(1_000_000_000, time.Second, 1_000_000_000),
	per(700_000_000, time.Second, 5),
	per(1, 366*24*time.Hour, 1),
	per(1, 366*24*time.Hour, 1_000_000_000),
	per(1_000_000_000, 366*24*time.Hour, 0),
	per(31, 366*24*time.Hour, 7),
}

func TestRandomSchedulesKeepTheLimitExactly(t *testing.T) {
	for _, l := range someLimits {
		random := rand.New(rand.NewPCG(1, uint64(l.Requests)))
		clock := newHand()
		a := NewLocal(clock.Now)
		defer a.Close(t.Context())
		cell, model := a.Cell("o/organization/test", l), newBucket(l, clock.Now())
		taken, refused := 0, 0
		for range 20_000 {
			clock.Pass(gap(random, l))
			n := amount(random, l)
			room := model.room(clock.Now())
			d := a.Take(t.Context(), clock.Now(), n, []*Cell{cell})
			if d.OK {
				taken++
				model.add(n)
				if big.NewRat(n, 1).Cmp(room) > 0 {
					t.Fatalf("%d/%s burst %d: took %d where only %s fit", l.Requests, l.Window, l.Burst, n, room.FloatString(12))
				}
				continue
			}
			refused++
			// Refused though it fits: only within the two ticks of rounding.
			lost := new(big.Rat).Sub(room, big.NewRat(n, 1))
			if lost.Cmp(big.NewRat(3, cell.rule.Load().unit)) > 0 {
				t.Fatalf("%d/%s burst %d: refused %d though %s fit", l.Requests, l.Window, l.Burst, n, room.FloatString(12))
			}
		}
		if taken == 0 || refused == 0 && l.Burst < 1e9 && l.Requests < 1e9 {
			t.Errorf("%d/%s burst %d: %d taken, %d refused: the schedule tests nothing", l.Requests, l.Window, l.Burst, taken, refused)
		}
	}
}

// gap draws a pause around the time that a unit takes, and seldom a long one.
func gap(random *rand.Rand, l app.RateLimit) time.Duration {
	unit := int64(l.Window) / l.Requests
	switch random.IntN(20) {
	case 0:
		return time.Duration(random.Int64N(min(int64(l.Window), int64(24*time.Hour))))
	case 1, 2, 3:
		return 0
	}
	return time.Duration(random.Int64N(min(2*unit, int64(24*time.Hour)) + 2))
}

func amount(random *rand.Rand, l app.RateLimit) int64 {
	if random.IntN(4) == 0 {
		return 1 + random.Int64N(l.Capacity())
	}
	return 1
}

func TestRetryAfterIsTheFirstMomentThatPasses(t *testing.T) {
	for _, l := range someLimits {
		if l.Capacity() > 1e6 {
			continue // no schedule of this length empties it
		}
		clock := newHand()
		a := NewLocal(clock.Now)
		defer a.Close(t.Context())
		cells := []*Cell{a.Cell("o/organization/test", l)}
		a.Take(t.Context(), clock.Now(), l.Capacity(), cells)
		d := a.Take(t.Context(), clock.Now(), 1, cells)
		if d.OK || d.RetryAfter <= 0 || d.Refused != cells[0] {
			t.Fatalf("%d/%s: a used-up cell answered %+v", l.Requests, l.Window, d)
		}
		clock.Pass(d.RetryAfter - 3*time.Duration(int64(l.Window)/l.Requests/cells[0].rule.Load().unit+1))
		if early := a.Take(t.Context(), clock.Now(), 1, cells); early.OK && l.Requests < 1e8 {
			t.Errorf("%d/%s: passed before the wait of %s was over", l.Requests, l.Window, d.RetryAfter)
		}
		clock.at = newHand().at.Add(d.RetryAfter)
		if late := a.Take(t.Context(), clock.Now(), 1, cells); !late.OK {
			t.Errorf("%d/%s: still refused after the wait of %s: %+v", l.Requests, l.Window, d.RetryAfter, late)
		}
	}
}

func TestRuleNeverOverflows(t *testing.T) {
	extremes := append([]app.RateLimit{
		{}, {Requests: math.MaxInt64, Window: math.MaxInt64, Burst: math.MaxInt64},
		{Requests: -1, Window: -1, Burst: -1}, {Requests: math.MaxInt64, Window: 1}, {Requests: 1, Window: math.MaxInt64, Burst: math.MaxInt64},
	}, someLimits...)
	for _, l := range extremes {
		r := newRule(l, ScopeOrg)
		if r.unit < 1 || r.capacity < 1 || r.full < r.capacity {
			t.Fatalf("%+v became %+v", l, r)
		}
		for _, n := range []int64{1, r.capacity, r.capacity + 1, math.MaxInt64} {
			for _, elapsed := range []int64{0, maxElapsed} {
				now := r.ticks(elapsed)
				next, ok := r.advance(0, now, n)
				if ok != (n <= r.capacity) || next < 0 || ok && r.remaining(next, now) != r.capacity-n {
					t.Errorf("%+v: %d units at %d: next %d, %v", l, n, elapsed, next, ok)
				}
			}
		}
	}
}

func TestAuthorityIsRobustAgainstOddInput(t *testing.T) {
	clock := newHand()
	a := NewLocal(clock.Now)
	defer a.Close(t.Context())
	cell := a.Cell("odd", per(10, time.Second, 0))
	for _, n := range []int64{0, -1, math.MinInt64} {
		if d := a.Take(t.Context(), clock.Now(), n, []*Cell{cell}); !d.OK {
			t.Errorf("taking %d units: %+v", n, d)
		}
	}
	if got := cell.State(clock.Now()).Remaining; got != 10 {
		t.Errorf("taking nothing left %d of 10", got)
	}
	if d := a.Take(t.Context(), clock.Now(), math.MaxInt64, []*Cell{cell}); d.OK || !d.TooLarge || d.RetryAfter != 0 {
		t.Errorf("taking everything there is: %+v", d)
	}
	for _, now := range []time.Time{{}, time.Unix(1<<40, 0), clock.Now().Add(-time.Hour)} {
		a.Take(t.Context(), now, 1, []*Cell{cell}) // must not panic or wrap
	}
	if d := a.Take(t.Context(), clock.Now(), 1, nil); !d.OK {
		t.Errorf("no cells: %+v", d)
	}
}
