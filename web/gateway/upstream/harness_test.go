package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/app"
)

// roads are the two paths that every case must pass with the same answer.
var roads = []struct {
	name      string
	stockOnly bool
}{{"direct", false}, {"stock", true}}

// script is an upstream that answers on the raw connection: call counts the
// requests from 1, over all connections.
type script func(call int, c net.Conn, request *http.Request)

// rawUpstream listens and plays the script; a script that returns leaves the
// connection open for the next request, one that closes it ends it.
type rawUpstream struct {
	url  string
	mu   sync.Mutex
	seen []*http.Request
	raw  []string // the heads as they came
}

func startRaw(t testing.TB, play script) *rawUpstream {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &rawUpstream{url: "http://" + listener.Addr().String()}
	var wait sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wait.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			wait.Go(func() { u.serve(c, play) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		wait.Wait()
	})
	return u
}

func (u *rawUpstream) serve(c net.Conn, play script) {
	var copied strings.Builder
	in := bufio.NewReader(io.TeeReader(c, &copied))
	for {
		request, err := http.ReadRequest(in)
		if err != nil {
			c.Close()
			return
		}
		body, err := io.ReadAll(request.Body)
		if err != nil {
			c.Close()
			return
		}
		request.Body = io.NopCloser(strings.NewReader(string(body)))
		request.PostForm = map[string][]string{"body": {string(body)}}
		u.mu.Lock()
		u.seen = append(u.seen, request)
		u.raw = append(u.raw, copied.String())
		call := len(u.seen)
		u.mu.Unlock()
		copied.Reset()
		play(call, c, request)
	}
}

// requests are those that came so far.
func (u *rawUpstream) requests() []*http.Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]*http.Request(nil), u.seen...)
}

func bodyOf(r *http.Request) string { return r.PostForm["body"][0] }

// testGate is a pool behind a real server.
type testGate struct {
	pool   *Pool
	server *httptest.Server
	done   chan Result // what Serve returned
}

type gateOptions struct {
	up      app.Upstream
	options Options
	stock   bool
	out     func(r *http.Request, out *Outgoing)
	serve   func(*httptest.Server)
}

func startGate(t testing.TB, g gateOptions) *testGate {
	t.Helper()
	if g.up.Name == "" {
		g.up.Name = "test"
	}
	gate := &testGate{pool: NewPool(g.up, g.options), done: make(chan Result, 1000)}
	gate.pool.stockOnly = g.stock
	gate.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := Outgoing{Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery, Timeout: 5 * time.Second}
		if g.out != nil {
			g.out(r, &out)
		}
		result := gate.pool.Serve(w, r, &out)
		gate.done <- result
		answerFault(w, result)
	}))
	gate.server.Config.ErrorLog = quietLog()
	if g.serve != nil {
		g.serve(gate.server)
	}
	if gate.server.URL == "" {
		gate.server.Start()
	}
	t.Cleanup(func() {
		gate.server.CloseClientConnections()
		gate.server.Close()
		gate.pool.Reconfigure(app.Upstream{Name: "gone"}) // lets go of idle connections
	})
	return gate
}

// answerFault does what the gate does with a failure before the answer.
func answerFault(w http.ResponseWriter, result Result) {
	if result.Sent || result.Err == nil {
		return
	}
	status := map[app.Kind]int{app.KindUnavailable: 503, app.KindTimeout: 504, app.KindBadGateway: 502,
		app.KindTooLarge: 413, app.KindInvalid: 400, app.KindMethod: 405, app.KindCancelled: 499, app.KindForbidden: 403}
	var known *app.Error
	if !errors.As(result.Err, &known) {
		http.Error(w, "not an app.Error: "+result.Err.Error(), 500)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(status[known.Kind])
	fmt.Fprint(w, known.Code)
}

// got is an answer as a client on a raw connection sees it.
type got struct {
	interim []string // "103 Link"
	status  int
	header  http.Header
	body    string
	trailer http.Header
	aborted bool // it did not end as an answer must
	closed  bool // the gate closes the connection
	err     error
}

// exchangeRaw sends the text and reads one answer.
func exchangeRaw(t testing.TB, address, request string) got {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	return readAnswer(bufio.NewReader(c), strings.Fields(request)[0])
}

func readAnswer(in *bufio.Reader, method string) (g got) {
	for {
		answer, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			g.err, g.aborted = err, true
			return g
		}
		if answer.StatusCode < 200 && answer.StatusCode != 101 {
			g.interim = append(g.interim, fmt.Sprintf("%d %s", answer.StatusCode, answer.Header.Get("Link")))
			continue
		}
		body, err := io.ReadAll(answer.Body)
		g.status, g.header, g.body, g.trailer = answer.StatusCode, answer.Header, string(body), answer.Trailer
		g.aborted, g.err, g.closed = err != nil, err, answer.Close
		return g
	}
}

func (g *testGate) address() string { return g.server.Listener.Addr().String() }

func mustAddr(text string) netip.Addr { return netip.MustParseAddr(text) }

// slogTo sends the message of each record to the channel.
func slogTo(messages chan<- string) *slog.Logger { return slog.New(messageHandler(messages)) }

type messageHandler chan<- string

func (messageHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h messageHandler) WithAttrs([]slog.Attr) slog.Handler     { return h }
func (h messageHandler) WithGroup(string) slog.Handler          { return h }
func (h messageHandler) Handle(_ context.Context, r slog.Record) error {
	h <- r.Message
	return nil
}

// await looks until it is so; a test that waits in vain ends by its timeout.
func await(so func() bool) {
	for !so() {
		time.Sleep(100 * time.Microsecond)
	}
}
