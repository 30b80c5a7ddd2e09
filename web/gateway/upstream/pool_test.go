package upstream

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/app"
)

// deadAddress is one that refuses connections.
func deadAddress(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return "http://" + listener.Addr().String()
}

// TestDialTriesAnotherAddress: nothing was sent, so another address may serve,
// whatever the method; with none left the fault says so.
func TestDialTriesAnotherAddress(t *testing.T) {
	const long = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
	for _, road := range roads {
		for _, request := range []string{get, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", long} {
			up := startRaw(t, reply(ok))
			gate := startGate(t, gateOptions{stock: road.stockOnly, up: app.Upstream{Addresses: []string{deadAddress(t), deadAddress(t), up.url}}})
			for range 5 {
				if g := exchangeRaw(t, gate.address(), request); g.status != 200 {
					t.Fatalf("%s: answer %d %q", road.name, g.status, g.body)
				}
			}
			if n := len(up.requests()); n != 5 {
				t.Errorf("%s: the upstream saw %d requests", road.name, n)
			}
			if request == long && bodyOf(up.requests()[4]) != "hello" {
				t.Errorf("%s: the body became %q", road.name, bodyOf(up.requests()[4]))
			}
		}
		gate := startGate(t, gateOptions{stock: road.stockOnly, up: app.Upstream{Addresses: []string{deadAddress(t)}}})
		for range 5 { // the last address is never ejected
			if g := exchangeRaw(t, gate.address(), get); g.status != 503 || g.body != "upstream_unavailable" {
				t.Errorf("%s: answer %d %q", road.name, g.status, g.body)
			}
		}
		if s := gate.pool.Status()[0]; s.LastError == "" || s.Failures != 5 {
			t.Errorf("%s: status %+v", road.name, s)
		}
	}
}

// TestLeastConnections: busy addresses are passed over, ties are shared out.
func TestLeastConnections(t *testing.T) {
	g := &generation{}
	for range 3 {
		g.addresses = append(g.addresses, newAddress("http://127.0.0.1:1", app.Upstream{}, Options{}))
	}
	counts := map[*address]int{}
	for range 3000 {
		a, _ := g.choose(time.Now, nil)
		counts[a]++
		a.inFlight.Add(-1)
	}
	for _, a := range g.addresses {
		if n := counts[a]; n < 800 || n > 1200 {
			t.Errorf("an address got %d of 3000 ties", n)
		}
	}
	g.addresses[0].inFlight.Add(10)
	g.addresses[2].inFlight.Add(10)
	for range 10 {
		if a, _ := g.choose(time.Now, nil); a != g.addresses[1] {
			t.Error("a busier address was chosen")
		}
	}
}

// TestEjection: failed requests leave an address out for a growing while, a
// good one clears it, and the last address stays.
func TestEjection(t *testing.T) {
	now := time.Unix(1000, 0)
	clock := func() time.Time { return now }
	g := &generation{}
	for range 2 {
		g.addresses = append(g.addresses, newAddress("http://127.0.0.1:1", app.Upstream{}, Options{}))
	}
	bad, good := g.addresses[0], g.addresses[1]
	fail := func(a *address) { a.failed(errors.New("refused"), now) }
	chosen := func() map[*address]bool {
		seen := map[*address]bool{}
		for range 200 {
			a, _ := g.choose(clock, nil)
			seen[a] = true
			a.inFlight.Add(-1)
		}
		return seen
	}
	fail(bad)
	fail(bad)
	if !chosen()[bad] {
		t.Error("two failures ejected")
	}
	fail(bad)
	if chosen()[bad] {
		t.Error("three failures did not eject")
	}
	now = now.Add(ejectFirst)
	if !chosen()[bad] {
		t.Error("the ejection did not end")
	}
	fail(bad)
	now = now.Add(ejectFirst)
	if chosen()[bad] {
		t.Error("the second ejection is as short as the first")
	}
	fail(good)
	fail(good)
	fail(good)
	if all := chosen(); !all[bad] || !all[good] {
		t.Error("with all ejected, none serves")
	}
	bad.answered(time.Millisecond)
	if s := bad.status(now); !s.Healthy || !s.EjectedTill.IsZero() {
		t.Errorf("a good answer leaves %+v", s)
	}
	for range 3 {
		fail(bad)
	}
	now = now.Add(ejectFirst)
	if !chosen()[bad] {
		t.Error("a good answer did not reset the pause")
	}
}

// TestActiveChecks: an address that its check calls down gets no request until
// it is well again; with all down the answer comes at once.
func TestActiveChecks(t *testing.T) {
	var sick [2]atomic.Bool
	var addresses []string
	var served [2]atomic.Int32
	for i := range 2 {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path != "/healthz":
				served[i].Add(1)
			case r.Host != "app.internal":
				w.WriteHeader(421)
			case sick[i].Load():
				w.WriteHeader(500)
			default:
				http.Redirect(w, r, "/login", http.StatusFound) // 3xx is healthy, and not followed
			}
		}))
		defer s.Close()
		addresses = append(addresses, s.URL)
	}
	changes := make(chan string, 100)
	gate := startGate(t, gateOptions{options: Options{Log: slogTo(changes)}, up: app.Upstream{Addresses: addresses, HostHeader: "app.internal",
		Health: &app.HealthCheck{Path: "/healthz", Interval: app.Duration(5 * time.Millisecond), Unhealthy: 2, Healthy: 2}}})
	sick[0].Store(true)
	<-changes
	before := served[0].Load()
	for range 20 {
		exchangeRaw(t, gate.address(), get)
	}
	if served[0].Load() != before || served[1].Load() < 20 {
		t.Errorf("a sick address served %d", served[0].Load()-before)
	}
	sick[1].Store(true)
	<-changes
	if g := exchangeRaw(t, gate.address(), get); g.status != 503 || g.body != "upstream_unavailable" {
		t.Errorf("all down: answer %d %q", g.status, g.body)
	}
	if s := gate.pool.Status()[0]; s.Healthy || s.LastCheck.IsZero() || !strings.Contains(s.LastError, "500") {
		t.Errorf("status %+v", s)
	}
	sick[0].Store(false)
	<-changes
	if g := exchangeRaw(t, gate.address(), get); g.status != 200 {
		t.Errorf("well again: answer %d", g.status)
	}
}

// TestMaxConnections: no more requests at once than allowed, the next waits its
// turn, and one that waits too long is told so.
func TestMaxConnections(t *testing.T) {
	for _, road := range roads {
		t.Run(road.name, func(t *testing.T) {
			var now, most atomic.Int64
			release := make(chan struct{})
			up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				n := now.Add(1)
				for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
				}
				<-release
				now.Add(-1)
			}))
			defer up.Close()
			gate := startGate(t, gateOptions{stock: road.stockOnly, up: app.Upstream{Addresses: []string{up.URL}, MaxConnections: 3}})
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					if g := exchangeRaw(t, gate.address(), get); g.status != 200 {
						t.Errorf("answer %d %q", g.status, g.body)
					}
				})
			}
			await(func() bool { return now.Load() == 3 && gate.pool.gate.waiting.Load() == 17 })
			for range 20 {
				release <- struct{}{}
			}
			all.Wait()
			if most.Load() != 3 {
				t.Errorf("%d at once, want 3", most.Load())
			}
			impatient := startGate(t, gateOptions{stock: road.stockOnly, options: Options{QueueTimeout: 30 * time.Millisecond},
				up: app.Upstream{Addresses: []string{up.URL}, MaxConnections: 1}})
			all.Go(func() { exchangeRaw(t, impatient.address(), get) })
			await(func() bool { return impatient.pool.Status()[0].InFlight == 1 })
			if g := exchangeRaw(t, impatient.address(), get); g.status != 503 || g.body != "upstream_busy" {
				t.Errorf("answer %d %q", g.status, g.body)
			}
			release <- struct{}{}
			all.Wait()
		})
	}
}

// TestQueuePassesTurnsOn: a waiter that was called and leaves all the same, its
// client being gone, does not take the turn with it.
func TestQueuePassesTurnsOn(t *testing.T) {
	var q queue
	ctx, cancel := context.WithCancel(context.Background())
	first, second := make(chan bool), make(chan bool)
	go func() { first <- q.await(ctx, time.Hour, func() bool { return false }) }()
	await(func() bool { q.mu.Lock(); defer q.mu.Unlock(); return len(q.waiters) == 1 })
	var free atomic.Bool
	go func() { second <- q.await(context.Background(), time.Hour, func() bool { return free.Load() }) }()
	await(func() bool { q.mu.Lock(); defer q.mu.Unlock(); return len(q.waiters) == 2 })
	q.mu.Lock()
	called := q.waiters[0]
	q.waiters = q.waiters[1:] // called, but not awake yet
	q.mu.Unlock()
	free.Store(true)
	cancel()
	if <-first {
		t.Error("who left was served")
	}
	if !<-second {
		t.Error("the turn was lost")
	}
	close(called)
}

// TestReconfigure: a running request goes on at the address that was taken
// away; new ones go to the new address; those that wait look again.
func TestReconfigure(t *testing.T) {
	for _, road := range roads {
		t.Run(road.name, func(t *testing.T) {
			arrived, release := make(chan struct{}), make(chan struct{})
			old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				arrived <- struct{}{}
				<-release
				io.WriteString(w, "old")
			}))
			defer old.Close()
			fresh := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "new") }))
			defer fresh.Close()
			gate := startGate(t, gateOptions{stock: road.stockOnly, up: app.Upstream{Addresses: []string{old.URL}, MaxConnections: 1}})
			results := make(chan got, 2)
			go func() { results <- exchangeRaw(t, gate.address(), get) }()
			<-arrived
			waiting := make(chan got, 1)
			go func() { waiting <- exchangeRaw(t, gate.address(), get) }()
			await(func() bool { return gate.pool.gate.waiting.Load() == 1 })
			gate.pool.Reconfigure(app.Upstream{Name: "test", Addresses: []string{fresh.URL}, MaxConnections: 1})
			if g := <-waiting; g.body != "new" {
				t.Errorf("the waiting one got %q", g.body)
			}
			release <- struct{}{}
			if g := <-results; g.body != "old" {
				t.Errorf("the running one got %q", g.body)
			}
			if s := gate.pool.Status(); len(s) != 1 || s[0].Address != fresh.URL || s[0].Requests != 1 {
				t.Errorf("status %+v", s)
			}
		})
	}
}

// TestReconfigureKeeps: an address that stays keeps its idle connections.
func TestReconfigureKeeps(t *testing.T) {
	up := startRaw(t, reply(ok))
	gate := startGate(t, gateOptions{up: app.Upstream{Addresses: []string{up.url}}})
	exchangeRaw(t, gate.address(), get)
	<-gate.done
	gate.pool.Reconfigure(app.Upstream{Name: "test", Addresses: []string{deadAddress(t), up.url}, MaxConnections: 5})
	if s := gate.pool.Status()[1]; s.Idle != 1 || s.Requests != 1 {
		t.Errorf("status %+v", s)
	}
	gate.pool.Reconfigure(app.Upstream{Name: "test", Addresses: []string{deadAddress(t)}})
	if s := gate.pool.Status()[0]; s.Idle != 0 || s.Requests != 0 {
		t.Errorf("status %+v", s)
	}
}

// TestClose drains: nobody new gets in, and it returns when the last has left.
func TestClose(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
	}))
	defer up.Close()
	gate := startGate(t, gateOptions{up: app.Upstream{Addresses: []string{up.URL}}})
	answer := make(chan got, 1)
	go func() { answer <- exchangeRaw(t, gate.address(), get) }()
	<-arrived
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := gate.pool.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Close returned %v while a request runs", err)
	}
	if g := exchangeRaw(t, gate.address(), get); g.status != 503 {
		t.Errorf("a closed pool answered %d", g.status)
	}
	close(release)
	if err := gate.pool.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if g := <-answer; g.status != 200 {
		t.Errorf("the running request got %d", g.status)
	}
}

// TestIdleConnectionsArePruned: the pool lets go of what it does not use.
func TestIdleConnectionsArePruned(t *testing.T) {
	ended := make(chan struct{})
	up := startRaw(t, func(_ int, c net.Conn, _ *http.Request) {
		io.WriteString(c, ok)
		c.Read(make([]byte, 1))
		close(ended)
	})
	gate := startGate(t, gateOptions{options: Options{KeepIdle: 20 * time.Millisecond}, up: app.Upstream{Addresses: []string{up.url}}})
	exchangeRaw(t, gate.address(), get)
	<-ended
}

// TestManyAtOnce mixes everything under load, for the race detector and for
// answers that go astray.
func TestManyAtOnce(t *testing.T) {
	var addresses []string
	for range 3 {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			n, _ := strconv.Atoi(r.URL.Query().Get("n"))
			if n%7 == 0 {
				w.Header().Set("Content-Length", strconv.Itoa(n*100+len(body)))
			}
			io.WriteString(w, strings.Repeat(strconv.Itoa(n%10), n*100)+string(body))
		}))
		defer s.Close()
		addresses = append(addresses, s.URL)
	}
	gate := startGate(t, gateOptions{up: app.Upstream{Addresses: addresses, MaxConnections: 5}})
	transport := &http.Transport{MaxIdleConnsPerHost: 50}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport}
	var all sync.WaitGroup
	stop := make(chan struct{})
	reconfigured := make(chan struct{})
	go func() {
		defer close(reconfigured)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
				gate.pool.Reconfigure(app.Upstream{Name: "test", Addresses: addresses[i%2:], MaxConnections: 5})
				gate.pool.Status()
			}
		}
	}()
	for worker := range 16 {
		all.Go(func() {
			for i := range 40 {
				n := (worker*40 + i) % 900
				text := "body of " + strconv.Itoa(n)
				var body io.Reader = strings.NewReader(text)
				if i%2 == 0 {
					body = io.MultiReader(body) // of unknown length: streamed
				}
				answer, err := client.Post(gate.server.URL+"/?n="+strconv.Itoa(n), "text/plain", body)
				if err != nil {
					t.Error(err)
					return
				}
				data, err := io.ReadAll(answer.Body)
				if err != nil || string(data) != strings.Repeat(strconv.Itoa(n%10), n*100)+text {
					t.Errorf("request %d got %d: %q, %v", n, answer.StatusCode, short(string(data)), err)
				}
				answer.Body.Close()
			}
		})
	}
	all.Wait()
	close(stop)
	<-reconfigured
}
