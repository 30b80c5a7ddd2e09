package limit

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"gatehouse/app"
)

// Defaults of the limiter of addresses, from the product's promise.
const (
	DefaultAddressRequests = 100             // a minute that did not authenticate
	DefaultAddressBlock    = 5 * time.Minute // an address stays blocked for 300 s
	DefaultAddresses       = 100_000         // addresses remembered, about 5 MB
)

// AddressOptions configure the limiter of addresses.
type AddressOptions struct {
	Limit  app.RateLimit  // default: 100 a minute, named "address"
	Block  time.Duration  // how long a refused address stays blocked; default 300 s
	Exempt []netip.Prefix // addresses never counted, such as an operator's office
	Most   int            // addresses remembered; default 100,000
	Now    func() time.Time
}

// Addresses limits what an address may try before it is known who it is. It
// charges requests that did not authenticate; an address that goes over its
// limit is blocked for a while. IPv6 addresses count by their /64, which is
// what one subscriber has.
//
// Memory is bounded: under a flood of addresses those that used least are
// forgotten first, and blocked ones last. It is kept per process: replicas
// behind a load balancer each allow the limit.
type Addresses struct {
	rule   *rule
	block  int64 // nanoseconds
	exempt []netip.Prefix
	most   int // of one shard
	clock  clock
	seed   maphash.Seed
	shards [shards]addressShard
}

type addressShard struct {
	mu    sync.Mutex
	known map[network]standing
}

// network is an IPv4 address or an IPv6 /64.
type network struct {
	bits uint64
	four bool
}

// standing is what is known of a network.
type standing struct {
	tat     int64 // ticks, as in a Cell
	blocked int64 // elapsed time until which it is blocked; 0 when it never was
}

// NewAddresses begins with no address known.
func NewAddresses(o AddressOptions) *Addresses {
	if o.Limit.Requests == 0 {
		o.Limit = app.RateLimit{Name: "address", Requests: DefaultAddressRequests, Window: app.Duration(time.Minute)}
	}
	if o.Block <= 0 {
		o.Block = DefaultAddressBlock
	}
	if o.Most <= 0 {
		o.Most = DefaultAddresses
	}
	a := &Addresses{rule: newRule(o.Limit, ScopeAddress), block: int64(o.Block), exempt: o.Exempt,
		most: max(o.Most/shards, 1), clock: newClock(o.Now), seed: maphash.MakeSeed()}
	for i := range a.shards {
		a.shards[i].known = map[network]standing{}
	}
	return a
}

// networkOf answers what an address counts as.
func networkOf(addr netip.Addr) network {
	raw := addr.As16()
	var n network
	from := raw[:8]
	if addr = addr.Unmap(); addr.Is4() {
		n.four, from = true, raw[12:]
	}
	for _, b := range from {
		n.bits = n.bits<<8 | uint64(b)
	}
	return n
}

// exempted reports whether an address is never counted. An address that is
// not valid is: nothing can be told of it.
func (a *Addresses) exempted(addr netip.Addr) bool {
	if !addr.IsValid() {
		return true
	}
	addr = addr.Unmap().WithZone("")
	for _, prefix := range a.exempt {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

func (a *Addresses) shard(n network) *addressShard {
	return &a.shards[maphash.Comparable(a.seed, n)%shards]
}

// Blocked reports whether the address is blocked, and until when. Ask it
// before anything else; it allocates nothing.
func (a *Addresses) Blocked(now time.Time, addr netip.Addr) (until time.Time, blocked bool) {
	if a.exempted(addr) {
		return time.Time{}, false
	}
	n := networkOf(addr)
	s := a.shard(n)
	s.mu.Lock()
	ends := s.known[n].blocked
	s.mu.Unlock()
	left := ends - a.clock.elapsed(now)
	if left <= 0 {
		return time.Time{}, false
	}
	return now.Add(time.Duration(left)), true
}

// Charge counts n units against the address: for a request that did not
// authenticate, or was anonymous. When the limit does not allow them the
// address is blocked from now on, and the decision is a refusal.
func (a *Addresses) Charge(now time.Time, addr netip.Addr, n int64) AddressDecision {
	d := AddressDecision{OK: true, Limit: a.rule.limit, Remaining: a.rule.capacity}
	if a.exempted(addr) {
		return d
	}
	elapsed, at := a.clock.elapsed(now), a.rule.ticks(a.clock.elapsed(now))
	network := networkOf(addr)
	s := a.shard(network)
	s.mu.Lock()
	defer s.mu.Unlock()
	known, found := s.known[network]
	if known.blocked <= elapsed {
		known.blocked = 0
		if next, ok := a.rule.advance(known.tat, at, max(n, 0)); ok {
			known.tat = next
		} else {
			known.blocked = elapsed + a.block
		}
	}
	if !found && len(s.known) >= a.most {
		s.evict(elapsed, at)
	}
	s.known[network] = known
	d.Remaining, d.Reset = a.rule.remaining(known.tat, at), a.rule.wait(known.tat-at)
	if known.blocked > 0 {
		d.OK, d.RetryAfter, d.Reset = false, time.Duration(known.blocked-elapsed), time.Duration(known.blocked-elapsed)
	}
	return d
}

// evictSample is how many addresses are looked at to find the one to forget.
const evictSample = 8

// evict forgets one address: of a few, the one that says least.
func (s *addressShard) evict(elapsed, at int64) {
	var least network
	lowest, seen := standing{}, 0
	for n, known := range s.known {
		if seen == 0 || known.less(lowest, elapsed) {
			least, lowest = n, known
		}
		if seen++; seen >= evictSample || lowest.idle(elapsed, at) {
			break
		}
	}
	delete(s.known, least)
}

// idle reports that a standing says nothing: a new one would do.
func (k standing) idle(elapsed, at int64) bool { return k.tat <= at && k.blocked <= elapsed }

// less reports whether k says less than other: what is blocked says most.
func (k standing) less(other standing, elapsed int64) bool {
	if one, two := max(k.blocked-elapsed, 0), max(other.blocked-elapsed, 0); one != two {
		return one < two
	}
	return k.tat < other.tat
}

// Known is how many addresses are remembered.
func (a *Addresses) Known() (n int) {
	for i := range a.shards {
		a.shards[i].mu.Lock()
		n += len(a.shards[i].known)
		a.shards[i].mu.Unlock()
	}
	return n
}
