package store

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"gatehouse/app"
)

func TestEveryWriteTellsWhatChanged(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, again Options) {
		other := openStore(t, again)
		heard, heardElsewhere := hear(s), hear(other)
		o, k := newOrg("acme", 1), newKey(1, 1)
		var told []string // what OnChange told by the time that each method returned
		for _, write := range []func() error{
			func() error { _, err := s.SeedPlans(t.Context(), []app.Plan{{Slug: "free"}}); return err },
			func() error { _, err := s.SeedPlans(t.Context(), []app.Plan{{Slug: "gold"}}); return err }, // changes nothing
			func() error {
				_, err := s.UpsertPlans(t.Context(), []app.Plan{{Slug: "free"}, {Slug: "pro"}})
				return err
			},
			func() error { return s.InsertOrg(t.Context(), o) },
			func() error { return s.InsertKey(t.Context(), o.ID, k) },
			func() error { return s.RotateKey(t.Context(), o.ID, k.ID, at(9), newKey(2, 2)) },
			func() error { _, err := s.RevokeKey(t.Context(), o.ID, k.ID, at(9)); return err },
			func() error {
				_, err := s.UpdateOrg(t.Context(), o.ID, func(*app.Org) error { return nil })
				return err
			},
			func() error {
				_, err := s.ApplyRouting(t.Context(), []app.Upstream{{Name: "u"}}, []app.Route{{Name: "r", Upstream: "u"}}, false)
				return err
			},
			func() error { return s.DeleteRoute(t.Context(), "r") },
			func() error { return s.DeleteUpstream(t.Context(), "u") },
			func() error { return s.DeletePlan(t.Context(), "pro") },
		} {
			if err := write(); err != nil {
				t.Fatal(err)
			}
			told = heard()
		}
		list, err := other.Changes(t.Context(), 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		var nouns []string
		for i, c := range list {
			nouns = append(nouns, c.Noun)
			if c.Seq != int64(i+1) || told[i] != c.Noun+" "+c.ID || (c.Noun == "key" || c.Noun == "org") != (c.Org == o.ID) {
				t.Errorf("change %d is %+v, told as %s", i, c, told[i])
			}
		}
		want := []string{"plan", "plan", "org", "key", "key", "key", "key", "org", "upstream", "route", "route", "upstream", "plan"}
		if !reflect.DeepEqual(nouns, want) || len(told) != len(want) {
			t.Errorf("got %q, told %q, want %q", nouns, told, want)
		}
		if len(heardElsewhere()) != 0 {
			t.Errorf("another process heard %q without asking", heardElsewhere())
		}
		if part, err := other.Changes(t.Context(), 3, 2); err != nil || !reflect.DeepEqual(part, list[3:5]) {
			t.Errorf("a part is %+v, %v", part, err)
		}
		if seq, err := other.LastChange(t.Context()); err != nil || seq != int64(len(list)) {
			t.Errorf("the last change is %d, %v", seq, err)
		}
		if none, err := other.Changes(t.Context(), int64(len(list)), 10); err != nil || len(none) != 0 {
			t.Errorf("after the last comes %+v, %v", none, err)
		}
	})
}

func TestAFailedWriteTellsNothing(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		id := insertOrgs(t, s, "acme")[0].ID
		before, err := s.LastChange(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		heard := hear(s)
		stop := errors.New("stop")
		if _, err := s.UpdateOrg(t.Context(), id, func(o *app.Org) error { o.Name = "x"; return stop }); !errors.Is(err, stop) {
			t.Errorf("got %v", err)
		}
		wantKind(t, s.InsertOrg(t.Context(), newOrg("acme", 1)), app.KindConflict, "slug_taken")
		wantKind(t, s.DeletePlan(t.Context(), "missing"), app.KindNotFound, "not_found")
		if after, err := s.LastChange(t.Context()); err != nil || after != before || len(heard()) != 0 {
			t.Errorf("from change %d to %d, %v; heard %q", before, after, err, heard())
		}
	})
}

// A node that follows while many write, in two processes, sees every number
// once and in order: none appears behind one that it has seen.
func TestChangesFollowTheOrderOfCommits(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, again Options) {
		orgs := insertOrgs(t, s, "a", "b", "c", "d")
		stores := []*Store{s, openStore(t, again)}
		const each = 25
		after, err := s.LastChange(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		last := after + int64(len(orgs)*each)
		var writers sync.WaitGroup
		for i, o := range orgs {
			writers.Go(func() {
				for range each {
					if _, err := stores[i%2].UpdateOrg(context.Background(), o.ID, func(*app.Org) error { return nil }); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		defer writers.Wait()
		soon, cancel := context.WithTimeout(t.Context(), time.Minute) // a lost change fails, and does not hang
		defer cancel()
		for after < last {
			list, err := s.Changes(soon, after, 7)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range list {
				if c.Seq != after+1 {
					t.Fatalf("after change %d comes %d", after, c.Seq)
				}
				after = c.Seq
			}
		}
	})
}

func TestANodeFarBehindHasToLoadEverything(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		id := insertOrgs(t, s, "acme")[0].ID
		update := func() {
			if _, err := s.UpdateOrg(t.Context(), id, func(*app.Org) error { return nil }); err != nil {
				t.Fatal(err)
			}
		}
		update()
		err := s.system(t.Context(), "a test lets many changes pass", func(tx *tx) error {
			_, err := tx.exec(`UPDATE main.revision SET seq = seq + $1`, keptChanges)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		update() // number 3 + keptChanges + 1; those up to 4 are dropped
		_, err = s.Changes(t.Context(), 1, 10)
		wantKind(t, err, app.KindConflict, "changes_lost")
		if list, err := s.Changes(t.Context(), keptChanges+3, 10); err != nil || len(list) != 1 {
			t.Fatalf("got %+v, %v", list, err)
		}
	})
}
