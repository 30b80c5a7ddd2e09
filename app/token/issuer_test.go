package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"gatehouse/app"
)

// issuer is an outside issuer of the test: a server with its key set.
type issuer struct {
	*httptest.Server
	mu      sync.Mutex
	body    string // what the server answers
	fetches atomic.Int64
	keys    map[string]crypto.Signer // by kid
	clock   *clock
}

func newIssuer(t testing.TB) *issuer {
	i := &issuer{clock: newClock(), keys: map[string]crypto.Signer{}}
	_, i.keys["ed"], _ = ed25519.GenerateKey(rand.Reader)
	i.keys["ec"], _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	i.keys["rsa"], _ = rsa.GenerateKey(rand.Reader, 2048)
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		i.fetches.Add(1)
		i.mu.Lock()
		defer i.mu.Unlock()
		fmt.Fprint(w, i.body)
	}))
	t.Cleanup(i.Close)
	i.publish("ed", "ec", "rsa")
	return i
}

func (i *issuer) answer(body string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.body = body
}

// publish makes the server answer a set of the named keys.
func (i *issuer) publish(kids ...string) {
	var list []jwk
	for _, kid := range kids {
		key, err := newJWK(i.keys[kid].Public())
		if err != nil {
			panic(err)
		}
		key.ID, key.Use = kid, "sig"
		list = append(list, key)
	}
	raw, _ := json.Marshal(map[string]any{"keys": list})
	i.answer(string(raw))
}

func (i *issuer) config() Issuer {
	return Issuer{Name: "clerk", Issuer: "https://issuer.example", Audiences: []string{"gate"}, JWKSURL: i.URL + "/jwks"}
}

func (i *issuer) trustedBy(t testing.TB, change func(*Issuer)) *Issuers {
	t.Helper()
	config := i.config()
	if change != nil {
		change(&config)
	}
	made, err := NewIssuers([]Issuer{config}, IssuersOptions{Now: i.clock.now, Log: slog.New(slog.DiscardHandler), AllowPrivate: true})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func (i *issuer) claims() map[string]any {
	now := i.clock.now().Unix()
	return map[string]any{"iss": "https://issuer.example", "aud": []string{"other", "gate"}, "sub": "user_1", "org_id": "acme",
		"scope": "files:read openid", "iat": now, "nbf": now, "exp": now + 900}
}

func (i *issuer) token(t testing.TB, kid string, claims map[string]any) string {
	methods := map[string]jwt.SigningMethod{"ed": jwt.SigningMethodEdDSA, "ec": jwt.SigningMethodES256, "rsa": jwt.SigningMethodRS256}
	return forge(t, methods[kid], i.keys[kid], map[string]any{"kid": kid}, claims)
}

func TestIssuerCheckNamesWhatIsWrong(t *testing.T) {
	good := Issuer{Name: "clerk", Issuer: "https://i", Audiences: []string{"gate"}, JWKSURL: "https://i/jwks"}
	rows := map[string]func(*Issuer){
		"name":          func(i *Issuer) { i.Name = "Clerk!" },
		"issuer":        func(i *Issuer) { i.Issuer = "" },
		"audiences":     func(i *Issuer) { i.Audiences = nil },
		"jwks_url":      func(i *Issuer) { i.JWKSURL = "ftp://i/jwks" },
		"algorithms[1]": func(i *Issuer) { i.Algorithms = []string{"ES256", "HS256"} },
		"org":           func(i *Issuer) { i.Org, i.OrgClaim = "org_1", "o" },
	}
	if wrong := good.Check("issuers[0]", false); len(wrong) > 0 {
		t.Fatal(wrong)
	}
	for field, change := range rows {
		bad := good
		change(&bad)
		wrong := bad.Check("issuers[0]", false)
		if !slices.ContainsFunc(wrong, func(f app.FieldError) bool { return f.Field == "issuers[0]."+field }) {
			t.Errorf("%s: %v", field, wrong)
		}
	}
	for _, url := range []string{"http://i/jwks", "https://u:p@i/jwks", "https:///jwks", "/jwks", "https://i/#x"} {
		bad := good
		bad.JWKSURL = url
		if len(bad.Check("x", false)) == 0 {
			t.Errorf("%s is taken", url)
		}
	}
	if _, err := NewIssuers([]Issuer{good, good}, IssuersOptions{}); !app.IsKind(err, app.KindInvalid) {
		t.Errorf("one issuer twice: %v", err)
	}
}
