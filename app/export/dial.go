package export

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"gatehouse/app"
)

const dialTimeout = 10 * time.Second

var errPrivateAddress = errors.New("the address is private or reserved, and private addresses are not allowed")

// guardedDial connects to public addresses alone, unless private ones are
// allowed. It looks at the address that is connected to, after the name was
// resolved.
func guardedDial(allowPrivate bool) func(context.Context, string, string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: dialTimeout}
	if !allowPrivate {
		dialer.Control = func(_, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err == nil && !app.PublicAddress(to.Addr()) {
				err = fmt.Errorf("%s: %w", to.Addr(), errPrivateAddress)
			}
			return err
		}
	}
	return dialer.DialContext
}
