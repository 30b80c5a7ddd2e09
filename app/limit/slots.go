package limit

import (
	"context"
	"hash/maphash"
	"runtime"
	"sync"
	"sync/atomic"
	"weak"
)

// Slots caps what runs at once: requests in flight or WebSockets of an
// organization, of an address, or of the whole gate. Slots of a key are
// resolved once, like cells, and held while something may run.
type Slots interface {
	// Pool answers the slots of a key, created if need be.
	Pool(key string) *Pool
}

// Pool is the slots of one key. It is safe for concurrent use.
type Pool struct {
	used   atomic.Int64
	key    string
	shared *sharedPool // nil for slots of this process alone
}

// Acquire takes a slot if fewer than most are taken; most below 1 is no cap,
// and the slot is counted only. Whoever gets true calls Release once. It
// asks Redis only under SharedSlots, and then seldom where the cap is large.
func (p *Pool) Acquire(ctx context.Context, most int64) bool {
	if p.shared != nil && most > 0 {
		return p.shared.acquire(ctx, p, most)
	}
	return p.enter(most)
}

// enter counts one more within this process, if fewer than most are counted.
func (p *Pool) enter(most int64) bool {
	for {
		used := p.used.Load()
		if most > 0 && used >= most {
			return false
		}
		if p.used.CompareAndSwap(used, used+1) {
			return true
		}
	}
}

// Release frees a slot that Acquire took.
func (p *Pool) Release() {
	if left := p.used.Add(-1); p.shared != nil {
		p.shared.released(p, left)
	}
}

// Used is how many slots this process has taken.
func (p *Pool) Used() int64 { return p.used.Load() }

// pools finds pools by key. It holds them weakly: a pool with something running
// is held by who will release it, and any other is as good as a new one.
type pools struct {
	seed   maphash.Seed
	shards [shards]poolShard
	shared *SharedSlots
}

type poolShard struct {
	mu    sync.Mutex
	pools map[string]weak.Pointer[Pool]
}

func (s *pools) begin() {
	s.seed = maphash.MakeSeed()
	for i := range s.shards {
		s.shards[i].pools = map[string]weak.Pointer[Pool]{}
	}
}

// Pool implements Slots.
func (s *pools) Pool(key string) *Pool {
	shard := &s.shards[maphash.String(s.seed, key)%shards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if p := shard.pools[key].Value(); p != nil {
		return p
	}
	p := &Pool{key: key}
	if s.shared != nil {
		p.shared = &sharedPool{home: s.shared}
	}
	shard.pools[key] = weak.Make(p)
	runtime.AddCleanup(p, shard.forget, key)
	return p
}

// forget drops the entry of a pool that is gone, if no new one took its place.
func (s *poolShard) forget(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, known := s.pools[key]; known && p.Value() == nil {
		delete(s.pools, key)
	}
}

// LocalSlots are the slots of one process. They serve an installation of one
// replica, and what is capped per process: WebSockets of an address, and all
// WebSockets.
type LocalSlots struct{ pools }

// NewLocalSlots begins with all slots free.
func NewLocalSlots() *LocalSlots {
	s := &LocalSlots{}
	s.begin()
	return s
}

var _, _ Slots = (*LocalSlots)(nil), (*SharedSlots)(nil)
