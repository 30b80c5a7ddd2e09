package api_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/auth"
	"gatehouse/app/billing"
	"gatehouse/app/keys"
	"gatehouse/app/metering"
	"gatehouse/app/routing"
	"gatehouse/app/tenancy"
	"gatehouse/app/traffic"
	"gatehouse/store"
	"gatehouse/store/storetest"
	"gatehouse/web/api"
	"gatehouse/web/respond"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// house is the API on real services and a real database.
type house struct {
	t       *testing.T
	api     *api.API
	store   *store.Store
	ledger  *store.Ledger
	handler http.Handler
	now     time.Time
	admin   string // an operator's key that may everything
	log     strings.Builder

	recorded recorder
	meters   meterList
	proofs   proofs
	adjusted adjustments
	asked    app.MeterQuery
	records  recordSource
	sealer   *app.Sealer
	reported int // events put into Stripe's outbox
}

var system = app.Actor{Kind: app.ActorSystem}

// everyHouse runs the test on SQLite and on PostgreSQL.
func everyHouse(t *testing.T, test func(*house)) {
	t.Run("SQLite", func(t *testing.T) {
		test(open(t, sqlite(t)))
	})
	t.Run("PostgreSQL", func(t *testing.T) { test(open(t, store.Options{DSN: storetest.Postgres(t)})) })
}

// sqlite is a fresh SQLite database.
func sqlite(t *testing.T) store.Options {
	return store.Options{Path: filepath.Join(t.TempDir(), "gatehouse.db")}
}

func open(t *testing.T, o store.Options) *house {
	t.Helper()
	h := &house{t: t, now: time.Date(2026, 11, 24, 8, 7, 0, 0, time.UTC)}
	clock := func() time.Time { return h.now }
	o.Now = clock
	db, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ledger, err := store.OpenLedger(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ledger.Close(); db.Close() })
	h.store, h.ledger = db, ledger
	plans := &billing.Service{Store: db}
	if _, err := plans.Seed(t.Context(), []app.Plan{{Slug: "free", Name: "Free"}, {Slug: "pro", Name: "Pro"}}); err != nil {
		t.Fatal(err)
	}
	keyring := &keys.Service{Store: db, Now: clock}
	sealer, err := app.NewSealer(make([]byte, app.SealKeySize))
	if err != nil {
		t.Fatal(err)
	}
	responder := &respond.Responder{Surface: "api", Log: slog.New(slog.NewTextHandler(&h.log, nil)), Now: clock}
	h.proofs.now, h.sealer = clock, sealer
	services := api.Services{
		Orgs: &tenancy.Service{Store: db, Now: clock}, OrgKeys: keyring, Plans: plans,
		Routing: &routing.Service{Store: db, Sealer: sealer}, Usage: usageOf{metering.Reports{Store: ledger}, &h.asked},
		Sessions:   auth.New(auth.Options{Store: db, Sealer: sealer, Now: clock, Log: slog.New(slog.DiscardHandler)}),
		Traffic:    &traffic.View{Recorder: traffic.New(clock)},
		Identities: db, System: fixedSystem{clock()},
	}
	h.addUsage(&services)
	h.api = api.New(api.Options{
		Services: services,
		Keys:     keyring, Touches: keys.NewTouch(db), Idempotency: db, Sealer: sealer,
		Address: func(r *http.Request) netip.Addr { return netip.MustParseAddrPort(r.RemoteAddr).Addr() },
		Respond: responder, Now: clock, Version: "1.2.3",
	})
	h.handler = responder.Wrap(h.api)
	h.admin = h.mint(keys.New{Name: "admin", Scopes: []string{"*"}})
	return h
}

type fixedSystem struct{ at time.Time }

func (fixedSystem) Engine() string         { return "SQLite" }
func (s fixedSystem) StartedAt() time.Time { return s.at }
func (fixedSystem) Checks(context.Context) []api.SystemCheck {
	return []api.SystemCheck{{Name: "store", OK: true}}
}

func (h *house) mint(in keys.New) string {
	h.t.Helper()
	minted, err := (&keys.Service{Store: h.store, Now: func() time.Time { return h.now }}).Mint(h.t.Context(), system, in)
	if err != nil {
		h.t.Fatal(err)
	}
	return minted.Secret
}

// answer is what a call was answered.
type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

// code is the error's code, or "".
func (a answer) code() string {
	code, _ := a.body["code"].(string)
	if a.status < 400 {
		return ""
	}
	return code
}

// str reads a text of the answer.
func (a answer) str(name string) string {
	text, _ := a.body[name].(string)
	return text
}

// fields are the errors' fields.
func (a answer) fields() (names []string) {
	list, _ := a.body["errors"].([]any)
	for _, item := range list {
		names = append(names, item.(map[string]any)["field"].(string))
	}
	return names
}

// call makes a request: "GET /v1/orgs", the key ("" for none), the body (""
// for none), and further headers in pairs.
func (h *house) call(line, key, body string, headers ...string) answer {
	h.t.Helper()
	method, target, _ := strings.Cut(line, " ")
	var reader io.Reader = http.NoBody
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequestWithContext(h.t.Context(), method, target, reader)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	a := answer{status: w.Code, header: w.Header(), text: w.Body.String(), body: map[string]any{}}
	json.Unmarshal(w.Body.Bytes(), &a.body)
	if a.status >= 400 && method != http.MethodHead {
		h.checkProblem(line, a)
	}
	return a
}

// checkProblem holds every refusal against the one form.
func (h *house) checkProblem(line string, a answer) {
	h.t.Helper()
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		h.t.Errorf("%s: %d is %q: %s", line, a.status, got, a.text)
	}
	for _, name := range []string{"type", "title", "detail", "code", "request_id"} {
		if a.str(name) == "" {
			h.t.Errorf("%s: %d without %s: %s", line, a.status, name, a.text)
		}
	}
	if a.body["status"] != float64(a.status) {
		h.t.Errorf("%s: the body says %v, the header %d", line, a.body["status"], a.status)
	}
}

// must is call, and fails unless the status is the one wanted.
func (h *house) must(status int, line, body string, headers ...string) answer {
	h.t.Helper()
	a := h.call(line, h.admin, body, headers...)
	if a.status != status {
		h.t.Fatalf("%s: %d, want %d: %s\n%s", line, a.status, status, a.text, h.log.String())
	}
	return a
}
