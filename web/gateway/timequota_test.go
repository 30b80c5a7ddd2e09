package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/app/quota"
	"gatehouse/web/gateway"
)

// watchmaker is a stage whose reserved time passes when the test says so.
type watchmaker struct {
	*stage
	org   app.Org
	key   string
	ticks chan time.Time
}

func newWatchmaker(t *testing.T, change func(*stage), quotas ...app.Quota) *watchmaker {
	t.Helper()
	w := &watchmaker{stage: newStage(t, granting(quotas...), change), ticks: make(chan time.Time)}
	w.gate.SetTicker(func(time.Duration) (<-chan time.Time, func()) { return w.ticks, func() {} })
	w.org = w.stage.org("Acme")
	w.key = bearer(w.stage.key(w.org.ID).Secret)
	return w
}

func asItIs(*stage) {}

func (w *watchmaker) tick(n int) {
	w.t.Helper()
	for range n {
		select {
		case w.ticks <- time.Now():
		case <-time.After(patience):
			w.t.Fatal("nobody asks for further time")
		}
	}
}

// begin asks for a path whose answer is held back.
func (w *watchmaker) begin(path string) <-chan answer {
	got := make(chan answer, 1)
	go func() {
		a, err := w.try(w.t.Context(), "GET", path, http.NoBody, w.key)
		if err != nil {
			a = answer{body: err.Error()}
		}
		got <- a
	}()
	<-w.app.entered
	return got
}

// settled is the account of the duration, when nothing runs.
func (w *watchmaker) settled() app.AccountState {
	w.t.Helper()
	awaitThat(w.t, "nothing is in flight", func() bool { n, s := w.gate.InFlight(w.org.ID); return n+s == 0 })
	state := w.account(w.org.ID, "", "duration")
	if state.Held != 0 {
		w.t.Errorf("%d are held", state.Held)
	}
	if sum := w.usage(w.org.ID); sum.Duration.Milliseconds() != state.Spent {
		w.t.Errorf("%d spent, %v counted", state.Spent, sum.Duration)
	}
	return state
}

// Where the route says how long its app may take, that is reserved.
func TestAQuotaOfDurationReservesTheRoutesTimeout(t *testing.T) {
	w := newWatchmaker(t, asItIs, monthly("duration", 100_000))
	w.routes(app.Route{Name: "all", Timeout: app.Duration(time.Minute)})
	first := w.begin("/held")
	if got := w.get("/", w.key); got.status != 402 || got.quota().Meter != "duration" || got.quota().Wanted != 60_000 {
		t.Errorf("%d %s", got.status, got.body)
	}
	w.clock.Pass(3 * time.Second)
	w.app.release <- struct{}{}
	if got := <-first; got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := w.get("/", w.key); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if state := w.settled(); state.Spent != 3000 {
		t.Errorf("%d ms spent", state.Spent)
	}
}

// Else time is reserved in steps, and what has none left is ended: refused
// while nothing was answered.
func TestAQuotaOfDurationEndsWhatHasNoTimeLeft(t *testing.T) {
	w := newWatchmaker(t, asItIs, monthly("duration", 22_500))
	got := w.begin("/held")
	w.tick(1)
	w.clock.Pass(40 * time.Second)
	for over := false; !over; {
		select {
		case w.ticks <- time.Now():
		case a := <-got:
			over = true
			if a.status != 402 || a.code() != "quota_exhausted" || a.quota().Meter != "duration" {
				t.Errorf("%d %s", a.status, a.body)
			}
		}
	}
	if state := w.settled(); state.Spent > 22_500 || state.Spent < 22_400 { // a step is 100 ms at least
		t.Errorf("%d ms spent", state.Spent)
	}
}

// What ends by itself takes what it lasted, however many steps it had.
func TestAQuotaOfDurationOfALongRequest(t *testing.T) {
	w := newWatchmaker(t, asItIs, monthly("duration", 1_000_000))
	got := w.begin("/held")
	w.tick(4)
	w.clock.Pass(47 * time.Second)
	w.app.release <- struct{}{}
	if a := <-got; a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if state := w.settled(); state.Spent != 47_000 {
		t.Errorf("%d ms spent", state.Spent)
	}
}

// An answer that has begun is broken off, also to a client that does not read;
// a body that does not come is not waited for; a WebSocket is told.
func TestAQuotaOfDurationCutsWhatRuns(t *testing.T) {
	for _, row := range []struct {
		name, request string
		after         func(t *testing.T, w *watchmaker, c net.Conn, in *bufio.Reader)
	}{
		{"an answer under way", "GET /half HTTP/1.1", func(t *testing.T, _ *watchmaker, _ net.Conn, in *bufio.Reader) {
			if a, err := http.ReadResponse(in, nil); err != nil || a.StatusCode != 200 {
				t.Error(a, err)
			} else if _, err := io.ReadAll(a.Body); err == nil {
				t.Error("half an answer ends as a whole one")
			}
		}},
		{"a client that does not read", "GET /flood HTTP/1.1", func(*testing.T, *watchmaker, net.Conn, *bufio.Reader) {}},
		{"a short body that does not come", "POST / HTTP/1.1\r\nContent-Length: 10", refusedForTime},
		{"a chunked body that does not come", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked", refusedForTime},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWatchmaker(t, asItIs, monthly("duration", 10_000))
			var written atomic.Int64
			up := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				rw.Write([]byte("half"))
				http.NewResponseController(rw).Flush()
				for r.URL.Path == "/flood" {
					if _, err := rw.Write(bytes.Repeat([]byte("x"), 64<<10)); err != nil {
						return
					}
					written.Add(1)
				}
				<-r.Context().Done()
			}))
			t.Cleanup(up.Close)
			w.routing([]app.Upstream{{Name: "up", Addresses: []string{up.URL}}}, app.Route{Name: "up", Upstream: "up"})
			c, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
			w.apply(c, err)
			t.Cleanup(func() { c.Close() })
			c.SetDeadline(time.Now().Add(patience))
			fmt.Fprintf(c, "%s\r\nHost: x\r\n%s\r\n\r\n", row.request, w.key)
			in := bufio.NewReader(c)
			if strings.HasPrefix(row.request, "GET") {
				if _, err := in.Peek(1); err != nil {
					t.Fatal(err)
				}
			}
			if strings.Contains(row.request, "/flood") {
				for before := int64(-1); written.Load() != before; time.Sleep(100 * time.Millisecond) { // all buffers are full
					before = written.Load()
				}
			}
			w.tick(2)
			row.after(t, w, c, in)
			w.settled()
		})
	}
}

func refusedForTime(t *testing.T, _ *watchmaker, _ net.Conn, in *bufio.Reader) {
	a, err := http.ReadResponse(in, nil)
	if err != nil || a.StatusCode != 402 {
		t.Error(a, err)
	}
}

func TestAQuotaOfDurationOfAWebSocket(t *testing.T) {
	l := openLine(t, monthly("duration", 10_000), monthly("websocket_seconds", 1000))
	message := frame(0x81, []byte("hello"), false, 1)
	l.far.Write(message)
	l.arrives(l.nearIn, message)
	done := make(chan struct{})
	go func() { // two ask in turn: for the duration and for the seconds
		defer close(done)
		if _, err := l.nearIn.Peek(1); err != nil {
			t.Error(err)
		}
	}()
	for over := false; !over; {
		select {
		case l.ticks <- time.Now():
		case <-done:
			over = true
		}
	}
	l.arrives(l.nearIn, policyToClient)
	l.near.Write(frame(0x88, []byte{3, 0xf0}, true, 1))
	l.arrives(l.farIn, policyToApp)
	if n := l.spent("duration"); n > 10_000 {
		t.Errorf("%d ms spent", n)
	}
}

// ordered is a ledger that asks, when it is told an outcome, whether what the
// request leaves is still held.
type ordered struct {
	gateway.Ledger
	settling func()
}

func (o ordered) Settle(ticket metering.Ticket, out app.Outcome) {
	o.settling()
	o.Ledger.Settle(ticket, out)
}

// What a request leaves is free when the ledger has its outcome, not before:
// else another could be in a block before it, and both would pass the limit.
func TestWhatIsLeftIsFreeBehindTheOutcome(t *testing.T) {
	early, settled := 0, 0
	var w *watchmaker
	w = newWatchmaker(t, func(s *stage) {
		s.options.Ledger = ordered{s.ledger, func() {
			settled++
			hold, line := quota.Hold{}, w.quotas.Book(w.org, w.plan, nil).Line("", "duration")
			w.clock.Pass(time.Second) // what was told of the limit before is forgotten
			if line.Reserve(context.Background(), noon, &hold, quota.Need{Meter: "duration", Amount: 90_000}) == nil {
				hold.Release(nil)
				early++
			}
		}}
	}, monthly("duration", 100_000))
	w.routes(app.Route{Name: "all", Timeout: app.Duration(time.Minute)})
	for range 3 {
		if got := w.get("/", w.key); got.status != 200 {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	awaitThat(t, "nothing is in flight", func() bool { n, _ := w.gate.InFlight(w.org.ID); return n == 0 })
	if early > 0 || settled != 3 {
		t.Errorf("of %d requests, %d left room before the ledger had their outcome", settled, early)
	}
}

// Short requests take as much of the quota as usage says: each begun
// millisecond.
func TestEachBegunMillisecondOfARequestCounts(t *testing.T) {
	soft := monthly("duration", 100)
	soft.Mode = app.QuotaSoft
	w := newWatchmaker(t, asItIs, soft)
	w.routes(app.Route{Name: "all"})
	for _, took := range []time.Duration{900 * time.Microsecond, 100 * time.Microsecond, 2 * time.Millisecond, 2001 * time.Microsecond} {
		got := w.begin("/held")
		w.clock.Pass(took)
		w.app.release <- struct{}{}
		if a := <-got; a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if state, sum := w.settled(), w.usage(w.org.ID); state.Spent != 7 || sum.Duration != 7*time.Millisecond {
		t.Errorf("the quota says %d ms, usage %v; want 7", state.Spent, sum.Duration)
	}
}
