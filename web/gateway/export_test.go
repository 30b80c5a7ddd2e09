package gateway

import "time"

// Held is how many organizations and credentials the gate holds, for tests.
func (g *Gateway) Held() (orgs, credentials int) {
	g.tenants.mu.Lock()
	defer g.tenants.mu.Unlock()
	for i := range g.ring.shards {
		g.ring.shards[i].mu.RLock()
		credentials += len(g.ring.shards[i].byHash)
		g.ring.shards[i].mu.RUnlock()
	}
	return len(g.tenants.byID), credentials
}

// Sockets is how many WebSockets are counted as open, for tests.
func (g *Gateway) Sockets() int64 { return g.sockets.count() }

// SetTicker puts the test's own ticker in place of time's.
func (g *Gateway) SetTicker(ticker func(time.Duration) (<-chan time.Time, func())) { g.ticker = ticker }
