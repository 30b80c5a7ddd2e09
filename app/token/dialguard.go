package token

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

// errPrivateAddress says that a name led to an address inside the operator's
// own network.
var errPrivateAddress = errors.New("the address is private or reserved, and private addresses are not allowed")

// guardedDial returns a dial function that refuses private addresses unless
// they are allowed. It looks at the address that is connected to, after the
// name was resolved, so a name that changes its address in between gains nothing.
func guardedDial(allowPrivate bool, timeout time.Duration) func(context.Context, string, string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: timeout}
	if !allowPrivate {
		dialer.Control = func(_, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return err
			}
			if !app.PublicAddress(to.Addr()) {
				return fmt.Errorf("%s: %w", to.Addr(), errPrivateAddress)
			}
			return nil
		}
	}
	return dialer.DialContext
}
