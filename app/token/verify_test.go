package token

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gatehouse/app"
)

// forge signs a token with any header, claims and key.
func forge(t testing.TB, method jwt.SigningMethod, key any, header, claims map[string]any) string {
	t.Helper()
	token := jwt.NewWithClaims(method, jwt.MapClaims(claims))
	maps.Copy(token.Header, header)
	for name, value := range header {
		if value == nil {
			delete(token.Header, name)
		}
	}
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func with(base map[string]any, name string, value any) map[string]any {
	changed := maps.Clone(base)
	changed[name] = value
	if value == nil {
		delete(changed, name)
	}
	return changed
}

// Each row is a way by which tokens have been forged or misused; all but the
// first are refused.
func TestVerifyRefusesForgedAndMisusedTokens(t *testing.T) {
	s, c := service(t, EdDSA)
	private := s.ring.Load().signer.private.(ed25519.PrivateKey)
	public := private.Public().(ed25519.PublicKey)
	_, stranger, _ := ed25519.GenerateKey(rand.Reader)
	kid := headerOf(t, s.NewAssertion(subject()).Header(c.now())[0])["kid"]
	der, _ := x509.MarshalPKIXPublicKey(public)

	now := c.now().Unix()
	header := map[string]any{"typ": "assertion+jwt", "kid": kid}
	claims := map[string]any{"iss": "https://gate.example", "aud": "shop", "sub": "key:key_1", "org": "org_1", "iat": now, "exp": now + 60}
	ours := func(header, claims map[string]any) string {
		return forge(t, jwt.SigningMethodEdDSA, private, header, claims)
	}
	good := ours(header, claims)
	parts := strings.Split(good, ".")
	other, _ := json.Marshal(with(claims, "org", "org_2"))

	rows := []struct{ name, token, code string }{
		{"a good one", good, ""},
		{"with the type's long form", ours(with(header, "typ", "application/assertion+jwt"), claims), ""},
		{"key locations in the header are ignored", ours(with(with(header, "jku", "http://127.0.0.1:1/"), "x5u", "http://127.0.0.1:1/"), claims), ""},
		{"alg none", forge(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, header, claims), "token_invalid"},
		{"alg none with our signature", "eyJhbGciOiJub25lIn0." + parts[1] + "." + parts[2], "token_invalid"},
		{"HMAC with the public key as secret", forge(t, jwt.SigningMethodHS256, []byte(public), header, claims), "token_invalid"},
		{"HMAC with its DER as secret", forge(t, jwt.SigningMethodHS256, der, header, claims), "token_invalid"},
		{"a stranger's key under our kid", forge(t, jwt.SigningMethodEdDSA, stranger, header, claims), "token_invalid"},
		{"a stranger's key under its own kid", forge(t, jwt.SigningMethodEdDSA, stranger, with(header, "kid", "x"), claims), "token_key_unknown"},
		{"no kid", ours(with(header, "kid", nil), claims), "token_key_unknown"},
		{"a kid that is a number", ours(with(header, "kid", 7), claims), "token_key_unknown"},
		{"another type", ours(with(header, "typ", "JWT"), claims), "token_invalid"},
		{"no type", ours(with(header, "typ", nil), claims), "token_invalid"},
		{"critical extensions", ours(with(header, "crit", []string{"x"}), claims), "token_invalid"},
		{"unencoded payload", ours(with(header, "b64", false), claims), "token_invalid"},
		{"another issuer", ours(header, with(claims, "iss", "https://gate.example.evil")), "token_invalid"},
		{"another audience", ours(header, with(claims, "aud", "bank")), "token_audience"},
		{"expired", ours(header, with(claims, "exp", now-6)), "token_expired"},
		{"without expiry", ours(header, with(claims, "exp", nil)), "token_invalid"},
		{"issued in the future", ours(header, with(claims, "iat", now+60)), "token_not_yet_valid"},
		{"payload exchanged", parts[0] + "." + base64.RawURLEncoding.EncodeToString(other) + "." + parts[2], "token_invalid"},
		{"signature cut off", parts[0] + "." + parts[1] + ".", "token_invalid"},
		{"two parts", parts[0] + "." + parts[1], "token_malformed"},
		{"four parts", good + ".x", "token_malformed"},
		{"empty", "", "token_malformed"},
		{"dots", "..", "token_malformed"},
		{"not base64", "é.é.é", "token_malformed"},
		{"very long", good + strings.Repeat("A", MaxTokenLength), "token_malformed"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			got, err := s.Verify(row.token)
			code := ""
			if err != nil {
				code = app.AsError(err).Code
				if app.AsError(err).Kind != app.KindUnauthenticated || got.Actor != "" {
					t.Errorf("kind %v, claims %+v", app.AsError(err).Kind, got)
				}
			}
			if code != row.code {
				t.Errorf("code %q, want %q (%v)", code, row.code, err)
			}
		})
	}
}

// A key signs with its own algorithm alone, even while keys of two algorithms
// are published.
func TestVerifyHoldsKeysToTheirAlgorithm(t *testing.T) {
	c := newClock()
	o := options(t, openSQLite(t, c), c)
	old := open(t, o)
	token, err := old.Mint(subject(), c.now())
	if err != nil {
		t.Fatal(err)
	}
	o.Algorithm = ES256
	fresh := open(t, o)
	if _, err := fresh.Verify(token); err != nil {
		t.Fatalf("the former algorithm's token is refused: %v", err)
	}
	c.pass(DefaultPublishFor)
	if err := fresh.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	switched, err := fresh.Mint(subject(), c.now())
	if err != nil {
		t.Fatal(err)
	}
	if alg := headerOf(t, switched)["alg"]; alg != ES256 {
		t.Fatalf("after the key was published for a day, tokens are still signed with %v", alg)
	}
	made := fresh.ring.Load()
	for id, v := range made.verifiers {
		v.algorithm = EdDSA
		made.verifiers[id] = v
	}
	if _, err := fresh.Verify(switched); err == nil {
		t.Fatal("a token was taken with another algorithm than its key's")
	}
}

func TestVerifyAllowsForClocksThatDiffer(t *testing.T) {
	s, c := service(t, EdDSA)
	token, err := s.Mint(subject(), c.now())
	if err != nil {
		t.Fatal(err)
	}
	c.pass(64 * time.Second)
	if _, err := s.Verify(token); err != nil {
		t.Errorf("4 s after its end: %v", err)
	}
	c.pass(2 * time.Second)
	if _, err := s.Verify(token); app.AsError(err).Code != "token_expired" {
		t.Errorf("6 s after its end: %v", err)
	}
}
