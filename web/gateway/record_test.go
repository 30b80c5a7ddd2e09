package gateway_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/app"
)

// That a request happened is durable before its client has the answer.
func TestTheAnswerWaitsForTheLedger(t *testing.T) {
	s := newStage(t)
	org := s.org("Acme")
	key := bearer(s.key(org.ID).Secret)
	writing, written := make(chan struct{}), make(chan struct{})
	var durable atomic.Bool
	hold := func() error {
		writing <- struct{}{}
		<-written
		durable.Store(true)
		return nil
	}
	s.blocks.before.Store(&hold)
	early := make(chan bool, 1)
	go func() {
		got, err := s.try(t.Context(), "GET", "/", nil, key)
		early <- err != nil || got.status != 200 || !durable.Load()
	}()
	<-writing
	awaitThat(t, "the app has answered", func() bool { return s.app.asked.Load() == 1 })
	select {
	case <-early:
		t.Fatal("answered while the ledger was writing")
	default:
	}
	s.blocks.before.Store(nil)
	close(written)
	if <-early {
		t.Error("answered before the request was durable, or not at all")
	}
}

// A ledger that cannot write lets nothing pass as if it had been counted.
func TestNoAnswerWithoutTheLedger(t *testing.T) {
	s := newStage(t)
	org := s.org("Acme")
	key, operator := bearer(s.key(org.ID).Secret), bearer(s.key("").Secret)
	s.routes(app.Route{Name: "all"}, app.Route{Name: "free", PathPrefix: "/free", Meters: []string{app.MeterNone}})
	broken := func() error { return errors.New("no space left on device") }
	s.blocks.before.Store(&broken)
	s.ledger.Close(cancelled(t)) // fails: it cannot write
	for _, row := range []struct {
		name string
		got  answer
	}{
		{"a request", s.get("/", key)},
		{"a WebSocket", s.get("/socket", key, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")},
		{"authorize", s.get("/v1/authorize", key)},
		{"check", s.ask("POST", "/v1/check", `{"key": "`+strings.TrimPrefix(key, "Authorization: Bearer ")+`"}`, operator)},
	} {
		h := row.got.header
		if row.got.status != 503 || row.got.code() != "ledger_unavailable" || h.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", row.name, row.got.status, row.got.body)
		}
		if h.Get("X-Gatehouse-Org") != "" || strings.Contains(row.got.body, `"header"`) {
			t.Errorf("%s: the app's answer or who it was slipped out: %v %s", row.name, h, row.got.body)
		}
	}
	if got := s.get("/free", key); got.status != 200 {
		t.Errorf("an unmetered route: %d", got.status)
	}
	if text := s.log.String(); strings.Count(text, "ledger_unavailable") != 2 { // the code and the error of one line
		t.Errorf("logged more than once a second:\n%s", text)
	}
}

// What the ledger holds of requests on each kind of route.
func TestWhatIsMetered(t *testing.T) {
	s := newStage(t)
	s.routes(app.Route{Name: "all"}, app.Route{Name: "none", PathPrefix: "/none", Meters: []string{app.MeterNone}},
		app.Route{Name: "requests", PathPrefix: "/requests", Meters: []string{app.MeterRequests}, Weight: 7},
		app.Route{Name: "bytes", PathPrefix: "/bytes", Meters: []string{app.MeterBytes}},
		app.Route{Name: "gone", PathPrefix: "/gone", Closed: []string{"/gone"}})
	rows := []struct {
		name, method, path, body string
		want                     app.UsageRow // BytesOut 1: some
	}{
		{"everything", "POST", "/", "12345", app.UsageRow{Requests: 1, Weight: 1, Status2: 1, BytesIn: 5, BytesOut: 1}},
		{"an error of the app", "GET", "/status/500", "", app.UsageRow{Requests: 1, Weight: 1, Status5: 1}},
		{"nothing", "POST", "/none", "12345", app.UsageRow{}},
		{"requests alone, with a weight", "POST", "/requests", "12345", app.UsageRow{Requests: 1, Weight: 7, Status2: 1}},
		{"bytes alone", "POST", "/bytes", "12345", app.UsageRow{Requests: 1, Status2: 1, BytesIn: 5, BytesOut: 1}},
		{"a refused one", "GET", "/gone", "", app.UsageRow{}},
		{"HEAD", "HEAD", "/", "", app.UsageRow{Requests: 1, Weight: 1, Status2: 1}},
		{"authorized for another proxy", "GET", "/v1/authorize", "", app.UsageRow{Requests: 1, Weight: 1, Unknown: 1}},
	}
	orgs := map[string]app.Org{}
	for _, row := range rows {
		orgs[row.name] = s.org(row.name)
		s.ask(row.method, row.path, row.body, bearer(s.key(orgs[row.name].ID).Secret))
	}
	for _, row := range rows {
		got := s.usage(orgs[row.name].ID)
		got.BytesOut, got.Start, got.Group = min(got.BytesOut, 1), row.want.Start, ""
		if got != row.want {
			t.Errorf("%s:\n%+v, want\n%+v", row.name, got, row.want)
		}
	}
}

// The overview counts each request once, and refusals by their reason.
func TestVerdictsAndReasons(t *testing.T) {
	s := newStage(t)
	key := bearer(s.key(s.org("Acme").ID).Secret)
	s.routes(app.Route{Name: "all", Closed: []string{"/closed"}}, app.Route{Name: "host", Hosts: []string{"a.example"}, PathPrefix: "/host"})
	for _, path := range []string{"/", "/", "/status/500", "/closed"} {
		s.get(path, key)
	}
	s.get("/")
	s.get("/", bearer("x"))
	s.get("/v1/authorize", bearer("x"))
	if allowed, refused, failed := s.traffic.Totals(); allowed != 2 || refused != 4 || failed != 1 {
		t.Errorf("allowed %d, refused %d, failed %d", allowed, refused, failed)
	}
	want := map[string]int64{"path_closed": 1, "credential_missing": 1, "key_malformed": 2}
	got := s.refusals()
	for code, n := range want {
		if got[code] != n {
			t.Errorf("%s: %d times, want %d", code, got[code], n)
		}
	}
	if len(got) != len(want) {
		t.Errorf("reasons %v", got)
	}
}

// Logs hold neither queries nor secrets, and nobody writes a line of their own.
func TestLogsHoldNoSecrets(t *testing.T) {
	s := newStage(t)
	key := s.key(s.org("Acme").ID).Secret
	s.get("/path?token=hunter2", bearer(key), "X-Request-Id: a\tb", "Cookie: sid=hunter2")
	s.get("/"+key+"/x", bearer(key))
	s.get("/a%0Alevel=ERROR", bearer(key))
	s.get("/v1/authorize?x=hunter2", bearer(key), "X-Forwarded-Uri: /y?token=hunter2")
	s.ask("POST", "/v1/check", `{"key": "`+key+`", "path": "/?token=hunter2"}`, bearer(s.key("").Secret))
	s.app.Close()
	s.get("/?token=hunter2", bearer(key))
	s.close()
	text := s.access.String() + s.log.String()
	for _, secret := range []string{"hunter2", key, key[8:30], "\nlevel=ERROR"} {
		if strings.Contains(text, secret) {
			t.Errorf("%.12q… is in the logs:\n%s", secret, text)
		}
	}
	if n := strings.Count(s.access.String(), "\n"); n != 5 {
		t.Errorf("%d lines of access log, want 5:\n%s", n, s.access.String())
	}
}

// With the app down, the log says so once a second and how often it was.
func TestOneFaultDoesNotFloodTheLog(t *testing.T) {
	s := newStage(t)
	key := bearer(s.key(s.org("Acme").ID).Secret)
	s.app.Close()
	for range 20 {
		if got := s.get("/", key); got.status < 502 || got.header.Get("Content-Type") != "application/problem+json" {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	first := strings.Count(s.log.String(), "request not served")
	if first == 0 || first > 2 { // unreachable, then unavailable once it is left out
		t.Errorf("%d lines:\n%s", first, s.log.String())
	}
	s.clock.Pass(faultEvery)
	s.get("/", key)
	if text := s.log.String(); strings.Count(text, "request not served") != first+1 || !strings.Contains(text, "more=1") {
		t.Errorf("a second later:\n%s", text)
	}
}

// cancelled is a context that has ended.
func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// faultEvery is how often one fault is logged.
const faultEvery = time.Second
