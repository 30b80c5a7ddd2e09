package limit

import (
	"math"
	"runtime"
	"sync/atomic"
	"time"

	"gatehouse/app"
)

// frozen stands in a cell while its rule is exchanged, for some nanoseconds.
const frozen = math.MaxInt64

// Cell is the state of one limit of one owner: one number, the theoretical
// arrival time, at which the cell is full again. It is safe for concurrent
// use. A cell stays valid for as long as it is held; when its limit changes
// (Authority.Cell with another one), all holders see the change at once.
type Cell struct {
	tat    atomic.Int64 // ticks since the registry's clock began
	rule   atomic.Pointer[rule]
	parked atomic.Bool // the registry holds the cell only weakly
	would  atomic.Int64
	home   *registry
	key    string
	saved  int64   // tat as last exported; belongs to the exporter
	leased *leased // units taken from Redis in advance; nil under Local
}

// Key is what the cell was asked for by.
func (c *Cell) Key() string { return c.key }

// Limit is the limit that holds now.
func (c *Cell) Limit() app.RateLimit { return c.rule.Load().limit }

// Scope says whose limit it is.
func (c *Cell) Scope() Scope { return c.rule.Load().scope }

// WouldRefuse counts the requests that this cell in dry-run let pass and would
// have refused.
func (c *Cell) WouldRefuse() int64 { return c.would.Load() }

// State is how a cell stands at a time.
type State struct {
	Remaining int64         // units that may be taken now
	Reset     time.Duration // until the cell is full again
}

// State tells how the cell stands. Under Shared it is what Redis said last,
// refilled since, with what this replica holds in advance.
func (c *Cell) State(now time.Time) State {
	tat, r, at := c.look(c.home.clock.elapsed(now))
	state := State{Remaining: r.remaining(tat, at), Reset: r.wait(tat - at - r.slack)}
	if c.leased != nil {
		state.Remaining = min(state.Remaining+c.leased.held(c.home.clock.elapsed(now)), r.capacity)
	}
	return state
}

// look reads the cell with its rule, and the elapsed time in the rule's ticks.
func (c *Cell) look(elapsed int64) (tat int64, r *rule, at int64) {
	tat = c.load()
	r = c.rule.Load()
	return tat, r, r.ticks(elapsed)
}

// load reads the arrival time. The rule must be read after it: exchanging the
// rule always changes the arrival time, so a mixture never survives the
// compare-and-swap that follows.
func (c *Cell) load() int64 {
	tat := c.tat.Load()
	for tat == frozen {
		runtime.Gosched()
		tat = c.tat.Load()
	}
	return tat
}

// fits reports whether n units may be taken, without taking them.
func (c *Cell) fits(elapsed, n int64) bool {
	tat, r, at := c.look(elapsed)
	_, ok := r.advance(tat, at, n)
	return ok
}

// take takes n units, or nothing.
func (c *Cell) take(elapsed, n int64) bool {
	for {
		tat, r, at := c.look(elapsed)
		next, ok := r.advance(tat, at, n)
		if !ok {
			return false
		}
		if c.tat.CompareAndSwap(tat, next) {
			if c.parked.Load() {
				c.home.unpark(c)
			}
			return true
		}
	}
}

// giveBack returns n units that were taken at the time taken, and not used.
// What has refilled since is not returned: it may have gone to someone else.
func (c *Cell) giveBack(taken, n int64) {
	for {
		now := c.home.clock.elapsed(c.home.clock.now())
		tat, r, at := c.look(now)
		back := n*r.unit - max(at-r.ticks(taken), 0) - r.slack
		if back <= 0 || c.tat.CompareAndSwap(tat, tat-back) {
			return
		}
	}
}

// reshape exchanges the rule. Units in use stay in use, as far as the new
// capacity goes.
func (c *Cell) reshape(to *rule) {
	var tat int64
	for {
		if tat = c.load(); c.tat.CompareAndSwap(tat, frozen) {
			break
		}
	}
	from := c.rule.Load()
	next := tat
	if from.unit != to.unit || from.full != to.full || from.scale != to.scale {
		elapsed := c.home.clock.elapsed(c.home.clock.now())
		used := min(from.capacity-from.remaining(tat, from.ticks(elapsed)), to.capacity)
		next = to.ticks(elapsed) + used*to.unit
		if c.leased != nil {
			c.leased.drop()
		}
	}
	if next == tat {
		next++
	}
	c.rule.Store(to)
	c.tat.Store(next)
}
