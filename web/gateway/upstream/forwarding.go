package upstream

import (
	"net/http"
	"strings"
)

// appendForwarding writes X-Forwarded-For, -Proto, -Host and X-Real-Ip, and
// carries Forwarded on; it returns how many lines that were. From a peer that
// is not a trusted proxy nothing is taken over.
func (e *exchange) appendForwarding(b []byte) ([]byte, int) {
	lines := 2 // Proto and Host
	peer := e.peer()
	if peer.IsValid() {
		b = append(b, "X-Forwarded-For: "...)
		for _, prior := range e.priorFor() {
			b = append(append(b, prior...), ", "...)
		}
		b = append(peer.AppendTo(b), "\r\n"...)
		lines++
	}
	b = appendField(b, "X-Forwarded-Proto", e.forwardedProto())
	b = appendField(b, "X-Forwarded-Host", e.forwardedHost())
	if e.out.Client.IsValid() {
		b = append(e.out.Client.AppendTo(append(b, "X-Real-Ip: "...)), "\r\n"...)
		lines++
	}
	if forwarded := e.forwarded(); forwarded != "" {
		b = appendField(b, "Forwarded", forwarded)
		lines++
	}
	return b, lines
}

// setForwarding is appendForwarding for the stock path.
func (e *exchange) setForwarding(header http.Header) {
	if peer := e.peer(); peer.IsValid() {
		header["X-Forwarded-For"] = []string{strings.Join(append(e.priorFor(), peer.String()), ", ")}
	}
	header["X-Forwarded-Proto"] = []string{e.forwardedProto()}
	header["X-Forwarded-Host"] = []string{e.forwardedHost()}
	if e.out.Client.IsValid() {
		header["X-Real-Ip"] = []string{e.out.Client.String()}
	}
	if forwarded := e.forwarded(); forwarded != "" {
		header["Forwarded"] = []string{forwarded}
	}
}

func (e *exchange) priorFor() []string {
	if !e.out.PeerTrusted {
		return nil
	}
	prior := e.r.Header["X-Forwarded-For"]
	return prior[:len(prior):len(prior)]
}

func (e *exchange) forwardedProto() string {
	if e.out.PeerTrusted {
		if proto := e.r.Header["X-Forwarded-Proto"]; len(proto) == 1 && (proto[0] == "https" || proto[0] == "http") {
			return proto[0]
		}
	}
	if e.r.TLS != nil {
		return "https"
	}
	return "http"
}

func (e *exchange) forwardedHost() string {
	if e.out.PeerTrusted {
		if host := e.r.Header["X-Forwarded-Host"]; len(host) == 1 && host[0] != "" {
			return host[0]
		}
	}
	return e.r.Host
}

// forwarded continues the Forwarded field (RFC 7239) of a trusted proxy. Where
// there was none, the X-Forwarded fields say it all.
func (e *exchange) forwarded() string {
	prior := e.r.Header["Forwarded"]
	peer := e.peer()
	if !e.out.PeerTrusted || len(prior) == 0 || !peer.IsValid() {
		return ""
	}
	node := peer.String()
	if peer.Is6() {
		node = `"[` + node + `]"`
	}
	return strings.Join(prior, ", ") + ", for=" + node + ";proto=" + e.forwardedProto()
}
