package gateway_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/store"
)

// paidAPI stands in for the vendors: reply answers, and what was asked last is
// kept.
type paidAPI struct {
	*httptest.Server
	asked atomic.Int64
	mu    sync.Mutex
	last  http.Request
	body  string
	reply http.HandlerFunc
}

const vendorSecret = "sk-of-the-operator-7Qb2"

func newPaidAPI(t *testing.T, reply http.HandlerFunc) *paidAPI {
	a := &paidAPI{reply: reply}
	a.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		a.mu.Lock()
		a.last, a.body = *r, string(body)
		a.last.Header = r.Header.Clone()
		a.mu.Unlock()
		a.asked.Add(1)
		a.reply(w, r)
	}))
	a.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	a.Start()
	t.Cleanup(a.Close)
	return a
}

func (a *paidAPI) seen() (http.Request, string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last, a.body
}

// says answers with a recorded answer of a vendor.
func says(t *testing.T, file string) http.HandlerFunc {
	text, err := os.ReadFile("tokens/testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	kind := "application/json"
	if strings.HasSuffix(file, ".sse") {
		kind = "text/event-stream"
	}
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		if strings.Contains(file, "error") {
			w.WriteHeader(http.StatusTooManyRequests)
		}
		w.Write(text)
	}
}

// tells answers with this usage.
func tells(input, output int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}`, input, output, input+output)
	}
}

// desk is a stage with routes to a paid API, an organization that calls it,
// and the app that calls it for others. A token read costs 1 micro, one
// written 2.
type desk struct {
	*stage
	api  *paidAPI
	org  app.Org
	own  app.MintedKey
	app  string // Authorization of the app's key
	whom string // header that names the organization
}

func newDesk(t *testing.T, at store.Options, reply http.HandlerFunc, change ...func(*stage)) *desk {
	t.Helper()
	return newDeskOf(t, at, patience, reply, change...)
}

// newDeskOf makes a desk whose ledger waits so long for a commit.
func newDeskOf(t *testing.T, at store.Options, commit time.Duration, reply http.HandlerFunc, change ...func(*stage)) *desk {
	t.Helper()
	d := &desk{api: newPaidAPI(t, reply)}
	d.stage = newStageOf(t, at, commit, change...)
	d.apply(d.store.UpsertRates(t.Context(), []app.Rate{{Model: "m-*", Input: "1", Output: "2", MaxInput: 100_000, MaxOutput: 1000, ValidFrom: noon.AddDate(-1, 0, 0)}}))
	d.apply(nil, d.rates.Load(t.Context()))
	d.egress(app.Egress{})
	d.org = d.stage.org("Acme")
	d.own = d.stage.key(d.org.ID)
	d.app = bearer(d.stage.key("", scoped("egress")).Secret)
	d.whom = "X-Gatehouse-Org: " + d.org.Slug
	return d
}

// egress routes /openai, /anthropic and /any to the paid API.
func (d *desk) egress(like app.Egress, more ...app.Route) {
	d.t.Helper()
	up := app.Upstream{Name: "paid", Addresses: []string{d.api.URL}, AllowPrivate: true,
		Credential: &app.Credential{Header: "x-api-key", Sealed: d.sealer.Seal(app.CredentialPurpose("paid"), []byte(vendorSecret))}}
	route := func(name string, api app.EgressAPI) app.Route {
		e := like
		e.API = api
		return app.Route{Name: name, PathPrefix: "/" + name, StripPrefix: "/" + name, Upstream: "paid", Egress: &e}
	}
	priced := route("any", app.EgressHTTP)
	priced.Cost = 700
	d.routing([]app.Upstream{{Name: "app", Addresses: []string{d.stage.app.URL}}, up},
		append(more, route("openai", app.EgressOpenAI), route("anthropic", app.EgressAnthropic), priced, app.Route{Name: "all"})...)
}

const (
	openaiPath    = "/openai/v1/chat/completions"
	anthropicPath = "/anthropic/v1/messages"
	plainCall     = `{"model":"m-1","max_tokens":100,"messages":[{"role":"user","content":"hi"}]}`
	streamedCall  = `{"model":"m-1","max_tokens":100,"stream":true,"messages":[{"role":"user","content":"hi"}]}`
)

func (d *desk) call(path, body string, headers ...string) answer {
	d.t.Helper()
	return d.ask("POST", path, body, append(headers, d.app, d.whom)...)
}

// spent is what the organization has used of a meter; it ends the ledger.
func (d *desk) spent(meter string) int64 {
	d.t.Helper()
	state := d.account(d.org.ID, "", meter)
	if state.Held != 0 {
		d.t.Errorf("%s: %d is held yet", meter, state.Held)
	}
	return state.Spent
}

func onSQLite(t *testing.T) store.Options { return store.Options{Path: t.TempDir() + "/gatehouse.db"} }

func everythingCapped(cost int64) func(*stage) {
	return granting(monthly("requests", 1000), monthly("cost", cost), monthly("tokens_input", 1_000_000), monthly("tokens_output", 1_000_000),
		monthly("tokens_cache_read", 1_000_000), monthly("tokens_cache_write", 1_000_000))
}

// awaitRecorded waits until so many requests have ended.
func (s *stage) awaitRecorded(n int64) {
	s.t.Helper()
	awaitThat(s.t, "the requests end", func() bool {
		allowed, refused, failed := s.traffic.Totals()
		return allowed+refused+failed >= n
	})
}
