package token

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
)

func TestIssuersMapClaims(t *testing.T) {
	i := newIssuer(t)
	rows := []struct {
		name    string
		change  func(*Issuer)
		claims  map[string]any
		org     string
		user    string
		scopes  string
		refused bool
	}{
		{name: "a path", change: func(c *Issuer) { c.OrgClaim = "o.id" }, claims: with(i.claims(), "o", map[string]any{"id": "org_7"}), org: "org_7", user: "user_1", scopes: "files:read openid"},
		{name: "a name with dots", change: func(c *Issuer) { c.OrgClaim = "https://x.example/org" }, claims: with(i.claims(), "https://x.example/org", "beta"), org: "beta", user: "user_1", scopes: "files:read openid"},
		{name: "one organization for all", change: func(c *Issuer) { c.Org = "org_9" }, claims: i.claims(), org: "org_9", user: "user_1", scopes: "files:read openid"},
		{name: "another user claim", change: func(c *Issuer) { c.UserClaim = "email" }, claims: with(i.claims(), "email", "lena@acme.example"), org: "acme", user: "lena@acme.example", scopes: "files:read openid"},
		{name: "a list of scopes", change: func(c *Issuer) { c.ScopeClaim = "permissions" }, claims: with(i.claims(), "permissions", []any{"a:b", 7, "c"}), org: "acme", user: "user_1", scopes: "a:b c"},
		{name: "wildcards open nothing", change: nil, claims: with(i.claims(), "scope", "* files:* files:read"), org: "acme", user: "user_1", scopes: "files:read"},
		{name: "a path into nothing", change: func(c *Issuer) { c.OrgClaim = "sub.id" }, claims: i.claims(), refused: true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			got, err := i.trustedBy(t, row.change).Verify(t.Context(), i.token(t, "ed", row.claims))
			if (err != nil) != row.refused || got.Org != row.org || got.User != row.user || strings.Join(got.Scopes, " ") != row.scopes {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestVerifiedTokensEndWithTheirExpiry(t *testing.T) {
	i := newIssuer(t)
	trusted := i.trustedBy(t, nil)
	token := i.token(t, "ed", i.claims())
	for range 2 {
		if _, err := trusted.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	i.clock.pass(16 * time.Minute)
	if _, err := trusted.Verify(t.Context(), token); app.AsError(err).Code != "token_expired" {
		t.Fatalf("a minute after its end: %v", err)
	}
}

func TestVerifiedCacheIsBoundedAndKeepsWhatIsUsed(t *testing.T) {
	c := newVerifiedCache()
	hot := cacheKey("hot")
	c.put(hot, Outside{User: "hot"}, 0)
	for n := range 5 * verifiedCacheSize {
		c.put(cacheKey(fmt.Sprint(n)), Outside{}, 0)
		if n%1000 == 0 {
			if _, ok := c.get(hot); !ok {
				t.Fatalf("what is used was forgotten after %d", n)
			}
		}
	}
	if n := len(c.young) + len(c.old); n > verifiedCacheSize {
		t.Fatalf("%d tokens are kept", n)
	}
	c.clear()
	c.put(hot, Outside{}, 0)
	if _, ok := c.get(hot); ok {
		t.Fatal("a token that was verified with withdrawn keys came back")
	}
}
