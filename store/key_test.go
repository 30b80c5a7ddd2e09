package store

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/app"
)

// newKey is a key whose hash is of the number, created at the second.
func newKey(number byte, second int64) app.Key {
	return app.Key{ID: app.KeyID(app.NewID("key", at(second))), Name: fmt.Sprintf("key %d", number), Hint: "gk_live_7Qb2…x9Fd",
		Hash: [32]byte{0: number, 31: 7}, Scopes: []string{"files:read", "files:*"},
		CIDRs:      []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")},
		RateLimits: []app.RateLimit{{Name: "minute", Requests: 10, Window: app.Duration(time.Minute)}},
		ExpiresAt:  at(1_000_000_000), CreatedAt: at(second), CreatedBy: "operator:opr_1"}
}

func insertKeys(t testing.TB, s *Store, org app.OrgID, list ...app.Key) {
	t.Helper()
	for _, k := range list {
		if err := s.InsertKey(t.Context(), org, k); err != nil {
			t.Fatal(err)
		}
	}
}

// keyOwners runs the test for an organization's keys and for the operator's.
func keyOwners(t *testing.T, test func(t *testing.T, s *Store, owner app.OrgID)) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		org := insertOrgs(t, s, "acme")[0].ID
		t.Run("organization", func(t *testing.T) { test(t, s, org) })
		t.Run("operator", func(t *testing.T) { test(t, s, "") })
	})
}

func TestKeyReadsBackAsWritten(t *testing.T) {
	keyOwners(t, func(t *testing.T, s *Store, owner app.OrgID) {
		k := newKey(byte(len(owner)), 1)
		insertKeys(t, s, owner, k)
		k.OrgID = owner
		if got, err := s.Key(t.Context(), owner, k.ID); err != nil || !reflect.DeepEqual(got, k) {
			t.Fatalf("got %+v, %v, want %+v", got, err, k)
		}
		if got, err := s.KeyByHash(t.Context(), k.Hash); err != nil || !reflect.DeepEqual(got, k) {
			t.Fatalf("got %+v, %v, want %+v", got, err, k)
		}
		_, err := s.KeyByHash(t.Context(), [32]byte{9, 9})
		wantKind(t, err, app.KindNotFound, "not_found")
		again := newKey(byte(len(owner)), 2)
		wantKind(t, s.InsertKey(t.Context(), owner, again), app.KindConflict, "key_taken")
	})
}

// A key answers to its owner alone; to another it is as if it did not exist.
func TestKeyOfAnotherOwner(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		orgs := insertOrgs(t, s, "acme", "other")
		theirs, operators := newKey(1, 1), newKey(2, 2)
		insertKeys(t, s, orgs[1].ID, theirs)
		insertKeys(t, s, "", operators)
		for _, row := range []struct {
			who   string
			owner app.OrgID
			id    app.KeyID
		}{
			{"another organization", orgs[0].ID, theirs.ID},
			{"the operator's table", "", theirs.ID},
			{"an organization, the operator's key", orgs[1].ID, operators.ID},
			{"no such organization", "org_missing", theirs.ID},
			{"no such key", orgs[1].ID, "key_missing"},
			{"no text at all", orgs[1].ID, "\x00"},
		} {
			_, err := s.Key(t.Context(), row.owner, row.id)
			missing := app.NotFound("key")
			if !reflect.DeepEqual(err, error(missing)) {
				t.Errorf("%s: read answers %v", row.who, err)
			}
			if _, err = s.RevokeKey(t.Context(), row.owner, row.id, at(5)); !reflect.DeepEqual(err, error(missing)) {
				t.Errorf("%s: revoke answers %v", row.who, err)
			}
			if err = s.RotateKey(t.Context(), row.owner, row.id, at(5), newKey(9, 9)); !reflect.DeepEqual(err, error(missing)) {
				t.Errorf("%s: rotate answers %v", row.who, err)
			}
		}
		for owner, n := range map[app.OrgID]int{orgs[0].ID: 0, orgs[1].ID: 1, "": 1, "org_missing": 0} {
			if list, err := s.Keys(t.Context(), owner, app.Page{}); err != nil || len(list.Items) != n {
				t.Errorf("%q lists %d keys, %v, want %d", owner, len(list.Items), err, n)
			}
		}
		if k, _ := s.Key(t.Context(), orgs[1].ID, theirs.ID); !k.RevokedAt.IsZero() || k.RotatedTo != "" {
			t.Fatalf("a stranger changed the key: %+v", k)
		}
		wantKind(t, s.InsertKey(t.Context(), "org_missing", newKey(5, 5)), app.KindNotFound, "not_found")
	})
}

func TestKeysListsByState(t *testing.T) {
	keyOwners(t, func(t *testing.T, s *Store, owner app.OrgID) {
		s.now = func() time.Time { return at(100) }
		base := byte(10 + len(owner))
		active, expired, revoked, old := newKey(base, 1), newKey(base+1, 2), newKey(base+2, 3), newKey(base+3, 4)
		active.ExpiresAt, expired.ExpiresAt, active.Name = time.Time{}, at(100), "Über-Deploy"
		insertKeys(t, s, owner, active, expired, revoked, old)
		if _, err := s.RevokeKey(t.Context(), owner, revoked.ID, at(50)); err != nil {
			t.Fatal(err)
		}
		if err := s.RotateKey(t.Context(), owner, old.ID, at(101), newKey(base+4, 5)); err != nil {
			t.Fatal(err)
		}
		for _, row := range []struct {
			page app.Page
			want string
		}{
			{app.Page{}, "[54321]"}, {app.Page{Filter: "active"}, "[541]"}, {app.Page{Filter: "expired"}, "[2]"},
			{app.Page{Filter: "revoked"}, "[3]"}, {app.Page{Search: "üBER-dEPL"}, "[1]"}, {app.Page{Limit: 2}, "[54]"},
		} {
			list, err := s.Keys(t.Context(), owner, row.page)
			got := "["
			for _, k := range list.Items {
				got += fmt.Sprint(k.CreatedAt.Sub(at(0)).Seconds())
			}
			if err != nil || got+"]" != row.want {
				t.Errorf("%+v: got %s], %v, want %s", row.page, got, err, row.want)
			}
		}
		_, err := s.Keys(t.Context(), owner, app.Page{Filter: "rotated"})
		wantKind(t, err, app.KindInvalid, "invalid_input")
	})
}

func TestRevokeKeyOnceAndForEver(t *testing.T) {
	keyOwners(t, func(t *testing.T, s *Store, owner app.OrgID) {
		k := newKey(byte(50+len(owner)), 1)
		insertKeys(t, s, owner, k)
		heard := hear(s)
		for _, second := range []int64{5, 6} {
			got, err := s.RevokeKey(t.Context(), owner, k.ID, at(second))
			if err != nil || got.RevokedAt != at(5) || got.Hash != k.Hash {
				t.Fatalf("got %+v, %v", got, err)
			}
		}
		if got := heard(); len(got) != 1 {
			t.Fatalf("heard %q, want one change", got)
		}
		wantKind(t, s.RotateKey(t.Context(), owner, k.ID, at(9), newKey(99, 9)), app.KindConflict, "key_not_active")
		_, err := s.KeyByHash(t.Context(), newKey(99, 9).Hash)
		wantKind(t, err, app.KindNotFound, "not_found")
	})
}

// Many rotate one key at once, in two processes: one succeeds, and there is
// one new key.
func TestRotateKeyOnlyOnce(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, again Options) {
		org := insertOrgs(t, s, "acme")[0].ID
		old := newKey(1, 1)
		insertKeys(t, s, org, old)
		stores := []*Store{s, openStore(t, again)}
		var all sync.WaitGroup
		var won atomic.Int64
		for i := range 10 {
			all.Go(func() {
				err := stores[i%2].RotateKey(context.Background(), org, old.ID, at(60), newKey(byte(100+i), 2))
				switch {
				case err == nil:
					won.Add(1)
				case app.AsError(err).Code != "key_not_active":
					t.Error(err)
				}
			})
		}
		all.Wait()
		list, err := s.Keys(t.Context(), org, app.Page{})
		if err != nil || won.Load() != 1 || len(list.Items) != 2 {
			t.Fatalf("%d rotations won, %d keys, %v", won.Load(), len(list.Items), err)
		}
		fresh, ended := list.Items[0], list.Items[1]
		if ended.ID != old.ID || ended.RotatedTo != fresh.ID || ended.ExpiresAt != at(60) {
			t.Fatalf("the old key is %+v, the fresh one %s", ended, fresh.ID)
		}
	})
}

func TestTouchKeysForwardOnly(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		org := insertOrgs(t, s, "acme")[0].ID
		mine, operators := newKey(1, 1), newKey(2, 2)
		insertKeys(t, s, org, mine)
		insertKeys(t, s, "", operators)
		heard := hear(s)
		touch := func(second int64) {
			used := map[app.KeyID]time.Time{mine.ID: at(second), operators.ID: at(second), "key_gone": at(second)}
			for i := range 2 * touchBatch {
				used[app.KeyID(fmt.Sprintf("key_gone_%d", i))] = at(second)
			}
			if err := s.TouchKeys(t.Context(), used); err != nil {
				t.Fatal(err)
			}
		}
		touch(20)
		touch(10) // a slower node
		for owner, k := range map[app.OrgID]app.Key{org: mine, "": operators} {
			if got, err := s.Key(t.Context(), owner, k.ID); err != nil || got.LastUsedAt != at(20) {
				t.Fatalf("last used %s, %v, want %s", got.LastUsedAt, err, at(20))
			}
		}
		if err := s.TouchKeys(t.Context(), nil); err != nil || len(heard()) != 0 {
			t.Fatalf("got %v, heard %q", err, heard())
		}
	})
}

// Two nodes that touch the same keys at once both succeed.
func TestTouchKeysFromTwoNodes(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, again Options) {
		org := insertOrgs(t, s, "acme")[0].ID
		used := map[app.KeyID]time.Time{}
		for i := range 100 {
			k := newKey(byte(i), int64(i))
			insertKeys(t, s, org, k)
			used[k.ID] = at(1000)
		}
		var all sync.WaitGroup
		for _, node := range []*Store{s, openStore(t, again), openStore(t, again)} {
			all.Go(func() {
				for range 20 {
					if err := node.TouchKeys(context.Background(), used); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
	})
}
