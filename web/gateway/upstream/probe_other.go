//go:build !unix

package upstream

import (
	"errors"
	"net"
	"os"
	"time"
)

// probe looks at an idle connection by a read that waits a moment: there is no
// way to look without taking, so a byte that comes ends the connection.
type probe struct{ socket net.Conn }

func newProbe(socket net.Conn, _ bool) *probe { return &probe{socket} }

func (p *probe) alive() bool {
	p.socket.SetReadDeadline(time.Now().Add(time.Millisecond))
	n, err := p.socket.Read(make([]byte, 1))
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded)
}
