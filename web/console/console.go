package console

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"gatehouse/app"
	"gatehouse/web/respond"
	"gatehouse/web/session"
	"gatehouse/web/ui"
)

// Console serves the operator's pages. All fields are needed unless said otherwise.
type Console struct {
	Orgs    Orgs
	Keys    Keys
	Plans   Plans
	Routing Routing
	Usage   Usage
	Traffic Traffic
	Limits  Limits // optional: how full rate limits are
	// What follows is optional: without it, its pages and parts are not there.
	Meters       Meters
	MeterUsage   MeterUsage
	Quotas       Quotas
	Reservations Reservations
	Proofs       Proofs
	Rates        Rates
	// QuotaAccounts and QuotaOf, which finds what an account is held against
	// (not ok: nothing), tell who is near a limit; one needs the other.
	QuotaAccounts QuotaAccounts
	QuotaOf       func(ctx context.Context, a app.Account) (quota app.Quota, ok bool, err error)
	// Customers and Outbox are the page of Stripe; one needs the other.
	Customers Customers
	Outbox    Outbox
	// InFlight tells how many requests and WebSockets of an organization run on
	// this node; optional.
	InFlight func(org app.OrgID) (requests, sockets int64)
	// Upstreams tells the health of each upstream's addresses, by its name; optional.
	Upstreams func() map[string][]AddressStatus
	// Checks asks what readyz asks; each has a name.
	Checks   func(ctx context.Context) []Check
	Accounts Accounts
	// Client tells a request's address, behind trusted proxies; optional.
	Client  func(*http.Request) netip.Addr
	Sealer  *app.Sealer              // seals a new key's secret on its way to the page that shows it
	Asset   func(name string) string // address of an asset: static.Assets.URL
	About   About
	Access  *respond.AccessLog                   // nil: no access log
	Observe func(status int, took time.Duration) // metrics; nil: none
	Now     func() time.Time
	Log     *slog.Logger
}

// About is what the console tells of the installation.
type About struct {
	Version string // "v0.1.0"
	Engine  string // "SQLite" or "PostgreSQL"
	Counter string // where limits are counted: "in process" or "Redis"
	DataDir string
	Gateway string // address that reaches the gateway, such as "http://127.0.0.1:8080"
	Started time.Time
	Secure  bool // the console is served over TLS: its cookies say so
	Stripe  bool // usage is reported to Stripe
}

// Check is one thing that must be well for the gate to work.
type Check struct {
	Name   string // "database", "redis", "ledger"
	Err    error  // nil: it is well
	Detail string // shown beside it; may be empty
}

// AddressStatus is how one address of an upstream is, as this node sees it.
type AddressStatus struct {
	Address     string
	Healthy     bool
	InFlight    int64
	Requests    int64         // since the node knows it
	Failures    int64         // requests without a proper answer
	Latency     time.Duration // moving average until an answer's head
	LastError   string
	LastErrorAt time.Time
	LastCheck   time.Time // zero: no active check
}

// Handler returns the handler of all pages. Static assets are served beside
// it, by web/static.
func (c *Console) Handler() http.Handler {
	s := &site{Console: c}
	s.responder = &respond.Responder{Surface: "console", Log: c.Log, Access: c.Access, Observe: c.Observe, Now: c.Now, Page: s.fail}
	s.cookies = &session.Manager{Auth: c.Accounts, Sealer: c.Sealer, Secure: c.About.Secure, SignIn: ui.PathSignIn, Now: c.Now, Fail: s.responder.Fail}
	s.feed = newFeed(s)
	mux := http.NewServeMux()
	for _, p := range s.pages() {
		mux.Handle(p.method+" "+p.path, s.guard(p))
	}
	mux.Handle("/", s.responder.Missing())
	return s.responder.Wrap(secure(s.cookies.Protect(bounded(mux))))
}

// site is a console at work.
type site struct {
	*Console
	responder *respond.Responder
	cookies   *session.Manager
	feed      *feed
	near      nearWatch
}

func (c *Console) assets() ui.Assets {
	return ui.Assets{CSS: c.Asset("console.css"), JS: c.Asset("console.js"), Font: c.Asset("inter.woff2"), Icon: c.Asset("icon.svg")}
}
