package token

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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

// Strangers invent kids: the issuer is asked once, and then once per pause.
func TestIssuersBoundFetchesForUnknownKids(t *testing.T) {
	i := newIssuer(t)
	trusted := i.trustedBy(t, nil)
	flood := func() {
		var all sync.WaitGroup
		for n := range 200 {
			token := forge(t, jwt.SigningMethodEdDSA, i.keys["ed"], map[string]any{"kid": fmt.Sprint("invented", n)}, i.claims())
			all.Go(func() {
				_, err := trusted.Verify(t.Context(), token)
				if code := app.AsError(err).Code; code != "token_key_unknown" && code != "issuer_unavailable" {
					t.Errorf("code %q", code)
				}
			})
		}
		all.Wait()
	}
	flood()
	flood()
	if n := i.fetches.Load(); n != 1 {
		t.Fatalf("%d fetches", n)
	}
	i.clock.pass(refetchPause)
	flood()
	if n := i.fetches.Load(); n != 2 {
		t.Fatalf("%d fetches after the pause", n)
	}
	bad := forge(t, jwt.SigningMethodEdDSA, i.keys["ed"], map[string]any{"kid": "x"}, with(i.claims(), "aud", "bank"))
	i.clock.pass(time.Hour)
	if _, err := trusted.Verify(t.Context(), bad); err == nil {
		t.Fatal("taken")
	}
	if n := i.fetches.Load(); n != 2 {
		t.Fatal("a token that could never hold caused a fetch")
	}
}

// A slow issuer holds up neither tokens with known keys nor, beyond a bound,
// anybody else.
func TestIssuersBoundWaitingForASlowIssuer(t *testing.T) {
	i := newIssuer(t)
	release, entered := make(chan struct{}), make(chan struct{}, 1)
	slow := i.trustedBy(t, nil)
	keys := slow.byName["https://issuer.example"].keys
	if _, err := slow.Verify(t.Context(), i.token(t, "ed", i.claims())); err != nil {
		t.Fatal(err)
	}
	i.clock.pass(refetchPause)
	fetch := keys.fetch
	keys.fetch = func(ctx context.Context) ([]byte, error) {
		entered <- struct{}{}
		<-release
		return fetch(ctx)
	}
	unknown := forge(t, jwt.SigningMethodEdDSA, i.keys["ed"], map[string]any{"kid": "new"}, i.claims())
	var all sync.WaitGroup
	var refusedAtOnce atomic.Int64
	bounced := make(chan struct{}, 3*maxWaiting)
	for range 3 * maxWaiting {
		all.Go(func() {
			if _, err := slow.Verify(t.Context(), unknown); app.AsError(err).Code == "issuer_unavailable" {
				refusedAtOnce.Add(1)
				bounced <- struct{}{}
			}
		})
	}
	<-entered
	for range 2 * maxWaiting {
		<-bounced
	}
	if _, err := slow.Verify(t.Context(), i.token(t, "ec", i.claims())); err != nil {
		t.Errorf("a known key waits for the fetch: %v", err)
	}
	close(release)
	all.Wait()
	if n := refusedAtOnce.Load(); n != 2*maxWaiting {
		t.Errorf("%d were refused at once, want %d", n, 2*maxWaiting)
	}
}

// A key that the issuer withdraws ends here with the next refresh, also for
// tokens that were verified before.
func TestIssuersForgetWithdrawnKeys(t *testing.T) {
	i := newIssuer(t)
	trusted := i.trustedBy(t, nil)
	token := i.token(t, "ed", i.claims())
	if _, err := trusted.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	i.publish("ec", "rsa")
	if _, err := trusted.Verify(t.Context(), token); err != nil {
		t.Fatalf("before the refresh: %v", err)
	}
	if err := trusted.byName["https://issuer.example"].keys.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := trusted.Verify(t.Context(), token); app.AsError(err).Code != "token_key_unknown" {
		t.Fatalf("after the refresh: %v", err)
	}
}

func TestIssuersHearOfNewKeys(t *testing.T) {
	i := newIssuer(t)
	i.publish("ec")
	trusted := i.trustedBy(t, nil)
	if _, err := trusted.Verify(t.Context(), i.token(t, "ed", i.claims())); app.AsError(err).Code != "token_key_unknown" {
		t.Fatalf("before: %v", err)
	}
	i.publish("ec", "ed")
	i.clock.pass(refetchPause)
	if _, err := trusted.Verify(t.Context(), i.token(t, "ed", i.claims())); err != nil {
		t.Fatalf("after: %v", err)
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

func TestIssuersLiveOnOldKeysForADay(t *testing.T) {
	i := newIssuer(t)
	trusted := i.trustedBy(t, nil)
	if _, err := trusted.Verify(t.Context(), i.token(t, "ed", i.claims())); err != nil {
		t.Fatal(err)
	}
	i.Close()
	i.clock.pass(staleAfter)
	if _, err := trusted.Verify(t.Context(), i.token(t, "ed", i.claims())); err != nil {
		t.Errorf("a day without the issuer: %v", err)
	}
	i.clock.pass(time.Second)
	_, err := trusted.Verify(t.Context(), i.token(t, "ed", i.claims()))
	if known := app.AsError(err); known.Code != "issuer_unavailable" || known.Kind != app.KindUnavailable || known.RetryAfter == 0 {
		t.Errorf("longer: %v", err)
	}
	if trusted.Ready()["clerk"] == nil {
		t.Error("ready")
	}
}

func TestIssuersRefuseWhatTheServerShouldNotAnswer(t *testing.T) {
	i := newIssuer(t)
	weak, _ := rsa.GenerateKey(rand.Reader, 1024)
	weakKey, _ := newJWK(&weak.PublicKey)
	weakKey.ID = "ed"
	weakJSON, _ := json.Marshal(map[string]any{"keys": []jwk{weakKey}})
	ed, _ := newJWK(i.keys["ed"].Public())
	ed.ID, ed.Use = "ed", "enc"
	encryption, _ := json.Marshal(map[string]any{"keys": []jwk{ed}})
	many := `{"keys":[` + strings.TrimSuffix(strings.Repeat(`{"kty":"x"},`, maxKeys+1), ",") + `]}`
	twice, _ := json.Marshal(map[string]any{"keys": []map[string]string{
		{"kty": "OKP", "crv": "Ed25519", "x": ed.X, "kid": "ed"}, {"kty": "OKP", "crv": "Ed25519", "x": strings.Repeat("A", 43), "kid": "ed"}}})
	rows := map[string]string{
		"nothing": "", "a page": "<html>", "no keys": `{"keys":[]}`, "a symmetric key": `{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"ed"}]}`,
		"a weak RSA key": string(weakJSON), "a key for encryption": string(encryption), "too many keys": many,
		"too large": `{"keys":[],"x":"` + strings.Repeat("x", maxKeySetBytes) + `"}`, "a point off its curve": `{"keys":[{"kty":"EC","crv":"P-256","x":"AQ","y":"AQ","kid":"ed"}]}`,
		"null": "null", "keys of a wrong type": `{"keys":[1,"x",null,{}]}`, "two keys of one kid": string(twice),
	}
	for name, body := range rows {
		t.Run(name, func(t *testing.T) {
			i.answer(body)
			_, err := i.trustedBy(t, nil).Verify(t.Context(), i.token(t, "ed", i.claims()))
			if code := app.AsError(err).Code; code != "issuer_unavailable" && !(name == "two keys of one kid" && code == "token_key_unknown") {
				t.Fatalf("error %v", err)
			}
		})
	}
}

// x5u in a published key would make the server behind the issuer choose an
// address inside the operator's network.
func TestIssuersFetchNothingThatAKeySetNames(t *testing.T) {
	i := newIssuer(t)
	var asked atomic.Bool
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Store(true) }))
	defer trap.Close()
	ed, _ := newJWK(i.keys["ed"].Public())
	i.answer(fmt.Sprintf(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":%q,"kid":"ed","x5u":%q}]}`, ed.X, trap.URL))
	token := forge(t, jwt.SigningMethodEdDSA, i.keys["ed"], map[string]any{"kid": "ed", "jku": trap.URL, "x5u": trap.URL}, i.claims())
	if _, err := i.trustedBy(t, nil).Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if asked.Load() {
		t.Fatal("an address out of a key or a token was fetched")
	}
}

func TestIssuersFollowNoRedirect(t *testing.T) {
	i := newIssuer(t)
	hop := httptest.NewServer(http.RedirectHandler(i.URL, http.StatusFound))
	defer hop.Close()
	_, err := i.trustedBy(t, func(c *Issuer) { c.JWKSURL = hop.URL }).Verify(t.Context(), i.token(t, "ed", i.claims()))
	if app.AsError(err).Code != "issuer_unavailable" || i.fetches.Load() != 0 {
		t.Fatalf("error %v, %d fetches", err, i.fetches.Load())
	}
}

func TestIssuersRefusePrivateAddressesByDefault(t *testing.T) {
	i := newIssuer(t)
	tls := httptest.NewTLSServer(i.Config.Handler)
	defer tls.Close()
	config := i.config()
	if _, err := NewIssuers([]Issuer{config}, IssuersOptions{Now: i.clock.now}); !app.IsKind(err, app.KindInvalid) {
		t.Fatalf("http is taken: %v", err)
	}
	config.JWKSURL = strings.Replace(tls.URL, "127.0.0.1", "localhost", 1)
	guarded, err := NewIssuers([]Issuer{config}, IssuersOptions{Now: i.clock.now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = guarded.Verify(t.Context(), i.token(t, "ed", i.claims()))
	if app.AsError(err).Code != "issuer_unavailable" || !errors.Is(err, errPrivateAddress) || i.fetches.Load() != 0 {
		t.Fatalf("error %v, %d fetches", err, i.fetches.Load())
	}
}

func TestIssuersReadAFile(t *testing.T) {
	i := newIssuer(t)
	path := filepath.Join(t.TempDir(), "jwks.json")
	trusted := i.trustedBy(t, func(c *Issuer) { c.JWKSURL, c.JWKSFile = "", path })
	if _, err := trusted.Verify(t.Context(), i.token(t, "ed", i.claims())); app.AsError(err).Code != "issuer_unavailable" {
		t.Fatalf("without the file: %v", err)
	}
	if err := os.WriteFile(path, []byte(i.body), 0o600); err != nil {
		t.Fatal(err)
	}
	i.clock.pass(refetchPause)
	if _, err := trusted.Verify(t.Context(), i.token(t, "ed", i.claims())); err != nil {
		t.Fatal(err)
	}
	if i.fetches.Load() != 0 {
		t.Fatal("the network was used")
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
