package keys_test

import (
	"context"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/keys"
)

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
