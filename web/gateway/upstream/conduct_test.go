package upstream

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/app"
)

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// TestStaleConnection: the upstream closes an idle connection. A request that
// may be repeated is, on a fresh connection; one that may have had an effect
// is not, and is spared the stale connection where that can be seen.
func TestStaleConnection(t *testing.T) {
	const post = "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
	cases := []struct {
		name, request string
		swallow       bool // the second request is read before the connection is closed
		status, calls int
	}{
		{"GET after the close", get, false, 200, 2},
		{"POST after the close", post, false, 200, 2},
		{"GET swallowed", get, true, 200, 3},
		{"POST swallowed", post, true, 502, 2},
		{"POST without a body swallowed", "POST /x HTTP/1.1\r\nHost: x\r\n\r\n", true, 502, 2},
		{"POST with a key swallowed", "POST /x HTTP/1.1\r\nHost: x\r\nIdempotency-Key: 1\r\n\r\n", true, 200, 3},
		{"DELETE swallowed", "DELETE /x HTTP/1.1\r\nHost: x\r\n\r\n", true, 502, 2},
	}
	for _, road := range roads {
		for _, c := range cases {
			t.Run(road.name+"/"+c.name, func(t *testing.T) {
				closed := make(chan struct{})
				up := startRaw(t, func(call int, conn net.Conn, _ *http.Request) {
					if call != 2 || !c.swallow {
						io.WriteString(conn, ok)
					}
					if call == 1 && !c.swallow || call == 2 && c.swallow {
						conn.Close()
						close(closed)
					}
				})
				gate := startGate(t, gateOptions{up: app.Upstream{Addresses: []string{up.url}}, stock: road.stockOnly})
				if g := exchangeRaw(t, gate.address(), get); g.status != 200 {
					t.Fatalf("first answer %d %v", g.status, g.err)
				}
				if !c.swallow {
					<-closed
					awaitStale(t, gate.pool)
				}
				if g := exchangeRaw(t, gate.address(), c.request); g.status != c.status {
					t.Errorf("status %d (%q), want %d", g.status, g.body, c.status)
				}
				if n := len(up.requests()); n != c.calls {
					t.Errorf("the upstream saw %d requests, want %d", n, c.calls)
				}
			})
		}
	}
}

// awaitStale waits until the close has reached the idle connection.
func awaitStale(t *testing.T, p *Pool) {
	a := p.current.Load().addresses[0]
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.idle {
		c.socket.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.socket.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Fatalf("the idle connection gives %v", err)
		}
	}
}

// TestBefore: called once, not for interim answers; it may edit the header; an
// error of it discards the answer, and nothing of it stays in the header.
func TestBefore(t *testing.T) {
	refused := &app.Error{Kind: app.KindUnavailable, Code: "ledger_unavailable"}
	for _, road := range roads {
		for _, fails := range []bool{false, true} {
			t.Run(road.name, func(t *testing.T) {
				up := startRaw(t, reply("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nVary: Origin\r\nX-App: secret\r\nContent-Length: 2\r\n\r\nok"))
				var calls atomic.Int32
				gate := startGate(t, gateOptions{up: app.Upstream{Addresses: []string{up.url}}, stock: road.stockOnly,
					out: func(_ *http.Request, out *Outgoing) {
						out.Before = func(status int, h http.Header) error {
							calls.Add(1)
							if status != 200 || h.Get("X-App") != "secret" {
								t.Errorf("Before saw %d %v", status, h)
							}
							h["Ratelimit"] = []string{"r=1"}
							if fails {
								return refused
							}
							return nil
						}
					}})
				g := exchangeRaw(t, gate.address(), get)
				result := <-gate.done
				if calls.Load() != 1 {
					t.Errorf("called %d times", calls.Load())
				}
				wantHeader(t, g.header, "Ratelimit", "r=1")
				if !fails {
					if g.status != 200 || g.body != "ok" || !result.Sent || result.Err != nil {
						t.Errorf("answer %d %q, result %+v", g.status, g.body, result)
					}
					return
				}
				if g.status != 503 || g.body != "ledger_unavailable" || result.Sent || !errors.Is(result.Err, refused) {
					t.Errorf("answer %d %q, result %+v", g.status, g.body, result)
				}
				for _, name := range []string{"Set-Cookie", "Vary", "X-App"} {
					wantHeader(t, g.header, name, "")
				}
			})
		}
	}
}

// TestRetractKeeps: what the caller had in the header before the answer, and
// what Before added, survives a refused answer.
func TestRetractKeeps(t *testing.T) {
	e := &exchange{head: head{fields: []field{{"Vary", "Origin"}, {"Set-Cookie", "a=1"}, {"Set-Cookie", "b=2"}}}}
	header := http.Header{"Vary": {"Cookie"}, "X-Request-Id": {"1"}}
	e.fillHeader(header)
	header.Add("Vary", "Accept")
	e.retract(header)
	if want := []string{"Cookie", "Accept"}; !slices.Equal(header["Vary"], want) || len(header) != 2 {
		t.Errorf("the header is %v, want Vary %v", header, want)
	}
}

// TestKeepAlive: whole answers give their connection back, others do not.
func TestKeepAlive(t *testing.T) {
	cases := []struct {
		name, answer string
		conns        int
	}{
		{"length", ok, 1},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 1},
		{"204", "HTTP/1.1 204 No Content\r\n\r\n", 1},
		{"close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 3},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 3},
		{"HTTP/1.0 kept alive", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", 1},
		{"both lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 3},
		{"more than announced", ok + "more", 3},
		{"large", "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100000), 1},
		{"large and more", "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100001), 3},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			conns := map[net.Conn]bool{}
			up := startRaw(t, func(_ int, conn net.Conn, _ *http.Request) {
				conns[conn] = true
				io.WriteString(conn, c.answer)
			})
			gate := startGate(t, gateOptions{up: app.Upstream{Addresses: []string{up.url}}})
			client, err := net.Dial("tcp", gate.address())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			in := bufio.NewReader(client)
			for range 3 {
				io.WriteString(client, get)
				if g := readAnswer(in, "GET"); g.status/100 != 2 || g.aborted {
					t.Fatalf("answer %d %v", g.status, g.err)
				}
				<-gate.done
			}
			if len(conns) != c.conns {
				t.Errorf("%d connections, want %d", len(conns), c.conns)
			}
		})
	}
}

// TestReadsNoMoreThanTheBody: an answer that runs on after its length is never
// taken for the next request's.
func TestReadsNoMoreThanTheBody(t *testing.T) {
	up := startRaw(t, func(call int, c net.Conn, r *http.Request) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"+r.URL.Path[1:]+"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
	})
	gate := startGate(t, gateOptions{up: app.Upstream{Addresses: []string{up.url}}})
	for _, name := range []string{"1", "2", "3"} {
		g := exchangeRaw(t, gate.address(), "GET /"+name+" HTTP/1.1\r\nHost: x\r\n\r\n")
		if g.body != name {
			t.Fatalf("request %s got %q", name, g.body)
		}
	}
}

// TestUnaskedAnswer: what an upstream sends on an idle connection, such as a 408
// or the rest of a confused answer, is nobody's answer. (The stock path leaves
// that to net/http, where a race decides.)
func TestUnaskedAnswer(t *testing.T) {
	more := make(chan net.Conn, 10)
	up := startRaw(t, func(_ int, c net.Conn, r *http.Request) {
		io.WriteString(c, ok)
		more <- c
	})
	gate := startGate(t, gateOptions{up: app.Upstream{Addresses: []string{up.url}}})
	for range 3 {
		if g := exchangeRaw(t, gate.address(), get); g.status != 200 || g.body != "ok" {
			t.Fatalf("answer %d %q", g.status, g.body)
		}
		<-gate.done
		io.WriteString(<-more, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\n\r\nevil")
	}
}

// TestOldDeadline: the time that one request had does not end the next on the
// same connection.
func TestOldDeadline(t *testing.T) {
	up := startRaw(t, reply(ok))
	gate := startGate(t, gateOptions{up: app.Upstream{Addresses: []string{up.url}},
		out: func(_ *http.Request, out *Outgoing) { out.Timeout = 50 * time.Millisecond }})
	long := "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n" + strings.Repeat("x", 10000)
	for _, request := range []string{long, get, long} {
		if g := exchangeRaw(t, gate.address(), request); g.status != 200 {
			t.Fatalf("answer %d %q", g.status, g.body)
		}
		<-gate.done
		time.Sleep(60 * time.Millisecond) // the deadline passes
	}
	if idle := gate.pool.Status()[0].Idle; idle != 1 {
		t.Errorf("%d idle connections, want the one that served all", idle)
	}
}

// TestTrustedForwarding: a trusted proxy's word is kept and continued.
func TestTrustedForwarding(t *testing.T) {
	for _, road := range roads {
		t.Run(road.name, func(t *testing.T) {
			up := startRaw(t, reply(ok))
			gate := startGate(t, gateOptions{up: app.Upstream{Addresses: []string{up.url}, HostHeader: "app.internal"}, stock: road.stockOnly,
				out: func(_ *http.Request, out *Outgoing) {
					out.PeerTrusted, out.Client = true, mustAddr("203.0.113.7")
				}})
			exchangeRaw(t, gate.address(), "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.7\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\nX-Forwarded-Port: 443\r\nForwarded: for=203.0.113.7\r\n\r\n")
			r := up.requests()[0]
			for name, want := range map[string]string{"X-Forwarded-For": "203.0.113.7, 10.0.0.1, 127.0.0.1", "X-Forwarded-Proto": "https",
				"X-Forwarded-Host": "shop.example", "X-Forwarded-Port": "443", "X-Real-Ip": "203.0.113.7",
				"Forwarded": "for=203.0.113.7, for=127.0.0.1;proto=https"} {
				wantHeader(t, r.Header, name, want)
			}
			if r.Host != "app.internal" {
				t.Errorf("host %q", r.Host)
			}
		})
	}
}

// TestLineBreaks: nothing that the gate or a header brings along can add a line.
func TestLineBreaks(t *testing.T) {
	edits := map[string]func(*http.Request, *Outgoing){
		"header value": func(r *http.Request, _ *Outgoing) { r.Header["X-Org"] = []string{"a\r\nX-Evil: 1"} },
		"path":         func(_ *http.Request, o *Outgoing) { o.Path = "/a HTTP/1.1\r\nX-Evil: 1\r\n\r\n" },
		"space":        func(_ *http.Request, o *Outgoing) { o.Path = "/a b" },
		"no slash":     func(_ *http.Request, o *Outgoing) { o.Path = "evil.example/" },
		"query":        func(_ *http.Request, o *Outgoing) { o.RawQuery = "a=\n" },
	}
	for _, road := range roads {
		for name, edit := range edits {
			t.Run(road.name+"/"+name, func(t *testing.T) {
				up := startRaw(t, reply(ok))
				gate := startGate(t, gateOptions{up: app.Upstream{Addresses: []string{up.url}}, stock: road.stockOnly, out: edit})
				if g := exchangeRaw(t, gate.address(), get); g.status != 400 || len(up.requests()) != 0 {
					t.Errorf("status %d, the upstream saw %d requests", g.status, len(up.requests()))
				}
			})
		}
	}
}
