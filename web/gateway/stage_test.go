package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/auth"
	"gatehouse/app/keys"
	"gatehouse/app/limit"
	"gatehouse/app/margin"
	"gatehouse/app/metering"
	"gatehouse/app/quota"
	"gatehouse/app/tenancy"
	"gatehouse/app/token"
	"gatehouse/app/traffic"
	"gatehouse/store"
	"gatehouse/store/storetest"
	"gatehouse/store/storetest/each"
	"gatehouse/web/gateway"
	"gatehouse/web/respond"
)

// stage is a gate of real parts with an app behind it: only the clock is the
// test's own.
type stage struct {
	t       *testing.T
	clock   *clock
	store   *directory
	blocks  *blocks
	ledger  *metering.Ledger
	quotas  *quota.Engine
	rates   *margin.Rates
	sealer  *app.Sealer
	traffic *traffic.Recorder
	auth    *auth.Service
	tokens  *token.Service
	orgs    *tenancy.Service
	keys    *keys.Service
	issuer  *issuer
	log     *lines
	access  *lines
	options gateway.Options
	gate    *gateway.Gateway
	url     string // of the gate
	app     *sampleApp
	plan    app.Plan // of every organization, "test"
	closers []func()
}

// clock is moved by hand.
type clock struct{ passed atomic.Int64 }

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func (c *clock) Now() time.Time       { return noon.Add(time.Duration(c.passed.Load())) }
func (c *clock) Pass(d time.Duration) { c.passed.Add(int64(d)) }

// lines is a log that the test reads.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// directory is the store, where a test may come between.
type directory struct {
	*store.Store
	lookups  atomic.Int64                         // of keys
	afterOrg atomic.Pointer[func(app.OrgID)]      // it was read, and is not yet answered
	afterKey atomic.Pointer[func(hash [32]byte)]  // a key likewise
	orgFails atomic.Pointer[func() (fails error)] // instead of a read
}

func (d *directory) Org(ctx context.Context, id app.OrgID) (app.Org, error) {
	if fails := d.orgFails.Load(); fails != nil {
		if err := (*fails)(); err != nil {
			return app.Org{}, err
		}
	}
	org, err := d.Store.Org(ctx, id)
	if hook := d.afterOrg.Load(); hook != nil {
		(*hook)(id)
	}
	return org, err
}

func (d *directory) KeyByHash(ctx context.Context, hash [32]byte) (app.Key, error) {
	d.lookups.Add(1)
	key, err := d.Store.KeyByHash(ctx, hash)
	if hook := d.afterKey.Load(); hook != nil {
		(*hook)(hash)
	}
	return key, err
}

// blocks is the ledger's store, where a test may hold or break the commit.
type blocks struct {
	metering.BlockStore
	before atomic.Pointer[func() error]
}

func (b *blocks) AppendBlock(ctx context.Context, replica, seq int64, body []byte) error {
	if hook := b.before.Load(); hook != nil {
		if err := (*hook)(); err != nil {
			return err
		}
	}
	return b.BlockStore.AppendBlock(ctx, replica, seq, body)
}

// newStage opens a gate; change may edit what it stands on.
func newStage(t *testing.T, change ...func(*stage)) *stage {
	t.Helper()
	return newStageOn(t, store.Options{Path: filepath.Join(t.TempDir(), "gatehouse.db")}, change...)
}

// eachStage runs the test on each database.
func eachStage(t *testing.T, test func(t *testing.T, at store.Options)) {
	t.Run("SQLite", func(t *testing.T) { test(t, store.Options{Path: filepath.Join(t.TempDir(), "gatehouse.db")}) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, store.Options{DSN: storetest.Postgres(t)}) })
}

func TestMain(m *testing.M) { storetest.Main(m) }

func newStageOn(t *testing.T, at store.Options, change ...func(*stage)) *stage {
	t.Helper()
	return newStageOf(t, at, patience, change...)
}

// newStageOf opens a gate whose ledger waits so long for a commit.
func newStageOf(t *testing.T, at store.Options, commit time.Duration, change ...func(*stage)) *stage {
	t.Helper()
	s := &stage{t: t, clock: &clock{}, log: &lines{}, access: &lines{}, app: newSampleApp(t), plan: app.Plan{Slug: "test", Name: "Test"}}
	at.Now = s.clock.Now
	s.store = &directory{Store: each.Open(t, at)}
	s.openLedger(at, commit)
	s.openIdentity()
	log := slog.New(slog.NewTextHandler(s.log, nil))
	access := respond.NewAccessLog(s.access, true)
	s.closers = append(s.closers, access.Close)
	s.traffic = traffic.New(s.clock.Now)
	s.options = gateway.Options{Directory: s.store, Limits: limit.NewLocal(s.clock.Now), Slots: limit.NewLocalSlots(), Ledger: s.ledger,
		Traffic: s.traffic, Tokens: s.issuer.trusted(t, s.clock), Sessions: s.auth, Assertions: s.tokens, Touches: keys.NewTouch(s.store),
		Quotas: s.quotas, Overrides: s.store, Rates: s.rates, Secrets: s.sealer, Meters: meterList{},
		Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Default: s.app.URL, AccessLog: access, Now: s.clock.Now, Log: log}
	for _, fn := range change {
		fn(s)
	}
	s.apply(s.store.UpsertPlans(t.Context(), []app.Plan{s.plan}))
	s.gate = gateway.New(s.options)
	if err := s.gate.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.store.OnChange(func(c app.Change) {
		if err := s.gate.Changed(context.Background(), c); err != nil {
			t.Errorf("change of %s %s: %v", c.Noun, c.ID, err)
		}
	})
	s.serve()
	t.Cleanup(s.close)
	return s
}

func (s *stage) openLedger(at store.Options, commit time.Duration) {
	opened, err := store.OpenLedger(s.t.Context(), at)
	if err != nil {
		s.t.Fatal(err)
	}
	s.blocks = &blocks{BlockStore: opened}
	if s.ledger, err = metering.Open(s.t.Context(), metering.Options{Store: s.blocks, Now: s.clock.Now, Patience: commit}); err != nil {
		s.t.Fatal(err)
	}
	s.rates = &margin.Rates{Store: s.store}
	s.quotas = quota.New(quota.Options{Store: opened, Replica: s.ledger.Replica, Alive: s.ledger.Alive, Now: s.clock.Now})
	s.closers = append(s.closers, func() { s.ledger.Close(context.Background()); opened.Close() })
}

func (s *stage) openIdentity() {
	var err error
	s.sealer, err = app.NewSealer(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		s.t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	s.tokens, err = token.Open(s.t.Context(), token.Options{Store: s.store, Sealer: s.sealer, Now: s.clock.Now, Log: quiet,
		Issuer: "https://gate.example", Audience: "app"})
	if err != nil {
		s.t.Fatal(err)
	}
	s.auth = auth.New(auth.Options{Store: s.store, Sealer: s.sealer, Now: s.clock.Now, Log: quiet})
	s.orgs = &tenancy.Service{Store: s.store, Now: s.clock.Now}
	s.keys = &keys.Service{Store: s.store, Now: s.clock.Now}
	s.issuer = newIssuer(s.t, s.clock)
}

// serve serves the gate, and the calls for other proxies beside it.
func (s *stage) serve() {
	mux := http.NewServeMux()
	mux.HandleFunc(gateway.AuthorizePath, s.gate.Authorize)
	mux.HandleFunc(gateway.AuthorizePath+"/", s.gate.Authorize)
	mux.HandleFunc("/v1/check", func(w http.ResponseWriter, r *http.Request) {
		if err := s.gate.Check(w, r); err != nil {
			respond.Problem(w, r, err)
		}
	})
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, gateway.AuthorizePath) || r.URL.Path == "/v1/check" {
			mux.ServeHTTP(w, r)
			return
		}
		s.gate.ServeHTTP(w, r)
	}))
	front.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	front.Start()
	s.url = front.URL
	s.closers = append(s.closers, front.Close)
}

// close ends the stage, the last first.
func (s *stage) close() {
	for i := len(s.closers) - 1; i >= 0; i-- {
		s.closers[i]()
	}
	s.closers = nil
}

// system may do everything.
var system = app.Actor{Kind: app.ActorSystem}

func (s *stage) apply(_ any, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) org(name string) app.Org {
	s.t.Helper()
	org, err := s.orgs.Create(s.t.Context(), system, tenancy.New{Name: name, Plan: "test"})
	s.apply(org, err)
	return org
}

// key mints a key of the organization; an empty org is the operator.
func (s *stage) key(org app.OrgID, change ...func(*keys.New)) app.MintedKey {
	s.t.Helper()
	in := keys.New{Org: org, Name: "test"}
	if org == "" {
		in.Scopes = []string{"check"}
	}
	for _, fn := range change {
		fn(&in)
	}
	key, err := s.keys.Mint(s.t.Context(), system, in)
	s.apply(key, err)
	return key
}

// session signs a user of the organization in.
func (s *stage) session(org app.OrgID, scopes ...string) string {
	s.t.Helper()
	cookie, _, err := s.auth.MintUserSession(s.t.Context(), system, auth.NewUserSession{Org: org, User: "lena", Scopes: scopes})
	s.apply(cookie, err)
	return cookie
}

// routes puts these routes, to the sample app unless they say otherwise, in
// place of those before.
func (s *stage) routes(list ...app.Route) {
	s.t.Helper()
	s.routing([]app.Upstream{{Name: "app", Addresses: []string{s.app.URL}}}, list...)
}

func (s *stage) routing(upstreams []app.Upstream, list ...app.Route) {
	s.t.Helper()
	for i := range list {
		if list[i].Upstream == "" {
			list[i].Upstream = "app"
		}
		if list[i].PathPrefix == "" {
			list[i].PathPrefix = "/"
		}
		if wrong := list[i].Check(); len(wrong) > 0 {
			s.t.Fatalf("route %s: %v", list[i].Name, wrong)
		}
	}
	s.apply(s.store.ApplyRouting(s.t.Context(), upstreams, list, true))
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) code() string {
	var problem struct{ Code string }
	json.Unmarshal([]byte(a.body), &problem)
	return problem.Code
}

// seen is what the app was asked, as it answered.
func (a answer) seen(t *testing.T) (s seen) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &s); err != nil || a.status != http.StatusOK {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return s
}

// get asks the gate; headers are lines, "Name: value", sent as spelled.
func (s *stage) get(target string, headers ...string) answer {
	s.t.Helper()
	return s.ask("GET", target, "", headers...)
}

func (s *stage) ask(method, target, body string, headers ...string) answer {
	s.t.Helper()
	got, err := s.try(s.t.Context(), method, target, strings.NewReader(body), headers...)
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

func (s *stage) try(ctx context.Context, method, target string, body io.Reader, headers ...string) (a answer, err error) {
	request, err := http.NewRequestWithContext(ctx, method, s.url+target, body)
	if err != nil {
		return a, err
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		request.Header[name] = append(request.Header[name], value)
	}
	got, err := http.DefaultClient.Do(request)
	if err != nil {
		return a, err
	}
	defer got.Body.Close()
	raw, err := io.ReadAll(got.Body)
	return answer{got.StatusCode, got.Header, string(raw)}, err
}

func bearer(secret string) string { return "Authorization: Bearer " + secret }

func cookie(secret string) string { return "Cookie: " + gateway.SessionCookie + "=" + secret }

// usage is what the ledger holds of an organization once all of it is folded.
func (s *stage) usage(org app.OrgID) (sum app.UsageRow) {
	s.t.Helper()
	s.apply(nil, s.ledger.Close(context.Background()))
	rows, err := metering.Reports{Store: s.blocks.BlockStore.(*store.Ledger)}.Usage(s.t.Context(), system,
		app.UsageQuery{Org: org, Since: noon.Add(-time.Hour), Until: noon.Add(24 * time.Hour)})
	s.apply(rows, err)
	for _, row := range rows {
		sum.Add(row)
	}
	return sum
}

// refusals are the counted reasons.
func (s *stage) refusals() map[string]int64 {
	all := map[string]int64{}
	s.traffic.Refusals(func(code string, n int64) { all[code] = n })
	return all
}

var errDatabase = errors.New("the disk is gone")

func contains(text string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

func onlyFrom(prefix string) func(*keys.New) {
	return func(k *keys.New) { k.CIDRs = []netip.Prefix{netip.MustParsePrefix(prefix)} }
}

func scoped(scopes ...string) func(*keys.New) {
	return func(k *keys.New) { k.Scopes = scopes }
}
