package gateway

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"gatehouse/app"
	"gatehouse/web/session"
)

// Secrets opens what is stored sealed; app.Sealer fills it.
type Secrets interface {
	Open(purpose string, sealed []byte) ([]byte, error)
}

// vendor is the paid API behind an egress route.
type vendor struct {
	host   string   // its Host
	header string   // that carries the operator's credential; empty: it wants none
	value  []string // prepared
	keep   []string // headers that a caller cannot have dropped
	broken bool     // the credential cannot be opened
}

func (g *Gateway) vendorOf(r app.Route, u app.Upstream) (v vendor) {
	if r.Egress == nil {
		return v
	}
	v.host = u.HostHeader
	if v.host == "" && len(u.Addresses) > 0 {
		if address, err := url.Parse(u.Addresses[0]); err == nil {
			v.host = address.Host
		}
	}
	v.keep = []string{"Accept-Encoding"}
	if c := u.Credential; c != nil {
		v.header = textproto.CanonicalMIMEHeaderKey(c.Header)
		v.keep = append(v.keep, v.header)
		secret, err := g.open(u)
		if v.broken = err != nil; v.broken {
			g.Log.Error("credential of an upstream cannot be opened", "upstream", u.Name, "err", err)
		}
		v.value = []string{c.Prefix + string(secret)}
	}
	return v
}

var errNoSecrets = errors.New("there is nothing that opens credentials")

func (g *Gateway) open(u app.Upstream) ([]byte, error) {
	if g.Secrets == nil {
		return nil, errNoSecrets
	}
	return g.Secrets.Open(app.CredentialPurpose(u.Name), u.Credential.Sealed)
}

// private are headers that a vendor is not shown: the caller's secrets, and
// what tells of the system behind.
var private = [...]string{"Authorization", KeyHeader, "Cookie", "Forwarded", "Via", "Traceparent", "Tracestate", "Baggage",
	"B3", "X-Request-Id", "X-Correlation-Id", "X-Amzn-Trace-Id", "X-Cloud-Trace-Context", "Uber-Trace-Id", "Sentry-Trace",
	"Expect", "Trailer", "Te"}

var privatePrefixes = [...]string{"X-Forwarded-", "X-B3-", "X-Datadog-", "X-Real-"}

func hidePrivate(h http.Header) {
	for _, name := range private {
		delete(h, name)
	}
	for name := range h {
		for _, prefix := range privatePrefixes {
			if strings.HasPrefix(name, prefix) {
				delete(h, name)
			}
		}
	}
}

// addressToVendor rewrites the request as the paid API shall see it: nothing
// of who calls and for whom, and the operator's credential.
func (x *exchange) addressToVendor() error {
	h, rt := x.r.Header, x.route
	stripInbound(h)
	session.Strip(h)
	hidePrivate(h)
	for _, name := range rt.headers.remove {
		delete(h, name)
	}
	if rt.Egress.API != app.EgressHTTP {
		h["Accept-Encoding"] = identityCoding // what is coded in another way could not be read
	}
	for _, set := range x.admission.identity { // the route's own alone, see newAdmission
		h[set.name] = set.value
	}
	for _, set := range x.admission.dynamic {
		h[set.name] = []string{set.value(x.variable)}
	}
	if rt.vendor.header != "" {
		h[rt.vendor.header] = rt.vendor.value
	}
	x.guardTrailer()
	x.out.Path, x.out.RawQuery = rt.target(x.r.URL, x.variable)
	x.out.Host, x.out.Keep = rt.vendor.host, slices.Concat(rt.keep, rt.vendor.keep)
	x.out.Timeout, x.out.BodyLimit = rt.Timeout.Std(), rt.BodyLimit
	return nil
}

var identityCoding = []string{"identity"}

// toVendor is the request without the addresses of who calls, which would be
// told in X-Forwarded-For and -Host.
func (x *exchange) toVendor() *http.Request {
	r := x.r.WithContext(x.r.Context()) // a copy
	r.RemoteAddr, r.Host, r.TLS = "", x.route.vendor.host, nil
	return r
}

// carry makes body the request's.
func (x *exchange) carry(r *http.Request, body []byte) {
	r.Body, r.ContentLength = http.NoBody, int64(len(body))
	if len(body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	r.TransferEncoding, r.Trailer = nil, nil
	x.out.BodyLimit = max(x.out.BodyLimit, r.ContentLength)
}
