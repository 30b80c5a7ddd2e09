package upstream

import (
	"math/rand/v2"
	"slices"
	"time"
)

// Why choose found no address.
type scarcity int

const (
	scarcityNone scarcity = iota
	scarcityDown          // checks say that none is up
	scarcityBusy          // those that are up are at MaxConnections
)

// choose takes a slot of the address with the fewest requests, a random one of
// those that tie. Addresses that failed requests left out lately come only
// when no other is left: with nothing better, a bad chance is better than
// none. Addresses that checks call down never come.
func (g *generation) choose(now func() time.Time, tried []*address) (*address, scarcity) {
	lack := scarcityDown
	for _, withEjected := range [2]bool{false, true} {
		for {
			a, busy := g.leastLoaded(now, tried, withEjected)
			if busy {
				lack = scarcityBusy
			}
			if a == nil {
				break
			}
			if a.acquire() {
				return a, scarcityNone
			}
		}
		if lack == scarcityBusy {
			break // a full healthy address is worth the wait
		}
	}
	return nil, lack
}

// leastLoaded finds the address to take; busy reports that one was passed over
// because it is full.
func (g *generation) leastLoaded(now func() time.Time, tried []*address, withEjected bool) (best *address, busy bool) {
	var least int64
	ties := 1
	for _, a := range g.addresses {
		up, free := a.health.usable(now)
		if !up || (!free && !withEjected) || (len(tried) > 0 && slices.Contains(tried, a)) {
			continue
		}
		load, capacity := a.inFlight.Load(), a.capacity.Load()
		switch {
		case capacity > 0 && load >= capacity:
			busy = true
		case best == nil || load < least:
			best, least, ties = a, load, 1
		case load == least:
			if ties++; rand.IntN(ties) == 0 {
				best = a
			}
		}
	}
	return best, busy
}

// acquire takes a slot; it is false when the address filled up meanwhile.
func (a *address) acquire() bool {
	capacity := a.capacity.Load()
	if n := a.inFlight.Add(1); capacity > 0 && n > capacity {
		a.inFlight.Add(-1)
		return false
	}
	a.requests.Add(1)
	return true
}

// release gives the slot back and calls who waits for one.
func (p *Pool) release(a *address) {
	a.inFlight.Add(-1)
	p.gate.freed()
}
