package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"gatehouse/app"
	"gatehouse/app/keys"
	"gatehouse/app/limit"
	"gatehouse/web/gateway"
)

func perHour(name string, n int64) app.RateLimit {
	return app.RateLimit{Name: name, Requests: n, Window: app.Duration(time.Hour)}
}

// Plan, key and route limit a request at once: it takes from all or from none.
func TestLimitsHoldAtOnce(t *testing.T) {
	s := newStage(t, func(s *stage) {
		s.plan.RateLimits = []app.RateLimit{perHour("hour", 10)}
		s.options.XRateLimit = true
	})
	s.routes(app.Route{Name: "all"}, app.Route{Name: "limited", PathPrefix: "/limited", RateLimits: []app.RateLimit{perHour("route", 3)}},
		app.Route{Name: "heavy", PathPrefix: "/heavy", Weight: 4})
	org := s.org("Acme")
	wide := bearer(s.key(org.ID).Secret)
	narrow := bearer(s.key(org.ID, func(k *keys.New) { k.RateLimits = []app.RateLimit{perHour("mine", 2)} }).Secret)
	rows := []struct {
		name, path, key string
		status          int
		limit           string // X-RateLimit-Limit/-Remaining, of the tightest
		field           string // part of RateLimit
	}{
		{"the plan alone", "/", wide, 200, "10/9", `"hour";r=9`},
		{"plan and key", "/", narrow, 200, "2/1", `"key.mine";r=1`},
		{"plan, key and route", "/limited", narrow, 200, "2/0", `"route";r=2`},
		{"the key refuses", "/limited", narrow, 429, "2/0", `"key.mine";r=0`},
		{"the refused one took from nobody", "/limited", wide, 200, "3/1", `"route";r=1`},
		{"the route's last", "/limited", wide, 200, "3/0", `"hour";r=5`},
		{"the route refuses", "/limited", wide, 429, "3/0", `"route";r=0`},
		{"a weight of 4", "/heavy", wide, 200, "10/1", `"hour";r=1`},
		{"another is too heavy", "/heavy", wide, 429, "10/1", `"hour";r=1`},
		{"a light one passes", "/", wide, 200, "10/0", `"hour";r=0`},
	}
	for _, row := range rows {
		got := s.get(row.path, row.key)
		h := got.header
		if legacy := h.Get("X-Ratelimit-Limit") + "/" + h.Get("X-Ratelimit-Remaining"); got.status != row.status || legacy != row.limit {
			t.Errorf("%s: %d with X-RateLimit %s, want %d with %s: %s", row.name, got.status, legacy, row.status, row.limit, got.body)
		}
		if !strings.Contains(h.Get("RateLimit"), row.field) || !strings.Contains(h.Get("RateLimit-Policy"), `"hour";q=10;w=3600`) {
			t.Errorf("%s: RateLimit %q, RateLimit-Policy %q, want %s", row.name, h.Get("RateLimit"), h.Get("RateLimit-Policy"), row.field)
		}
		if refused := got.status == 429; refused != (h.Get("Retry-After") != "") || refused != (got.code() == "rate_limited") {
			t.Errorf("%s: code %q, Retry-After %q", row.name, got.code(), h.Get("Retry-After"))
		}
	}
	if n := s.refusals()["rate_limited"]; n != 3 {
		t.Errorf("%d refusals counted, want 3", n)
	}
	if sum := s.usage(org.ID); sum.Requests != 7 || sum.Weight != 10 {
		t.Errorf("the ledger has %d requests of weight %d, want 7 of 10", sum.Requests, sum.Weight)
	}
}

func TestADryRunOnlyReports(t *testing.T) {
	s := newStage(t)
	rate := perHour("trial", 1)
	rate.Mode = app.LimitModeDryRun
	s.routes(app.Route{Name: "all", RateLimits: []app.RateLimit{rate}})
	key := bearer(s.key(s.org("Acme").ID).Secret)
	for i := range 3 {
		if got := s.get("/", key); got.status != 200 {
			t.Errorf("request %d: %d %s", i, got.status, got.body)
		}
	}
}

// A plan's new limits hold at once, also for credentials that are held.
func TestAPlanChangesUnderWay(t *testing.T) {
	s := newStage(t, func(s *stage) { s.plan.RateLimits = []app.RateLimit{perHour("hour", 1)} })
	key := bearer(s.key(s.org("Acme").ID).Secret)
	if a, b := s.get("/", key).status, s.get("/", key).status; a != 200 || b != 429 {
		t.Fatalf("%d, then %d", a, b)
	}
	s.plan.RateLimits = []app.RateLimit{perHour("hour", 100)}
	s.apply(s.store.UpsertPlans(t.Context(), []app.Plan{s.plan}))
	if got := s.get("/", key); got.status != 200 || !strings.Contains(got.header.Get("RateLimit-Policy"), "q=100") {
		t.Errorf("%d %v", got.status, got.header)
	}
}

// The limit of addresses charges what did not authenticate, and nothing else.
func TestAddressLimit(t *testing.T) {
	s := newStage(t, func(s *stage) {
		s.options.Addresses = limit.NewAddresses(limit.AddressOptions{Now: s.clock.Now, Block: 300 * time.Second,
			Limit: app.RateLimit{Name: "address", Requests: 3, Window: app.Duration(time.Minute)}})
	})
	s.routes(app.Route{Name: "all"}, app.Route{Name: "files", PathPrefix: "/files", Scopes: []string{"files:read"}},
		app.Route{Name: "open", PathPrefix: "/open", Auth: []app.AuthMode{app.AuthNone}})
	key := bearer(s.key(s.org("Acme").ID).Secret)
	from := func(address string) string { return "X-Forwarded-For: " + address }
	for range 10 {
		if got := s.get("/", key, from("192.0.2.1")); got.status != 200 {
			t.Fatalf("authenticated: %d", got.status)
		}
		if got := s.get("/files", key, from("192.0.2.1")); got.code() != "scope_missing" {
			t.Fatalf("known, but not allowed: %d %s", got.status, got.body)
		}
	}
	for i, row := range []struct {
		path, key string
		code      string
	}{
		{"/", bearer(unknownKey(1)), "key_unknown"}, {"/", bearer("x"), "key_malformed"}, {"/open", "X: 1", ""},
		{"/", bearer(unknownKey(2)), "address_blocked"}, {"/", key, "address_blocked"}, {"/open", "X: 1", "address_blocked"},
	} {
		got := s.get(row.path, row.key, from("192.0.2.1"))
		if got.code() != row.code || row.code == "address_blocked" && (got.status != 429 || got.header.Get("Retry-After") != "300") {
			t.Errorf("request %d: %d %s, want %q", i, got.status, got.body, row.code)
		}
	}
	if got := s.get("/", key, from("192.0.2.2")); got.status != 200 {
		t.Errorf("the neighbour: %d", got.status)
	}
	if got := s.get("/", key, "X-Forwarded-For: 192.0.2.9, 192.0.2.1"); got.code() != "address_blocked" {
		t.Errorf("with an invented hop: %d", got.status)
	}
	s.clock.Pass(299 * time.Second)
	if got := s.get("/", key, from("192.0.2.1")); got.code() != "address_blocked" {
		t.Errorf("after 299 s: %d", got.status)
	}
	s.clock.Pass(time.Second)
	if got := s.get("/", key, from("192.0.2.1")); got.status != 200 {
		t.Errorf("after 300 s: %d", got.status)
	}
}

// A flood of invented keys reaches the database no more often than the address
// limit lets it; mistyped ones never.
func TestInventedKeysReachTheDatabaseSeldom(t *testing.T) {
	s := newStage(t, func(s *stage) { s.options.Addresses = limit.NewAddresses(limit.AddressOptions{Now: s.clock.Now}) })
	for n := range 300 {
		s.get("/", bearer(unknownKey(n)), "X-Forwarded-For: 192.0.2.1")
		s.get("/", bearer(unknownKey(n)[:43]+"!"), "X-Forwarded-For: 192.0.2.2")
	}
	if n := s.store.lookups.Load(); n > limit.DefaultAddressRequests+1 {
		t.Errorf("%d look-ups", n)
	}
	if _, held := s.gate.Held(); held != 0 {
		t.Errorf("%d credentials are held", held)
	}
}

// Places in flight are given back however a request ends.
func TestPlacesInFlight(t *testing.T) {
	s := newStage(t, func(s *stage) { s.plan.InFlight = 1 })
	s.routes(app.Route{Name: "all"}, app.Route{Name: "short", PathPrefix: "/short", StripPrefix: "/short", Timeout: app.Duration(time.Millisecond)})
	org, other := s.org("Acme"), s.org("Other")
	key, otherKey := bearer(s.key(org.ID).Secret), bearer(s.key(other.ID).Secret)
	free := func(after string) {
		t.Helper()
		awaitThat(t, after, func() bool { n, _ := s.gate.InFlight(org.ID); return n == 0 })
		if got := s.get("/", key); got.status != 200 {
			t.Errorf("after %s: %d %s", after, got.status, got.body)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var held sync.WaitGroup
	held.Go(func() { s.try(ctx, "GET", "/held", nil, key) })
	<-s.app.entered
	if got := s.get("/", key); got.status != 429 || got.code() != "in_flight_limited" || got.header.Get("Retry-After") == "" {
		t.Errorf("a second: %d %s", got.status, got.body)
	}
	if got := s.get("/", otherKey); got.status != 200 {
		t.Errorf("another organization: %d", got.status)
	}
	cancel()
	held.Wait()
	free("the client left")
	awaitThat(t, "the app is too slow", func() bool { // and not already the way to it
		if got := s.get("/short/held", key); got.status != 504 {
			t.Errorf("too slow: %d", got.status)
		}
		select {
		case <-s.app.entered:
			return true
		default:
			return false
		}
	})
	free("a timeout")
	if _, err := s.try(t.Context(), "GET", "/abort", nil, key); err == nil {
		t.Error("half an answer was taken for a whole one")
	}
	free("an answer broken off")
	s.get("/status/500", key)
	free("an error of the app")
	s.app.Close()
	if got := s.get("/", key); got.status != 502 && got.status != 503 {
		t.Errorf("without the app: %d", got.status)
	}
	if n, _ := s.gate.InFlight(org.ID); n != 0 {
		t.Errorf("%d places are taken", n)
	}
}

// A panic below the gate gives back the places, and the ledger hears of it.
func TestAPanicGivesEverythingBack(t *testing.T) {
	s := newStage(t, func(s *stage) { s.plan.InFlight = 1 })
	org := s.org("Acme")
	key := bearer(s.key(org.ID).Secret)
	request, err := http.NewRequest("GET", "/", nil)
	s.apply(request, err)
	request.RemoteAddr = "127.0.0.1:1"
	request.Header.Set("Authorization", strings.TrimPrefix(key, "Authorization: "))
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		s.gate.ServeHTTP(&panicking{header: http.Header{}}, request)
	}()
	if n, _ := s.gate.InFlight(org.ID); n != 0 {
		t.Errorf("%d places are taken", n)
	}
	for range 5 {
		if got := s.get("/", key); got.status != 200 || got.seen(t).Header.Get("X-Gatehouse-Org") != string(org.ID) {
			t.Errorf("after it: %d %s", got.status, got.body)
		}
	}
	if sum := s.usage(org.ID); sum.Requests != 6 || sum.Unknown != 1 {
		t.Errorf("%+v", sum)
	}
}

// panicking is a client's side that breaks when the answer begins.
type panicking struct{ header http.Header }

func (p *panicking) Header() http.Header       { return p.header }
func (p *panicking) Write([]byte) (int, error) { panic("broken") }
func (p *panicking) WriteHeader(int)           { panic("broken") }

// WebSockets have places of their own, by organization, address and gate.
func TestPlacesOfWebSockets(t *testing.T) {
	s := newStage(t, func(s *stage) {
		s.plan.WebSockets, s.plan.InFlight = 2, 1
		s.options.Sockets = gateway.SocketCaps{PerAddress: 3, Total: 4}
	})
	first, second, third := s.org("First"), s.org("Second"), s.org("Third")
	open := func(org app.Org, address string) (*websocket.Conn, string) {
		t.Helper()
		header := http.Header{"X-Api-Key": {s.key(org.ID).Secret}, "X-Forwarded-For": {address}}
		conn, refused, err := websocket.Dial(t.Context(), s.url+"/socket", &websocket.DialOptions{HTTPHeader: header})
		if err == nil {
			awaitThat(t, "the place in flight is free", func() bool { n, _ := s.gate.InFlight(org.ID); return n == 0 })
			return conn, ""
		}
		if refused == nil {
			t.Fatal(err)
		}
		raw, _ := io.ReadAll(refused.Body)
		return nil, fmt.Sprint(refused.StatusCode, " ", answer{body: string(raw)}.code())
	}
	var all []*websocket.Conn
	for _, row := range []struct {
		name    string
		org     app.Org
		address string
		refused string
	}{
		{"one", first, "192.0.2.1", ""}, {"two", first, "192.0.2.1", ""},
		{"beyond the organization's", first, "192.0.2.2", "429 websockets_limited"},
		{"a third from the address", second, "192.0.2.1", ""},
		{"beyond the address's", second, "192.0.2.1", "429 websockets_limited"},
		{"a fourth in all", third, "192.0.2.3", ""},
		{"beyond the gate's", third, "192.0.2.4", "429 websockets_limited"},
	} {
		conn, refused := open(row.org, row.address)
		if refused != row.refused {
			t.Errorf("%s: %q, want %q", row.name, refused, row.refused)
		}
		if conn != nil {
			all = append(all, conn)
		}
	}
	for i, conn := range all {
		s.apply(nil, conn.Write(t.Context(), websocket.MessageText, []byte("hello")))
		if _, message, err := conn.Read(t.Context()); err != nil || string(message) != "hello" {
			t.Errorf("socket %d: %q, %v", i, message, err)
		}
		if i%2 == 0 {
			conn.CloseNow()
		} else {
			conn.Close(websocket.StatusNormalClosure, "")
		}
	}
	awaitThat(t, "all places are free", func() bool {
		requests, sockets := s.gate.InFlight(first.ID)
		return s.gate.Sockets() == 0 && requests == 0 && sockets == 0
	})
	if conn, refused := open(first, "192.0.2.1"); refused != "" {
		t.Errorf("afterwards: %s", refused)
	} else {
		conn.CloseNow()
	}
}

// patience bounds every wait; only a failure takes so long.
const patience = 2 * time.Minute

func awaitThat(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("%s: not within %v", what, patience)
}
