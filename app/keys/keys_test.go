package keys_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/keys"
	"gatehouse/store"
	"gatehouse/store/storetest"
	"gatehouse/store/storetest/each"
)

func TestMain(m *testing.M) { storetest.Main(m) }

const day = 24 * time.Hour

// world is a store with two organizations, a service, and a clock.
type world struct {
	*keys.Service
	db *store.Store
	mu sync.Mutex
	at time.Time
}

func (w *world) now() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.at }

func (w *world) pass(d time.Duration) { w.mu.Lock(); defer w.mu.Unlock(); w.at = w.at.Add(d) }

func eachWorld(t *testing.T, test func(t *testing.T, w *world)) {
	run := func(o func(t *testing.T) store.Options) func(t *testing.T) {
		return func(t *testing.T) {
			w := &world{at: time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)}
			options := o(t)
			options.Now = w.now
			w.db = each.Open(t, options)
			w.Service = &keys.Service{Store: w.db, Now: w.now}
			if _, err := w.db.UpsertPlans(t.Context(), []app.Plan{{Slug: "free", Name: "Free"}}); err != nil {
				t.Fatal(err)
			}
			for _, id := range []app.OrgID{"org_a", "org_b"} {
				org := app.Org{ID: id, Slug: string(id[4:]), Name: string(id), Status: app.OrgStatusActive, Plan: "free", CreatedAt: w.at, UpdatedAt: w.at}
				if err := w.db.InsertOrg(t.Context(), org); err != nil {
					t.Fatal(err)
				}
			}
			test(t, w)
		}
	}
	t.Run("SQLite", run(func(t *testing.T) store.Options {
		return store.Options{Path: filepath.Join(t.TempDir(), "gatehouse.db")}
	}))
	t.Run("PostgreSQL", run(func(t *testing.T) store.Options { return store.Options{DSN: storetest.Postgres(t)} }))
}

var (
	system   = app.Actor{Kind: app.ActorSystem}
	operator = app.Actor{Kind: app.ActorOperator, ID: "opr_1", Scopes: []string{"*"}}
)

func machine(scopes ...string) app.Actor {
	return app.Actor{Kind: app.ActorOperator, ID: "key_m", KeyID: "key_m", Scopes: scopes}
}

func code(err error) string {
	if err == nil {
		return "ok"
	}
	return app.AsError(err).Code
}

func (w *world) mint(t *testing.T, in keys.New) app.MintedKey {
	t.Helper()
	minted, err := w.Mint(t.Context(), operator, in)
	if err != nil {
		t.Fatal(err)
	}
	return minted
}

func TestMintKeepsNothingOfTheSecret(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		for _, row := range []struct {
			in     keys.New
			prefix string
		}{
			{keys.New{Org: "org_a", Name: "ci"}, "gk_live_"},
			{keys.New{Org: "org_a", Name: "ci", Env: "test", Scopes: []string{"files:*", "agents:run", "files:*"},
				CIDRs:      []netip.Prefix{netip.MustParsePrefix("10.1.2.3/8"), netip.MustParsePrefix("::ffff:192.0.2.0/120"), netip.MustParsePrefix("10.0.0.0/8")},
				ExpiresAt:  w.now().Add(90 * day),
				RateLimits: []app.RateLimit{{Name: "minute", Requests: 10, Window: app.Duration(time.Minute)}}}, "gk_test_"},
			{keys.New{Name: "terraform", Scopes: []string{"*"}}, "ga_live_"},
		} {
			minted := w.mint(t, row.in)
			if !strings.HasPrefix(minted.Secret, row.prefix) {
				t.Errorf("secret %s", minted.Secret)
			}
			hash, ok := keys.Parse(minted.Secret)
			if !ok || hash != sha256.Sum256([]byte(minted.Secret)) || hash != minted.Hash {
				t.Errorf("hash %x", hash)
			}
			stored, err := w.Lookup(t.Context(), hash)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(stored, minted.Key) {
				t.Errorf("stored %+v\nminted %+v", stored, minted.Key)
			}
			raw, _ := json.Marshal(stored)
			if bytes.Contains(raw, []byte(minted.Secret[12:40])) || bytes.Contains(raw, []byte("hash")) {
				t.Errorf("the stored key tells its secret: %s", raw)
			}
			if stored.CreatedBy != "operator:opr_1" || stored.State(w.now()) != app.KeyStateActive {
				t.Errorf("stored %+v", stored)
			}
		}
		list, err := w.List(t.Context(), operator, "org_a", app.Page{Search: "ci"})
		if err != nil || len(list.Items) != 2 {
			t.Fatalf("list %+v, %v", list, err)
		}
		second := list.Items[slices.IndexFunc(list.Items, func(k app.Key) bool { return len(k.CIDRs) > 0 })]
		if got := fmt.Sprint(second.Scopes, second.CIDRs); got != "[agents:run files:*] [10.0.0.0/8 192.0.2.0/24]" {
			t.Errorf("normal form %s", got)
		}
	})
}

func TestMintRefusesWrongInput(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		many := func(n int, make func(i int) string) (list []string) {
			for i := range n {
				list = append(list, make(i))
			}
			return list
		}
		ranges := make([]netip.Prefix, app.MaxCIDRs+1)
		for i := range ranges {
			ranges[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 0}), 16)
		}
		rows := []struct {
			field string
			in    keys.New
		}{
			{"name", keys.New{Org: "org_a"}},
			{"name", keys.New{Org: "org_a", Name: "a\nb"}},
			{"name", keys.New{Org: "org_a", Name: strings.Repeat("x", 201)}},
			{"env", keys.New{Org: "org_a", Name: "x", Env: "prod"}},
			{"env", keys.New{Name: "x", Env: "test", Scopes: []string{"*"}}},
			{"scopes", keys.New{Name: "x"}},
			{"scopes", keys.New{Org: "org_a", Name: "x", Scopes: many(app.MaxScopes+1, func(i int) string { return fmt.Sprint("s", i) })}},
			{"scopes[1]", keys.New{Org: "org_a", Name: "x", Scopes: []string{"ok", "not ok"}}},
			{"scopes[0]", keys.New{Org: "org_a", Name: "x", Scopes: []string{"fi*"}}},
			{"cidrs", keys.New{Org: "org_a", Name: "x", CIDRs: ranges}},
			{"cidrs[0]", keys.New{Org: "org_a", Name: "x", CIDRs: []netip.Prefix{{}}}},
			{"cidrs[0]", keys.New{Org: "org_a", Name: "x", CIDRs: []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/90")}}},
			{"expires_at", keys.New{Org: "org_a", Name: "x", ExpiresAt: w.now()}},
			{"rate_limits[0].requests", keys.New{Org: "org_a", Name: "x", RateLimits: []app.RateLimit{{Name: "m", Window: app.Duration(time.Minute)}}}},
		}
		for _, row := range rows {
			_, err := w.Mint(t.Context(), operator, row.in)
			if app.AsError(err) == nil || !slices.ContainsFunc(app.AsError(err).Fields, func(f app.FieldError) bool { return f.Field == row.field }) {
				t.Errorf("%s: %v", row.field, err)
			}
		}
		if _, err := w.Mint(t.Context(), operator, keys.New{Org: "org_z", Name: "x"}); code(err) != "not_found" {
			t.Errorf("an organization that does not exist: %v", err)
		}
	})
}

// The first rows are those who may nothing: anonymous, a member of the
// organization, its own key, the wrong scopes.
func TestWhoMayDoWhat(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		rows := []struct {
			who                 string
			actor               app.Actor
			read, write         string // on an organization's keys
			readOwn, mintCheck  string // on the operator's keys; minting one with the scope check
			mintAll, takeOthers string // minting one with *, rotating one with *
		}{
			{"anonymous", app.Actor{Kind: app.ActorAnonymous}, "forbidden", "forbidden", "forbidden", "forbidden", "forbidden", "forbidden"},
			{"a user of the organization", app.Actor{Kind: app.ActorUser, ID: "u", OrgID: "org_a", Scopes: []string{"*"}}, "forbidden", "forbidden", "forbidden", "forbidden", "forbidden", "forbidden"},
			{"the organization's key", app.Actor{Kind: app.ActorKey, ID: "key_1", OrgID: "org_a", Scopes: []string{"*"}}, "forbidden", "forbidden", "forbidden", "forbidden", "forbidden", "forbidden"},
			{"a machine that may check", machine("check"), "forbidden", "forbidden", "forbidden", "forbidden", "forbidden", "forbidden"},
			{"a machine that reads keys", machine("keys:read"), "ok", "forbidden", "forbidden", "forbidden", "forbidden", "forbidden"},
			{"a machine that writes keys", machine("keys:*"), "ok", "ok", "forbidden", "forbidden", "forbidden", "forbidden"},
			{"a machine that writes the operator's", machine("operator_keys:*"), "forbidden", "forbidden", "ok", "scope_not_held", "scope_not_held", "scope_not_held"},
			{"and may check itself", machine("operator_keys:*", "check"), "forbidden", "forbidden", "ok", "ok", "scope_not_held", "scope_not_held"},
			{"an operator", operator, "ok", "ok", "ok", "ok", "ok", "ok"},
			{"the system", system, "ok", "ok", "ok", "ok", "ok", "ok"},
		}
		for _, row := range rows {
			t.Run(row.who, func(t *testing.T) {
				ctx := t.Context()
				customer := w.mint(t, keys.New{Org: "org_a", Name: "customer"})
				mighty := w.mint(t, keys.New{Name: "mighty", Scopes: []string{"*"}})
				expect := func(what, want string, err error) {
					t.Helper()
					if code(err) != want {
						t.Errorf("%s: %s, want %s", what, code(err), want)
					}
				}
				_, err := w.List(ctx, row.actor, "org_a", app.Page{})
				expect("list", row.read, err)
				_, err = w.Find(ctx, row.actor, "org_a", customer.ID)
				expect("find", row.read, err)
				_, err = w.Mint(ctx, row.actor, keys.New{Org: "org_a", Name: "x", Scopes: []string{"*"}})
				expect("mint", row.write, err)
				_, err = w.Rotate(ctx, row.actor, "org_a", customer.ID, 0)
				expect("rotate", row.write, err)
				_, err = w.Revoke(ctx, row.actor, "org_a", customer.ID)
				expect("revoke", row.write, err)
				_, err = w.List(ctx, row.actor, "", app.Page{})
				expect("list the operator's", row.readOwn, err)
				_, err = w.Mint(ctx, row.actor, keys.New{Name: "x", Scopes: []string{"check"}})
				expect("mint for check", row.mintCheck, err)
				_, err = w.Mint(ctx, row.actor, keys.New{Name: "x", Scopes: []string{"*"}})
				expect("mint for all", row.mintAll, err)
				_, err = w.Rotate(ctx, row.actor, "", mighty.ID, day)
				expect("take over", row.takeOthers, err)
			})
		}
	})
}

func TestKeysOfOthersAreNotFound(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		theirs, own := w.mint(t, keys.New{Org: "org_b", Name: "b"}), w.mint(t, keys.New{Name: "own", Scopes: []string{"*"}})
		for _, org := range []app.OrgID{"org_a", "", "org_z"} {
			for _, id := range []app.KeyID{theirs.ID, own.ID, "key_none", "", "key_\x00"} {
				if org == "" && id == own.ID {
					continue
				}
				_, find := w.Find(t.Context(), operator, org, id)
				_, rotate := w.Rotate(t.Context(), operator, org, id, 0)
				_, revoke := w.Revoke(t.Context(), operator, org, id)
				for _, err := range []error{find, rotate, revoke} {
					if code(err) != "not_found" || err.Error() != app.NotFound("key").Error() {
						t.Errorf("%q of %q: %v", id, org, err)
					}
				}
			}
		}
		for _, k := range []app.MintedKey{theirs, own} {
			if found, err := w.Lookup(t.Context(), k.Hash); err != nil || found.State(w.now()) != app.KeyStateActive {
				t.Errorf("%+v, %v", found, err)
			}
		}
		if _, err := w.Lookup(t.Context(), [32]byte{1}); code(err) != "key_unknown" || !app.IsKind(err, app.KindUnauthenticated) {
			t.Errorf("an invented key: %v", err)
		}
	})
}

func TestRotateInheritsEverything(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		old := w.mint(t, keys.New{Org: "org_a", Name: "ci", Env: "test", Scopes: []string{"files:*"}, CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
			ExpiresAt: w.now().Add(90 * day), RateLimits: []app.RateLimit{{Name: "minute", Requests: 10, Window: app.Duration(time.Minute)}}})
		if err := w.db.TouchKeys(t.Context(), map[app.KeyID]time.Time{old.ID: w.now()}); err != nil {
			t.Fatal(err)
		}
		w.pass(day)
		fresh, err := w.Rotate(t.Context(), system, "org_a", old.ID, 7*day)
		if err != nil {
			t.Fatal(err)
		}
		want := old.Key
		want.ID, want.Hint, want.Hash, want.CreatedAt, want.CreatedBy = fresh.ID, fresh.Hint, fresh.Hash, w.now(), "system"
		if !reflect.DeepEqual(fresh.Key, want) {
			t.Errorf("fresh %+v\nwant  %+v", fresh.Key, want)
		}
		if stored, err := w.Find(t.Context(), system, "org_a", fresh.ID); err != nil || !reflect.DeepEqual(stored, want) {
			t.Errorf("stored %+v, %v", stored, err)
		}
		if !strings.HasPrefix(fresh.Secret, "gk_test_") || fresh.Secret == old.Secret || fresh.ID == old.ID {
			t.Errorf("secret %s", fresh.Secret)
		}
		ended, err := w.Find(t.Context(), system, "org_a", old.ID)
		if err != nil || ended.RotatedTo != fresh.ID || !ended.ExpiresAt.Equal(w.now().Add(7*day)) || ended.State(w.now()) != app.KeyStateRotated {
			t.Errorf("old %+v, %v", ended, err)
		}
	})
}

// The old key ends at min(its expiry, now + grace), to the millisecond.
func TestRotateGrace(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		from := netip.MustParseAddr("192.0.2.1")
		rows := []struct {
			name           string
			life, grace    time.Duration // life 0: the key never expires
			works, refused time.Duration // after the rotation
			code           string
		}{
			{"no grace", 0, 0, -1, 0, "key_rotated"},
			{"an hour", 0, time.Hour, time.Hour - time.Millisecond, time.Hour, "key_rotated"},
			{"thirty days", 0, 30 * day, 30*day - time.Millisecond, 30 * day, "key_rotated"},
			{"its own end comes first", day, 7 * day, day - time.Millisecond, day, "key_rotated"},
			{"its own end comes later", 30 * day, day, day - time.Millisecond, day, "key_rotated"},
		}
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				in := keys.New{Org: "org_a", Name: "x"}
				if row.life > 0 {
					in.ExpiresAt = w.now().Add(row.life)
				}
				old := w.mint(t, in)
				fresh, err := w.Rotate(t.Context(), operator, "org_a", old.ID, row.grace)
				if err != nil {
					t.Fatal(err)
				}
				found, err := w.Lookup(t.Context(), old.Hash)
				if err != nil {
					t.Fatal(err)
				}
				if row.works >= 0 {
					if refusal := keys.Refusal(&found, from, w.now().Add(row.works)); refusal != nil {
						t.Errorf("refused after %s: %v", row.works, refusal)
					}
				}
				if refusal := keys.Refusal(&found, from, w.now().Add(row.refused)); refusal == nil || refusal.Code != row.code {
					t.Errorf("after %s: %v", row.refused, refusal)
				}
				if !fresh.ExpiresAt.Equal(old.ExpiresAt) {
					t.Errorf("the new key ends at %s, the old one at %s", fresh.ExpiresAt, old.ExpiresAt)
				}
			})
		}
		k := w.mint(t, keys.New{Org: "org_a", Name: "x"})
		for _, grace := range []time.Duration{-1, 30*day + 1} {
			if _, err := w.Rotate(t.Context(), operator, "org_a", k.ID, grace); code(err) != "invalid_input" {
				t.Errorf("grace %s: %v", grace, err)
			}
		}
	})
}

func TestRotateOnlyOnceAndOnlyWhatIsActive(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		k := w.mint(t, keys.New{Org: "org_a", Name: "x"})
		var racers sync.WaitGroup
		codes := make(chan string, 8)
		for range cap(codes) {
			racers.Go(func() {
				_, err := w.Rotate(context.WithoutCancel(t.Context()), operator, "org_a", k.ID, time.Hour)
				codes <- code(err)
			})
		}
		racers.Wait()
		close(codes)
		tally := map[string]int{}
		for c := range codes {
			tally[c]++
		}
		list, err := w.List(t.Context(), operator, "org_a", app.Page{})
		if err != nil || tally["ok"] != 1 || tally["key_not_active"] != 7 || len(list.Items) != 2 {
			t.Fatalf("%v, %d keys, %v", tally, len(list.Items), err)
		}
		revoked := w.mint(t, keys.New{Org: "org_a", Name: "x"})
		if _, err := w.Revoke(t.Context(), operator, "org_a", revoked.ID); err != nil {
			t.Fatal(err)
		}
		expired := w.mint(t, keys.New{Org: "org_a", Name: "x", ExpiresAt: w.now().Add(time.Hour)})
		w.pass(time.Hour)
		for _, id := range []app.KeyID{revoked.ID, expired.ID} {
			if _, err := w.Rotate(t.Context(), operator, "org_a", id, 0); code(err) != "key_not_active" {
				t.Errorf("%v", err)
			}
		}
	})
}

// A rotation that comes together with a revocation never brings the key back.
func TestRevocationWins(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		for range 20 {
			k := w.mint(t, keys.New{Org: "org_a", Name: "x"})
			var both sync.WaitGroup
			both.Go(func() { w.Rotate(t.Context(), operator, "org_a", k.ID, 30*day) })
			both.Go(func() {
				if _, err := w.Revoke(t.Context(), operator, "org_a", k.ID); err != nil {
					t.Error(err)
				}
			})
			both.Wait()
			if found, err := w.Lookup(t.Context(), k.Hash); err != nil || found.State(w.now()) != app.KeyStateRevoked {
				t.Fatalf("%+v, %v", found, err)
			}
		}
	})
}

func TestRevokeOnceForEver(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		k := w.mint(t, keys.New{Org: "org_a", Name: "x"})
		first, err := w.Revoke(t.Context(), operator, "org_a", k.ID)
		if err != nil || !first.RevokedAt.Equal(w.now()) {
			t.Fatalf("%+v, %v", first, err)
		}
		w.pass(time.Hour)
		again, err := w.Revoke(t.Context(), operator, "org_a", k.ID)
		if err != nil || !again.RevokedAt.Equal(first.RevokedAt) {
			t.Fatalf("%+v, %v", again, err)
		}
	})
}

// A node hears of each mint, rotation and revocation before the call returns.
func TestChangesAreTold(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		var told []string
		w.db.OnChange(func(c app.Change) {
			if c.Noun == "key" {
				told = append(told, string(c.Org)+" "+c.ID)
			}
		})
		k := w.mint(t, keys.New{Org: "org_a", Name: "x"})
		fresh, err := w.Rotate(t.Context(), operator, "org_a", k.ID, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Revoke(t.Context(), operator, "org_a", fresh.ID); err != nil {
			t.Fatal(err)
		}
		for _, id := range []app.KeyID{k.ID, fresh.ID} {
			if n := len(slices.DeleteFunc(slices.Clone(told), func(s string) bool { return s != "org_a "+string(id) })); n != 2 {
				t.Errorf("%s was told %d times: %v", id, n, told)
			}
		}
	})
}

func TestRefusal(t *testing.T) {
	now := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	inside := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	rows := []struct {
		name, from, code string
		key              app.Key
	}{
		{"a plain key", "192.0.2.1", "", app.Key{}},
		{"before its end", "192.0.2.1", "", app.Key{ExpiresAt: now.Add(1)}},
		{"at its end", "192.0.2.1", "key_expired", app.Key{ExpiresAt: now}},
		{"revoked", "192.0.2.1", "key_revoked", app.Key{RevokedAt: now}},
		{"revoked for later: it counts at once", "192.0.2.1", "key_revoked", app.Key{RevokedAt: now.Add(time.Hour)}},
		{"in its grace", "192.0.2.1", "", app.Key{RotatedTo: "key_2", ExpiresAt: now.Add(1)}},
		{"after its grace", "192.0.2.1", "key_rotated", app.Key{RotatedTo: "key_2", ExpiresAt: now}},
		{"from inside", "10.255.0.1", "", app.Key{CIDRs: inside}},
		{"from inside, IPv4 as IPv6", "::ffff:10.255.0.1", "", app.Key{CIDRs: inside}},
		{"from inside, IPv6", "2001:db8::7", "", app.Key{CIDRs: inside}},
		{"from outside", "11.0.0.1", "key_address", app.Key{CIDRs: inside}},
		{"from an unknown address", "", "key_address", app.Key{CIDRs: inside}},
	}
	for _, row := range rows {
		var from netip.Addr
		if row.from != "" {
			from = netip.MustParseAddr(row.from)
		}
		refusal, got := keys.Refusal(&row.key, from, now), ""
		if refusal != nil {
			got = refusal.Code
		}
		if got != row.code {
			t.Errorf("%s: %q, want %q", row.name, got, row.code)
		}
	}
	k := app.Key{CIDRs: inside, ExpiresAt: now.Add(time.Hour)}
	from := netip.MustParseAddr("10.0.0.1")
	if n := testing.AllocsPerRun(100, func() { keys.Refusal(&k, from, now) }); n != 0 {
		t.Errorf("%v allocations for a good key", n)
	}
}

func BenchmarkRefusal(b *testing.B) {
	k := app.Key{ExpiresAt: time.Now().Add(time.Hour), CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	from, now := netip.MustParseAddr("10.0.0.1"), time.Now()
	for b.Loop() {
		if keys.Refusal(&k, from, now) != nil {
			b.Fatal("refused")
		}
	}
}
