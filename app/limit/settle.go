package limit

import (
	"context"
	_ "embed"
	"slices"
	"time"
)

//go:embed lease.lua
var leaseScript string

// valuesPerCell are the arguments that the script takes for each cell, and
// answersPerCell what it answers.
const (
	valuesPerCell  = 8
	answersPerCell = 3
)

// call is one run of the script: asks for the same cells and as many units.
type call struct {
	cells   []*Cell
	rules   []*rule // as the call was made; a cell may be reshaped meanwhile
	fetches []bool  // whether the call may bring a lease of the cell
	units   int64
	asks    []*ask
}

// settle answers a batch of asks in one round trip.
func (s *Shared) settle(asks []*ask) {
	sent := s.clock.elapsed(s.clock.now())
	calls := s.merge(sent, asks)
	if len(calls) == 0 {
		return
	}
	rtt := s.rtt.Load()
	answers := make([][]int64, len(calls))
	if !s.loss.Lost() {
		answers = s.run(calls, sent, rtt)
		now := s.clock.elapsed(s.clock.now())
		s.rtt.Store((3*rtt + now - sent) / 4)
	}
	for i, c := range calls {
		if answers[i] == nil {
			c.fail()
		} else {
			s.apply(c, sent, sent+int64(life(rtt)), answers[i])
		}
	}
}

// run makes the round trip. Redis is lost when it answers nothing; calls that
// it refuses one by one have nil as their answer.
func (s *Shared) run(calls []*call, sent, rtt int64) [][]int64 {
	keys, args := make([][]string, len(calls)), make([][]any, len(calls))
	for i, c := range calls {
		keys[i], args[i] = s.arguments(c, sent, rtt)
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.options.Timeout)
	defer cancel()
	s.calls.Add(1)
	got, err := s.options.Scripts.RunScript(ctx, leaseScript, keys, args)
	answers, answered := make([][]int64, len(calls)), 0
	for i, c := range calls {
		if i < len(got) && len(got[i]) == 2+answersPerCell*len(c.cells) {
			answers[i] = got[i]
			answered++
		}
	}
	if err != nil && answered == 0 {
		s.loss.down(err)
	}
	return answers
}

// life and horizon follow the time that Redis takes, so that a far Redis is
// not asked more often than it can answer.
func life(rtt int64) time.Duration    { return leaseLife + 5*time.Duration(min(rtt, 1e8)) }
func horizon(rtt int64) time.Duration { return leaseHorizon + 2*time.Duration(min(rtt, 1e8)) }

// merge puts asks for the same together. An ask that leases can serve by now
// is served.
func (s *Shared) merge(sent int64, asks []*ask) []*call {
	var calls []*call
	byFirst := make(map[*Cell][]*call, len(asks))
	for _, k := range asks {
		if k.units > 0 && (s.serve(sent, k) || deny(sent, k)) {
			continue
		}
		first := k.cells[0]
		at := slices.IndexFunc(byFirst[first], func(c *call) bool {
			return c.units == k.units && k.units > 0 && slices.Equal(c.cells, k.cells)
		})
		if at >= 0 {
			c := byFirst[first][at]
			c.asks = append(c.asks, k)
			continue
		}
		c := &call{cells: k.cells, units: k.units, asks: []*ask{k}}
		byFirst[first] = append(byFirst[first], c)
		calls = append(calls, c)
	}
	return calls
}

// serve tries to serve an ask from leases that came meanwhile.
func (s *Shared) serve(elapsed int64, k *ask) bool {
	a := attempt{elapsed: elapsed, units: k.units, cells: k.cells}
	if len(k.cells) > maxHeld {
		return false
	}
	for i, c := range k.cells {
		if a.held[i] = c.leased.spend(elapsed, k.units); a.held[i] == nil {
			a.putBack()
			return false
		}
	}
	if !k.finish(passed) {
		a.putBack()
	}
	return true
}

// deny refuses an ask that Redis has refused to another meanwhile.
func deny(elapsed int64, k *ask) bool {
	a := attempt{elapsed: elapsed, units: k.units, cells: k.cells}
	if a.fromMemory().Refused == nil {
		return false
	}
	k.finish(refused)
	return true
}

// arguments builds the keys and arguments of one run.
func (s *Shared) arguments(c *call, sent, rtt int64) ([]string, []any) {
	keys := make([]string, len(c.cells))
	requests := len(c.asks)
	if c.units == 0 {
		requests = 0
	}
	args := make([]any, 0, 4+valuesPerCell*len(c.cells))
	args = append(args, c.units, requests, life(rtt).Microseconds(), 4*s.replicas.Load())
	for i, cell := range c.cells {
		r := cell.rule.Load()
		c.rules = append(c.rules, r)
		keys[i] = s.options.Prefix + "rate:" + slotted(cell.key)
		want, fetch := int64(0), c.fetch(cell)
		if c.fetches = append(c.fetches, fetch); fetch {
			want = cell.leased.wanted(sent, int64(horizon(rtt)))
		}
		cell.leased.yield(c.units)
		back, since := cell.leased.takeBack()
		dry := 0
		if r.dryRun {
			dry = 1
		}
		args = append(args, r.unit, r.full, r.perMicrosecond(), dry, want, cell.leased.held(sent), back, since)
	}
	return keys, args
}

// fetch reports whether this call may bring a lease of the cell: only one does
// at a time, so that a replica never holds more than its share.
func (c *call) fetch(cell *Cell) bool {
	switch {
	case c.asks[0].settle:
		return false
	case c.units == 0: // a top-up, which has marked the cell
		return true
	}
	return cell.leased.next.Load() == nil && cell.leased.fetching.CompareAndSwap(false, true)
}

// fetched lets another call bring a lease of the cells.
func (c *call) fetched() {
	for i, cell := range c.cells {
		if i < len(c.fetches) && c.fetches[i] || c.units == 0 && !c.asks[0].settle {
			cell.leased.fetching.Store(false)
		}
	}
}

// perMicrosecond is how many ticks refill in a microsecond. Where it is not
// exact it is rounded down by more than a double's multiplication may add.
func (r *rule) perMicrosecond() float64 {
	if r.scale == 0 {
		return 1000
	}
	const ulp = 1.0 / (1 << 50)
	return float64(r.limit.Requests) * float64(r.unit) / float64(r.limit.Window) * 1000 * (1 - ulp)
}

// apply brings the script's answer to the cells and to who asked.
func (s *Shared) apply(c *call, sent, expires int64, answer []int64) {
	granted, pass := answer[0], int(answer[1])
	for i, cell := range c.cells {
		used, units, would := answer[2+answersPerCell*i], answer[3+answersPerCell*i], int(answer[4+answersPerCell*i])
		cell.learn(c.rules[i], sent, used+units*c.rules[i].unit)
		cell.leased.spent(int64(pass-would) * c.units)
		if units > 0 {
			l := &lease{size: units, expires: expires, granted: granted}
			l.units.Store(units)
			cell.leased.receive(s.clock.elapsed(s.clock.now()), l)
		}
		if c.units > 0 && (pass < len(c.asks) || would > 0) {
			cell.deny(c.rules[i], sent, used, c.units)
		}
		cell.hold()
		c.noteDry(cell, pass, would)
	}
	c.fetched()
	for i, k := range c.asks {
		as := passed
		if i >= pass && c.units > 0 {
			as = refused
		}
		k.granted = granted
		if !k.finish(as) && as == passed && c.units > 0 && outcome(k.state.Load()) == abandoned {
			k.keepUnits()
		}
	}
}

// hold makes the registry hold a cell that has units to spend or to give back.
func (c *Cell) hold() {
	if c.parked.Load() && !c.leased.idle() {
		c.home.unpark(c)
	}
}

// learn notes what Redis said of a cell, for people to read.
func (c *Cell) learn(r *rule, sent, used int64) {
	if c.rule.Load() == r {
		c.tat.Store(r.ticks(sent) + used)
	}
}

// deny notes until when Redis would refuse again. Counted from when the call
// was sent, it ends early rather than late.
func (c *Cell) deny(r *rule, sent, used, units int64) {
	if over := used + units*r.unit - r.full; over > 0 {
		wait := r.wait(over)
		c.leased.denied.Store(&denial{until: sent + int64(wait), again: sent + int64(min(wait, maxDenial)), units: units})
	}
}

// noteDry counts the requests that a cell in dry-run would have refused: the
// last of those that passed.
func (c *call) noteDry(cell *Cell, pass, would int) {
	cell.would.Add(int64(would))
	for _, k := range c.asks[pass-would : pass] {
		if k.would == nil {
			k.would = cell
		}
	}
}

// fail ends asks that Redis did not answer.
func (c *call) fail() {
	c.fetched()
	for _, k := range c.asks {
		k.finish(lost)
	}
}
