package auth

import (
	"bytes"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/store"
	"gatehouse/store/storetest"
	"gatehouse/store/storetest/each"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// cheap keeps the tests quick; everything else is as it ships.
var cheap = cost{memory: 64, time: 1, threads: 1}

const (
	day      = 24 * time.Hour
	password = "four green kettles sing"
	home     = "198.51.100.7"
)

// world is a service on a store, with a clock.
type world struct {
	*Service
	db *store.Store
	mu sync.Mutex
	at time.Time
}

func (w *world) now() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.at }

func (w *world) pass(d time.Duration) { w.mu.Lock(); defer w.mu.Unlock(); w.at = w.at.Add(d) }

func newWorld(t testing.TB, o store.Options) *world {
	t.Helper()
	w := &world{at: time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)}
	o.Now = w.now
	w.db = each.Open(t, o)
	sealer, err := app.NewSealer(bytes.Repeat([]byte{3}, app.SealKeySize))
	if err != nil {
		t.Fatal(err)
	}
	w.Service = New(Options{Store: w.db, Sealer: sealer, Now: w.now, Log: slog.New(slog.DiscardHandler)})
	w.hasher = newHasher(2, cheap)
	return w
}

func eachWorld(t *testing.T, test func(t *testing.T, w *world)) {
	t.Run("SQLite", func(t *testing.T) { test(t, sqliteWorld(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, newWorld(t, store.Options{DSN: storetest.Postgres(t)})) })
}

func sqliteWorld(t testing.TB) *world {
	return newWorld(t, store.Options{Path: filepath.Join(t.TempDir(), "gatehouse.db")})
}

func client(address string) Client {
	return Client{Address: netip.MustParseAddr(address), UserAgent: "Firefox"}
}

var system = app.Actor{Kind: app.ActorSystem}

func code(err error) string {
	if err == nil {
		return "ok"
	}
	return app.AsError(err).Code
}

// mara is the operator of most tests.
func mara() NewOperator {
	return NewOperator{Email: "mara@example.com", Name: "Mara Okafor", Password: password}
}

// claimed gives the world its operator.
func (w *world) claimed(t testing.TB) SignedIn {
	t.Helper()
	token, open, err := w.ClaimLink(t.Context())
	if err != nil || !open {
		t.Fatalf("claim link: %v, %v", open, err)
	}
	in, err := w.Claim(t.Context(), token, mara(), client(home))
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func (w *world) signIn(t testing.TB, c Client) SignedIn {
	t.Helper()
	in, err := w.SignIn(t.Context(), Attempt{"mara@example.com", password, c})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func (w *world) expectSession(t testing.TB, what, cookie, want string) {
	t.Helper()
	if _, _, err := w.Session(t.Context(), cookie); code(err) != want {
		t.Errorf("%s: %s, want %s", what, code(err), want)
	}
}
