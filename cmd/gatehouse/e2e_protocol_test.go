package main

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// verifyAssertion does what an app does: it checks the token with the
// published keys.
func verifyAssertion(t *testing.T, jwks, assertion string) jwt.MapClaims {
	t.Helper()
	answer := ask(t, "GET", jwks, "")
	keys, err := keyfunc.NewJWKSetJSON(json.RawMessage(answer.body))
	if err != nil {
		t.Fatalf("JWKS: %v: %d %s", err, answer.status, answer.body)
	}
	claims := jwt.MapClaims{}
	if _, err := jwt.ParseWithClaims(assertion, claims, keys.Keyfunc, jwt.WithValidMethods([]string{"EdDSA"}),
		jwt.WithAudience("upstream"), jwt.WithIssuer("gatehouse"), jwt.WithExpirationRequired()); err != nil {
		t.Fatalf("the assertion does not verify: %v (%s)", err, answer.body)
	}
	return claims
}

func TestWebSocketsThroughTheGate(t *testing.T) {
	eachGate(t, func(t *testing.T, g *gate) {
		key := g.key(g.org("pro"))
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		url := strings.Replace(g.url, "http", "ws", 1) + "/socket"
		if _, got, err := websocket.Dial(ctx, url, nil); err == nil || got == nil || got.StatusCode != 401 {
			t.Errorf("without a key: %v, %v", got, err)
		}
		conn, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + key.Key}}})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.CloseNow()
		for _, said := range []string{"one", strings.Repeat("two", 5000)} {
			if err := conn.Write(ctx, websocket.MessageText, []byte(said)); err != nil {
				t.Fatal(err)
			}
			if _, heard, err := conn.Read(ctx); err != nil || string(heard) != said {
				t.Fatalf("heard %d bytes, %v", len(heard), err)
			}
		}
	})
}

func TestEventsThroughTheGateAreNotHeldBack(t *testing.T) {
	eachGate(t, func(t *testing.T, g *gate) {
		key := g.key(g.org("pro"))
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		request, _ := http.NewRequestWithContext(ctx, "GET", g.url+"/stream", nil)
		request.Header.Set("Authorization", "Bearer "+key.Key)
		got, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer got.Body.Close()
		// The app sends the second event never, so the first is not waiting for it.
		if line, err := bufio.NewReader(got.Body).ReadString('\n'); err != nil || line != "data: first\n" {
			t.Errorf("%q, %v", line, err)
		}
	})
}

func TestGRPCThroughTheGate(t *testing.T) {
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	eachGate(t, func(t *testing.T, g *gate) {
		app := httptest.NewUnstartedServer(server)
		app.Config.Protocols = new(http.Protocols)
		app.Config.Protocols.SetUnencryptedHTTP2(true)
		app.Start()
		t.Cleanup(app.Close)
		if code, _, errs := g.terminal.run("upstreams: [{name: app, addresses: [\""+app.URL+"\"], protocol: h2c}]\n"+
			"routes: [{name: app, path_prefix: /, upstream: app}]\n", "route", "apply", "-f", "-"); code != exitOK {
			t.Fatal(errs)
		}
		key := g.key(g.org("pro"))
		conn, err := grpc.NewClient(strings.TrimPrefix(g.url, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		client := grpc_health_v1.NewHealthClient(conn)
		as := func(key string) context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			t.Cleanup(cancel)
			return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
		}
		g.await("the route to the gRPC app", func() bool {
			got, err := client.Check(as(key.Key), &grpc_health_v1.HealthCheckRequest{})
			return err == nil && got.Status == grpc_health_v1.HealthCheckResponse_SERVING
		})
		// An error of the app comes in trailers.
		if _, err := client.Check(as(key.Key), &grpc_health_v1.HealthCheckRequest{Service: "none"}); status.Code(err) != codes.NotFound {
			t.Errorf("unknown service: %v", err)
		}
		if _, err := client.Check(as("gk_live_wrong"), &grpc_health_v1.HealthCheckRequest{}); status.Code(err) != codes.Unauthenticated {
			t.Errorf("a wrong key: %v", err)
		}
		stream, err := client.Watch(as(key.Key), &grpc_health_v1.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if first, err := stream.Recv(); err != nil || first.Status != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("stream: %v, %v", first, err)
		}
	})
}

func TestTLSWithHTTP2AtTheGate(t *testing.T) {
	certificate := httptest.NewTLSServer(http.NotFoundHandler())
	defer certificate.Close()
	dir, pair := t.TempDir(), certificate.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]},
		"key.pem": {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g := newGate(t, embedded(), "gateway.tls.cert_file="+filepath.Join(dir, "cert.pem"), "gateway.tls.key_file="+filepath.Join(dir, "key.pem"))
	minted := g.key(g.org("pro"))
	client := certificate.Client()
	client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	request, _ := http.NewRequest("GET", g.url+"/x", nil)
	request.Header.Set("Authorization", "Bearer "+minted.Key)
	got, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	var s seen
	if err := json.NewDecoder(got.Body).Decode(&s); err != nil || got.Proto != "HTTP/2.0" || s.Header.Get("X-Forwarded-Proto") != "https" {
		t.Errorf("%s %v, the app saw %+v", got.Proto, err, s)
	}
}

func TestAStoppingGateLetsOpenRequestsFinish(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		w.Write([]byte("finished"))
	}))
	t.Cleanup(slow.Close)
	g := newGate(t, embedded(), "upstream="+slow.URL)
	key := g.key(g.org("pro"))
	answered := make(chan answer, 1)
	go func() { answered <- g.get("/slow", key.Key) }()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- g.stop() }()
	g.await("no new connections", func() bool {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
		got, err := client.Get(g.url + "/x")
		if err == nil {
			got.Body.Close()
		}
		return err != nil
	})
	close(release)
	if got := <-answered; got.status != 200 || got.body != "finished" {
		t.Errorf("the open request: %d %q", got.status, got.body)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
}
