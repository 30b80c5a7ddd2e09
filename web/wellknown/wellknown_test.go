package wellknown_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gatehouse/app"
	"gatehouse/web/respond"
	"gatehouse/web/wellknown"
)

// clock is a hand-turned clock.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }
func (c *clock) turn(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func get(handler http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

func TestReadyNamesWhatIsNot(t *testing.T) {
	store := error(nil)
	var log bytes.Buffer
	at := &clock{at: time.Unix(1e9, 0)}
	ready := &wellknown.Readiness{Log: respond.NewLogger(&log, true, slog.LevelInfo), Now: at.now, Checks: []wellknown.Check{
		{Name: "store", Func: func(context.Context) error { return store }},
		{Name: "upstream web", Optional: true, Func: func(context.Context) error {
			return &app.Error{Kind: app.KindBadGateway, Message: "No address is healthy."}
		}},
	}}
	if w := get(ready, "/readyz"); w.Code != 200 || !strings.Contains(w.Body.String(), "No address is healthy.") {
		t.Errorf("an optional check: %d %s", w.Code, w.Body)
	}
	store = errors.New("dial tcp 10.0.0.7:5432: refused")
	if w := get(ready, "/readyz"); w.Code != 200 {
		t.Error("a run within a second was not shared")
	}
	at.turn(2 * time.Second)
	w := get(ready, "/readyz")
	if w.Code != 503 || !strings.Contains(w.Body.String(), `"name":"store","ok":false`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if strings.Contains(w.Body.String(), "10.0.0.7") || !strings.Contains(log.String(), "10.0.0.7") {
		t.Errorf("the cause belongs into the log alone: %s / %s", w.Body, log.String())
	}
	lines := strings.Count(log.String(), "\n")
	at.turn(2 * time.Second)
	get(ready, "/readyz")
	if strings.Count(log.String(), "\n") != lines {
		t.Error("the same failure was logged again")
	}
	at.turn(2 * time.Second)
	store = nil
	if w := get(ready, "/readyz"); w.Code != 200 || !strings.Contains(log.String(), "well again") {
		t.Errorf("recovery: %d %s", w.Code, log.String())
	}
}

func TestSlowCheckFails(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	ready := &wellknown.Readiness{Log: slog.New(slog.DiscardHandler), Now: time.Now, Checks: []wellknown.Check{
		{Name: "redis", Func: func(context.Context) error { <-hang; return nil }}}}
	if w := get(ready, "/readyz"); w.Code != 503 || !strings.Contains(w.Body.String(), "2 seconds") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestPages(t *testing.T) {
	surface := wellknown.NewSurfaceMetrics()
	registry, err := wellknown.NewRegistry("1.2.3", surface)
	if err != nil {
		t.Fatal(err)
	}
	observe := surface.Observe("api")
	observe(201, time.Millisecond)
	observe(999, time.Millisecond)
	var keysFault error
	pages := &wellknown.Pages{Metrics: wellknown.MetricsHandler(registry),
		Readiness: &wellknown.Readiness{Log: slog.New(slog.DiscardHandler), Now: time.Now},
		Keys:      func(context.Context) ([]byte, error) { return []byte(`{"keys":[]}`), keysFault },
		Respond:   &respond.Responder{Log: slog.New(slog.DiscardHandler), Now: time.Now}}
	mux, bare := http.NewServeMux(), http.NewServeMux()
	pages.Mount(mux, true)
	pages.Mount(bare, false)
	for _, row := range []struct {
		handler    http.Handler
		path, body string
		status     int
	}{
		{mux, "/healthz", `"ok"`, 200},
		{mux, "/readyz", `"ready"`, 200},
		{mux, "/.well-known/jwks.json", `{"keys":[]}`, 200},
		{mux, "/metrics", `gatehouse_build_info{go="go`, 200},
		{mux, "/metrics", `gatehouse_surface_requests_total{class="2xx",surface="api"} 1`, 200},
		{mux, "/metrics", `gatehouse_surface_requests_total{class="other",surface="api"} 1`, 200},
		{bare, "/metrics", "", 404},
	} {
		if w := get(row.handler, row.path); w.Code != row.status || !strings.Contains(w.Body.String(), row.body) {
			t.Errorf("%s: %d, without %s", row.path, w.Code, row.body)
		}
	}
	if got := get(mux, "/.well-known/jwks.json").Header().Get("Cache-Control"); got != "public, max-age=300" {
		t.Errorf("keys are cached as %q", got)
	}
	keysFault = errors.New("disk")
	if w := get(mux, "/.well-known/jwks.json"); w.Code != 503 || w.Header().Get("Retry-After") != "1" {
		t.Errorf("without keys: %d", w.Code)
	}
}

func TestMetricsHaveNoUnboundedLabels(t *testing.T) {
	registry, err := wellknown.NewRegistry("1", wellknown.NewSurfaceMetrics())
	if err != nil {
		t.Fatal(err)
	}
	found := wellknown.UnboundedLabels(registry)
	if len(found) > 0 {
		t.Errorf("labels %v", found)
	}
	bad := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "x"}, []string{"org"})
	bad.WithLabelValues("org_1").Inc()
	registry.MustRegister(bad)
	if found := wellknown.UnboundedLabels(registry); len(found) != 1 || found[0] != "x.org" {
		t.Errorf("an organization's label was not found: %v", found)
	}
}
