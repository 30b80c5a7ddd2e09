package web

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"gatehouse/app"
	"gatehouse/web/gateway/upstream"
)

// forwarding is a handler that sends everything to the address, and answers
// faults with their code.
func forwarding(address string, results chan<- upstream.Result) http.Handler {
	pool := upstream.NewPool(app.Upstream{Name: "app", Addresses: []string{address}}, upstream.Options{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		result := pool.Serve(w, r, &upstream.Outgoing{Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery, Timeout: 10 * time.Second})
		var fault *app.Error
		if !result.Sent && errors.As(result.Err, &fault) {
			w.WriteHeader(http.StatusTeapot)
			io.WriteString(w, fault.Code)
		}
		results <- result
	})
}

// TestTunnelThroughTheGuard: WebSocket messages pass the guard, which reads
// HTTP before and must not after, over plain and over TLS; at the end of the
// drain time they are cut.
func TestTunnelThroughTheGuard(t *testing.T) {
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer ws.CloseNow()
		ws.SetReadLimit(1 << 20)
		for {
			kind, data, err := ws.Read(context.Background())
			if err != nil || ws.Write(context.Background(), kind, data) != nil {
				return
			}
		}
	}))
	defer echo.Close()
	files, trust := selfSigned(t, t.TempDir())
	for _, tls := range []TLSFiles{{}, files} {
		results := make(chan upstream.Result, 1)
		s, err := Listen(Options{Drain: 10 * time.Millisecond, Listeners: []Listener{{Name: "gateway", Address: "127.0.0.1:0", Handler: forwarding(echo.URL, results), TLS: tls}}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx, context.Background()) }()
		url := "http://" + s.Address("gateway").String()
		if tls != (TLSFiles{}) {
			url = "https://" + s.Address("gateway").String()
		}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: trust.Clone()}}
		timeout, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		ws, _, err := websocket.Dial(timeout, url, &websocket.DialOptions{HTTPClient: client})
		if err != nil {
			t.Fatal(err)
		}
		ws.SetReadLimit(1 << 20)
		for _, text := range []string{"GET / HTTP/1.1\nContent-Length: 1\n\n", "\n\n\n", strings.Repeat("x", 300000)} {
			if err := ws.Write(timeout, websocket.MessageText, []byte(text)); err != nil {
				t.Fatal(err)
			}
			if _, data, err := ws.Read(timeout); string(data) != text || err != nil {
				t.Fatalf("echo of %d bytes: %d, %v", len(text), len(data), err)
			}
		}
		stop()
		if _, _, err := ws.Read(timeout); err == nil {
			t.Error("the tunnel outlived the drain time")
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if result := <-results; !result.Upgraded || !app.IsKind(result.Err, app.KindCancelled) {
			t.Errorf("the result is %+v", result)
		}
		ws.CloseNow()
	}
}

// TestBrokenAnswerThroughTheGuard: the cut reaches the client over each wire.
func TestBrokenAnswerThroughTheGuard(t *testing.T) {
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}))
	broken.Config.ErrorLog = nil
	defer broken.Close()
	files, trust := selfSigned(t, t.TempDir())
	for _, c := range []struct {
		tls TLSFiles
		set func(*http.Protocols)
	}{
		{TLSFiles{}, func(p *http.Protocols) { p.SetHTTP1(true) }}, {TLSFiles{}, func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }},
		{files, func(p *http.Protocols) { p.SetHTTP1(true) }}, {files, func(p *http.Protocols) { p.SetHTTP2(true) }},
	} {
		results := make(chan upstream.Result, 1)
		s := openWith(t, Listener{Name: "gateway", Address: "127.0.0.1:0", Handler: forwarding(broken.URL, results), TLS: c.tls})
		scheme := "http://"
		if c.tls != (TLSFiles{}) {
			scheme = "https://"
		}
		transport := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: trust.Clone()}
		c.set(transport.Protocols)
		answer, err := (&http.Client{Transport: transport}).Get(scheme + s.Address("gateway").String())
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(answer.Body); string(body) != "half" || err == nil {
			t.Errorf("%s over %v reads as %q, %v", answer.Proto, scheme, body, err)
		}
		if result := <-results; !result.Sent || result.Err == nil {
			t.Errorf("the result is %+v", result)
		}
		transport.CloseIdleConnections()
	}
}

// TestBadBodiesThroughTheGuard: what is wrong with a body is said to the
// client, and the upstream does not get it for whole.
func TestBadBodiesThroughTheGuard(t *testing.T) {
	whole := make(chan string, 10)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err == nil {
			whole <- string(body)
		}
	}))
	defer up.Close()
	for _, c := range []struct{ name, request, code string }{
		{"slow", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe", "body_timeout"},
		{"slow and long", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\nhe", "body_timeout"},
		{"slow in chunks", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe", "body_timeout"},
		{"bare line feed", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\n\n", "bad_request"},
		{"no chunk", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n", "bad_request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			results := make(chan upstream.Result, 1)
			address := open(t, forwarding(up.URL, results), Limits{BodyIdle: 100 * time.Millisecond}).Address("gateway").String()
			answer, body, closed := ask(t, dial(t, address, nil), c.request, false)
			if answer.StatusCode != http.StatusTeapot || body != c.code || !closed {
				t.Errorf("answer %d %q, closed %v; %+v", answer.StatusCode, body, closed, <-results)
			}
		})
	}
	if len(whole) > 0 {
		t.Errorf("the upstream took %q for a whole body", <-whole)
	}
}

// TestEarlyAnswerThroughTheGuard: the client gets the answer to a body that it
// still sends, and what comes of the body later is not read as a request.
func TestEarlyAnswerThroughTheGuard(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	asked := make(chan string, 10)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				r, err := http.ReadRequest(in)
				if err != nil {
					return
				}
				asked <- r.URL.Path
				io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
				io.Copy(io.Discard, in)
			}()
		}
	}()
	results := make(chan upstream.Result, 10)
	address := open(t, forwarding("http://"+listener.Addr().String(), results), Limits{}).Address("gateway").String()
	c := dial(t, address, nil)
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, "POST /first HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
	in := bufio.NewReader(c)
	answer, err := http.ReadResponse(in, nil)
	if err != nil || answer.StatusCode != 413 || !answer.Close {
		t.Fatalf("answer %v, %v", answer, err)
	}
	io.WriteString(c, "1c\r\nGET /evil HTTP/1.1\r\nHost: x\r\n\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\nHost: x\r\n\r\n")
	if rest, err := io.ReadAll(in); string(rest) != "big" || err != nil {
		t.Errorf("then came %q, %v", rest, err)
	}
	if <-asked; len(asked) > 0 {
		t.Errorf("the upstream was asked for %s", <-asked)
	}
}
