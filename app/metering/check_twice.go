package metering

import (
	"context"
	"slices"
	"time"

	"gatehouse/app"
)

const (
	// idsAtOnce bounds each of the two sets that twice keeps: 32 MiB each.
	idsAtOnce = 1 << 22
	// twiceLife is after how long an event that comes again may be counted
	// again, and a day, because chains are read side by side only roughly.
	twiceLife = app.EventLife + 24*time.Hour

	maxSuspects    = 1 << 17
	suspectsAtOnce = 1 << 15
)

// twice finds events that are counted more than once within app.EventLife. It
// keeps 64 bits of each event's name in a set, and begins another set when the
// last one is older than that. Where a set grows too large, half of the names
// are left for another look at the events, and so on: so it reads the events
// more often, and needs no more memory.
type twice struct {
	*digester
	most       int // names in a set
	part       namePart
	todo       []namePart
	young, old nameSet
	since      int64 // when young began, Unix milliseconds
	suspects   map[uint64]struct{}
	more       int64 // suspects beyond
}

// namePart is names that begin with the same bits.
type namePart struct {
	value uint64
	bits  int
}

func (p namePart) holds(name uint64) bool { return p.bits == 0 || name>>(64-p.bits) == p.value }

func newTwice(slots int) *twice {
	return &twice{digester: newDigester(), most: slots / 4 * 3, suspects: map[uint64]struct{}{}}
}

func (t *twice) name(e *Event) uint64 {
	return max(1, t.row(0, string(e.Org), e.Source, e.ID)) // 0 is an empty place in a set
}

// block takes in the events of a block. A nil twice does not look.
func (t *twice) block(b *Block) {
	if t == nil {
		return
	}
	for i := range b.Events {
		name := t.name(&b.Events[i])
		switch {
		case !t.part.holds(name):
		case t.old.has(name) || !t.young.add(name):
			t.suspect(name)
		case t.young.n >= t.most:
			t.split()
		}
	}
}

func (t *twice) suspect(name uint64) {
	if len(t.suspects) >= maxSuspects {
		t.more++
		return
	}
	t.suspects[name] = struct{}{}
}

// split leaves half of the names for later.
func (t *twice) split() {
	t.part.bits++
	t.part.value <<= 1
	t.todo = append(t.todo, namePart{t.part.value | 1, t.part.bits})
	t.young, t.old = t.young.only(t.part), t.old.only(t.part)
}

// low says that no event before the time comes any more.
func (t *twice) low(ms int64) {
	if t.since == 0 {
		t.since = ms
	}
	if ms-t.since > twiceLife.Milliseconds() {
		t.old, t.young, t.since = t.young, nameSet{}, ms
	}
}

// again begins another look, at names that were left.
func (t *twice) again(p namePart) {
	t.part, t.young, t.old, t.since = p, nameSet{}, nameSet{}, 0
}

// nameSet is a set of numbers other than 0, in open addresses.
type nameSet struct {
	places []uint64
	n      int
}

func (s *nameSet) at(name uint64) int {
	mask := uint64(len(s.places) - 1)
	for i := name & mask; ; i = (i + 1) & mask {
		if s.places[i] == 0 || s.places[i] == name {
			return int(i)
		}
	}
}

func (s *nameSet) has(name uint64) bool { return s.n > 0 && s.places[s.at(name)] == name }

// add adds a name; false: it was there.
func (s *nameSet) add(name uint64) bool {
	if s.n >= len(s.places)/4*3 {
		*s = s.copied(max(1024, 2*len(s.places)), namePart{})
	}
	i := s.at(name)
	if s.places[i] == name {
		return false
	}
	s.places[i] = name
	s.n++
	return true
}

func (s *nameSet) copied(places int, p namePart) nameSet {
	larger := nameSet{places: make([]uint64, places)}
	for _, name := range s.places {
		if name != 0 && p.holds(name) {
			larger.places[larger.at(name)] = name
			larger.n++
		}
	}
	return larger
}

func (s *nameSet) only(p namePart) nameSet {
	if s.n == 0 {
		return nameSet{}
	}
	return s.copied(len(s.places), p)
}

// findTwice looks at the events again, as often as there are names left, and
// then exactly at those that seem to come twice.
func (c *reading) findTwice(ctx context.Context) error {
	t := c.twice
	for t != nil && len(t.todo) > 0 {
		t.again(t.todo[len(t.todo)-1])
		t.todo = t.todo[:len(t.todo)-1]
		if err := c.events(ctx, t.block); err != nil {
			return err
		}
	}
	if t == nil || len(t.suspects) == 0 {
		return nil
	}
	t.again(namePart{}) // frees the sets
	names := make([]uint64, 0, len(t.suspects))
	for name := range t.suspects {
		names = append(names, name)
	}
	for some := range slices.Chunk(names, suspectsAtOnce) {
		if err := c.lookExactly(ctx, some); err != nil {
			return err
		}
	}
	c.proof.Unlooked = t.more
	return nil
}

// events passes every block of the chains that hold events, once more.
func (c *reading) events(ctx context.Context, each func(*Block)) error {
	var heads []*head
	for _, r := range c.order {
		if r.events {
			heads = append(heads, &head{r.ID, 0, r.last.Seq, r.StartedAt.UnixMilli()})
		}
	}
	return c.inOrder(ctx, heads, func(h *head, seq int64, body []byte) error {
		if c.b.Decode(body) == nil {
			h.clock = c.b.Base
			each(&c.b)
		}
		return nil
	}, func() {})
}

// counted is where an event is counted.
type counted struct {
	org             app.OrgID
	source, id      string
	received        int64
	replica, number int64
}

func (c *reading) lookExactly(ctx context.Context, names []uint64) error {
	found := make(map[uint64][]counted, len(names))
	for _, name := range names {
		found[name] = nil
	}
	err := c.events(ctx, func(b *Block) {
		for i := range b.Events {
			e := &b.Events[i]
			if list, wanted := found[c.twice.name(e)]; wanted {
				now := counted{e.Org, e.Source, e.ID, e.Received, b.Replica, b.Seq}
				c.compareEvents(list, now)
				found[c.twice.name(e)] = append(list, now)
			}
		}
	})
	return err
}

// compareEvents finds the event among those with the same hash.
func (c *reading) compareEvents(before []counted, now counted) {
	for _, e := range before {
		if e.org != now.org || e.source != now.source || e.id != now.id {
			continue
		}
		if apart := max(e.received-now.received, now.received-e.received); apart < app.EventLife.Milliseconds() {
			c.fault(now.replica, now.number, FaultEventTwice, "event %q of source %q of organization %q is counted in block %d of run %d too",
				now.id, now.source, now.org, e.number, e.replica)
			return
		}
	}
}
