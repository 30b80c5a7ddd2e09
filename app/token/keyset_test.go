package token

import (
	"context"
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
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gatehouse/app"
)

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
