package limit

import (
	"sync"
	"sync/atomic"
	"time"
)

// How leases are sized. Both grow with the time that Redis takes to answer.
const (
	leaseLife    = 25 * time.Millisecond // how long leased units may be spent
	leaseHorizon = 5 * time.Millisecond  // a lease covers this much of the recent demand
	maxLease     = 1 << 20               // units in one lease at most
	maxDenial    = time.Second           // how long a refusal holds without asking again, at most
)

// lease is units of one cell that Redis has counted as used, and that this
// replica may spend until the lease expires.
type lease struct {
	units   atomic.Int64
	size    int64
	expires int64 // elapsed time of this process
	granted int64 // Redis' clock, microseconds
}

// low reports whether it is time to fetch the next lease.
func (l *lease) low() bool { return l.units.Load() < l.size/4 }

// denial is a refusal that holds without asking again.
type denial struct {
	until int64 // elapsed time when the units will have refilled
	again int64 // elapsed time from which to ask again: others may give units back
	units int64 // this many and more are refused
}

// leased is what a replica holds of a cell of the shared authority.
type leased struct {
	current  atomic.Pointer[lease]
	next     atomic.Pointer[lease]  // fetched while current still lasts
	denied   atomic.Pointer[denial] // what Redis refused last
	fetching atomic.Bool            // a next lease has been asked for

	mu        sync.Mutex
	demand    float64 // units a nanosecond, recently
	asked     int64   // elapsed time of the last call
	received  int64   // units to spend after the last call
	unspent   int64   // units to give back
	unspentAt int64   // since when Redis has counted them, its clock, microseconds
}

// spend takes n units from the lease in hand. It answers the lease, to which
// the units may be returned, or nil.
func (h *leased) spend(elapsed, n int64) *lease {
	l := h.current.Load()
	for l != nil {
		left := l.units.Load()
		if left < n || elapsed >= l.expires {
			l = h.turn(elapsed, n, l)
			continue
		}
		if l.units.CompareAndSwap(left, left-n) {
			return l
		}
	}
	return nil
}

// turn puts the next lease in the place of one that cannot serve; nil when
// there is none that can.
func (h *leased) turn(elapsed, n int64, from *lease) *lease {
	if h.next.Load() == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if now := h.current.Load(); now != from {
		return now // someone else has turned
	}
	next := h.next.Load()
	if next == nil || next.units.Load() < n || elapsed >= next.expires {
		return nil
	}
	h.next.Store(nil)
	h.current.Store(next)
	h.retire(from)
	return next
}

// receive takes a new lease in hand, or keeps it for when the one in hand ends.
func (h *leased) receive(elapsed int64, l *lease) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.received += l.size
	now := h.current.Load()
	if now != nil && now.units.Load() > 0 && elapsed < now.expires {
		h.retire(h.next.Swap(l))
		return
	}
	h.current.Store(l)
	h.retire(now)
}

// retire ends a lease: what is left in it is to be given back. It is called
// with the lock held.
func (h *leased) retire(l *lease) {
	if l == nil {
		return
	}
	if left := l.units.Swap(0); left > 0 {
		h.received -= left
		h.keep(left, l.granted)
	}
}

// keep notes units to give back, granted at Redis' time. The oldest grant of
// them counts for all: less is given back, never too much. It is called with
// the lock held.
func (h *leased) keep(n, granted int64) {
	if h.unspent == 0 || granted < h.unspentAt {
		h.unspentAt = granted
	}
	h.unspent += n
}

// wanted answers how many units to lease in a call at the elapsed time: as
// many as were spent lately in the horizon.
func (h *leased) wanted(elapsed, horizon int64) int64 {
	left := h.held(elapsed)
	h.mu.Lock()
	defer h.mu.Unlock()
	past := max(elapsed-h.asked, 1)
	recent := float64(max(h.received-left, 0)) / float64(past)
	if past > 10*horizon { // long ago: only what is recent counts
		h.demand = recent
	}
	h.demand = (h.demand + recent) / 2
	h.asked, h.received = elapsed, left
	return min(int64(h.demand*float64(horizon)), maxLease)
}

// spent notes units that requests took straight from Redis.
func (h *leased) spent(n int64) {
	h.mu.Lock()
	h.received += n
	h.mu.Unlock()
}

// yield retires the leases that cannot serve n units, so that what is left in
// them counts for the call that is about to ask for so many.
func (h *leased) yield(n int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, at := range []*atomic.Pointer[lease]{&h.current, &h.next} {
		if l := at.Load(); l != nil && l.units.Load() < n {
			at.Store(nil)
			h.retire(l)
		}
	}
}

// takeBack answers the units to give back in this call, and since when Redis
// has counted them; they are no longer held.
func (h *leased) takeBack() (n, since int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n, since = h.unspent, h.unspentAt
	h.unspent = 0
	return n, since
}

// expire retires the leases that are over (or all) and reports whether there
// is something to give back.
func (h *leased) expire(elapsed int64, all bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, at := range []*atomic.Pointer[lease]{&h.current, &h.next} {
		if l := at.Load(); l != nil && (all || elapsed >= l.expires) {
			at.Store(nil)
			h.retire(l)
		}
	}
	return h.unspent > 0
}

// idle reports whether nothing is held.
func (h *leased) idle() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.current.Load() == nil && h.next.Load() == nil && h.unspent == 0
}

// held is how many units may be spent now without asking Redis.
func (h *leased) held(elapsed int64) (n int64) {
	if l := h.current.Load(); l != nil && elapsed < l.expires {
		n = l.units.Load()
	}
	if l := h.next.Load(); l != nil && elapsed < l.expires {
		n += l.units.Load()
	}
	return n
}

// refuses answers how long n units are refused yet, from memory. A lease that
// came while another call was refused serves first.
func (h *leased) refuses(elapsed, n int64) time.Duration {
	d := h.denied.Load()
	if d == nil || n < d.units || elapsed >= d.again || h.held(elapsed) >= n {
		return 0
	}
	return time.Duration(d.until - elapsed)
}

// drop forgets everything: the limit has changed, and units of the old one
// are not units of the new.
func (h *leased) drop() {
	h.expire(0, true)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unspent, h.demand = 0, 0
	h.denied.Store(nil)
}
