package limit

import (
	"hash/maphash"
	"sync"
	"weak"

	"gatehouse/app"
)

// shards divide the registry, so that resolving cells does not queue at one lock.
const shards = 64

// maxRules is how many different rules are remembered before the memory of
// them is begun anew (cells keep theirs).
const maxRules = 10_000

// registry finds cells by key. It holds a cell strongly only while the cell
// says something: units are in use. A full cell is as good as a new one, so it
// is held weakly: a caller who has it keeps it, and otherwise it goes. Memory
// is therefore bounded by the cells in use and the cells held by callers.
type registry struct {
	clock  clock
	idle   func(c *Cell, elapsed int64) bool // the cell says nothing; a new one would do
	leases bool                              // cells hold units leased from Redis
	seed   maphash.Seed
	shards [shards]shard

	mu    sync.Mutex
	rules map[ruleKey]*rule
}

type shard struct {
	mu    sync.Mutex
	cells map[string]entry
}

// entry is one cell; strong is nil while the cell is parked.
type entry struct {
	strong *Cell
	weak   weak.Pointer[Cell]
}

type ruleKey struct {
	limit app.RateLimit
	scope Scope
}

func (g *registry) begin(c clock, idle func(*Cell, int64) bool) {
	g.clock, g.idle, g.seed = c, idle, maphash.MakeSeed()
	g.rules = map[ruleKey]*rule{}
	for i := range g.shards {
		g.shards[i].cells = map[string]entry{}
	}
}

func (g *registry) shard(key string) *shard {
	return &g.shards[maphash.String(g.seed, key)%shards]
}

// rule answers the one rule of a limit.
func (g *registry) rule(l app.RateLimit, scope Scope) *rule {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := ruleKey{l, scope}
	r := g.rules[key]
	if r == nil {
		if len(g.rules) >= maxRules {
			clear(g.rules)
		}
		r = newRule(l, scope)
		g.rules[key] = r
	}
	return r
}

// Cell answers the cell of the key, new or known, with the limit as it is now.
// The text of the key before the first slash is its owner (see OrgCell).
func (g *registry) Cell(key string, l app.RateLimit) *Cell { return g.find(key, l, (*Cell).reshape) }

// Peek answers the cell of the key as Cell does, and leaves a known one's limit
// as it is.
func (g *registry) Peek(key string, l app.RateLimit) *Cell {
	return g.find(key, l, func(*Cell, *rule) {})
}

// find answers the cell of the key; changed is what happens to a known one
// that has another limit.
func (g *registry) find(key string, l app.RateLimit, changed func(*Cell, *rule)) *Cell {
	r := g.rule(l, scopeOf(key))
	s := g.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.cells[key].cell()
	if c == nil {
		c = &Cell{home: g, key: key}
		c.rule.Store(r)
		c.parked.Store(true)
		if g.leases {
			c.leased = &leased{}
		}
		s.cells[key] = entry{weak: weak.Make(c)}
	} else if c.rule.Load().limit != l {
		changed(c, r)
	}
	return c
}

func (e entry) cell() *Cell {
	if e.strong != nil {
		return e.strong
	}
	return e.weak.Value()
}

// unpark holds a cell strongly, since it says something from now on.
func (g *registry) unpark(c *Cell) {
	s := g.shard(c.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.parked.Load() {
		e := s.cells[c.key]
		e.strong = c
		s.cells[c.key] = e
		c.parked.Store(false)
	}
}

// sweep parks the cells that say nothing and forgets those that nobody holds.
func (g *registry) sweep() {
	for i := range g.shards {
		s := &g.shards[i]
		s.mu.Lock()
		for key, e := range s.cells {
			switch {
			case e.strong != nil && g.park(e.strong):
				s.cells[key] = entry{weak: e.weak}
			case e.strong == nil && e.weak.Value() == nil:
				delete(s.cells, key)
			}
		}
		s.mu.Unlock()
	}
}

// park marks an idle cell as held weakly. A taker sets its units before it
// looks at the mark, and here the mark is set before the last look at the
// units: one of the two sees the other.
func (g *registry) park(c *Cell) bool {
	now := g.clock.elapsed(g.clock.now())
	if !g.idle(c, now) {
		return false
	}
	c.parked.Store(true)
	if g.idle(c, now) {
		return true
	}
	c.parked.Store(false)
	return false
}

// each calls fn with every cell that says something.
func (g *registry) each(fn func(*Cell)) {
	for i := range g.shards {
		for _, c := range g.shards[i].strong() {
			fn(c)
		}
	}
}

func (s *shard) strong() []*Cell {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*Cell, 0, len(s.cells))
	for _, e := range s.cells {
		if e.strong != nil {
			list = append(list, e.strong)
		}
	}
	return list
}

// count is how many cells are known, parked ones included.
func (g *registry) count() (n int) {
	for i := range g.shards {
		g.shards[i].mu.Lock()
		n += len(g.shards[i].cells)
		g.shards[i].mu.Unlock()
	}
	return n
}
