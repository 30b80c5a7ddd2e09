package gateway_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/app"
)

const (
	roomOfBytes    = 1 << 20
	roomOfDuration = 3_600_000
)

// everyHardQuota stops whatever a request may take.
func everyHardQuota() []app.Quota {
	return []app.Quota{monthly("requests", 1000), monthly("bytes", roomOfBytes), monthly("duration", roomOfDuration), monthly("websocket_seconds", 3600)}
}

// moody answers as its path says, and as no app should.
func moody(t *testing.T) *httptest.Server {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hijack := func(text string) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			io.WriteString(c, text)
			c.Close()
		}
		switch r.URL.Path {
		case "/hangs":
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		case "/panics":
			panic(http.ErrAbortHandler)
		case "/breaks":
			hijack("HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\nhalf")
		case "/silent":
			hijack("")
		case "/odd":
			hijack("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nhello")
		case "/hints":
			hijack(strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 20))
		case "/switches":
			hijack("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		case "/early":
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			io.WriteString(w, "too large")
		case "/drips":
			for i := 0; ; i++ {
				if _, err := fmt.Fprintf(w, "data: %d\n\n", i); err != nil {
					return
				}
				if http.NewResponseController(w).Flush() != nil || r.Context().Err() != nil {
					return
				}
			}
		default:
			io.Copy(w, r.Body)
		}
	}))
	s.Config.ErrorLog = quietServer()
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// Whatever a client or an app does, nothing stays reserved, and what is charged
// is what is counted.
func TestNothingStaysReserved(t *testing.T) {
	for _, row := range []struct {
		name, request string
		read          int // bytes of the answer, then the client leaves; below 0: all of it
	}{
		{"an ordinary request", "GET / HTTP/1.1", -1},
		{"HEAD", "HEAD / HTTP/1.1", -1},
		{"OPTIONS", "OPTIONS / HTTP/1.1", -1},
		{"TRACE", "TRACE / HTTP/1.1", -1},
		{"CONNECT", "CONNECT x:443 HTTP/1.1", -1},
		{"HTTP/1.0", "GET / HTTP/1.0", -1},
		{"a body that is echoed", "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", -1},
		{"a client that leaves amid its short body", "POST / HTTP/1.1\r\nContent-Length: 500\r\n\r\nhello", 0},
		{"a client that leaves amid its long body", "POST / HTTP/1.1\r\nContent-Length: 500000\r\n\r\nhello", 0},
		{"a client that leaves amid its chunks", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", 0},
		{"a client with broken chunks", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n", -1},
		{"a client that leaves while the app thinks", "GET /hangs HTTP/1.1", 0},
		{"a client that leaves amid the answer", "GET /drips HTTP/1.1", 1000},
		{"a client that expects and leaves", "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 70000", 0},
		{"an app that panics", "GET /panics HTTP/1.1", -1},
		{"an app that breaks off", "GET /breaks HTTP/1.1", -1},
		{"an app that says nothing", "GET /silent HTTP/1.1", -1},
		{"an app that contradicts itself", "GET /odd HTTP/1.1", -1},
		{"an app that only hints", "GET /hints HTTP/1.1", -1},
		{"an app that switches unasked", "GET /switches HTTP/1.1", -1},
		{"an app that answers early", "POST /early HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", 40},
		{"a WebSocket that is not one", "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket", -1},
		{"a WebSocket whose client leaves", "GET /switches HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket", 20},
		{"a WebSocket with a body", "POST / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello", -1},
		{"another protocol", "GET /switches HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: lines", -1},
		{"an upgrade to HTTP/2", "GET / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__", -1},
		{"the question of a proxy", "GET /v1/authorize HTTP/1.1\r\nX-Forwarded-Uri: /x", -1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newTakes(t, onSQLite(t), everyHardQuota()...)
			s.routing([]app.Upstream{{Name: "moody", Addresses: []string{moody(t).URL}}},
				app.Route{Name: "moody", Upstream: "moody", Timeout: app.Duration(3 * time.Second)})
			c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
			s.apply(c, err)
			c.SetDeadline(time.Now().Add(patience))
			head, rest, _ := strings.Cut(row.request, "\r\n\r\n")
			if _, err := fmt.Fprintf(c, "%s\r\nHost: x\r\n%s\r\n\r\n%s", head, s.key, rest); err != nil {
				t.Fatal(err)
			}
			if row.read < 0 {
				if a, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: strings.Fields(head)[0]}); err == nil {
					io.Copy(io.Discard, a.Body)
				}
			} else {
				io.CopyN(io.Discard, c, int64(row.read))
			}
			if strings.Contains(row.name, "thinks") {
				awaitThat(t, "it is there", func() bool { n, _ := s.gate.InFlight(s.org.ID); return n == 1 })
			}
			c.Close()
			s.nothingHeld()
		})
	}
}

// nothingHeld holds the accounts against what was counted and what is free.
func (s *takes) nothingHeld() {
	s.t.Helper()
	s.awaitRecorded(1)
	awaitThat(s.t, "nothing runs", func() bool { n, w := s.gate.InFlight(s.org.ID); return n+w+s.gate.Sockets() == 0 })
	rooms := map[string]int64{"requests": 1000, "bytes": roomOfBytes, "duration": roomOfDuration}
	left := map[string]int64{}
	for meter, room := range rooms {
		left[meter] = s.left(meter, room)
	}
	for meter, room := range rooms {
		state := s.account(s.org.ID, "", meter)
		if state.Held != 0 || state.Spent+left[meter] != room {
			s.t.Errorf("%s: of %d %d spent, %d held, %d free", meter, room, state.Spent, state.Held, left[meter])
		}
	}
	sum, moved := s.usage(s.org.ID), rooms["bytes"]-left["bytes"]
	if sum.Weight != rooms["requests"]-left["requests"] || sum.BytesIn+sum.BytesOut != moved {
		s.t.Errorf("%+v, %d bytes spent", sum, moved)
	}
}

// left is the largest amount that may be reserved.
func (s *takes) left(meter string, room int64) int64 {
	refused := room + 1
	for most := int64(0); ; {
		if refused-most <= 1 {
			return most
		}
		s.clock.Pass(time.Second) // what was told of the limit before is forgotten
		if middle := (most + refused) / 2; s.free(meter, middle) == nil {
			most = middle
		} else {
			refused = middle
		}
	}
}

// HTTP/2 clients are held to the same: a stream that has no bytes left is reset.
func TestAQuotaOfBytesOverHTTP2(t *testing.T) {
	const limit = 500_000
	s := newTakes(t, onSQLite(t), monthly("bytes", limit))
	front := httptest.NewUnstartedServer(s.gate)
	front.EnableHTTP2, front.Config.ErrorLog = true, quietServer()
	front.StartTLS()
	t.Cleanup(front.Close)
	var delivered atomic.Int64
	ask := func(path string) (int, error) {
		request, _ := http.NewRequestWithContext(t.Context(), "GET", front.URL+path, nil)
		request.Header.Set("Authorization", s.key[15:])
		got, err := front.Client().Do(request)
		if err != nil {
			return 0, err
		}
		defer got.Body.Close()
		if got.ProtoMajor != 2 {
			t.Errorf("HTTP/%d", got.ProtoMajor)
		}
		n, err := io.Copy(io.Discard, got.Body)
		if got.StatusCode == 200 {
			delivered.Add(n)
		}
		return got.StatusCode, err
	}
	for _, row := range []struct {
		path   string
		status int
		whole  bool
	}{{"/sized/500001", 402, true}, {"/sized/200000", 200, true}, {"/stream/200000", 200, true}, {"/stream/200000", 200, false}, {"/sized/1", 402, true}} {
		if status, err := ask(row.path); status != row.status && status != 0 || (err == nil) != row.whole {
			t.Errorf("%s: %d %v", row.path, status, err)
		}
	}
	if n := delivered.Load(); n > limit {
		t.Errorf("%d bytes reached the client", n)
	}
	awaitThat(t, "nothing runs", func() bool { n, _ := s.gate.InFlight(s.org.ID); return n == 0 })
	if state := s.account(s.org.ID, "", "bytes"); state.Spent > limit || state.Held != 0 || state.Spent < delivered.Load() {
		t.Errorf("%+v", state)
	}
}

// An organization's own calls to a paid API are held to its bytes, both ways;
// what the app calls for it is not. A call that is cut costs what it may.
func TestAQuotaOfBytesOfPaidCalls(t *testing.T) {
	d := newDesk(t, onSQLite(t), says(t, "openai_chat.sse"), granting(monthly("bytes", 50_000), monthly("cost", 1_000_000)))
	own := bearer(d.own.Secret)
	got := d.ask("POST", openaiPath, streamedCall, own)
	if got.status != 200 || !strings.Contains(got.body, "[DONE]") {
		t.Fatalf("%d %s", got.status, got.body)
	}
	want := int64(len(streamedCall) + len(got.body))
	for range 3 {
		if got := d.call(openaiPath, streamedCall); got.status != 200 {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	if got := d.ask("POST", openaiPath, strings.Replace(streamedCall, "hi", strings.Repeat("x", 60_000), 1), own); got.status != 402 || got.quota().Meter != "bytes" {
		t.Errorf("%d %.200s", got.status, got.body)
	}
	if n := d.spent("bytes"); n != want {
		t.Errorf("%d bytes spent, want %d", n, want)
	}
}

func quietServer() *log.Logger { return slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) }

// A paid call that its bytes end is paid for all the same.
func TestAPaidCallThatIsCutIsPaidFor(t *testing.T) {
	limit := int64(len(streamedCall) + 300)
	d := newDesk(t, onSQLite(t), says(t, "openai_chat.sse"), granting(monthly("bytes", limit), monthly("cost", 1_000_000)))
	got, err := d.try(t.Context(), "POST", openaiPath, strings.NewReader(streamedCall), bearer(d.own.Secret))
	if err == nil {
		t.Errorf("%d %s: want an answer that breaks off", got.status, got.body)
	}
	awaitThat(t, "nothing runs", func() bool { n, _ := d.gate.InFlight(d.org.ID); return n == 0 })
	if n := d.spent("bytes"); n > limit || n < int64(len(streamedCall)) {
		t.Errorf("%d bytes spent of %d", n, limit)
	}
	if d.spent("cost") == 0 {
		t.Error("it costs nothing")
	}
}

// A paid call that its time ends is read on: what it cost is known.
func TestAPaidCallWithoutTimeIsReadToItsEnd(t *testing.T) {
	asked, going := make(chan struct{}), make(chan struct{})
	d := newDesk(t, onSQLite(t), func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-going
		tells(10, 5)(w, r)
	}, granting(monthly("duration", 10_000), monthly("cost", 1_000_000)))
	ticks := make(chan time.Time)
	d.gate.SetTicker(func(time.Duration) (<-chan time.Time, func()) { return ticks, func() {} })
	answered := make(chan answer, 1)
	go func() {
		got, err := d.try(t.Context(), "POST", openaiPath, strings.NewReader(plainCall), bearer(d.own.Secret))
		if err != nil {
			t.Error(err)
		}
		answered <- got
	}()
	<-asked
	for range 2 {
		ticks <- time.Now()
	}
	awaitThat(t, "it is ended", func() bool { // whoever watches the time has done its work
		all := make([]byte, 4<<20)
		return !bytes.Contains(all[:runtime.Stack(all, true)], []byte("timeSteps"))
	})
	close(going)
	if got := <-answered; got.status != 402 || got.quota().Meter != "duration" {
		t.Errorf("%d %s", got.status, got.body)
	}
	awaitThat(t, "nothing runs", func() bool { n, _ := d.gate.InFlight(d.org.ID); return n == 0 })
	if n := d.spent("cost"); n != d.priced(10, 5) {
		t.Errorf("cost %d, want %d", n, d.priced(10, 5))
	}
	if n := d.spent("duration"); n > 10_000 {
		t.Errorf("%d ms spent", n)
	}
}
