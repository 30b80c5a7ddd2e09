package limit

import (
	"context"
	_ "embed"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/app"
)

//go:embed slots.lua
var slotsScript string

const (
	slotsLife = 10 * time.Second // after which the slots of a dead replica are free
	slotsBeat = 2 * time.Second  // how often slots in hand are renewed
)

// SharedSlots are slots over all replicas. A replica holds as many as it uses
// and, where the cap is large, a few in reserve (a sixteenth, for all replicas); Redis knows how many each
// holds. The sum is never over the cap. The slots of a replica that died are
// free when their lease ends.
//
// What runs already is never stopped: a replica that was cut off from Redis
// for longer than its lease comes back with what it still runs.
type SharedSlots struct {
	pools
	options SharedOptions
	clock   clock
	loss    loss
	stop    context.CancelFunc
	done    sync.WaitGroup

	mu     sync.Mutex
	active map[*Pool]bool // pools with slots in hand
}

// sharedPool is the part of a pool that Redis knows of.
type sharedPool struct {
	home    *SharedSlots
	held    atomic.Int64 // slots in hand
	expires atomic.Int64 // elapsed time until which they are
	waiting atomic.Int64 // who waits for more
	reserve atomic.Int64 // slots to keep although unused

	mu     sync.Mutex
	number int64 // of the last call
	cap    int64
	quiet  bool // not used since the last beat
}

// NewSharedSlots begins with no slot in hand. OnLoss says what happens while
// Redis is away: open caps each replica by itself, closed refuses.
func NewSharedSlots(ctx context.Context, o SharedOptions) *SharedSlots {
	o.defaults()
	s := &SharedSlots{options: o, clock: newClock(o.Now), active: map[*Pool]bool{}}
	s.loss = loss{what: "caps on what runs at once", now: o.Now, log: o.Log}
	s.pools.shared = s
	s.begin()
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.done.Go(func() { every(running, slotsBeat, s.renew) })
	return s
}

// Degraded is since when Redis is away; zero while all is well.
func (s *SharedSlots) Degraded() time.Time { return s.loss.Since() }

// acquire takes a slot in hand, or asks Redis for more.
func (h *sharedPool) acquire(ctx context.Context, p *Pool, most int64) bool {
	if h.enter(p, most) {
		return true
	}
	h.waiting.Add(1)
	defer h.waiting.Add(-1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.enter(p, most) { // who waited before has brought some
		return true
	}
	if h.home.loss.Lost() || ctx.Err() != nil {
		return h.alone(ctx, p, most)
	}
	h.cap, h.quiet = most, false
	if err := h.set(p, p.used.Load()+h.waiting.Load(), true); err != nil {
		return h.alone(ctx, p, most)
	}
	return h.enter(p, most)
}

// enter takes a slot in hand. The slots in hand are looked at again after
// taking one, because trim may have given them away between.
func (h *sharedPool) enter(p *Pool, most int64) bool {
	held := h.inHand()
	if held == 0 || !p.enter(min(held, most)) {
		return false
	}
	if p.used.Load() > h.held.Load() {
		p.used.Add(-1)
		return false
	}
	return true
}

// inHand is how many slots Redis lets this replica use now.
func (h *sharedPool) inHand() int64 {
	held := h.held.Load()
	if held == 0 || h.home.clock.elapsed(h.home.clock.now()) >= h.expires.Load() {
		return 0
	}
	return held
}

// alone decides without Redis.
func (h *sharedPool) alone(ctx context.Context, p *Pool, most int64) bool {
	if ctx.Err() != nil || h.home.options.OnLoss == app.FailClosed {
		h.home.loss.refused.Add(1)
		return false
	}
	h.home.loss.passed.Add(1)
	return p.enter(most)
}

// released gives slots back that are beyond use and reserve. It does not wait.
func (h *sharedPool) released(p *Pool, left int64) {
	if h.held.Load() > left+h.reserve.Load() && h.waiting.Load() == 0 {
		go h.trim(p)
	}
}

// trim gives back the slots beyond use and reserve.
func (h *sharedPool) trim(p *Pool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	keep := p.used.Load() + h.reserve.Load()
	if h.held.Load() <= keep || h.home.loss.Lost() {
		return
	}
	h.held.Store(keep) // first here, then in Redis: no slot is used twice
	if used := p.used.Load(); used > keep {
		keep = used
		h.held.Store(keep)
	}
	_ = h.set(p, keep, false) // when it fails Redis knows of more than we use, until the next beat
}

// set tells Redis how many slots are needed, and learns how many there are. It
// is called with the lock held.
func (h *sharedPool) set(p *Pool, need int64, reserve bool) error {
	keys, args := h.arguments(p, need, reserve)
	return h.home.run([]*Pool{p}, [][]string{keys}, [][]any{args})
}

// run sets the slots of several pools in one round trip. Their locks are held.
func (s *SharedSlots) run(list []*Pool, keys [][]string, args [][]any) error {
	sent := s.clock.elapsed(s.clock.now())
	ctx, cancel := context.WithTimeout(context.Background(), s.options.Timeout)
	defer cancel()
	answers, err := s.options.Scripts.RunScript(ctx, slotsScript, keys, args)
	if err != nil {
		s.loss.down(err)
		return err
	}
	for i, p := range list {
		p.shared.learn(p, sent, answers[i][0], answers[i][1])
	}
	return nil
}

func (h *sharedPool) arguments(p *Pool, need int64, reserve bool) ([]string, []any) {
	h.number++
	o := &h.home.options
	return []string{o.Prefix + "slots:" + slotted(p.key)}, []any{o.Replica, h.number, p.used.Load(), need, reserve, h.cap, slotsLife.Milliseconds()}
}

// learn notes how many slots there are now.
func (h *sharedPool) learn(p *Pool, sent, held, reserve int64) {
	if held < 0 {
		return // a later call knows better
	}
	h.reserve.Store(reserve)
	h.held.Store(held)
	h.expires.Store(sent + int64(slotsLife))
	h.home.mu.Lock()
	defer h.home.mu.Unlock()
	if held > 0 {
		h.home.active[p] = true
	} else {
		delete(h.home.active, p)
	}
}

// renew keeps the slots in hand, gives back those that were not used since the
// last time, and finds out whether Redis is back.
func (s *SharedSlots) renew() {
	s.mu.Lock()
	active := slices.Collect(maps.Keys(s.active))
	s.mu.Unlock()
	if len(active) == 0 && s.loss.Lost() {
		s.probe()
		return
	}
	for some := range slices.Chunk(active, maxBatch) {
		if s.renewSome(some) != nil {
			return
		}
	}
	s.loss.up()
}

// renewSome renews in one round trip. Nothing else locks more than one pool,
// so holding many locks is safe.
func (s *SharedSlots) renewSome(list []*Pool) error {
	keys, args := make([][]string, len(list)), make([][]any, len(list))
	for i, p := range list {
		p.shared.mu.Lock()
		defer p.shared.mu.Unlock()
		keys[i], args[i] = p.shared.arguments(p, p.shared.keep(p), false)
	}
	return s.run(list, keys, args)
}

// probe asks Redis for anything.
func (s *SharedSlots) probe() {
	ctx, cancel := context.WithTimeout(context.Background(), s.options.Timeout)
	defer cancel()
	if _, err := s.options.Scripts.RunScript(ctx, "return {1}", [][]string{{}}, [][]any{{}}); err == nil {
		s.loss.up()
	}
}

// keep is how many slots to renew: none of a pool that is at rest.
func (h *sharedPool) keep(p *Pool) int64 {
	if h.quiet && p.used.Load() == 0 {
		h.reserve.Store(0)
		h.held.Store(0)
	}
	h.quiet = true
	return max(h.held.Load(), p.used.Load())
}

// Close gives back all slots. What still runs is no longer counted.
func (s *SharedSlots) Close(ctx context.Context) error {
	s.stop()
	s.done.Wait()
	s.mu.Lock()
	active := slices.Collect(maps.Keys(s.active))
	s.mu.Unlock()
	for _, p := range active {
		if err := p.shared.leave(p); err != nil || ctx.Err() != nil {
			return err
		}
	}
	return nil
}

func (h *sharedPool) leave(p *Pool) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held.Store(0)
	h.cap = 0
	return h.set(p, 0, false)
}
