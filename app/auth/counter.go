package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"sync"
	"time"

	"gatehouse/app"
)

// Counter counts hits, shared by all replicas. The client of store/redis is one.
type Counter interface {
	// Incr counts a hit and answers how many there were in the window, which
	// begins with its first hit and is not renewed.
	Incr(ctx context.Context, key string, window time.Duration) (int64, error)
	// Count answers the same without a hit.
	Count(ctx context.Context, key string) (int64, error)
}

// Bound is how many attempts pass in a window, and for how long whoever goes
// beyond is blocked after that (0: until the window ends).
type Bound struct {
	Attempts int64
	Window   time.Duration
	Block    time.Duration
}

// Bounds on sign-in; the package comment tells why.
type Bounds struct {
	Address        Bound // of one address (IPv6: /64), whatever the account
	AccountAddress Bound // of one account from one address
	Account        Bound // of one account from all browsers that never signed in to it
	Device         Bound // of one browser that has, instead of the others
	Reauth         Bound // of one session that proves itself again
}

// DefaultBounds are the shipped ones.
func DefaultBounds() Bounds {
	return Bounds{
		Address:        Bound{5, time.Minute, 5 * time.Minute},
		AccountAddress: Bound{10, time.Hour, 0},
		Account:        Bound{100, time.Hour, 0},
		Device:         Bound{10, 15 * time.Minute, 0},
		Reauth:         Bound{5, 15 * time.Minute, 0},
	}
}

// guard counts attempts.
type guard struct {
	shared Counter
	local  *MemoryCounter // while shared is away
	bounds Bounds
}

// attempt is one count that must not pass its bound.
type attempt struct {
	key   string
	bound Bound
}

// sharedPatience is how long the shared counter may take for one sign-in.
const sharedPatience = time.Second

// pass counts the attempts and refuses when one is beyond its bound.
func (g *guard) pass(ctx context.Context, attempts ...attempt) error {
	if g.shared != nil {
		bounded, cancel := context.WithTimeout(ctx, sharedPatience)
		defer cancel()
		refusal, err := count(bounded, g.shared, attempts)
		if err == nil {
			return refusal
		}
	}
	refusal, _ := count(ctx, g.local, attempts) // memory does not fail
	return refusal
}

// count answers why the attempts may not go on, if so; err says that the
// counter is away.
func count(ctx context.Context, counter Counter, attempts []attempt) (refusal, err error) {
	for _, a := range attempts {
		if a.bound.Block == 0 {
			continue
		}
		if blocked, err := counter.Count(ctx, a.blockKey()); err != nil || blocked > 0 {
			return tooMany(a.bound.Block), err
		}
	}
	for _, a := range attempts {
		n, err := counter.Incr(ctx, a.key, a.bound.Window)
		if err != nil {
			return nil, err
		}
		if n <= a.bound.Attempts {
			continue
		}
		if a.bound.Block == 0 {
			return tooMany(a.bound.Window), nil
		}
		_, err = counter.Incr(ctx, a.blockKey(), a.bound.Block)
		return tooMany(a.bound.Block), err
	}
	return nil, nil
}

func (a attempt) blockKey() string { return a.key + ":blocked" }

func tooMany(after time.Duration) error {
	return &app.Error{Kind: app.KindRateLimited, Code: "sign_in_limited", Message: "Too many attempts to sign in.",
		Advice: "Wait and try again, or make a one-time link on the machine: gatehouse operator link.", RetryAfter: after}
}

// signIn are the counts of an attempt to sign in. device is the id of a
// browser that has signed in to this very account, or empty.
func (b Bounds) signIn(email string, address netip.Addr, device string) []attempt {
	if device != "" {
		return []attempt{{"auth:device:" + device, b.Device}}
	}
	account, from := hashed(email), network(address)
	return []attempt{{"auth:address:" + from, b.Address}, {"auth:pair:" + account + ":" + from, b.AccountAddress}, {"auth:account:" + account, b.Account}}
}

// hashed keeps e-mail addresses, and keys of any length, out of the counter.
func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

// network is what one household or server has: an IPv4 address, an IPv6 /64.
func network(address netip.Addr) string {
	address = address.Unmap()
	if !address.Is6() {
		return address.String()
	}
	prefix, err := address.Prefix(64)
	if err != nil {
		return address.String()
	}
	return prefix.String()
}

// memoryCounts bounds what a MemoryCounter holds, about 10 MiB.
const memoryCounts = 50_000

// MemoryCounter counts in this process alone.
type MemoryCounter struct {
	now    func() time.Time
	mu     sync.Mutex
	counts map[string]memoryCount
}

type memoryCount struct {
	hits int64
	ends time.Time
}

// NewMemoryCounter returns a counter for one process.
func NewMemoryCounter(now func() time.Time) *MemoryCounter {
	return &MemoryCounter{now: now, counts: map[string]memoryCount{}}
}

// Incr implements Counter.
func (m *MemoryCounter) Incr(_ context.Context, key string, window time.Duration) (int64, error) {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	count := m.counts[key]
	if !now.Before(count.ends) {
		count = memoryCount{ends: now.Add(window)}
		m.makeRoom(now)
	}
	count.hits++
	m.counts[key] = count
	return count.hits, nil
}

// makeRoom drops what has ended when the counter is full, and if nothing has,
// whatever comes first: who floods it with keys must not fill the memory.
func (m *MemoryCounter) makeRoom(now time.Time) {
	if len(m.counts) < memoryCounts {
		return
	}
	for key, count := range m.counts {
		if !now.Before(count.ends) {
			delete(m.counts, key)
		}
	}
	for key := range m.counts {
		if len(m.counts) < memoryCounts {
			return
		}
		delete(m.counts, key)
	}
}

// Count implements Counter.
func (m *MemoryCounter) Count(_ context.Context, key string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	count := m.counts[key]
	if !m.now().Before(count.ends) {
		return 0, nil
	}
	return count.hits, nil
}
