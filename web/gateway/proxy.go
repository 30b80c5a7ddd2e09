package gateway

import (
	"net/http"
	"strconv"

	"gatehouse/app"
	"gatehouse/app/limit"
	"gatehouse/web/respond"
	"gatehouse/web/session"
)

// Headers that tell the app who calls. Inbound ones of the prefix are removed.
const (
	HeaderOrg       = "X-Gatehouse-Org"
	HeaderOrgSlug   = "X-Gatehouse-Org-Slug"
	HeaderOrgPlan   = "X-Gatehouse-Org-Plan"
	HeaderKey       = "X-Gatehouse-Key"
	HeaderActor     = "X-Gatehouse-Actor"
	HeaderRequestID = "X-Gatehouse-Request-Id"
	HeaderAssertion = "X-Gatehouse-Assertion"
)

var anonymousActor = []string{string(app.ActorAnonymous)}

// proxy counts the request and forwards it. The ledger's commit runs while the
// upstream works; beforeAnswer waits for it.
func (g *Gateway) proxy(x *exchange) error {
	pool := x.poolFor()
	if pool == nil {
		return errNoUpstream()
	}
	if err := x.addressToApp(); err != nil {
		return err
	}
	x.prepareSteps(x.r.ContentLength)
	if err := g.dispatch(x.r.Context(), x); err != nil {
		return err
	}
	x.own = g.Now().Sub(x.start)
	x.result = pool.Serve(x.w, x.r, &x.out)
	if x.result.Sent {
		return nil
	}
	return x.leash.reason(x.result.Err)
}

// addressToApp rewrites the request as the app shall see it.
func (x *exchange) addressToApp() error {
	h, rt := x.r.Header, x.route
	stripInbound(h)
	session.Strip(h) // a browser's cookies for the console, where both share a host
	for _, name := range rt.headers.remove {
		delete(h, name)
	}
	h[HeaderRequestID] = []string{x.requestID}
	if err := x.identityToApp(h); err != nil {
		return err
	}
	x.guardTrailer()
	x.out.Path, x.out.RawQuery = rt.target(x.r.URL, x.variable)
	x.out.Keep, x.out.Client, x.out.PeerTrusted = rt.keep, x.from, x.trusted
	x.out.Timeout, x.out.BodyLimit = rt.Timeout.Std(), rt.BodyLimit
	return nil
}

// identityToApp sets who calls, and what the route sets beside it.
func (x *exchange) identityToApp(h http.Header) error {
	for i := range x.admission.identity {
		h[x.admission.identity[i].name] = x.admission.identity[i].value
	}
	for _, set := range x.admission.dynamic {
		h[set.name] = []string{set.value(x.variable)}
	}
	assertion := x.admission.assertion.Header(x.start)
	if assertion == nil {
		return errUnsigned()
	}
	h[HeaderAssertion] = assertion
	return nil
}

// variable resolves what a route's edits may name.
func (x *exchange) variable(name string) string {
	if name == requestIDVariable {
		return x.requestID
	}
	return variableOf(x.credential, x.admission.state, name)
}

// beforeAnswer runs once, just before the answer's headers leave: that the
// request happened must be durable first.
func (x *exchange) beforeAnswer(status int, h http.Header) error {
	if x.bytes != nil {
		if err := x.bytes.expect(answerLength(x.r.Method, status, h)); err != nil {
			return err
		}
	}
	if x.metered {
		waited := x.g.Now()
		if err := x.wait(x.r.Context()); err != nil {
			return err
		}
		x.own += x.g.Now().Sub(waited)
	}
	x.limitFields(h)
	h[respond.HeaderRequestID] = []string{x.requestID}
	return x.leash.head()
}

// limitFields says on the answer what is left of each limit.
func (x *exchange) limitFields(h http.Header) {
	if x.admission == nil || x.decision.Units == 0 || len(x.admission.cells) == 0 {
		return
	}
	cells := x.admission.cells
	if len(x.admission.policy) > 0 {
		h[fieldPolicy] = x.admission.policy
	}
	x.fields = limit.AppendRateLimit(x.fields[:0], x.start, cells, &x.decision)
	if len(x.fields) > 0 {
		h[fieldRateLimit] = []string{string(x.fields)}
	}
	if !x.g.XRateLimit {
		return
	}
	if legacy, ok := limit.Tightest(x.start, cells, &x.decision); ok {
		h["X-Ratelimit-Limit"] = []string{strconv.FormatInt(legacy.Limit, 10)}
		h["X-Ratelimit-Remaining"] = []string{strconv.FormatInt(legacy.Remaining, 10)}
		h["X-Ratelimit-Reset"] = []string{strconv.FormatInt(legacy.Reset, 10)}
	}
}

// The rate limit fields in the spelling of their draft; names are compared
// without case, and net/http writes them as they stand in the map.
const (
	fieldPolicy    = "RateLimit-Policy"
	fieldRateLimit = "RateLimit"
)
