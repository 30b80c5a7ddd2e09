package console_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"gatehouse/app"
	"gatehouse/app/auth"
	"gatehouse/app/billing"
	"gatehouse/app/export"
	"gatehouse/app/keys"
	"gatehouse/app/limit"
	"gatehouse/app/margin"
	"gatehouse/app/metering"
	"gatehouse/app/routing"
	"gatehouse/app/tenancy"
	"gatehouse/app/traffic"
	"gatehouse/embed/catalogue"
	"gatehouse/store"
	"gatehouse/web/console"
	"gatehouse/web/static"
	"gatehouse/web/ui"
)

// stage is a console on a real store, with all the services behind it.
type stage struct {
	t         testing.TB
	store     *store.Store
	book      *store.Ledger
	ledger    *metering.Ledger
	recorder  *traffic.Recorder
	limits    *limit.Local
	orgs      *tenancy.Service
	keys      *keys.Service
	plans     *billing.Service
	routing   *routing.Service
	rates     *margin.Rates
	auth      *auth.Service
	sealer    *app.Sealer
	console   *console.Console
	meterUse  *fakeMeterUsage
	quotas    *fakeQuotas
	accounts  *fakeAccounts
	proofs    *fakeProofs
	url       string
	cut       func() // ends all connections
	customers []customer
	shift     atomic.Int64 // of the clock against the real one, in nanoseconds
	deaf      atomic.Bool  // the stream does not answer
	broken    atomic.Pointer[error]
	log       *testLog
}

var system = app.Actor{Kind: app.ActorSystem}

const (
	ownerName     = "Mara Okafor"
	ownerEmail    = "mara@example.com"
	ownerPassword = "granite kettle under moss"
)

func (s *stage) now() time.Time { return time.Now().Add(time.Duration(s.shift.Load())) }

// newStage opens an empty, unclaimed installation with the shipped plans.
func newStage(t testing.TB) *stage {
	s := &stage{t: t, log: &testLog{}}
	ctx, dir := context.Background(), t.TempDir()
	var err error
	s.store, err = store.Open(ctx, store.Options{Path: filepath.Join(dir, "gatehouse.db"), Now: s.now})
	s.must(err)
	t.Cleanup(func() { s.store.Close() })
	s.book, err = store.OpenLedger(ctx, store.Options{Path: filepath.Join(dir, "gatehouse.db"), Now: s.now})
	s.must(err)
	t.Cleanup(func() { s.book.Close() })
	s.ledger, err = metering.Open(ctx, metering.Options{Store: s.book, Node: "test", Now: s.now, MaxDelay: -1, MaxPending: 1 << 20, Patience: patience})
	s.must(err)
	t.Cleanup(func() { s.ledger.Close(context.Background()) })
	s.recorder = traffic.New(s.now)
	s.limits = limit.NewLocal(s.now)
	s.orgs = &tenancy.Service{Store: s.store, Now: s.now}
	s.keys = &keys.Service{Store: s.store, Now: s.now}
	s.plans = &billing.Service{Store: s.store}
	s.routing = &routing.Service{Store: s.store}
	s.seedPlans()
	s.seedRates()
	s.serve()
	return s
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) seedPlans() {
	var file struct{ Plans []app.Plan }
	raw, err := yaml.YAMLToJSON(catalogue.Plans())
	s.must(err)
	s.must(json.Unmarshal(raw, &file))
	_, err = s.plans.Seed(context.Background(), file.Plans)
	s.must(err)
}

func (s *stage) seedRates() {
	var file struct{ Rates []app.Rate }
	raw, err := yaml.YAMLToJSON(catalogue.Rates())
	s.must(err)
	s.must(json.Unmarshal(raw, &file))
	s.rates = &margin.Rates{Store: s.store}
	_, err = s.rates.Seed(context.Background(), file.Rates)
	s.must(err)
}

func (s *stage) serve() {
	var err error
	s.sealer, err = app.NewSealer(make([]byte, app.SealKeySize))
	s.must(err)
	s.routing.Sealer = s.sealer
	bounds := auth.DefaultBounds()
	bounds.Address.Attempts, bounds.AccountAddress.Attempts = 1000, 1000
	s.auth = auth.New(auth.Options{Store: s.store, Sealer: s.sealer, Now: s.now, Log: slog.New(s.log), Bounds: bounds})
	assets := static.New()
	s.console = &console.Console{Orgs: s.orgs, Keys: s.keys, Plans: s.plans, Routing: s.routing, Usage: metering.Reports{Store: s.book},
		Traffic:   &traffic.View{Recorder: s.recorder, Past: &traffic.History{Store: s.store, Replica: "test"}},
		Limits:    s.limits,
		InFlight:  func(app.OrgID) (int64, int64) { return 3, 1 },
		Upstreams: s.health, Checks: s.checks, Accounts: s.auth, Sealer: s.sealer, Asset: assets.URL, Now: s.now, Log: slog.New(s.log),
		About: console.About{Version: "v0.1.0", Engine: s.store.Engine(), Counter: "in process", DataDir: "./gatehouse-data", Gateway: "http://127.0.0.1:8080", Started: s.now().Add(-148 * time.Hour)}}
	s.meterUse, s.quotas, s.proofs = &fakeMeterUsage{stage: s}, &fakeQuotas{stage: s}, &fakeProofs{}
	s.proofs.held(s.now())
	s.console.Meters, s.console.MeterUsage, s.console.Quotas, s.console.Proofs = fakeMeters{}, s.meterUse, s.quotas, s.proofs
	s.console.Reservations, s.console.Rates = fakeReservations{s}, s.rates
	s.accounts = &fakeAccounts{stage: s}
	s.console.QuotaAccounts, s.console.QuotaOf = s.accounts, s.quotaOf
	s.console.Customers, s.console.Outbox, s.console.About.Stripe = &billing.Customers{Store: s.store}, &export.Desk{Outbox: s.book}, true
	mux := http.NewServeMux()
	mux.Handle(static.Prefix, assets)
	mux.Handle("/", s.unlessDeaf(s.console.Handler()))
	server := httptest.NewServer(mux)
	s.t.Cleanup(server.Close)
	s.t.Cleanup(server.CloseClientConnections)
	s.url, s.cut = server.URL, server.CloseClientConnections
}

// unlessDeaf answers the stream as a broken proxy does while the stage is deaf.
func (s *stage) unlessDeaf(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.deaf.Load() && r.URL.Path == ui.PathEvents {
			http.Error(w, "bad gateway", http.StatusBadGateway)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *stage) checks(context.Context) []console.Check {
	checks := []console.Check{{Name: "database", Detail: s.store.Engine() + ", migrated"}, {Name: "ledger", Detail: "durable before each answer"}, {Name: "signing keys", Detail: "EdDSA"}}
	if broken := s.broken.Load(); broken != nil {
		checks[1].Err = *broken
	}
	return checks
}

func (s *stage) health() map[string][]console.AddressStatus {
	if s.customers == nil {
		return nil
	}
	return map[string][]console.AddressStatus{
		"app": {{Address: "http://127.0.0.1:3000", Healthy: true, InFlight: 4, Requests: 1_203_441, Failures: 12, Latency: 11 * time.Millisecond},
			{Address: "http://127.0.0.1:3001", Requests: 1_198_002, Failures: 310, Latency: 48 * time.Millisecond, LastError: "connect: connection refused", LastErrorAt: s.now().Add(-3 * time.Minute)}},
		"files": {{Address: "http://127.0.0.1:3100", Healthy: true, InFlight: 1, Requests: 88_120, Latency: 23 * time.Millisecond}},
	}
}

// customer is an organization of the populated stage.
type customer struct {
	name, plan string
	rate       float64 // requests a second
	refused    float64 // share
}

// The names that a page must bear are among them.
var customers = []customer{
	{"Northwind Labs", "enterprise", 5.2, .001}, {"Acme Robotics", "pro", 2.1, .02}, {"Bluefin Analytics", "pro", 1.6, .004}, {"Harbor & Pine", "starter", .9, .003},
	{"Quill Health", "enterprise", .8, .002}, {"Tiny Teapot", "free", .3, .55}, {"Lumen Press", "starter", .2, .01},
}

// awkward are names that every page must bear.
var awkward = []customer{
	{`<script>alert("x")</script> & "Söhne"`, "starter", .15, .01}, {"شركة النسيم للتجارة", "pro", .12, .01}, {"🦊 Fox & Friends 🦊", "free", .1, .2},
	{strings.Repeat("Very long name of a customer ", 6) + "that is 200 characters", "starter", .05, 0},
}

// populate fills the stage with organizations, keys, routes, an hour of
// traffic and a month of usage.
func (s *stage) populate(list ...customer) {
	s.customers = list
	ctx := context.Background()
	_, err := s.routing.Apply(ctx, system, routing.Set{
		Upstreams: []app.Upstream{{Name: "app", Addresses: []string{"http://127.0.0.1:3000", "http://127.0.0.1:3001"}, Health: &app.HealthCheck{Path: "/healthz"}},
			{Name: "files", Addresses: []string{"http://127.0.0.1:3100"}},
			{Name: "anthropic", Addresses: []string{"https://api.anthropic.com"}, Credential: &app.Credential{Header: "x-api-key", Secret: "sk-ant-a-secret-of-a-test-4f2a"}}},
		Routes: []app.Route{{Name: "app", PathPrefix: "/", Upstream: "app", Closed: []string{"/admin"}},
			{Name: "agents", PathPrefix: "/v1/agents", Methods: []string{"POST"}, Upstream: "app", Scopes: []string{"agents:run"}, Weight: 5,
				RateLimits: []app.RateLimit{{Name: "runs", Requests: 60, Window: app.Duration(time.Minute)}}},
			{Name: "files", Hosts: []string{"files.example.com"}, PathPrefix: "/", Upstream: "files", Auth: []app.AuthMode{app.AuthKey, app.AuthJWT}, Cost: 1500},
			{Name: "models", Hosts: []string{"llm.internal"}, PathPrefix: "/v1/messages", Methods: []string{"POST"}, Upstream: "anthropic", Egress: &app.Egress{API: app.EgressAnthropic, Clamp: true, MaxOutput: 4096}}}}, false)
	s.must(err)
	routes, err := s.store.Routes(ctx)
	s.must(err)
	s.shift.Store(int64(-40 * 24 * time.Hour))
	for i, c := range s.customers {
		s.shift.Add(int64(26 * time.Hour))
		org, err := s.orgs.Create(ctx, system, tenancy.New{Name: c.name, Plan: c.plan})
		s.must(err)
		s.addKeys(org, i, routes)
	}
	s.shift.Store(0)
	s.trafficPast()
}

func (s *stage) addKeys(org app.Org, i int, routes []app.Route) {
	ctx := context.Background()
	production, err := s.keys.Mint(ctx, system, keys.New{Org: org.ID, Name: "production", Scopes: []string{"agents:run", "files:*"}})
	s.must(err)
	ci, err := s.keys.Mint(ctx, system, keys.New{Org: org.ID, Name: "ci", Scopes: []string{"agents:run"}, CIDRs: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")}, ExpiresAt: time.Now().Add(68 * 24 * time.Hour),
		RateLimits: []app.RateLimit{{Name: "ci", Requests: 20, Window: app.Duration(time.Minute)}}})
	s.must(err)
	if i == 1 {
		s.moreKeys(org)
	}
	s.usagePast(org, s.customers[i], routes, production.ID, ci.ID)
}

// moreKeys gives one organization keys in every state.
func (s *stage) moreKeys(org app.Org) {
	ctx, at := context.Background(), s.shift.Load()
	old, err := s.keys.Mint(ctx, system, keys.New{Org: org.ID, Name: "worker", Scopes: []string{"agents:run", "files:*"}})
	s.must(err)
	gone, err := s.keys.Mint(ctx, system, keys.New{Org: org.ID, Name: "leaked in March", Scopes: []string{"*"}})
	s.must(err)
	_, err = s.keys.Revoke(ctx, system, org.ID, gone.ID)
	s.must(err)
	s.shift.Store(int64(-2 * time.Hour))
	_, err = s.keys.Rotate(ctx, system, org.ID, old.ID, 24*time.Hour)
	s.must(err)
	_, err = s.keys.Mint(ctx, system, keys.New{Org: org.ID, Name: "laptop-mo", Env: keys.EnvTest, Scopes: []string{"*"}, ExpiresAt: time.Now().Add(30 * 24 * time.Hour)})
	s.must(err)
	s.must(s.store.TouchKeys(ctx, map[app.KeyID]time.Time{old.ID: time.Now().Add(-4 * time.Minute)}))
	s.shift.Store(at)
}

// usagePast counts requests of this month and the last in the ledger.
func (s *stage) usagePast(org app.Org, c customer, routes []app.Route, byKey ...app.KeyID) {
	var last metering.Ticket
	counted := 0
	end := time.Now()
	for at, n := end.Add(-50*24*time.Hour), 0; at.Before(end); at, n = at.Add(3*time.Hour), n+1 {
		wave := 1.2 + math.Sin(float64(n)/8*2*math.Pi) + .3*math.Sin(float64(n)/3.1)
		if day := at.Weekday(); day == time.Saturday || day == time.Sunday {
			wave *= .35
		}
		for i := 0; i < int(c.rate*12*wave)+1; i++ {
			key, route := byKey[min(i%5/4, 1)], routes[i%len(routes)]
			last = s.ledger.Begin(app.Intent{At: at.Add(time.Duration(i) * time.Second), Org: org.ID, Key: key, Route: route.ID, Weight: max(route.Weight, 1)})
			status := 200
			switch {
			case i%211 == 97:
				status = 502
			case i%31 == 7:
				status = 404
			}
			if counted++; counted%2000 == 0 { // the ledger refuses what it cannot keep up with
				s.must(last.Wait(context.Background()))
			}
			s.ledger.Settle(last, app.Outcome{Status: status, BytesIn: 900, BytesOut: 14_200, Duration: time.Duration(20+i%40) * time.Millisecond})
		}
	}
	s.must(last.Wait(context.Background()))
}

// trafficPast plays the last hour into the recorder.
func (s *stage) trafficPast() {
	list, err := s.store.Orgs(context.Background(), app.Page{Limit: 200})
	s.must(err)
	meters := map[string]*traffic.Meter{}
	for _, o := range list.Items {
		meters[o.Name] = s.recorder.Org(o.ID)
	}
	due := make([]float64, len(s.customers))
	for second := -3600; second <= 0; second++ {
		s.shift.Store(int64(time.Duration(second) * time.Second))
		for i, c := range s.customers {
			wave := 4 + 2*math.Sin(float64(second)/700+float64(i*i)) + math.Sin(float64(second)/170+float64(i))
			for due[i] += c.rate * wave; due[i] >= 1; due[i]-- {
				s.observe(meters[c.name], second+i, c)
			}
		}
		s.recorder.Tick()
	}
	s.shift.Store(0)
	s.must(s.recorder.Save(context.Background(), &traffic.History{Store: s.store, Replica: "test"}))
}

var refusalCodes = []string{"rate_limited", "rate_limited", "rate_limited", "key_unknown", "in_flight_limited", "key_malformed", "address_blocked", "scope_missing"}

func (s *stage) observe(meter *traffic.Meter, n int, c customer) {
	roll := float64((n*7919)%1000) / 1000
	if roll < 0 {
		roll = -roll
	}
	took := time.Duration((8+140*math.Pow(roll, 6))*(.7+float64(len(c.name)%7)/8)*1000) * time.Microsecond
	switch {
	case roll < c.refused || (n > -1500 && n < -1200 && roll < .3):
		s.recorder.Observe(meter, traffic.Refused, 0, 90*time.Microsecond)
		s.recorder.Refuse(refusalCodes[((n%8)+8)%8])
	case n%1999 == 0:
		s.recorder.Observe(meter, traffic.Failed, took*4, 300*time.Microsecond)
	default:
		s.recorder.Observe(meter, traffic.Allowed, took, 280*time.Microsecond)
	}
}

var errDisk = &app.Error{Kind: app.KindUnavailable, Code: "ledger_unavailable", Message: "The ledger cannot be written: the disk is full.", Advice: "Free some space; requests pass again by themselves."}

// break_ makes a check fail, as /readyz would see it.
func (s *stage) breakLedger() {
	err := error(errDisk)
	s.broken.Store(&err)
}

// claim makes the owner the operator, once.
func (s *stage) claim() {
	token, open, err := s.auth.ClaimLink(context.Background())
	s.must(err)
	if !open {
		return
	}
	_, err = s.auth.Claim(context.Background(), token, auth.NewOperator{Email: ownerEmail, Name: ownerName, Password: ownerPassword}, auth.Client{})
	s.must(err)
}

// goOn lets traffic flow until the test ends.
func (s *stage) goOn() {
	list, err := s.store.Orgs(context.Background(), app.Page{Limit: 200})
	s.must(err)
	meters := map[string]*traffic.Meter{}
	for _, o := range list.Items {
		meters[o.Name] = s.recorder.Org(o.ID)
	}
	done, ended := make(chan struct{}), make(chan struct{})
	s.t.Cleanup(func() { close(done); <-ended })
	go func() {
		defer close(ended)
		second := time.NewTicker(time.Second)
		defer second.Stop()
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			case <-second.C:
			}
			for i, c := range s.customers {
				for k := 0.0; k < c.rate*4; k++ {
					s.observe(meters[c.name], n*31+i+int(k)*7, c)
				}
			}
			s.recorder.Tick()
		}
	}()
}
