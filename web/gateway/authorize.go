package gateway

import (
	"net/http"
	"strconv"
	"strings"

	"gatehouse/app"
	"gatehouse/web/gateway/clientaddr"
	"gatehouse/web/respond"
)

// HeaderStatus tells a proxy that only understands 401 and 403 (nginx) which
// status the refusal has in truth.
const HeaderStatus = "X-Gatehouse-Status"

// Authorize answers GET /v1/authorize for nginx auth_request, Traefik, Caddy
// and Envoy: 200 with identity headers, or the refusal. The request is counted
// before the answer; how the app answered stays unknown. `?refuse=403` turns
// every refusal but 401 into 403, for nginx.
func (g *Gateway) Authorize(w http.ResponseWriter, r *http.Request) {
	x := newExchange(g, w, r)
	defer x.leave()
	x.requestID = respond.AssignRequestID(w, r)
	x.from, x.trusted = clientaddr.Of(r, g.Trusted)
	err := g.authorize(x)
	if err != nil && r.URL.Query().Get("refuse") == "403" {
		g.complain(x, app.AsError(err), err) // what follows looks like a refusal
		err = asForbidden(w, err)
	}
	g.recordDecision(x, err)
}

func (g *Gateway) authorize(x *exchange) error {
	asked, err := originalRequest(x.r)
	if err != nil {
		return err
	}
	if err := x.enterAs(asked.method, asked.host, asked.uri); err != nil {
		return err
	}
	if err := g.decide(x.r.Context(), x, find(x.r.Header, x.route.modes)); err != nil {
		return err
	}
	if err := g.count(x); err != nil {
		return err
	}
	h := x.w.Header()
	h[HeaderRequestID] = []string{x.requestID}
	if err := x.identityToApp(h); err != nil {
		return err
	}
	for _, name := range identityHeaders {
		if h[name] == nil { // or a proxy that copies what is there would leave the client's own
			h[name] = empty
		}
	}
	x.limitFields(h)
	h["Cache-Control"] = []string{"no-store"}
	x.w.WriteHeader(http.StatusOK)
	return nil
}

// identityHeaders are those that not every caller has.
var identityHeaders, empty = [...]string{HeaderOrg, HeaderOrgSlug, HeaderOrgPlan, HeaderKey}, []string{""}

// count makes durable that the request passed, and waits for it.
func (g *Gateway) count(x *exchange) error {
	if err := g.dispatch(x.r.Context(), x); err != nil {
		return err
	}
	return x.wait(x.r.Context())
}

// recordDecision is record for a request that another proxy forwards.
func (g *Gateway) recordDecision(x *exchange, err error) {
	if err == nil {
		x.result.Status = http.StatusOK
	}
	if x.metered {
		x.settle(app.Outcome{}) // how the app answers is not seen here
	}
	g.record(x, err)
}

// asForbidden keeps 401, and hides every other status behind 403.
func asForbidden(w http.ResponseWriter, err error) error {
	known := *app.AsError(err)
	status := respond.Status(&known)
	w.Header()[HeaderStatus] = []string{strconv.Itoa(status)}
	if status != http.StatusUnauthorized {
		known.Kind = app.KindForbidden
	}
	return &known
}

// original is the request that another proxy asks about.
type original struct{ method, host, uri string }

// originalRequest reads what the proxy asks about: Traefik, Caddy and nginx
// set X-Forwarded-Method, -Host and -Uri, some nginx X-Original-Method, -Host
// and -Uri, Envoy appends the path to ours. A proxy sets one of these ways and
// passes the client's other headers on, so a question put in two ways is not
// answered: one of them is the client's.
func originalRequest(r *http.Request) (original, error) {
	escaped := r.URL.EscapedPath()
	below := strings.TrimPrefix(escaped, AuthorizePath)
	if below == escaped {
		below = ""
	}
	set := has(r.Header, "X-Original-Method", "X-Original-Host", "X-Original-Uri")
	forwarded := has(r.Header, "X-Forwarded-Method", "X-Forwarded-Uri")
	asked := original{r.Method, r.Host, below}
	var err error
	switch {
	case set && forwarded || below != "" && (set || forwarded):
		return asked, errAskedTwice()
	case set:
		err = asked.read(r.Header, "X-Original-Method", "X-Original-Host", "X-Original-Uri")
	default:
		err = asked.read(r.Header, "X-Forwarded-Method", "X-Forwarded-Host", "X-Forwarded-Uri")
	}
	asked.uri, _, _ = strings.Cut(asked.uri, "?")
	if asked.uri == "" {
		asked.uri = "/"
	}
	return asked, err
}

// read takes over what the headers say; one that comes twice says nothing.
func (o *original) read(h http.Header, method, host, uri string) error {
	for name, into := range map[string]*string{method: &o.method, host: &o.host, uri: &o.uri} {
		switch values := h[name]; len(values) {
		case 0:
		case 1:
			*into = values[0]
		default:
			return errAskedTwice()
		}
	}
	return nil
}

func has(h http.Header, names ...string) bool {
	for _, name := range names {
		if len(h[name]) > 0 {
			return true
		}
	}
	return false
}

// AuthorizePath is where Authorize is mounted; Envoy's prefix comes below it.
const AuthorizePath = "/v1/authorize"

// enterAs finds the route of a request that another proxy holds. Where no
// route was defined, any path wants an API key.
func (x *exchange) enterAs(method, host, escapedPath string) error {
	x.book = x.g.book.Load()
	if len(x.book.routes) == 0 {
		x.route, x.weight = x.book.keyed, app.DefaultWeight
		return nil
	}
	if err := x.find(method, host, escapedPath); err != nil {
		return err
	}
	if x.route == nil {
		return errNoRoute()
	}
	if x.route.Egress != nil {
		return errEgressRoute()
	}
	return nil
}
