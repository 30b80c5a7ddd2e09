package upstream

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"gatehouse/app"
)

// errPrivateAddress says that a name led to an address inside the operator's
// own network, where no secret shall go by itself.
var errPrivateAddress = errors.New("the address is private or reserved, and the upstream has a credential without allow_private")

// newDialer opens connections to the upstream. Where it is guarded, the address
// that is connected to is looked at, after the name was resolved: a name that
// changes its address in between gains nothing.
func newDialer(up app.Upstream) net.Dialer {
	d := net.Dialer{Timeout: connectTimeout(up), KeepAlive: 30 * time.Second}
	if up.Guarded() {
		d.Control = refusePrivate
	}
	return d
}

func refusePrivate(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if !app.PublicAddress(to.Addr()) {
		return fmt.Errorf("%s: %w", to.Addr(), errPrivateAddress)
	}
	return nil
}
