package token

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gatehouse/app"
)

func TestIssuersTakeTokensOfEachKindOfKey(t *testing.T) {
	i := newIssuer(t)
	trusted := i.trustedBy(t, nil)
	want := Outside{Issuer: "clerk", User: "user_1", Org: "acme", Scopes: []string{"files:read", "openid"}, ExpiresAt: i.clock.now().Add(15 * time.Minute)}
	for _, kid := range []string{"ed", "ec", "rsa"} {
		got, err := trusted.Verify(t.Context(), i.token(t, kid, i.claims()))
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %+v, %v", kid, got, err)
		}
	}
	pss := forge(t, jwt.SigningMethodPS256, i.keys["rsa"], map[string]any{"kid": "rsa"}, i.claims())
	if _, err := trusted.Verify(t.Context(), pss); err != nil {
		t.Errorf("PS256: %v", err)
	}
	if n := i.fetches.Load(); n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
	actor := want.Actor("org_1")
	if actor.String() != "user:user_1" || actor.OrgID != "org_1" || actor.MayManage("orgs:read") {
		t.Errorf("actor %+v", actor)
	}
}

func TestIssuersRefuseForgedAndMisusedTokens(t *testing.T) {
	i := newIssuer(t)
	trusted := i.trustedBy(t, nil)
	narrow := i.trustedBy(t, func(c *Issuer) { c.Algorithms = []string{"ES256"} })
	_, stranger, _ := ed25519.GenerateKey(rand.Reader)
	public := i.keys["ed"].Public().(ed25519.PublicKey)
	now, kid := i.clock.now().Unix(), map[string]any{"kid": "ed"}
	change := func(name string, value any) string { return i.token(t, "ed", with(i.claims(), name, value)) }
	header := func(name string, value any) string {
		return forge(t, jwt.SigningMethodEdDSA, i.keys["ed"], with(kid, name, value), i.claims())
	}
	rows := []struct {
		name, token, code string
		by                *Issuers
	}{
		{"a good one", i.token(t, "ed", i.claims()), "", trusted},
		{"typ at+jwt", header("typ", "at+jwt"), "", trusted},
		{"no typ", header("typ", nil), "", trusted},
		{"an assertion of ours", header("typ", typeAssertion), "token_invalid", trusted},
		{"an ID token of another type", header("typ", "logout+jwt"), "token_invalid", trusted},
		{"critical extensions", header("crit", []string{"exp"}), "token_invalid", trusted},
		{"alg none", forge(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, kid, i.claims()), "token_invalid", trusted},
		{"HMAC with the public key", forge(t, jwt.SigningMethodHS256, []byte(public), kid, i.claims()), "token_invalid", trusted},
		{"a stranger's key", forge(t, jwt.SigningMethodEdDSA, stranger, kid, i.claims()), "token_invalid", trusted},
		{"RSA signature under the EC kid", forge(t, jwt.SigningMethodRS256, i.keys["rsa"], map[string]any{"kid": "ec"}, i.claims()), "token_key_unknown", trusted},
		{"an algorithm that this issuer may not use", i.token(t, "ed", i.claims()), "token_invalid", narrow},
		{"an unknown issuer", change("iss", "https://evil.example"), "token_issuer", trusted},
		{"no issuer", change("iss", nil), "token_issuer", trusted},
		{"an issuer that is a list", change("iss", []string{"https://issuer.example"}), "token_issuer", trusted},
		{"another audience", change("aud", "bank"), "token_audience", trusted},
		{"no audience", change("aud", nil), "token_invalid", trusted},
		{"expired", change("exp", now-6), "token_expired", trusted},
		{"no expiry", change("exp", nil), "token_invalid", trusted},
		{"not yet valid", change("nbf", now+60), "token_not_yet_valid", trusted},
		{"no organization", change("org_id", nil), "token_without_org", trusted},
		{"an organization that is a number", change("org_id", 7), "token_without_org", trusted},
		{"no user", change("sub", nil), "token_user", trusted},
		{"a user with a line break", change("sub", "a\r\nX-Admin: 1"), "token_user", trusted},
		{"a user beyond ASCII", change("sub", "lena ünal"), "token_user", trusted},
		{"very long", change("x", strings.Repeat("y", MaxTokenLength)), "token_malformed", trusted},
		{"no token", "gk_live_x", "token_malformed", trusted},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			got, err := row.by.Verify(t.Context(), row.token)
			code := ""
			if err != nil {
				code = app.AsError(err).Code
			}
			if code != row.code {
				t.Errorf("code %q, want %q (%v)", code, row.code, err)
			}
			if err != nil && got.User != "" {
				t.Errorf("refused, and yet %+v", got)
			}
		})
	}
}

func TestIssuersTakeATokenWithoutKidWhenOneKeyFits(t *testing.T) {
	i := newIssuer(t)
	token := forge(t, jwt.SigningMethodEdDSA, i.keys["ed"], nil, i.claims())
	if _, err := i.trustedBy(t, nil).Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
}

func TestNoIssuersRefuseEverything(t *testing.T) {
	i := newIssuer(t)
	none, err := NewIssuers(nil, IssuersOptions{Now: i.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := none.Verify(t.Context(), i.token(t, "ed", i.claims())); app.AsError(err).Code != "token_issuer" {
		t.Fatal(err)
	}
}

func TestRunFetchesAtOnceAndEndsWithItsContext(t *testing.T) {
	i := newIssuer(t)
	trusted := i.trustedBy(t, nil)
	keys := trusted.byName["https://issuer.example"].keys
	fetched, fetch := make(chan struct{}, 1), keys.fetch
	keys.fetch = func(ctx context.Context) ([]byte, error) {
		defer func() { fetched <- struct{}{} }()
		return fetch(ctx)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { trusted.Run(ctx); close(done) }()
	<-fetched
	cancel()
	<-done
	if i.fetches.Load() != 1 {
		t.Fatalf("%d fetches", i.fetches.Load())
	}
}

func BenchmarkIssuersVerify(b *testing.B) {
	i := newIssuer(b)
	trusted := i.trustedBy(b, nil)
	for _, kid := range []string{"ed", "ec", "rsa"} {
		token := i.token(b, kid, i.claims())
		b.Run(kid+"/first", func(b *testing.B) {
			for b.Loop() {
				trusted.seen.clear()
				if _, err := trusted.Verify(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(kid+"/again", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := trusted.Verify(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
