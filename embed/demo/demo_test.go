package demo

import (
	"bufio"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func get(t *testing.T, url, org string) (int, string) {
	t.Helper()
	request, _ := http.NewRequest("GET", url, nil)
	request.Header.Set("X-Gatehouse-Org", org)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(body)
}

func TestSampleKeepsOrganizationsApart(t *testing.T) {
	app := httptest.NewServer(App())
	defer app.Close()
	request, _ := http.NewRequest("POST", app.URL+"/v1/documents", strings.NewReader(`{"title":"Plan"}`))
	request.Header.Set("X-Gatehouse-Org", "org_a")
	answer, err := http.DefaultClient.Do(request)
	if err != nil || answer.StatusCode != http.StatusCreated {
		t.Fatal(answer, err)
	}
	answer.Body.Close()
	for _, c := range []struct {
		path, org string
		status    int
		holds     string
	}{
		{"/v1/documents", "org_a", 200, "Plan"}, {"/v1/documents", "org_b", 200, `{"documents":[]}`},
		{"/v1/documents/1", "org_a", 200, "Plan"}, {"/v1/documents/1", "org_b", 404, "no such"},
		{"/v1/me", "org_a", 200, "org_a"}, {"/v1/slow?ms=1", "", 200, "waited_ms"}, {"/v1/fail", "", 500, "fails"},
		{"/healthz", "", 200, "ok"}, {"/", "", 200, "/v1/documents"},
	} {
		if status, body := get(t, app.URL+c.path, c.org); status != c.status || !strings.Contains(body, c.holds) {
			t.Errorf("%s as %s: %d %s", c.path, c.org, status, body)
		}
	}
}

func TestSampleStreamsEventByEvent(t *testing.T) {
	step := make(chan time.Time)
	s := &sample{wait: func(time.Duration) <-chan time.Time { return step }}
	app := httptest.NewServer(http.HandlerFunc(s.stream))
	defer app.Close()
	answer, err := http.Get(app.URL + "?n=2")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewReader(answer.Body)
	if line, err := lines.ReadString('\n'); err != nil || line != "id: 1\n" { // before the second is due
		t.Fatalf("%q, %v", line, err)
	}
	step <- time.Time{}
	rest, _ := io.ReadAll(lines)
	if !strings.Contains(string(rest), "id: 2\n") {
		t.Errorf("got %q", rest)
	}
}

func TestSampleEchoesOnTheSocket(t *testing.T) {
	app := httptest.NewServer(App())
	defer app.Close()
	conn, _, err := websocket.Dial(t.Context(), app.URL+"/v1/socket", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	conn.Write(t.Context(), websocket.MessageText, []byte("hello"))
	if _, got, err := conn.Read(t.Context()); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestBurstsKeepTheirAverage(t *testing.T) {
	c := Customer{Name: "x", Shape: ShapeBursty, Rate: 2}
	sum, silent := 0.0, 0
	for second := range 20 {
		rate := c.rate(time.Duration(second) * time.Second)
		sum += rate
		if rate == 0 {
			silent++
		}
	}
	if sum != 40 || silent != 16 {
		t.Errorf("%v requests in 20 s with %d silent seconds", sum, silent)
	}
}

func TestTrafficSendsAsItsClients(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var mu sync.Mutex
	seen := map[string]bool{}
	app := App()
	gate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		mu.Lock()
		seen[key+" "+r.Header.Get("X-Forwarded-For")] = true
		stranger := 0
		for who := range seen {
			if strings.HasPrefix(who, "gk_live_0") && strings.Contains(who, "198.51.100.") {
				stranger++
			}
		}
		if seen["gk_live_a 203.0.113.1"] && stranger > 2 {
			stop()
		}
		mu.Unlock()
		app.ServeHTTP(w, r)
	}))
	defer gate.Close()
	stranger := Stranger()
	stranger.Rate = 500
	traffic := &Traffic{Gateway: gate.URL, HTTP: gate.Client(), Now: time.Now, Clients: []Client{stranger,
		{Customer{Name: "a", Shape: ShapeSteady, Rate: 500}, "gk_live_a", "203.0.113.1"}}}
	traffic.Run(ctx) // returns because both were seen
}

func TestEveryShapeOfCallIsDrawn(t *testing.T) {
	random, seen := rand.New(rand.NewPCG(1, 2)), map[string]bool{}
	for range 1000 {
		c := choose(Client{Key: "k"}, random)
		path, _, _ := strings.Cut(c.path, "?")
		if strings.HasPrefix(path, "/v1/documents/") {
			path = "/v1/documents/{id}"
		}
		seen[c.method+" "+path] = true
	}
	for _, want := range []string{"GET /v1/documents", "POST /v1/documents", "GET /v1/documents/{id}", "GET /v1/slow",
		"GET /v1/stream", "GET /v1/socket", "GET /v1/fail"} {
		if !seen[want] {
			t.Errorf("%s is never sent", want)
		}
	}
}

func TestCustomersCoverPlansAndShapes(t *testing.T) {
	plans, shapes := map[string]bool{}, map[Shape]bool{}
	for _, c := range Customers() {
		plans[c.Plan], shapes[c.Shape] = true, true
	}
	if len(plans) != 4 || len(shapes) != 3 {
		t.Errorf("plans %v, shapes %v", plans, shapes)
	}
}
