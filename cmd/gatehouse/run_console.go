package main

import (
	"context"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"
	"time"

	"gatehouse/app"
	"gatehouse/app/billing"
	"gatehouse/app/export"
	"gatehouse/app/metering"
	"gatehouse/embed/docs"
	"gatehouse/web/api"
	"gatehouse/web/console"
	"gatehouse/web/gateway"
	"gatehouse/web/gateway/clientaddr"
	"gatehouse/web/manual"
	"gatehouse/web/respond"
	"gatehouse/web/static"
	"gatehouse/web/ui"
	"gatehouse/web/wellknown"
)

// surfaces are the handlers of the console's listener, and the machine's pages
// that the gateway's answers too.
type surfaces struct {
	console http.Handler // console, management API, manual, assets, machine's pages
	machine http.Handler // healthz, readyz, metrics and public keys
	keys    http.Handler // the public keys alone, for the gateway's listener
}

func (p *Program) address(r *http.Request) netip.Addr {
	client, _ := clientaddr.Of(r, p.config.Gateway.TrustedProxies)
	return client
}

func (p *Program) responder(surface string) *respond.Responder {
	return &respond.Responder{Surface: surface, Log: p.log, Access: p.access, Now: p.now, Observe: p.metrics.Observe(surface)}
}

// surfaces builds what answers on the console's listener.
func (p *Program) surfaces() (s surfaces, err error) {
	readiness := &wellknown.Readiness{Checks: p.checks(), Log: p.log, Now: p.now}
	registry, err := wellknown.NewRegistry(version, p.collectors()...)
	if err != nil {
		return s, err
	}
	pages := &wellknown.Pages{Readiness: readiness, Metrics: wellknown.MetricsHandler(registry), Keys: p.publicKeys,
		Respond: p.responder("wellknown")}
	management := p.api(readiness)
	assets := static.New()
	handbook, err := manual.New(manual.Options{Pages: docs.Pages, Order: docs.Order(), OpenAPI: management.Document(),
		BaseURL: p.config.consoleURL(), Version: version, Respond: p.responder("manual"),
		Assets: ui.Assets{CSS: assets.URL(static.CSS), JS: assets.URL(static.JS), Font: assets.URL(static.Font), Icon: assets.URL(static.Icon)}})
	if err != nil {
		return s, err
	}
	mux := http.NewServeMux()
	pages.Mount(mux, p.config.Metrics.Addr == "")
	mux.Handle(static.Prefix, assets)
	mux.Handle(manual.PathHome, handbook)
	mux.Handle(manual.PathHome+"/", handbook)
	mux.Handle("/v1/", p.apiHandler(management))
	mux.Handle("/", p.untilClaimed(p.consolePages(readiness, assets).Handler()))
	s.console = p.tracing.Wrap("console", mux)
	machine, keys := http.NewServeMux(), http.NewServeMux()
	pages.Mount(machine, true)
	profiles(machine)
	s.machine = machine
	(&wellknown.Pages{Keys: pages.Keys, Respond: pages.Respond}).Mount(keys, false)
	s.keys = keys
	return s, nil
}

// profiles serves runtime profiles on the listener that metrics have of their
// own: `go tool pprof http://127.0.0.1:9090/debug/pprof/profile`.
func profiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}

// api is the management API over the same services that the console uses.
func (p *Program) api(readiness *wellknown.Readiness) *api.API {
	return api.New(api.Options{
		Services: api.Services{Orgs: p.orgs, OrgKeys: p.keys, Plans: p.plans, Routing: p.routes, Usage: p.usage,
			Sessions: p.auth, Traffic: p.view, System: systemView{p, readiness}, Identities: p.store,
			Meters: p.meterSet, Quotas: p.quotaDesk, Reservations: p.reservations, Rates: p.rates, Proofs: p.verifier,
			Adjustments: metering.Adjuster{Ledger: p.events, Meters: p.meterSet, Draws: drawsOf(p.quotas)},
			Exports:     &export.Service{Source: metering.Exporter{Store: p.ledgerStore}}, Events: p.events, EventReader: p.meterSet,
			OwnExports: &export.Own{Source: metering.OrgExporter{Store: p.ledgerStore}, Orgs: p.store, Sealing: p.sealer},
			Customers:  &billing.Customers{Store: p.store}, Desk: &export.Desk{Outbox: p.ledgerStore}},
		Keys: p.keys, Touches: p.touch, Idempotency: p.store, Sealer: p.sealer, Address: p.address,
		Respond: p.responder("api"), Now: p.now, Version: version, Extra: admissionCalls(),
	})
}

// apiHandler puts the calls that share the gateway's admission beside the API.
func (p *Program) apiHandler(management http.Handler) http.Handler {
	responder := p.responder("api")
	mux := http.NewServeMux()
	mux.Handle("POST /v1/check", responder.Handle(p.gateway.Check))
	authorize := http.HandlerFunc(p.gateway.Authorize)
	rest := responder.Wrap(management)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case path == gateway.AuthorizePath, strings.HasPrefix(path, gateway.AuthorizePath+"/"):
			authorize.ServeHTTP(w, r) // any method: Envoy keeps the client's
		case path == "/v1/check" && r.Method == http.MethodPost:
			mux.ServeHTTP(w, r)
		default:
			rest.ServeHTTP(w, r)
		}
	})
}

func (p *Program) consolePages(readiness *wellknown.Readiness, assets *static.Assets) *console.Console {
	return &console.Console{Orgs: p.orgs, Keys: p.keys, Plans: p.plans, Routing: p.routes, Usage: p.usage, Traffic: p.view,
		Meters: p.meterSet, MeterUsage: p.usage, Quotas: p.quotaDesk, Reservations: p.reservations, Proofs: p.verifier, Rates: p.rates,
		QuotaAccounts: p.ledgerStore, QuotaOf: p.quotaOf, Customers: &billing.Customers{Store: p.store}, Outbox: &export.Desk{Outbox: p.ledgerStore},
		Limits: p.limits, InFlight: p.gateway.InFlight, Upstreams: p.upstreamHealth,
		Checks:   func(ctx context.Context) []console.Check { return consoleChecks(readiness.Results(ctx)) },
		Accounts: p.auth, Client: p.address, Sealer: p.sealer, Asset: assets.URL, About: p.about(),
		Access: p.access, Observe: p.metrics.Observe("console"), Now: p.now, Log: p.log}
}

// quotaOf is the quota that an account is held against; not ok: none is.
func (p *Program) quotaOf(ctx context.Context, a app.Account) (app.Quota, bool, error) {
	book, err := p.gateway.QuotaBook(ctx, a.Org)
	if app.IsKind(err, app.KindNotFound) { // the organization was deleted
		return app.Quota{}, false, nil
	}
	q, ok := book.Quota(a)
	return q, ok, err
}

func (p *Program) about() console.About {
	counter := "in process"
	if p.embedded == nil {
		counter = "Redis"
	}
	return console.About{Version: version, Engine: p.store.Engine(), Counter: counter, DataDir: p.config.DataDir,
		Gateway: p.config.gatewayURL(), Started: p.started, Secure: strings.HasPrefix(p.config.consoleURL(), "https:"), Stripe: p.config.Stripe.SecretKey != ""}
}

func (p *Program) upstreamHealth() map[string][]console.AddressStatus {
	all := map[string][]console.AddressStatus{}
	for name, addresses := range p.gateway.Upstreams() {
		for _, a := range addresses {
			all[name] = append(all[name], console.AddressStatus{Address: a.Address, Healthy: a.Healthy, InFlight: a.InFlight,
				Requests: a.Requests, Failures: a.Failures, Latency: a.Latency, LastError: a.LastError,
				LastErrorAt: a.LastErrorAt, LastCheck: a.LastCheck})
		}
	}
	return all
}

// publicKeys is the document that verifies assertions.
func (p *Program) publicKeys(context.Context) ([]byte, error) { return p.tokens.JWKS().Body, nil }

// untilClaimed keeps the console to this machine until an operator has claimed
// it, unless configuration says otherwise.
func (p *Program) untilClaimed(next http.Handler) http.Handler {
	if p.config.Console.ClaimFrom == ClaimFromAny {
		return next
	}
	responder := p.responder("console")
	return responder.Handle(func(w http.ResponseWriter, r *http.Request) error {
		if !p.claimed.Load() {
			claimed, err := p.auth.Claimed(r.Context())
			if err != nil {
				return err
			}
			p.claimed.Store(claimed)
			if !claimed && !local(r) {
				return errUnclaimed()
			}
		}
		next.ServeHTTP(w, r)
		return nil
	})
}

// local reports whether the request comes from this machine and was not
// forwarded from elsewhere.
func local(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return false
	}
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	client, _ := clientaddr.Of(r, loopback)
	return client.IsLoopback() && r.Header.Get("Forwarded") == ""
}

func errUnclaimed() error {
	return &app.Error{Kind: app.KindForbidden, Code: "console_unclaimed",
		Message: "Nobody has claimed this console yet, so it answers only on the machine that it runs on.",
		Advice:  "Open the link that `gatehouse serve` printed there (over SSH: ssh -L 8081:127.0.0.1:8081 HOST), or start with --claim-from any."}
}

// systemView tells the API about the running program.
type systemView struct {
	program   *Program
	readiness *wellknown.Readiness
}

// Engine implements api.System.
func (v systemView) Engine() string { return v.program.store.Engine() }

// StartedAt implements api.System.
func (v systemView) StartedAt() time.Time { return v.program.started }

// Checks implements api.System.
func (v systemView) Checks(ctx context.Context) []api.SystemCheck {
	var list []api.SystemCheck
	for _, result := range v.readiness.Results(ctx) {
		list = append(list, api.SystemCheck{Name: result.Name, OK: result.OK, Message: result.Message})
	}
	return list
}
