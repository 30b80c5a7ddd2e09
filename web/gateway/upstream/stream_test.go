package upstream

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
)

// TestClientLeaves: the upstream's side is cancelled in every phase.
func TestClientLeaves(t *testing.T) {
	phases := map[string]string{
		"before the answer":  "",
		"within the head":    "HTTP/1.1 200 OK\r\nX-A",
		"within the body":    "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
		"within the chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
		"within the stream":  "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n",
	}
	for _, road := range roads {
		for name, text := range phases {
			t.Run(road.name+"/"+name, func(t *testing.T) {
				asked, cancelled := make(chan struct{}), make(chan error, 1)
				up := startRaw(t, func(_ int, c net.Conn, _ *http.Request) {
					io.WriteString(c, text)
					close(asked)
					_, err := c.Read(make([]byte, 1))
					cancelled <- err
				})
				gate := startGate(t, gateOptions{up: app.Upstream{Addresses: []string{up.url}}, stock: road.stockOnly})
				c, err := net.Dial("tcp", gate.address())
				if err != nil {
					t.Fatal(err)
				}
				io.WriteString(c, get)
				<-asked
				c.Close()
				if err := <-cancelled; err == nil {
					t.Error("the upstream's connection gave a byte instead of its end")
				}
				result := <-gate.done
				if !app.IsKind(result.Err, app.KindCancelled) {
					t.Errorf("the result is %v, want cancelled", result.Err)
				}
				if s := gate.pool.Status()[0]; s.Failures != 0 {
					t.Errorf("the address is blamed for %d failures", s.Failures)
				}
			})
		}
	}
}

// TestExpectContinue: the client's body waits until the upstream asks for it.
func TestExpectContinue(t *testing.T) {
	for _, road := range roads {
		for _, c := range []struct{ name, first, status string }{
			{"accepted", "HTTP/1.1 100 Continue\r\n\r\n", "200"}, {"refused", "HTTP/1.1 417 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "417"},
		} {
			t.Run(road.name+"/"+c.name, func(t *testing.T) {
				listener, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer listener.Close()
				go func() {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					defer conn.Close()
					in := bufio.NewReader(conn)
					request, err := http.ReadRequest(in)
					if err != nil || request.Header.Get("Expect") != "100-continue" {
						t.Errorf("the upstream got %v, %v", request, err)
						return
					}
					io.WriteString(conn, c.first)
					if c.status == "200" {
						io.ReadAll(request.Body)
						io.WriteString(conn, ok)
					}
				}()
				gate := startGate(t, gateOptions{up: app.Upstream{Addresses: []string{"http://" + listener.Addr().String()}}, stock: road.stockOnly})
				client, err := net.Dial("tcp", gate.address())
				if err != nil {
					t.Fatal(err)
				}
				defer client.Close()
				io.WriteString(client, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
				in := bufio.NewReader(client)
				line, err := in.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				if c.status == "200" {
					if !strings.HasPrefix(line, "HTTP/1.1 100 ") {
						t.Fatalf("the client got %q before its body", line)
					}
					in.ReadString('\n')
					io.WriteString(client, "hello")
					line, _ = in.ReadString('\n')
				}
				if !strings.HasPrefix(line, "HTTP/1.1 "+c.status) {
					t.Errorf("the client got %q", line)
				}
			})
		}
	}
}

// TestDuplex: request and answer stream at the same time over HTTP/1.1.
func TestDuplex(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	echo := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		control.EnableFullDuplex()
		buf := make([]byte, 100)
		for {
			n, err := r.Body.Read(buf)
			w.Write(buf[:n])
			control.Flush()
			if err != nil {
				return
			}
		}
	})}
	go echo.Serve(listener)
	defer echo.Close()
	gate := startGate(t, gateOptions{up: app.Upstream{Addresses: []string{"http://" + listener.Addr().String()}}})
	read, write := io.Pipe()
	request, _ := http.NewRequest("POST", gate.server.URL, read)
	go io.WriteString(write, "1;")
	answer, err := gate.server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	in := bufio.NewReader(answer.Body)
	for i, want := range []string{"1;", "2;", "3;"} {
		if i > 0 {
			io.WriteString(write, want)
		}
		if have, err := in.ReadString(';'); have != want {
			t.Fatalf("the echo is %q, %v", have, err)
		}
	}
	write.Close()
	if rest, err := io.ReadAll(in); len(rest) > 0 || err != nil {
		t.Errorf("the echo ends with %q, %v", rest, err)
	}
	if result := <-gate.done; result.BytesIn != 6 || result.BytesOut != 6 || result.Err != nil {
		t.Errorf("the result is %+v", result)
	}
}

// TestEarlyAnswerToStream: the upstream refuses while the client still sends,
// and the client stays silent: the answer reaches it, and the request ends. An
// upstream that waits as silently is given up in time.
func TestEarlyAnswerToStream(t *testing.T) {
	for _, c := range []struct {
		answer string
		status int
	}{{"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", 413}, {"", 504}} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		go func() {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			in := bufio.NewReader(conn)
			http.ReadRequest(in)
			io.WriteString(conn, c.answer)
			io.Copy(io.Discard, in)
		}()
		gate := startGate(t, gateOptions{up: app.Upstream{Addresses: []string{"http://" + listener.Addr().String()}},
			out: func(_ *http.Request, out *Outgoing) { out.Timeout = 200 * time.Millisecond }})
		client, err := net.Dial("tcp", gate.address())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		io.WriteString(client, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
		if g := readAnswer(bufio.NewReader(client), "POST"); g.status != c.status {
			t.Errorf("the client got %d, %v", g.status, g.err)
		}
		if result := <-gate.done; (result.Err == nil) != (c.status == 413) {
			t.Errorf("the result is %v", result.Err)
		}
		if _, err := io.Copy(io.Discard, client); err != nil { // closed: the rest of the body is not waited for
			t.Errorf("the connection ends with %v", err)
		}
	}
}

// TestStreamsAtOnce: each piece of a stream reaches the client before the
// upstream sends the next.
func TestStreamsAtOnce(t *testing.T) {
	heads := map[string]string{
		"event stream": "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 27\r\n\r\n",
		"chunked":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"until close":  "HTTP/1.1 200 OK\r\n\r\n",
	}
	for _, road := range roads {
		for name, head := range heads {
			t.Run(road.name+"/"+name, func(t *testing.T) {
				next := make(chan bool)
				up := startRaw(t, func(_ int, c net.Conn, _ *http.Request) {
					defer c.Close()
					io.WriteString(c, head)
					for range 3 {
						if !<-next {
							return
						}
						event := "data: 1\n\n"
						if name == "chunked" {
							event = "9\r\n" + event + "\r\n"
						}
						io.WriteString(c, event)
					}
					if name == "chunked" {
						io.WriteString(c, "0\r\n\r\n")
					}
				})
				gate := startGate(t, gateOptions{up: app.Upstream{Addresses: []string{up.url}}, stock: road.stockOnly})
				answer, err := gate.server.Client().Get(gate.server.URL) // the head comes before the first piece
				if err != nil {
					t.Fatal(err)
				}
				defer answer.Body.Close()
				buf := make([]byte, 9)
				for range 3 {
					next <- true
					if _, err := io.ReadFull(answer.Body, buf); err != nil || string(buf) != "data: 1\n\n" {
						t.Fatalf("got %q, %v", buf, err)
					}
				}
				if rest, err := io.ReadAll(answer.Body); err != nil || len(rest) > 0 {
					t.Errorf("the stream ends with %q, %v", rest, err)
				}
			})
		}
	}
}

// TestServerShutdownEndsStreams: the request's context ends whatever runs.
func TestServerShutdownEndsStreams(t *testing.T) {
	for _, road := range roads {
		t.Run(road.name, func(t *testing.T) {
			up := startRaw(t, func(_ int, c net.Conn, _ *http.Request) {
				io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
			})
			pool := NewPool(app.Upstream{Name: "x", Addresses: []string{up.url}}, Options{})
			pool.stockOnly = road.stockOnly
			ctx, cancel := context.WithCancel(context.Background())
			gate := startGate(t, gateOptions{up: app.Upstream{Addresses: []string{up.url}}, stock: road.stockOnly,
				out: func(r *http.Request, _ *Outgoing) { *r = *r.WithContext(ctx) }})
			answer, err := gate.server.Client().Get(gate.server.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			cancel()
			if _, err := io.ReadAll(answer.Body); err == nil {
				t.Error("the client took the cut answer for a whole one")
			}
		})
	}
}
