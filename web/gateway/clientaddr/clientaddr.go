// Package clientaddr finds the address that a request really came from, behind
// the operator's own proxies.
package clientaddr

import (
	"net/http"
	"net/netip"
	"strings"
)

const header = "X-Forwarded-For"

// Of returns the client's address: the peer's, or, where the peer is a trusted
// proxy, the right-most address of X-Forwarded-For that is not trusted itself.
// Whatever stands left of it was written by the client and is not looked at. A
// hop that does not read as an address ends the search at the proxy that
// vouched for it. trusted reports whether the peer is a trusted proxy.
//
// The address is invalid when the peer's is: on a Unix socket.
func Of(r *http.Request, proxies []netip.Prefix) (client netip.Addr, trusted bool) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, false
	}
	client = peer.Addr().Unmap()
	if trusted = contains(proxies, client); !trusted {
		return client, false
	}
	lines := r.Header[header]
	for i := len(lines) - 1; i >= 0; i-- {
		line := lines[i]
		for line != "" {
			var hop string
			line, hop = cutLast(line)
			addr, ok := parse(hop)
			if !ok {
				return client, true
			}
			client = addr
			if !contains(proxies, addr) {
				return client, true
			}
		}
	}
	return client, true
}

// cutLast cuts the last hop off a list.
func cutLast(list string) (rest, hop string) {
	if i := strings.LastIndexByte(list, ','); i >= 0 {
		return list[:i], strings.TrimSpace(list[i+1:])
	}
	return "", strings.TrimSpace(list)
}

// parse reads an address as proxies write it: bare, in brackets, or with a port.
func parse(hop string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(hop, "["), "]"))
	if err != nil {
		withPort, err := netip.ParseAddrPort(hop)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = withPort.Addr()
	}
	return addr.WithZone("").Unmap(), true
}

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, prefix := range prefixes {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}
