package upstream

import (
	"bytes"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"gatehouse/app"
)

// inspect refuses what must not be forwarded, finds the protocol switch and
// the hop-by-hop names, and reads a small body.
func (e *exchange) inspect() error {
	r, out := e.r, e.out
	switch r.Method {
	case http.MethodConnect, http.MethodTrace:
		// TRACE would show the client the identity headers that the app gets.
		return &app.Error{Kind: app.KindMethod, Code: "method_not_allowed", Message: r.Method + " is not forwarded."}
	}
	if out.Path != "*" && (out.Path == "" || out.Path[0] != '/') || !printable(out.Path) ||
		!printable(out.RawQuery) || !printable(e.host()) {
		return faultInvalid("The path, query or host of the request is malformed.")
	}
	for _, list := range r.Header["Connection"] {
		e.inspectConnection(list)
	}
	if e.upgrade != "" && !printable(e.upgrade) {
		return faultInvalid("The request asks for a malformed protocol.")
	}
	return e.inspectBody()
}

// printable reports whether text can stand in a request line: no space, no
// control character.
func printable(text string) bool {
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// inspectConnection notes the names that a Connection field lists.
func (e *exchange) inspectConnection(list string) {
	if strings.EqualFold(list, "keep-alive") || strings.EqualFold(list, "close") {
		return
	}
	for name := range strings.SplitSeq(list, ",") {
		name = http.CanonicalHeaderKey(trimBlank(name))
		if name == "Upgrade" && e.r.ProtoMajor == 1 && tunnelable(e.r.Header.Get("Upgrade")) {
			e.upgrade = e.r.Header.Get("Upgrade")
		}
		if !strings.HasPrefix(name, "X-Gatehouse-") && !slices.Contains(e.out.Keep, name) {
			e.named = append(e.named, name)
		}
	}
}

// tunnelable reports whether a change to the protocol may be passed on. Not one
// to HTTP itself or to TLS: requests inside would pass the gate unseen.
func tunnelable(protocol string) bool {
	protocol = strings.ToLower(protocol)
	return protocol != "" && !strings.HasPrefix(protocol, "h2") && !strings.Contains(protocol, "http/") &&
		!strings.Contains(protocol, "tls") && !strings.ContainsAny(protocol, ",")
}

// inspectBody decides how the body travels, and reads a small one: a slow
// client must not hold a connection of the upstream.
func (e *exchange) inspectBody() error {
	r := e.r
	limit := positive64(e.out.BodyLimit, app.DefaultBodyLimit)
	if r.ContentLength > limit {
		return faultTooLarge(limit)
	}
	hasBody := r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0
	small := r.ContentLength > 0 && r.ContentLength <= int64(e.pool.options.KeepBodyInMemory)
	e.streamed = hasBody && !small || len(r.Header["Expect"]) > 0 || r.Trailer != nil
	if hasBody {
		e.upgrade = "" // a switch after a body is nothing that clients do
	}
	return nil
}

// serialize makes the whole request for the direct path, once for all attempts.
func (e *exchange) serialize() (err error) {
	if e.buf, err = e.appendRequest(e.buf[:0], bodyLength(e.r)); err != nil {
		return faultInvalid("A header of the request holds a line break.")
	}
	e.buf, err = e.readBody(e.buf)
	return err
}

// dropped reports whether a header of the client stays behind: hop-by-hop
// fields, those that the gate writes itself, and those that a client could
// fool the app with.
func (e *exchange) dropped(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings",
		"Host", "Content-Length", "Expect":
		return true
	case "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Forwarded":
		return true // written anew by forwarding
	case "X-Original-Url", "X-Rewrite-Url":
		return true // some frameworks take the path from them: a way around closed paths
	}
	if !e.out.PeerTrusted && strings.HasPrefix(name, "X-Forwarded-") {
		return true
	}
	// CGI-like apps cannot tell X_Gatehouse_Org from X-Gatehouse-Org.
	if !e.pool.options.KeepUnderscores && strings.IndexByte(name, '_') >= 0 {
		return true
	}
	return len(e.named) > 0 && slices.Contains(e.named, name)
}

// host is what the app sees as Host.
func (e *exchange) host() string {
	switch {
	case e.out.Host != "":
		return e.out.Host
	case e.gen.upstream.HostHeader != "":
		return e.gen.upstream.HostHeader
	case e.r.Host == "" && len(e.gen.addresses) > 0: // HTTP/1.0 needs none
		return e.gen.addresses[0].origin
	}
	return e.r.Host
}

// appendRequest writes the request's head for HTTP/1.1; length is the body's,
// -1 for none.
func (e *exchange) appendRequest(b []byte, length int64) ([]byte, error) {
	r := e.r
	lines := 3 // request line, Host, empty line
	b = append(append(b, r.Method...), ' ')
	b = append(b, e.out.Path...)
	if e.out.RawQuery != "" {
		b = append(append(b, '?'), e.out.RawQuery...)
	}
	b = append(append(b, " HTTP/1.1\r\nHost: "...), e.host()...)
	b = append(b, "\r\n"...)
	for name, values := range r.Header {
		if e.dropped(name) {
			continue
		}
		for _, value := range values {
			b = appendField(b, name, value)
			lines++
		}
	}
	b, n := e.appendForwarding(b)
	lines += n
	switch {
	case e.upgrade != "":
		b = append(appendField(b, "Upgrade", e.upgrade), "Connection: Upgrade\r\n"...)
		lines += 2
	case wantsTrailers(r):
		b = append(b, "Te: trailers\r\n"...)
		lines++
	}
	if length >= 0 {
		b = strconv.AppendInt(append(b, "Content-Length: "...), length, 10)
		b = append(b, "\r\n"...)
		lines++
	}
	b = append(b, "\r\n"...)
	// One look at the whole catches a line break in any name, value or host.
	if bytes.Count(b, []byte{'\n'}) != lines || bytes.Count(b, []byte{'\r'}) != lines || bytes.IndexByte(b, 0) >= 0 {
		return b, errLineBreak
	}
	return b, nil
}

func appendField(b []byte, name, value string) []byte {
	b = append(append(b, name...), ": "...)
	return append(append(b, value...), "\r\n"...)
}

func wantsTrailers(r *http.Request) bool {
	for _, list := range r.Header["Te"] {
		if hasToken(list, "trailers") {
			return true
		}
	}
	return false
}

// bodyLength is what Content-Length says of a request that is not streamed: -1
// is none, as for a GET without a body.
func bodyLength(r *http.Request) int64 {
	if r.ContentLength > 0 {
		return r.ContentLength
	}
	switch r.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		return 0
	}
	return -1
}

// readBody appends the small body to b.
func (e *exchange) readBody(b []byte) ([]byte, error) {
	n := int(e.r.ContentLength)
	if n <= 0 {
		return b, nil
	}
	start := len(b)
	if cap(b)-start < n {
		b = append(make([]byte, 0, start+n), b...)
	}
	read, err := io.ReadFull(e.r.Body, b[start:start+n])
	e.result.BytesIn += int64(read)
	if err != nil {
		return b, bodyFault(err)
	}
	return b[:start+n], nil
}

// peer is the address of whoever is connected to us.
func (e *exchange) peer() netip.Addr {
	peer, err := netip.ParseAddrPort(e.r.RemoteAddr)
	if err != nil {
		return e.out.Client
	}
	return peer.Addr().Unmap().WithZone("")
}
