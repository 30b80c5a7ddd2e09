// Package gateway is the data plane: it identifies a request, admits it,
// forwards it to the app and records it. Everything that does not depend on
// the single request is resolved once and held; see embed/docs/decisions.
package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/app"
	"gatehouse/app/keys"
	"gatehouse/app/limit"
	"gatehouse/app/metering"
	"gatehouse/app/quota"
	"gatehouse/app/token"
	"gatehouse/app/traffic"
	"gatehouse/web/gateway/upstream"
	"gatehouse/web/respond"
)

// Directory reads configuration; the store fills it.
type Directory interface {
	Org(ctx context.Context, id app.OrgID) (app.Org, error)
	OrgBySlug(ctx context.Context, slug string) (app.Org, error)
	Key(ctx context.Context, org app.OrgID, id app.KeyID) (app.Key, error)
	Plan(ctx context.Context, slug string) (app.Plan, error)
	KeyByHash(ctx context.Context, hash [32]byte) (app.Key, error)
	LastChange(ctx context.Context) (int64, error)
	Routes(ctx context.Context) ([]app.Route, error)
	Upstreams(ctx context.Context) ([]app.Upstream, error)
}

// Ledger counts requests durably; metering.Ledger fills it.
type Ledger interface {
	Begin(in app.Intent) metering.Ticket
	Settle(ticket metering.Ticket, out app.Outcome)
	SettleTicket(ticket metering.Ticket, out app.Outcome) metering.Ticket
	Void(ticket metering.Ticket) bool
	Tally(n int64)
}

// Tokens checks JWTs of outside issuers, quickly when it saw one before;
// token.Issuers fills it.
type Tokens interface {
	Verify(ctx context.Context, jwt string) (token.Outside, error)
}

// Sessions resolves a user's session cookie.
type Sessions interface {
	UserSession(ctx context.Context, cookie string) (app.Session, error)
}

// Assertions mints what tells the app who calls.
type Assertions interface {
	NewAssertion(subject token.Subject) *token.Assertion
}

// Options are what the gateway stands on.
type Options struct {
	Directory  Directory
	Quotas     *quota.Engine // nil: no quota stops anything
	Overrides  Overrides     // nil: plans alone say what quotas are
	Meters     Meters        // nil: /v1/check counts requests alone
	Rates      Rates         // nil: no model has a price
	Secrets    Secrets       // nil: no upstream has a credential
	Limits     limit.Authority
	Addresses  *limit.Addresses // nil: no limit before a request is identified
	Slots      limit.Slots      // in-flight and WebSocket places of organizations
	Sockets    SocketCaps
	Ledger     Ledger
	Traffic    *traffic.Recorder
	Tokens     Tokens
	Sessions   Sessions
	Assertions Assertions
	Touches    *keys.Touch
	Trusted    []netip.Prefix // proxies whose X-Forwarded-For counts
	Default    string         // address of the app while no route exists; may be empty
	XRateLimit bool           // also answer with X-RateLimit-*
	AccessLog  *respond.AccessLog
	Now        func() time.Time
	Log        *slog.Logger
}

// Gateway serves the operator's app.
type Gateway struct {
	Options
	reload  sync.Mutex
	book    atomic.Pointer[book]
	ring    *keyring
	faults  faults
	tenants *tenants
	sockets *sockets
	// wouldRefuse counts requests that a limit in dry-run would have refused.
	wouldRefuse atomic.Int64
	// ticker ticks until it is stopped.
	ticker func(time.Duration) (ticks <-chan time.Time, stop func())
}

// New returns a gateway. Reload must be called before it serves.
func New(o Options) *Gateway {
	g := &Gateway{Options: o, ring: newKeyring(), sockets: newSockets(o.Sockets), ticker: every}
	g.tenants = &tenants{g: g, byID: map[app.OrgID]*tenant{}}
	g.book.Store(emptyBook())
	return g
}

// ServeHTTP takes one request through the gate.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := newExchange(g, w, r)
	defer x.leave()
	err := g.serve(x)
	g.record(x, err)
	if x.result.Err != nil && x.result.Sent {
		panic(http.ErrAbortHandler) // the client must not take half an answer for a whole one
	}
}

// serve is the way of one request: identify, admit, proxy. Its error is the
// answer, unless one was sent already.
func (g *Gateway) serve(x *exchange) error {
	if err := x.enter(); err != nil {
		return err
	}
	if x.route.Egress != nil {
		return g.egress(x)
	}
	got := find(x.r.Header, x.route.modes)
	if err := g.decide(x.r.Context(), x, got); err != nil {
		return err
	}
	hideCredentials(x.r.Header, got)
	if err := g.takePlaces(x); err != nil {
		return err
	}
	return g.proxy(x)
}

// decide says who the request is from and whether it may pass.
func (g *Gateway) decide(ctx context.Context, x *exchange, got presented) error {
	c, err := g.identify(ctx, got, x.from, x.route, x.start)
	if err != nil {
		return err
	}
	return g.admit(ctx, x, c)
}

// admit says whether the credential's organization and limits let the request
// pass; nil is nobody known.
func (g *Gateway) admit(ctx context.Context, x *exchange, c *credential) error {
	if x.admission = x.route.open; c != nil {
		if err := g.enroll(ctx, x, c); err != nil {
			return err
		}
	}
	x.decision = g.Limits.Take(ctx, x.start, x.weight, x.admission.cells)
	if x.decision.WouldRefuse != nil {
		g.wouldRefuse.Add(1)
	}
	if !x.decision.OK {
		return x.decision.Problem(x.start)
	}
	return nil
}

// enroll puts the request down to the credential's organization.
func (g *Gateway) enroll(ctx context.Context, x *exchange, c *credential) (err error) {
	x.credential = c
	if x.admission, err = g.admission(ctx, c, x.route, x.book); err != nil {
		return err
	}
	if c.mark != nil {
		c.mark.Use(x.start)
	}
	if state := x.admission.state; state.org.Status != app.OrgStatusActive {
		return errOrgStatus(&state.org)
	}
	return nil
}

// poolFor is the route's upstream, or the organization's own: never the shared
// one in its place, where other organizations' data are. nil: it is not there,
// as for the moment in which routing and the organization change at once.
func (x *exchange) poolFor() *upstream.Pool {
	if x.credential != nil && !x.route.SharedUpstream && x.admission.state.org.Upstream != "" {
		return x.book.pools[x.admission.state.org.Upstream]
	}
	return x.route.pool
}
