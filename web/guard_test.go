package web

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// echo answers with what it understood of the request.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "broken body", http.StatusUnprocessableEntity)
		return
	}
	fmt.Fprintf(w, "%s %s %q", r.Method, r.RequestURI, body)
})

// crossings are requests that servers have been found to read in different
// ways. netHTTP is what net/http alone makes of it: where that is 200, only the
// guard stands between the client and the app.
var crossings = []struct {
	name, request string
	netHTTP       int
	status        int
	code          string
}{
	{"plain", "GET /a HTTP/1.1\r\nHost: x\r\n\r\n", 200, 200, ""},
	{"body", "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi", 200, 200, ""},
	{"chunked", "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;a=\"b\"\r\nhi\r\n0\r\nX-A: 1\r\n\r\n", 200, 200, ""},
	{"chunked in capitals", "POST /a HTTP/1.1\r\nHost: x\r\nTRANSFER-ENCODING: Chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", 200, 200, ""},
	{"HTTP/1.0", "GET /a HTTP/1.0\r\n\r\n", 200, 200, ""},
	{"length and chunked", "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, 400, "conflicting_length"},
	{"chunked and length", "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n", 200, 400, "conflicting_length"},
	{"the same length twice", "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi", 200, 400, "conflicting_length"},
	{"different lengths", "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi!", 400, 400, "conflicting_length"},
	{"list of lengths", "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2, 2\r\n\r\nhi", 400, 400, "invalid_length"},
	{"signed length", "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: +2\r\n\r\nhi", 400, 400, "invalid_length"},
	{"hexadecimal length", "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0x2\r\n\r\nhi", 400, 400, "invalid_length"},
	{"empty length", "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n", 400, 400, "invalid_length"},
	{"length beyond all numbers", "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\nhi", 400, 400, "invalid_length"},
	{"bare line feed after the request line", "GET /a HTTP/1.1\nHost: x\r\n\r\n", 200, 400, "bare_line_feed"},
	{"bare line feed after a header", "GET /a HTTP/1.1\r\nHost: x\nX-A: 1\r\n\r\n", 200, 400, "bare_line_feed"},
	{"bare line feed at the end", "GET /a HTTP/1.1\r\nHost: x\r\n\n", 200, 400, "bare_line_feed"},
	{"bare line feeds all over", "GET /a HTTP/1.1\nHost: x\n\n", 200, 400, "bare_line_feed"},
	{"bare carriage return", "GET /a HTTP/1.1\r\nHost: x\rX-A: 1\r\n\r\n", 400, 400, "malformed_request"},
	{"folded header", "GET /a HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n 2\r\n\r\n", 200, 400, "folded_header"},
	{"folded coding", "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 200, 400, "unsupported_coding"},
	{"folded first header", "GET /a HTTP/1.1\r\n Host: x\r\n\r\n", 400, 400, "folded_header"},
	{"space before the colon", "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length : 2\r\n\r\nhi", 400, 400, "malformed_header"},
	{"tab before the colon", "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n", 400, 400, "malformed_header"},
	{"no name", "GET /a HTTP/1.1\r\nHost: x\r\n: 1\r\n\r\n", 400, 400, "malformed_header"},
	{"no colon", "GET /a HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n", 400, 400, "malformed_header"},
	{"name that is none", "GET /a HTTP/1.1\r\nHost: x\r\nX(A): 1\r\n\r\n", 400, 400, "malformed_request"},
	{"zero byte in a value", "GET /a HTTP/1.1\r\nHost: x\r\nX-A: a\x00b\r\n\r\n", 400, 400, "malformed_request"},
	{"other coding", "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n", 501, 400, "unsupported_coding"},
	{"two codings", "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, 400, "unsupported_coding"},
	{"coding with a control character", "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400, 400, "unsupported_coding"},
	{"chunked twice", "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501, 400, "unsupported_coding"},
	{"coding identity", "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nhi", 501, 400, "unsupported_coding"},
	{"coding under HTTP/1.0", "POST /a HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, 400, "unsupported_coding"},
	{"two hosts", "GET /a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400, 400, "malformed_request"},
	{"no host", "GET /a HTTP/1.1\r\n\r\n", 400, 400, "malformed_request"},
	{"no version", "GET /a/long/path\r\n\r\n", 400, 400, "malformed_request"},
	{"version of the future", "GET /a HTTP/3.0\r\nHost: x\r\n\r\n", 505, 505, "unsupported_version"},
	{"no HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, 400, "malformed_request"},
	{"chunk line with a bare line feed", "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\nhi\r\n0\r\n\r\n", 422, 422, ""},
	{"chunk size with a sign", "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n+2\r\nhi\r\n0\r\n\r\n", 422, 422, ""},
	{"chunk without its end", "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhiGET /evil HTTP/1.1\r\n\r\n", 422, 422, ""},
	{"chunk extension with a bare line feed", "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;a\nb\r\nhi\r\n0\r\n\r\n", 422, 422, ""},
	{"trailer with a bare line feed", "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-A: 1\nX-B: 2\r\n\r\n", 200, 422, ""},
	{"HTTP/2 on a running connection", "GET /a HTTP/1.1\r\nHost: x\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 200, 200, ""},
	{"many headers", "GET /a HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-A: 1\r\n", 200) + "\r\n", 200, 431, "too_many_headers"},
	{"large header", "GET /a HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("x", 9<<10) + "\r\n\r\n", 200, 431, "header_too_large"},
	{"large request line", "GET /" + strings.Repeat("x", 9<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", 200, 431, "header_too_large"},
}

// open starts a server on a free port with one listener.
func open(t testing.TB, handler http.Handler, limits Limits) *Server {
	t.Helper()
	if limits.Linger == 0 {
		limits.Linger = 50 * time.Millisecond
	}
	return openWith(t, Listener{Name: "gateway", Address: "127.0.0.1:0", Handler: handler, Limits: limits})
}

func openWith(t testing.TB, l Listener) *Server {
	t.Helper()
	s, err := Listen(Options{Listeners: []Listener{l}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// ask sends the text, all at once or byte by byte, and returns the answer and
// whether the connection was closed after it.
func ask(t *testing.T, c net.Conn, request string, byByte bool) (*http.Response, string, bool) {
	t.Helper()
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	step := len(request)
	if byByte {
		step = 1
	}
	for i := 0; i < len(request); i += step {
		if _, err := io.WriteString(c, request[i:min(i+step, len(request))]); err != nil {
			break // refused before the end
		}
	}
	in := bufio.NewReader(c)
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatalf("broken answer: %v", err)
	}
	if !answer.Close {
		return answer, string(body), false
	}
	rest, err := io.ReadAll(in)
	if len(rest) > 0 || err != nil {
		t.Errorf("behind the answer came %q, %v", rest, err)
	}
	return answer, string(body), true
}

func dial(t *testing.T, address string, config *tls.Config) net.Conn {
	t.Helper()
	var c net.Conn
	var err error
	if config == nil {
		c, err = net.Dial("tcp", address)
	} else {
		c, err = tls.Dial("tcp", address, config)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCrossings sends every doubtful request over plain HTTP, over TLS, and in
// single bytes.
func TestCrossings(t *testing.T) {
	files, config := selfSigned(t, t.TempDir())
	limits := Limits{HeaderBytes: 8 << 10, Linger: 50 * time.Millisecond}
	plain := open(t, echo, limits).Address("gateway").String()
	secure := openWith(t, Listener{Name: "gateway", Address: "127.0.0.1:0", Handler: echo, TLS: files, Limits: limits}).Address("gateway").String()
	bare := httptest.NewUnstartedServer(echo)
	bare.Config.ErrorLog = log.New(io.Discard, "", 0)
	bare.Start()
	defer bare.Close()
	for _, c := range crossings {
		t.Run(c.name, func(t *testing.T) {
			if answer, _, _ := ask(t, dial(t, bare.Listener.Addr().String(), nil), c.request, false); answer.StatusCode != c.netHTTP {
				t.Errorf("net/http alone answers %d, not %d any more", answer.StatusCode, c.netHTTP)
			}
			for _, way := range []struct {
				name   string
				conn   net.Conn
				byByte bool
			}{{"plain", dial(t, plain, nil), false}, {"tls", dial(t, secure, config), false}, {"byte by byte", dial(t, plain, nil), true}} {
				answer, body, closed := ask(t, way.conn, c.request, way.byByte)
				if answer.StatusCode != c.status {
					t.Errorf("%s: status %d, want %d: %s", way.name, answer.StatusCode, c.status, body)
				}
				if c.status >= 400 && c.code != "" {
					checkProblem(t, answer, body, c.code)
				}
				if c.status >= 400 && !closed {
					t.Errorf("%s: the connection stays open", way.name)
				}
			}
		})
	}
}

func checkProblem(t *testing.T, answer *http.Response, body, code string) {
	t.Helper()
	var problem struct {
		Type, Title, Detail, Code string
		Status                    int
	}
	if err := json.Unmarshal([]byte(body), &problem); err != nil || answer.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("not a problem: %v %q", answer.Header, body)
	}
	if problem.Code != code || problem.Status != answer.StatusCode || problem.Detail == "" || problem.Type != "urn:gatehouse:error:"+code {
		t.Errorf("problem %+v, want code %q", problem, code)
	}
}

// TestPipelined: answers come in order, and a bad request behind good ones is
// refused in its turn; what follows it is never read.
func TestPipelined(t *testing.T) {
	served := make(chan string, 10)
	address := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served <- r.RequestURI
		echo(w, r)
	}), Limits{}).Address("gateway").String()
	c := dial(t, address, nil)
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, "POST /1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"+
		"POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n\nGET "+
		"GET /3 HTTP/1.1\r\nHost: x\r\n\r\n"+
		"POST /4 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\nHost: x\r\n\r\n")
	in := bufio.NewReader(c)
	for _, want := range []string{`POST /1 "hi"`, `POST /2 "\nGET "`, `GET /3 ""`} {
		answer, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(answer.Body); string(body) != want {
			t.Fatalf("got %q, want %q", body, want)
		}
	}
	answer, err := http.ReadResponse(in, nil)
	if err != nil || answer.StatusCode != 400 {
		t.Fatalf("got %v, %v", answer, err)
	}
	body, _ := io.ReadAll(answer.Body)
	checkProblem(t, answer, string(body), "conflicting_length")
	if rest, err := io.ReadAll(in); len(rest) > 0 || err != nil {
		t.Errorf("then came %q, %v", rest, err)
	}
	if len(served) != 3 {
		t.Errorf("%d requests were served", len(served))
	}
}

// TestHTTP2OnlyAtTheStart: only a connection's first words may ask for HTTP/2;
// later they would blind the guard.
func TestHTTP2OnlyAtTheStart(t *testing.T) {
	const preface, bad = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\nHost: x\n\n"
	for first, want := range map[string]*refusal{"": nil, "GET / HTTP/1.1\r\nHost: x\r\n\r\n": refusedLineFeed} {
		f := framing{limits: Limits{}.withDefaults()}
		if _, wrong := f.feed([]byte(first + preface + bad)); wrong != want {
			t.Errorf("after %q: %v, want %v", first, wrong, want)
		}
	}
}

// TestRefusedAnswerArrives: a client that still sends when it is refused is
// heard out, so that it is not torn from the answer.
func TestRefusedAnswerArrives(t *testing.T) {
	address := open(t, echo, Limits{HeaderBytes: 4 << 10, Linger: 10 * time.Second}).Address("gateway").String()
	c := dial(t, address, nil)
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, "GET /a HTTP/1.1\r\nHost: x\r\nX-A: "+strings.Repeat("x", 8<<10))
	all, err := io.ReadAll(c) // the answer, and the end of the server's side
	if err != nil || !strings.HasPrefix(string(all), "HTTP/1.1 431 ") {
		t.Fatalf("got %q, %v", all, err)
	}
	for range 20 {
		if _, err := io.WriteString(c, strings.Repeat("x", 1<<10)); err != nil {
			t.Fatalf("the client was cut off: %v", err)
		}
	}
}

// TestSlow: a client that dawdles anywhere is cut off.
func TestSlow(t *testing.T) {
	const head = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
	short := 100 * time.Millisecond
	cases := []struct {
		name    string
		limits  Limits
		start   string
		trickle string // sent again and again
	}{
		{"says nothing", Limits{ReadHeader: short}, "", ""},
		{"stops in the head", Limits{ReadHeader: short}, "GET /a HTTP/1.1\r\nHost: x\r\n", ""},
		{"trickles its head", Limits{ReadHeader: short}, "GET /a HTTP/1.1\r\nHost: x\r\n", "X-A: 1\r\n"},
		{"idles", Limits{Idle: short}, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n", ""},
		{"trickles its second head", Limits{ReadHeader: short}, "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /a HTTP/1.1\r\n", "X-A: 1\r\n"},
		{"stops in the body", Limits{BodyIdle: short}, head + "x", ""},
		{"trickles its body", Limits{BodyIdle: short, BodyRate: 1 << 20}, head, "x"},
		{"stops in a chunk", Limits{BodyIdle: short}, "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe", ""},
		{"stops between chunks", Limits{BodyIdle: short}, "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", ""},
		{"stops in the trailer", Limits{BodyIdle: short}, "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-A", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			conn := dial(t, open(t, echo, c.limits).Address("gateway").String(), nil)
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(20 * time.Second))
			io.WriteString(conn, c.start)
			if c.trickle != "" {
				go func() {
					for range 10000 {
						time.Sleep(5 * time.Millisecond)
						if _, err := io.WriteString(conn, c.trickle); err != nil {
							return
						}
					}
				}()
			}
			if _, err := io.Copy(io.Discard, conn); isTimeout(err) {
				t.Error("the connection was not closed")
			}
		})
	}
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}

// TestSlowReader: a client that takes nothing of its answer is cut off.
func TestSlowReader(t *testing.T) {
	failed := make(chan error, 1)
	address := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data := make([]byte, 1<<20)
		for range 1000 {
			if _, err := w.Write(data); err != nil {
				failed <- err
				return
			}
		}
		failed <- nil
	}), Limits{WriteIdle: 100 * time.Millisecond}).Address("gateway").String()
	c := dial(t, address, nil)
	defer c.Close()
	io.WriteString(c, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := <-failed; err == nil {
		t.Error("a gigabyte was written to a client that reads nothing")
	}
}

// TestSteadyBody: a body that keeps coming may take longer than any of the
// times, and so may a handler behind it, or an answer that keeps going.
func TestSteadyBody(t *testing.T) {
	address := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		select {
		case <-time.After(300 * time.Millisecond):
		case <-r.Context().Done():
			t.Error("the request was cancelled")
		}
		for range 10 {
			time.Sleep(20 * time.Millisecond)
			io.WriteString(w, "x")
			w.(http.Flusher).Flush()
		}
	}), Limits{BodyIdle: 100 * time.Millisecond, ReadHeader: 100 * time.Millisecond, WriteIdle: 100 * time.Millisecond, BodyRate: -1}).Address("gateway").String()
	for _, head := range []string{"Content-Length: 20\r\n", "Transfer-Encoding: chunked\r\n"} {
		c := dial(t, address, nil)
		defer c.Close()
		io.WriteString(c, "POST /a HTTP/1.1\r\nHost: x\r\n"+head+"\r\n")
		for range 20 {
			time.Sleep(15 * time.Millisecond)
			if head[0] == 'C' {
				io.WriteString(c, "x")
			} else {
				io.WriteString(c, "1\r\nx\r\n")
			}
		}
		if head[0] == 'T' {
			io.WriteString(c, "0\r\n\r\n")
		}
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(answer.Body); string(body) != "xxxxxxxxxx" || err != nil {
			t.Errorf("got %q, %v", body, err)
		}
	}
}

// TestSlowAppIsNotTheClientsFault: the times are those that we wait for the
// client, not those that the app takes to read.
func TestSlowAppIsNotTheClientsFault(t *testing.T) {
	s := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.ReadFull(r.Body, make([]byte, 10))
		time.Sleep(200 * time.Millisecond)
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	}), Limits{BodyIdle: 50 * time.Millisecond, BodyRate: 1 << 30})
	url := "http://" + s.Address("gateway").String()
	for _, set := range []func(*http.Protocols){func(p *http.Protocols) { p.SetHTTP1(true) }, func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }} {
		transport := &http.Transport{Protocols: new(http.Protocols)}
		set(transport.Protocols)
		answer, err := (&http.Client{Transport: transport}).Post(url, "text/plain", strings.NewReader(strings.Repeat("x", 100010)))
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(answer.Body); string(body) != "100000 <nil>" {
			t.Errorf("%s: the app read %s", answer.Proto, body)
		}
		transport.CloseIdleConnections()
	}
}

// BenchmarkFraming is what the guard costs an ordinary request.
func BenchmarkFraming(b *testing.B) {
	request := []byte("GET /v1/things?limit=10 HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n" +
		"Accept: application/json\r\nAccept-Encoding: gzip, br\r\nAccept-Language: en\r\nAuthorization: Bearer gk_live_000000000000000000000000000000000000\r\n" +
		"Content-Type: application/json\r\nCookie: a=b; c=d\r\nContent-Length: 2\r\n\r\n{}")
	limits := Limits{}.withDefaults()
	f := framing{limits: limits}
	b.ReportAllocs()
	for b.Loop() {
		if _, wrong := f.feed(request); wrong != nil {
			b.Fatal(wrong)
		}
	}
}
