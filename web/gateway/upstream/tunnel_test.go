package upstream

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"gatehouse/app"
)

// TestWebSocket: messages pass both ways, the client's side sees the app's
// close code, and the result counts bytes and time.
func TestWebSocket(t *testing.T) {
	for _, secure := range []bool{false, true} {
		up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
			if err != nil {
				return
			}
			for {
				kind, data, err := ws.Read(r.Context())
				if err != nil {
					return
				}
				if string(data) == "end" {
					ws.Close(4001, "as asked")
					return
				}
				ws.Write(r.Context(), kind, append([]byte("echo "), data...))
			}
		}))
		if secure {
			up.EnableHTTP2 = true
			up.StartTLS()
		} else {
			up.Start()
		}
		defer up.Close()
		started := make(chan struct{}, 1)
		gate := startGate(t, gateOptions{up: app.Upstream{Addresses: []string{up.URL}, InsecureSkipVerify: true},
			out: func(_ *http.Request, out *Outgoing) { out.Upgraded = func() { started <- struct{}{} } }})
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		ws, answer, err := websocket.Dial(ctx, gate.server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		<-started
		if answer.StatusCode != 101 {
			t.Errorf("status %d", answer.StatusCode)
		}
		for _, text := range []string{"a", strings.Repeat("long", 5000)} {
			if err := ws.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
				t.Fatal(err)
			}
			if _, data, err := ws.Read(ctx); err != nil || string(data) != "echo "+text {
				t.Fatalf("echo of %d bytes: %d bytes, %v", len(text), len(data), err)
			}
		}
		ws.Write(ctx, websocket.MessageText, []byte("end"))
		if _, _, err := ws.Read(ctx); websocket.CloseStatus(err) != 4001 {
			t.Errorf("closed with %v", err)
		}
		ws.CloseNow()
		result := <-gate.done
		if !result.Upgraded || !result.Sent || result.Status != 101 || result.Err != nil ||
			result.BytesIn < 20000 || result.BytesOut < 20000 || result.Lasted <= 0 {
			t.Errorf("the result is %+v", result)
		}
	}
}

// switching is an upstream that agrees to a protocol and then plays raw.
func switching(t *testing.T, protocol string, play func(c *net.TCPConn, in *bufio.Reader)) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				if _, err := http.ReadRequest(in); err != nil {
					return
				}
				io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: "+protocol+"\r\nConnection: Upgrade\r\nX-App: 1\r\n\r\nfirst")
				play(c.(*net.TCPConn), in)
			}()
		}
	}()
	return "http://" + listener.Addr().String()
}

func openTunnel(t *testing.T, gate *testGate) (*net.TCPConn, *bufio.Reader) {
	c, err := net.Dial("tcp", gate.address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, "GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")
	in := bufio.NewReader(c)
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != 101 || answer.Header.Get("Upgrade") != "chat" || answer.Header.Get("X-App") != "1" {
		t.Fatalf("answer %d %v", answer.StatusCode, answer.Header)
	}
	return c.(*net.TCPConn), in
}

// TestTunnelHalfClose: one side may end while the other goes on; bytes that
// came with the heads are not lost.
func TestTunnelHalfClose(t *testing.T) {
	up := switching(t, "chat", func(c *net.TCPConn, in *bufio.Reader) {
		all, _ := io.ReadAll(in)
		io.WriteString(c, strings.ToUpper(string(all)))
	})
	gate := startGate(t, gateOptions{up: app.Upstream{Addresses: []string{up}}})
	c, in := openTunnel(t, gate)
	io.WriteString(c, "hello")
	c.CloseWrite()
	if all, err := io.ReadAll(in); string(all) != "firstHELLO" || err != nil {
		t.Errorf("got %q, %v", all, err)
	}
	if result := <-gate.done; result.BytesIn != 5 || result.BytesOut != 10 || result.Err != nil {
		t.Errorf("the result is %+v", result)
	}
}

// TestTunnelIdle: silence ends a tunnel.
func TestTunnelIdle(t *testing.T) {
	up := switching(t, "chat", func(c *net.TCPConn, in *bufio.Reader) { io.Copy(io.Discard, in) })
	gate := startGate(t, gateOptions{up: app.Upstream{Addresses: []string{up}}, options: Options{StreamIdle: 50 * time.Millisecond}})
	_, in := openTunnel(t, gate)
	io.Copy(io.Discard, in)
	<-gate.done
}

// TestTunnelShutdown: the request's context, which the server's shutdown ends,
// closes both sides.
func TestTunnelShutdown(t *testing.T) {
	ended := make(chan struct{})
	up := switching(t, "chat", func(c *net.TCPConn, in *bufio.Reader) {
		io.Copy(io.Discard, in)
		close(ended)
	})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	gate := startGate(t, gateOptions{up: app.Upstream{Addresses: []string{up}},
		serve: func(s *httptest.Server) { s.Config.BaseContext = func(net.Listener) context.Context { return ctx } }})
	_, in := openTunnel(t, gate)
	cancel()
	io.Copy(io.Discard, in)
	<-ended
	if result := <-gate.done; !app.IsKind(result.Err, app.KindCancelled) || !result.Sent {
		t.Errorf("the result is %+v", result)
	}
}

// TestTunnelRefused: other answers than 101 pass as they are, another protocol
// than the one asked for does not, and Before may refuse.
func TestTunnelRefused(t *testing.T) {
	const ask = "GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n"
	up := startRaw(t, reply("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"))
	gate := startGate(t, gateOptions{up: app.Upstream{Addresses: []string{up.url}}})
	if g := exchangeRaw(t, gate.address(), ask); g.status != 403 || g.body != "no" {
		t.Errorf("answer %d %q", g.status, g.body)
	}
	other := switching(t, "shell", func(*net.TCPConn, *bufio.Reader) {})
	gate = startGate(t, gateOptions{up: app.Upstream{Addresses: []string{other}}})
	if g := exchangeRaw(t, gate.address(), ask); g.status != 502 || g.body != "upstream_broken" {
		t.Errorf("answer %d %q", g.status, g.body)
	}
	agrees := switching(t, "chat", func(c *net.TCPConn, in *bufio.Reader) { io.Copy(io.Discard, in) })
	gate = startGate(t, gateOptions{up: app.Upstream{Addresses: []string{agrees}}, out: func(_ *http.Request, out *Outgoing) {
		out.Before = func(status int, _ http.Header) error {
			return &app.Error{Kind: app.KindForbidden, Code: "too_many_tunnels"}
		}
	}})
	if g := exchangeRaw(t, gate.address(), ask); g.status != 403 || g.body != "too_many_tunnels" || g.header.Get("X-App") != "" {
		t.Errorf("answer %d %q %v", g.status, g.body, g.header)
	}
	if result := <-gate.done; result.Sent || result.Upgraded {
		t.Errorf("the result is %+v", result)
	}
}
