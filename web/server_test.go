package web

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// selfSigned writes a certificate for 127.0.0.1 and returns how a client trusts it.
func selfSigned(t testing.TB, dir string) (TLSFiles, *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<60))
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	files := TLSFiles{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	for name, block := range map[string]*pem.Block{files.Cert: {Type: "CERTIFICATE", Bytes: der}, files.Key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	cert, _ := x509.ParseCertificate(der)
	pool.AddCert(cert)
	return files, &tls.Config{RootCAs: pool}
}

// TestProtocols: each listener speaks what it should.
func TestProtocols(t *testing.T) {
	files, trust := selfSigned(t, t.TempDir())
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind := "plain"
		if r.TLS != nil {
			kind = "tls"
		}
		io.WriteString(w, r.Proto+" "+kind)
	})
	plain := "http://" + open(t, handler, Limits{}).Address("gateway").String()
	secure := "https://" + openWith(t, Listener{Name: "gateway", Address: "127.0.0.1:0", Handler: handler, TLS: files}).Address("gateway").String()
	for _, c := range []struct {
		url  string
		set  func(*http.Protocols)
		want string
	}{
		{plain, func(p *http.Protocols) { p.SetHTTP1(true) }, "HTTP/1.1 plain"},
		{plain, func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }, "HTTP/2.0 plain"},
		{secure, func(p *http.Protocols) { p.SetHTTP1(true) }, "HTTP/1.1 tls"},
		{secure, func(p *http.Protocols) { p.SetHTTP2(true) }, "HTTP/2.0 tls"},
	} {
		transport := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: trust.Clone()}
		c.set(transport.Protocols)
		client := http.Client{Transport: transport}
		for range 3 {
			answer, err := client.Get(c.url)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(answer.Body)
			answer.Body.Close()
			if string(body) != c.want {
				t.Errorf("got %q, want %q", body, c.want)
			}
		}
		transport.CloseIdleConnections()
	}
	answer, body, _ := ask(t, dial(t, strings.TrimPrefix(secure, "https://"), nil), "GET / HTTP/1.1\r\nHost: x\r\n\r\n", false)
	checkProblem(t, answer, body, "tls_required")
}

// TestHTTP2Limits: fields are counted there, too.
func TestHTTP2Limits(t *testing.T) {
	url := "http://" + open(t, echo, Limits{HeaderFields: 20}).Address("gateway").String()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	r, _ := http.NewRequest("GET", url, nil)
	r.Header["X-A"] = make([]string, 30)
	answer, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(answer.Body)
	checkProblem(t, answer, string(body), "too_many_headers")
}

// TestHTTP2SlowBody: a stream whose body stops is ended, and others go on.
func TestHTTP2SlowBody(t *testing.T) {
	ended := make(chan error, 1)
	url := "http://" + open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		if r.Method == "POST" {
			ended <- err
		}
	}), Limits{BodyIdle: 50 * time.Millisecond}).Address("gateway").String()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	silent, stop := io.Pipe()
	defer stop.Close()
	r, _ := http.NewRequest("POST", url, silent)
	go transport.RoundTrip(r)
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the body ended with %v", err)
	}
	get, _ := http.NewRequest("GET", url, nil)
	if answer, err := transport.RoundTrip(get); err != nil || answer.StatusCode != 200 {
		t.Errorf("another stream got %v, %v", answer, err)
	}
}

// TestCertificateRenewal: changed files are taken, broken ones are not.
func TestCertificateRenewal(t *testing.T) {
	dir := t.TempDir()
	files, _ := selfSigned(t, dir)
	s := openWith(t, Listener{Name: "gateway", Address: "127.0.0.1:0", Handler: echo, TLS: files})
	serial := func() string {
		c, err := tls.Dial("tcp", s.Address("gateway").String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	first := serial()
	future := time.Now().Add(time.Hour)
	if err := os.WriteFile(files.Cert, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	awaitLook(s)
	if serial() != first {
		t.Error("a broken certificate was taken")
	}
	selfSigned(t, dir)
	os.Chtimes(files.Cert, future, future)
	awaitLook(s)
	if serial() == first {
		t.Error("the new certificate was not taken")
	}
	if _, err := Listen(Options{Listeners: []Listener{{Address: "127.0.0.1:0", TLS: TLSFiles{files.Cert, "missing"}}}}); err == nil {
		t.Error("a missing key was accepted")
	}
}

// awaitLook makes the next handshake look at the files.
func awaitLook(s *Server) {
	cert := s.ends[0].cert
	cert.mu.Lock()
	defer cert.mu.Unlock()
	cert.looked = time.Time{}
}

// TestConnectionLimits: the connection over the limit is told so and closed,
// and a place that comes free is given again.
func TestConnectionLimits(t *testing.T) {
	for _, limits := range []Limits{{Connections: 2}, {PerAddress: 2}} {
		address := open(t, echo, limits).Address("gateway").String()
		var held []net.Conn
		for range 2 {
			c := dial(t, address, nil)
			defer c.Close()
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			if answer, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || answer.StatusCode != 200 {
				t.Fatal(answer, err)
			}
			held = append(held, c)
		}
		answer, body, _ := ask(t, dial(t, address, nil), "", false)
		checkProblem(t, answer, body, "too_many_connections")
		held[0].Close()
		for served := false; !served; { // until the server has seen the close
			c := dial(t, address, nil)
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			answer, err := http.ReadResponse(bufio.NewReader(c), nil)
			served = err == nil && answer.StatusCode == 200
			c.Close()
		}
	}
}

// TestShutdown: open requests finish, new connections are refused, what does
// not end is cut at the deadline, tunnels included.
func TestShutdown(t *testing.T) {
	for _, c := range []struct {
		name  string
		drain time.Duration
		whole bool // the request may finish
		force bool
	}{{"in time", time.Minute, true, false}, {"too late", 50 * time.Millisecond, false, false}, {"second signal", time.Minute, false, true}} {
		t.Run(c.name, func(t *testing.T) {
			arrived := make(chan struct{})
			release := map[string]chan struct{}{"/": make(chan struct{}), "/tunnel": make(chan struct{})}
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/tunnel" {
					conn, _, err := w.(http.Hijacker).Hijack()
					if err != nil {
						t.Error(err)
						return
					}
					defer conn.Close()
					arrived <- struct{}{}
					select {
					case <-release[r.URL.Path]:
						io.WriteString(conn, "whole")
					case <-r.Context().Done():
					}
					return
				}
				arrived <- struct{}{}
				select {
				case <-release[r.URL.Path]:
					io.WriteString(w, "whole")
				case <-r.Context().Done():
					panic(http.ErrAbortHandler)
				}
			})
			s, err := Listen(Options{Drain: c.drain, Listeners: []Listener{{Name: "a", Address: "127.0.0.1:0", Handler: handler}, {Name: "b", Address: "127.0.0.1:0", Handler: handler}}})
			if err != nil {
				t.Fatal(err)
			}
			ctx, first := context.WithCancel(context.Background())
			force, second := context.WithCancel(context.Background())
			defer second()
			done := make(chan error, 1)
			go func() { done <- s.Run(ctx, force) }()
			var conns []net.Conn
			for _, name := range []string{"a", "b"} {
				conn := dial(t, s.Address(name).String(), nil)
				defer conn.Close()
				path := "/"
				if name == "b" {
					path = "/tunnel"
				}
				io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
				<-arrived
				conns = append(conns, conn)
			}
			first()
			<-s.Draining()
			if c.force {
				second()
			}
			for i, conn := range conns {
				if c.whole {
					release[[]string{"/", "/tunnel"}[i]] <- struct{}{}
				}
				all, err := io.ReadAll(conn)
				if strings.HasSuffix(string(all), "whole") != c.whole {
					t.Errorf("the client got %q, %v", all, err)
				}
				if i == 0 && c.whole {
					time.Sleep(50 * time.Millisecond) // a tunnel that is not waited for would be cut now
				}
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			if _, err := net.Dial("tcp", s.ends[0].door.Addr().String()); err == nil {
				t.Error("the address is still bound")
			}
		})
	}
}

// TestListenFails: an address in use is an error, and nothing stays bound.
func TestListenFails(t *testing.T) {
	taken := open(t, echo, Limits{}).Address("gateway").String()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	if _, err := Listen(Options{Listeners: []Listener{{Address: free.Addr().String(), Handler: echo}, {Address: taken, Handler: echo}}}); err == nil {
		t.Fatal("a taken address was bound")
	}
	again, err := net.Listen("tcp", free.Addr().String())
	if err != nil {
		t.Fatalf("the first address stays bound: %v", err)
	}
	again.Close()
}

// TestByHost splits one port by names.
func TestByHost(t *testing.T) {
	name := func(text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, text) })
	}
	address := open(t, ByHost([]string{"Console.example.com:8081"}, name("console"), name("gateway")), Limits{}).Address("gateway").String()
	for host, want := range map[string]string{"console.example.com": "console", "CONSOLE.example.com:8080": "console", "console.example.com.": "console",
		"api.example.com": "gateway", "console.example.com.evil": "gateway", "[::1]:80": "gateway"} {
		if _, body, _ := ask(t, dial(t, address, nil), "GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n", false); body != want {
			t.Errorf("%s reached the %s", host, body)
		}
	}
}
