//go:build unix

package upstream

import (
	"net"
	"syscall"
)

// probe looks at an idle connection without waiting and without taking bytes.
type probe struct {
	raw    syscall.RawConn
	look   func(fd uintptr)
	byTLS  bool
	open   bool
	buffer [1]byte
}

func newProbe(socket net.Conn, byTLS bool) *probe {
	p := &probe{byTLS: byTLS}
	if s, ok := socket.(syscall.Conn); ok {
		p.raw, _ = s.SyscallConn()
	}
	p.look = func(fd uintptr) {
		n, _, err := syscall.Recvfrom(int(fd), p.buffer[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		// A byte on a plain connection is an answer that nobody asked for; under
		// TLS it may be a session ticket.
		p.open = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK || (err == nil && n > 0 && p.byTLS)
	}
	return p
}

func (p *probe) alive() bool {
	if p.raw == nil {
		return true
	}
	p.open = false
	err := p.raw.Control(p.look) // not Read, which an old deadline would answer
	return err == nil && p.open
}
