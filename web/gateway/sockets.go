package gateway

import (
	"net/netip"
	"sync"
)

// SocketCaps bounds WebSocket connections through this node; 0 is unlimited.
type SocketCaps struct {
	PerAddress int64 // of one client address
	Total      int64 // of all clients
}

// sockets counts the open WebSocket connections of this node.
type sockets struct {
	caps      SocketCaps
	mu        sync.Mutex
	total     int64
	byAddress map[netip.Addr]int64
}

func newSockets(caps SocketCaps) *sockets {
	return &sockets{caps: caps, byAddress: map[netip.Addr]int64{}}
}

// acquire takes a place for a connection from the address, or says which cap
// is reached.
func (s *sockets) acquire(from netip.Addr) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.caps.Total > 0 && s.total >= s.caps.Total {
		return errSockets("gateway", s.caps.Total)
	}
	if s.caps.PerAddress > 0 && s.byAddress[from] >= s.caps.PerAddress {
		return errSockets("address", s.caps.PerAddress)
	}
	s.total++
	s.byAddress[from]++
	return nil
}

// release gives back what acquire took.
func (s *sockets) release(from netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.byAddress[from]--; s.byAddress[from] == 0 {
		delete(s.byAddress, from)
	}
}

// count is the number of open connections.
func (s *sockets) count() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}
