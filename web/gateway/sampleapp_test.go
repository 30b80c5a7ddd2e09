package gateway_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"

	"gatehouse/app/token"
)

// sampleApp tells what it was asked. /held waits until released, /abort breaks
// its answer off, /socket echoes.
type sampleApp struct {
	*httptest.Server
	asked   atomic.Int64
	entered chan struct{} // a request of /held is there
	release chan struct{} // lets one of them go
}

// seen is what the sample app was asked.
type seen struct {
	App, Method, Path, Query, Host, Body string
	Header, Trailer                      http.Header
}

func newSampleApp(t *testing.T) *sampleApp {
	a := &sampleApp{entered: make(chan struct{}, 100), release: make(chan struct{}, 100)}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(seen{a.URL, r.Method, r.URL.EscapedPath(), r.URL.RawQuery, r.Host, string(body), r.Header, r.Trailer})
	})
	mux.HandleFunc("/held", func(w http.ResponseWriter, r *http.Request) {
		a.entered <- struct{}{}
		select {
		case <-a.release:
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/abort", func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("half of it"))
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/status/500", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) })
	mux.HandleFunc("/socket", func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		for {
			kind, message, err := conn.Read(r.Context())
			if err != nil || conn.Write(r.Context(), kind, message) != nil {
				return
			}
		}
	})
	a.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.asked.Add(1)
		mux.ServeHTTP(w, r)
	}))
	a.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	a.Start()
	t.Cleanup(a.Close)
	return a
}

// issuer signs people in elsewhere; the gate reads its keys from a file.
type issuer struct {
	private ed25519.PrivateKey
	clock   *clock
}

const issuerURL = "https://issuer.example"

func newIssuer(t *testing.T, c *clock) *issuer {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{private, c}
}

// trusted is the gate's trust in it.
func (i *issuer) trusted(t *testing.T, c *clock) *token.Issuers {
	t.Helper()
	public := base64.RawURLEncoding.EncodeToString(i.private.Public().(ed25519.PublicKey))
	file := filepath.Join(t.TempDir(), "jwks.json")
	text := fmt.Sprintf(`{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "ed", "use": "sig", "x": %q}]}`, public)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	trusted, err := token.NewIssuers([]token.Issuer{{Name: "issuer", Issuer: issuerURL, Audiences: []string{"gate"}, JWKSFile: file}},
		token.IssuersOptions{Now: c.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return trusted
}

// token is a JWT for a user of the organization, by id or slug.
func (i *issuer) token(t *testing.T, org string, life time.Duration, scope string) string {
	t.Helper()
	return i.sign(t, jwt.SigningMethodEdDSA, i.private, org, life, scope)
}

func (i *issuer) sign(t *testing.T, method jwt.SigningMethod, key any, org string, life time.Duration, scope string) string {
	t.Helper()
	now := i.clock.Now()
	made := jwt.NewWithClaims(method, jwt.MapClaims{"iss": issuerURL, "aud": "gate", "sub": "lena", "org_id": org, "scope": scope,
		"iat": now.Unix(), "exp": now.Add(life).Unix()})
	made.Header["kid"] = "ed"
	text, err := made.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
