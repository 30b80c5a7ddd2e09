package keys_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/keys"
)

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
