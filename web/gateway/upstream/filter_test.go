package upstream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
)

// tape is a filter that notes what it sees, and passes it on.
type tape struct {
	seen   []byte
	ended  bool
	change func(piece []byte) ([]byte, error)
	end    func() ([]byte, error)
}

func (f *tape) Piece(piece []byte) ([]byte, error) {
	f.seen = append(f.seen, piece...)
	if f.change != nil {
		return f.change(piece)
	}
	return piece, nil
}

func (f *tape) End() ([]byte, error) {
	f.ended = true
	if f.end != nil {
		return f.end()
	}
	return nil, nil
}

// TestProxyCasesFiltered: a filter that changes nothing changes nothing, and
// neither does the readiness to drain.
func TestProxyCasesFiltered(t *testing.T) {
	for _, road := range roads {
		for _, c := range proxyCases {
			t.Run(road.name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				runCase(t, c, road.stockOnly, func(out *Outgoing) {
					out.Filter = func(int, http.Header) AnswerFilter { return &tape{} }
					out.Drain = time.Second
				})
			})
		}
	}
}

func TestFilter(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Encoding: x\r\n\r\nhello"
	shout := func(piece []byte) ([]byte, error) { return []byte(strings.ToUpper(string(piece)) + "!"), nil }
	for _, row := range []struct {
		name, upstream, request string
		filter                  tape
		none                    bool // the filter is not asked for
		want                    got
		seen                    string
	}{
		{name: "changes", upstream: ok, filter: tape{change: shout}, want: got{status: 200, body: "HELLO!"}, seen: "hello"},
		{name: "adds", upstream: ok, filter: tape{end: func() ([]byte, error) { return []byte(" world"), nil }},
			want: got{status: 200, body: "hello world"}, seen: "hello"},
		{name: "keeps back", upstream: ok, filter: tape{change: func([]byte) ([]byte, error) { return nil, nil }}, want: got{status: 200}, seen: "hello"},
		{name: "refuses a piece", upstream: ok, filter: tape{change: func([]byte) ([]byte, error) { return nil, errors.New("broken") }},
			want: got{status: 200, aborted: true}, seen: "hello"},
		{name: "refuses the end", upstream: ok, filter: tape{end: func() ([]byte, error) { return nil, errors.New("broken") }},
			want: got{status: 200, body: "hello", aborted: true}, seen: "hello"},
		{name: "chunked with a trailer", upstream: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n",
			filter: tape{end: func() ([]byte, error) { return []byte(" world"), nil }},
			want:   got{status: 200, body: "hello world", trailer: http.Header{"X-Sum": {"7"}}}, seen: "hello"},
		{name: "an empty answer", upstream: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
			filter: tape{end: func() ([]byte, error) { return []byte("rest"), nil }}, want: got{status: 200, body: "rest"}},
		{name: "an error answer", upstream: "HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno", filter: tape{change: shout}, want: got{status: 500, body: "NO!"}, seen: "no"},
		{name: "HEAD", request: "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", upstream: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", none: true,
			want: got{status: 200, header: http.Header{"Content-Length": {"5"}}}},
		{name: "204", upstream: "HTTP/1.1 204 No\r\n\r\n", none: true, want: got{status: 204}},
		{name: "304", upstream: "HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", none: true, want: got{status: 304}},
	} {
		for _, road := range roads {
			t.Run(road.name+"/"+row.name, func(t *testing.T) {
				t.Parallel()
				up := startRaw(t, reply(row.upstream))
				filter, asked := row.filter, false
				gate := startGate(t, gateOptions{up: app.Upstream{Addresses: []string{up.url}}, stock: road.stockOnly,
					out: func(_ *http.Request, out *Outgoing) {
						out.Filter = func(status int, header http.Header) AnswerFilter {
							asked = true
							if status != row.want.status {
								t.Errorf("the filter is told of status %d", status)
							}
							delete(header, "Content-Encoding")
							return &filter
						}
					}})
				request := row.request
				if request == "" {
					request = get
				}
				g := exchangeRaw(t, gate.address(), request)
				result := <-gate.done
				if g.status != row.want.status || g.body != row.want.body || g.aborted != row.want.aborted || asked == row.none {
					t.Errorf("got %d %q, aborted %t, asked %t", g.status, g.body, g.aborted, asked)
				}
				wantHeader(t, g.header, "Content-Encoding", "")
				wantHeader(t, g.trailer, "X-Sum", row.want.trailer.Get("X-Sum"))
				if want := row.want.header.Get("Content-Length"); want != "" {
					wantHeader(t, g.header, "Content-Length", want)
				}
				if string(filter.seen) != row.seen || (result.Err != nil) != row.want.aborted {
					t.Errorf("the filter saw %q, the result is %v", filter.seen, result.Err)
				}
				if result.BytesOut != int64(len(row.want.body)) || result.Drained {
					t.Errorf("the result is %+v", result)
				}
			})
		}
	}
}

// TestNoFilterForThisAnswer: without one the length stays.
func TestNoFilterForThisAnswer(t *testing.T) {
	for _, road := range roads {
		up := startRaw(t, reply("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
		gate := startGate(t, gateOptions{up: app.Upstream{Addresses: []string{up.url}}, stock: road.stockOnly,
			out: func(_ *http.Request, out *Outgoing) {
				out.Filter = func(int, http.Header) AnswerFilter { return nil }
			}})
		g := exchangeRaw(t, gate.address(), get)
		if wantHeader(t, g.header, "Content-Length", "5"); g.body != "hello" {
			t.Errorf("%s: %q", road.name, g.body)
		}
	}
}

// TestWhatPassedIsFlushedBeforeTheEnd: the client reads the stream while the
// filter still waits for something else.
func TestWhatPassedIsFlushedBeforeTheEnd(t *testing.T) {
	for _, road := range roads {
		t.Run(road.name, func(t *testing.T) {
			up := startRaw(t, reply("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n0\r\n\r\n"))
			read := make(chan struct{})
			gate := startGate(t, gateOptions{up: app.Upstream{Addresses: []string{up.url}}, stock: road.stockOnly,
				out: func(_ *http.Request, out *Outgoing) {
					out.Filter = func(int, http.Header) AnswerFilter {
						return &tape{end: func() ([]byte, error) { <-read; return []byte("data: 2\n\n"), nil }}
					}
				}})
			answer, err := http.Get(gate.server.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			first := make([]byte, len("data: 1\n\n"))
			if _, err := io.ReadFull(answer.Body, first); err != nil || string(first) != "data: 1\n\n" {
				t.Fatalf("%q, %v", first, err)
			}
			close(read)
			if rest, err := io.ReadAll(answer.Body); err != nil || string(rest) != "data: 2\n\n" {
				t.Errorf("%q, %v", rest, err)
			}
		})
	}
}

// leaver is a client that leaves, and what came of it.
type leaver struct {
	filter  tape
	result  Result
	before  int  // calls of Before
	waiting bool // Before waits until the client has left
	drain   time.Duration
	request string
}

// leave sends a request to an upstream that answers with first, leaves, and
// lets the upstream go on with rest once the gate has seen that.
func (l *leaver) leave(t *testing.T, stockOnly bool, first string, rest func(net.Conn)) {
	asked, told, gone := make(chan struct{}), make(chan struct{}), make(chan context.Context, 1)
	up := startRaw(t, func(_ int, c net.Conn, _ *http.Request) {
		io.WriteString(c, first)
		close(asked)
		<-(<-gone).Done()
		rest(c)
	})
	gate := startGate(t, gateOptions{up: app.Upstream{Addresses: []string{up.url}}, stock: stockOnly,
		out: func(r *http.Request, out *Outgoing) {
			gone <- r.Context()
			out.Drain = l.drain
			out.Filter = func(int, http.Header) AnswerFilter { return &l.filter }
			out.Before = func(int, http.Header) error {
				l.before++
				if l.waiting {
					close(told)
					<-r.Context().Done()
				}
				return r.Context().Err()
			}
		}})
	c, err := net.Dial("tcp", gate.address())
	if err != nil {
		t.Fatal(err)
	}
	if l.request == "" {
		l.request = get
	}
	io.WriteString(c, l.request)
	<-asked
	if strings.Contains(first, "\r\n\r\n") && !l.waiting { // it has begun to read
		if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
			t.Fatal(err)
		}
	}
	if l.waiting {
		<-told
	}
	c.Close()
	l.result = <-gate.done
	if s := gate.pool.Status()[0]; s.Failures != 0 || s.InFlight != 0 {
		t.Errorf("the address has %+v", s)
	}
}

// TestDrain: in whichever phase the client leaves, the filter sees the whole
// answer, and the upstream nothing.
func TestDrain(t *testing.T) {
	stream := "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, row := range []struct {
		name, first, rest string
		waiting, sent     bool
		seen, request     string
	}{
		{name: "before the answer", rest: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", seen: "hello"},
		{name: "within the head", first: "HTTP/1.1 200 OK\r\nX-A", rest: ": 1\r\nContent-Length: 5\r\n\r\nhello", seen: "hello"},
		{name: "while Before waits", first: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", rest: "llo", waiting: true, seen: "hello"},
		{name: "within the stream", first: stream + "9\r\ndata: 1\n\n\r\n", rest: "9\r\ndata: 2\n\n\r\n9\r\ndata: 3\n\n\r\n0\r\n\r\n", sent: true,
			seen: "data: 1\n\ndata: 2\n\ndata: 3\n\n"},
		{name: "after a body", first: "", rest: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", seen: "hello",
			request: "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"},
	} {
		for _, road := range roads {
			t.Run(road.name+"/"+row.name, func(t *testing.T) {
				t.Parallel()
				l := &leaver{drain: time.Minute, waiting: row.waiting, request: row.request}
				l.leave(t, road.stockOnly, row.first, func(c net.Conn) {
					time.Sleep(2 * patience) // longer than the direct path waits before it looks for the client
					if _, err := io.WriteString(c, row.rest); err != nil {
						t.Errorf("the upstream was cut off: %v", err)
					}
				})
				if !l.result.Drained || l.result.Status != 200 || l.result.Sent != row.sent || !app.IsKind(l.result.Err, app.KindCancelled) {
					t.Errorf("the result is %+v", l.result)
				}
				if string(l.filter.seen) != row.seen || !l.filter.ended {
					t.Errorf("the filter saw %q, ended %t", l.filter.seen, l.filter.ended)
				}
				if told := l.before > 0; told != (row.waiting || row.sent) {
					t.Errorf("Before was called %d times", l.before)
				}
			})
		}
	}
}

// TestDrainIsBounded: in time, and in bytes.
func TestDrainIsBounded(t *testing.T) {
	stream := "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"
	for _, road := range roads {
		t.Run(road.name+"/time", func(t *testing.T) {
			for _, first := range []string{"", stream} {
				l := &leaver{drain: 50 * time.Millisecond}
				l.leave(t, road.stockOnly, first, func(c net.Conn) {
					if _, err := c.Read(make([]byte, 1)); err == nil {
						t.Error("the upstream's connection gave a byte instead of its end")
					}
				})
				if l.result.Drained || l.filter.ended || !app.IsKind(l.result.Err, app.KindCancelled) {
					t.Errorf("after %q: %+v", first, l.result)
				}
			}
		})
		t.Run(road.name+"/bytes", func(t *testing.T) {
			l := &leaver{drain: 10 * time.Minute}
			l.filter.change = func(piece []byte) ([]byte, error) { l.filter.seen = nil; return piece, nil }
			more := make([]byte, 1<<20)
			l.leave(t, road.stockOnly, stream, func(c net.Conn) {
				for range 4 * drainBytes >> 20 {
					if _, err := c.Write(more); err != nil {
						return
					}
				}
				t.Error("all of it was read")
			})
			if l.result.Drained || l.filter.ended {
				t.Errorf("%+v", l.result)
			}
		})
	}
}

// TestGuard: an upstream with a credential is reached at public addresses
// alone, whatever its name resolves to.
func TestGuard(t *testing.T) {
	for _, road := range roads {
		t.Run(road.name, func(t *testing.T) {
			up := startRaw(t, reply("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
			byName := strings.Replace(up.url, "127.0.0.1", "localhost", 1)
			secret := &app.Credential{Header: "X-Api-Key"}
			allowed := app.Upstream{Addresses: []string{up.url}, Credential: secret, AllowPrivate: true}
			gate := startGate(t, gateOptions{up: allowed, stock: road.stockOnly})
			for _, step := range []struct {
				up     app.Upstream
				status int
			}{
				{allowed, 200},
				{app.Upstream{Addresses: []string{up.url}}, 200},
				{app.Upstream{Addresses: []string{up.url}, Credential: secret}, 503}, // and no connection of before is used
				{app.Upstream{Addresses: []string{byName}, Credential: secret}, 503},
				{allowed, 200},
			} {
				gate.pool.Reconfigure(step.up)
				before := len(up.requests())
				g := exchangeRaw(t, gate.address(), get)
				if g.status != step.status || (len(up.requests()) > before) != (step.status == 200) {
					t.Errorf("%+v: %d %s, %d requests", step.up, g.status, g.body, len(up.requests())-before)
				}
				if problem := gate.pool.Status()[0].LastError; step.status != 200 && !strings.Contains(problem, errPrivateAddress.Error()) {
					t.Errorf("the operator reads %q", problem)
				}
			}
		})
	}
}
