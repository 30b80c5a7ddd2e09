package token

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/store"
	"gatehouse/store/storetest"
	"gatehouse/store/storetest/each"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// clock is a time that a test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }

func (c *clock) pass(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.at = c.at.Add(d) }

func eachStore(t *testing.T, test func(t *testing.T, s *store.Store, c *clock)) {
	t.Run("SQLite", func(t *testing.T) {
		c := newClock()
		test(t, openSQLite(t, c), c)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		c := newClock()
		test(t, each.Open(t, store.Options{DSN: storetest.Postgres(t), Now: c.now}), c)
	})
}

func openSQLite(t testing.TB, c *clock) *store.Store {
	t.Helper()
	return each.Open(t, store.Options{Path: filepath.Join(t.TempDir(), "gatehouse.db"), Now: c.now})
}

func options(t testing.TB, s Store, c *clock) Options {
	t.Helper()
	sealer, err := app.NewSealer(bytes.Repeat([]byte{7}, app.SealKeySize))
	if err != nil {
		t.Fatal(err)
	}
	return Options{Store: s, Sealer: sealer, Now: c.now, Log: slog.New(slog.DiscardHandler),
		Issuer: "https://gate.example", Audience: "shop"}
}

func open(t testing.TB, o Options) *Service {
	t.Helper()
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// published decodes the document that a service publishes.
func published(t testing.TB, s *Service) []map[string]string {
	t.Helper()
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(s.JWKS().Body, &set); err != nil {
		t.Fatal(err)
	}
	return set.Keys
}

func TestOpenMakesKeysOnceForAllReplicas(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, c *clock) {
		var replicas sync.WaitGroup
		services := make([]*Service, 6)
		for n := range services {
			replicas.Go(func() {
				service, err := Open(t.Context(), options(t, s, c))
				if err != nil {
					t.Error(err)
					return
				}
				services[n] = service
			})
		}
		replicas.Wait()
		if t.Failed() {
			return
		}
		keys, err := s.SigningKeys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(keys) != 2 || find(keys, app.SigningStateCurrent) < 0 || find(keys, app.SigningStateNext) < 0 {
			t.Fatalf("keys: %s", states(keys))
		}
		for _, service := range services {
			if err := service.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			if service.JWKS().ETag != services[0].JWKS().ETag {
				t.Fatal("two replicas publish different keys")
			}
		}
		token, err := services[0].Mint(subject(), c.now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := services[5].Verify(token); err != nil {
			t.Fatalf("another replica refuses: %v", err)
		}
	})
}

func TestJWKSHoldsPublicKeysAlone(t *testing.T) {
	members := map[string]string{EdDSA: "alg crv kid kty use x", ES256: "alg crv kid kty use x y", RS256: "alg e kid kty n use"}
	for algorithm, want := range members {
		t.Run(algorithm, func(t *testing.T) {
			c := newClock()
			o := options(t, each.SQLite(t), c)
			o.Algorithm = algorithm
			s := open(t, o)
			for _, key := range published(t, s) {
				if got := sortedKeys(key); got != want {
					t.Errorf("members %q, want %q", got, want)
				}
				if key["alg"] != algorithm || key["use"] != "sig" {
					t.Errorf("key %v", key)
				}
				if key["kid"] != thumbprint(key) {
					t.Errorf("kid %s is not the thumbprint %s", key["kid"], thumbprint(key))
				}
			}
			if got := s.JWKS().MaxAge; got != time.Hour {
				t.Errorf("max-age %s", got)
			}
		})
	}
}

// A verifier as apps have them: it keeps the document for its max-age, or
// fetches it again when that has passed, never in between. Through two
// rotations, with a replica that hears of them a minute late, not one fresh
// token fails.
func TestRotationFailsNoVerification(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, c *clock) {
		o := options(t, s, c)
		o.RotateEvery, o.PublishFor = 2*time.Hour, 40*time.Minute
		leader, late := open(t, o), open(t, o)
		document, fetched := late.JWKS(), c.now()
		signed := map[string]bool{}
		for range 5 * 60 {
			c.pass(time.Minute)
			if err := leader.Maintain(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, replica := range []*Service{leader, late} {
				token, err := replica.Mint(subject(), c.now())
				if err != nil {
					t.Fatal(err)
				}
				if c.now().Sub(fetched) > document.MaxAge {
					document, fetched = late.JWKS(), c.now()
				}
				kid := headerOf(t, token)["kid"].(string)
				signed[kid] = true
				if !bytes.Contains(document.Body, []byte(kid)) {
					t.Fatalf("at %s a token is signed by %s, which the verifier does not know", c.now(), kid)
				}
			}
			if err := late.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if len(signed) != 3 {
			t.Fatalf("%d keys signed in five hours, want 3", len(signed))
		}
		keys, err := s.SigningKeys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(keys) > 3 {
			t.Fatalf("old keys are kept: %s", states(keys))
		}
	})
}

func TestOpenNamesALostEncryptionKey(t *testing.T) {
	c := newClock()
	s := each.SQLite(t)
	o := options(t, s, c)
	open(t, o)
	before, _ := s.SigningKeys(t.Context())
	other, err := app.NewSealer(bytes.Repeat([]byte{8}, app.SealKeySize))
	if err != nil {
		t.Fatal(err)
	}
	o.Sealer = other
	if _, err := Open(t.Context(), o); app.AsError(err).Code != "encryption_key_mismatch" {
		t.Fatalf("error %v", err)
	}
	after, _ := s.SigningKeys(t.Context())
	if states(before) != states(after) {
		t.Fatalf("the keys changed from %s to %s", states(before), states(after))
	}
}

func TestSwappedPrivateHalvesAreNoticed(t *testing.T) {
	c := newClock()
	s := each.SQLite(t)
	o := options(t, s, c)
	service := open(t, o)
	keys, err := s.SigningKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mixed := keys[find(keys, app.SigningStateCurrent)]
	stranger, err := service.newKey()
	if err != nil {
		t.Fatal(err)
	}
	secret, err := o.Sealer.Open(sealPurpose(stranger.ID), stranger.Sealed)
	if err != nil {
		t.Fatal(err)
	}
	mixed.Sealed = o.Sealer.Seal(sealPurpose(mixed.ID), secret)
	_, err = s.ChangeSigningKeys(t.Context(), func(keys []app.SigningKey) []app.SigningKey {
		keys[find(keys, app.SigningStateCurrent)] = mixed
		return keys
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), o); err == nil {
		t.Fatal("a private half that belongs to another key was taken")
	}
}

func TestStoredKeysAreSealed(t *testing.T) {
	c := newClock()
	s := each.SQLite(t)
	open(t, options(t, s, c))
	keys, err := s.SigningKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if bytes.Contains(k.Sealed, []byte{0x06, 0x03, 0x2b, 0x65, 0x70}) { // Ed25519's object identifier
			t.Fatal("a private key stands in the clear")
		}
	}
}

func TestOpenRefusesWrongOptions(t *testing.T) {
	c := newClock()
	for name, change := range map[string]func(*Options){
		"symmetric":         func(o *Options) { o.Algorithm = "HS256" },
		"none":              func(o *Options) { o.Algorithm = "none" },
		"life too short":    func(o *Options) { o.Life = time.Second },
		"life too long":     func(o *Options) { o.Life = 2 * time.Hour },
		"no issuer":         func(o *Options) { o.Issuer = "" },
		"no audience":       func(o *Options) { o.Audience = "" },
		"never rotates out": func(o *Options) { o.RotateEvery = time.Hour },
	} {
		o := options(t, each.SQLite(t), c)
		change(&o)
		if _, err := Open(t.Context(), o); !app.IsKind(err, app.KindInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func subject() Subject {
	org := app.Org{ID: "org_1", Slug: "acme", Plan: "pro"}
	return Subject{Org: org, Actor: app.Actor{Kind: app.ActorKey, ID: "key_1", KeyID: "key_1", OrgID: org.ID, Scopes: []string{"files:read"}}}
}

func headerOf(t testing.TB, token string) map[string]any {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	var header map[string]any
	if err == nil {
		err = json.Unmarshal(raw, &header)
	}
	if err != nil {
		t.Fatal(err)
	}
	return header
}

func sortedKeys(m map[string]string) string {
	var names []string
	for _, name := range []string{"alg", "crv", "d", "e", "k", "kid", "kty", "n", "use", "x", "y"} {
		if _, ok := m[name]; ok {
			names = append(names, name)
		}
	}
	if len(names) != len(m) {
		return "others too"
	}
	return strings.Join(names, " ")
}

// thumbprint follows RFC 7638 apart from the code under test.
func thumbprint(key map[string]string) string {
	own := map[string]string{} // encoding/json writes maps in the order of their names
	for _, name := range []string{"crv", "e", "kty", "n", "x", "y"} {
		if value, ok := key[name]; ok {
			own[name] = value
		}
	}
	raw, _ := json.Marshal(own)
	sum := sha256.Sum256(raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
