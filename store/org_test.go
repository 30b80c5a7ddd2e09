package store

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/app"
)

// at is a time in the store's precision.
func at(second int64) time.Time { return time.Unix(1_700_000_000+second, 123_000_000).UTC() }

// newOrg is an organization of the slug on the plan free, created at the second.
func newOrg(slug string, second int64) app.Org {
	return app.Org{ID: app.OrgID(app.NewID("org", at(second))), Slug: slug, Name: "Name of " + slug,
		Status: app.OrgStatusActive, Plan: "free", CreatedAt: at(second), UpdatedAt: at(second)}
}

// insertOrgs adds the plan free and an organization for each slug, a second apart.
func insertOrgs(t testing.TB, s *Store, slugs ...string) []app.Org {
	t.Helper()
	if _, err := s.SeedPlans(t.Context(), []app.Plan{{Slug: "free", Name: "Free"}}); err != nil {
		t.Fatal(err)
	}
	var list []app.Org
	for i, slug := range slugs {
		list = append(list, newOrg(slug, int64(i)))
		if err := s.InsertOrg(t.Context(), list[i]); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// wantKind fails unless err has the kind and the code.
func wantKind(t testing.TB, err error, kind app.Kind, code string) {
	t.Helper()
	if got := app.AsError(err); got == nil || got.Kind != kind || got.Code != code {
		t.Fatalf("got error %v, want kind %d with code %s", err, kind, code)
	}
}

func TestOrgReadsBackAsWritten(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		insertOrgs(t, s)
		if _, err := s.ApplyRouting(t.Context(), []app.Upstream{{Name: "own"}}, nil, false); err != nil {
			t.Fatal(err)
		}
		o := newOrg("acme", 1)
		o.Name, o.Upstream, o.Status, o.Reason = "Ünï \"'; --", "own", app.OrgStatusSuspended, "unpaid"
		if err := s.InsertOrg(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Org(t.Context(), o.ID); err != nil || got != o {
			t.Fatalf("got %+v, %v, want %+v", got, err, o)
		}
		if got, err := s.OrgBySlug(t.Context(), "acme"); err != nil || got != o {
			t.Fatalf("got %+v, %v, want %+v", got, err, o)
		}
		if n, err := s.CountOrgs(t.Context()); err != nil || n != 1 {
			t.Fatalf("counted %d, %v", n, err)
		}
	})
}

func TestOrgThatDoesNotExist(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		change := func(*app.Org) error { t.Error("a missing organization was changed"); return nil }
		for _, id := range []app.OrgID{"", "org_missing", "\x00", "\xff", app.OrgID(strings.Repeat("x", 10_000))} {
			_, err := s.Org(t.Context(), id)
			wantKind(t, err, app.KindNotFound, "not_found")
			_, err = s.OrgBySlug(t.Context(), string(id))
			wantKind(t, err, app.KindNotFound, "not_found")
			_, err = s.UpdateOrg(t.Context(), id, change)
			wantKind(t, err, app.KindNotFound, "not_found")
			wantKind(t, s.DeleteOrg(t.Context(), id), app.KindNotFound, "not_found")
		}
	})
}

func TestOrgRefusesWhatClashes(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		orgs := insertOrgs(t, s, "acme", "other")
		wantKind(t, s.InsertOrg(t.Context(), newOrg("acme", 9)), app.KindConflict, "slug_taken")
		_, err := s.UpdateOrg(t.Context(), orgs[1].ID, func(o *app.Org) error { o.Slug = "acme"; return nil })
		wantKind(t, err, app.KindConflict, "slug_taken")

		unknown := newOrg("third", 9)
		unknown.Plan = "gold"
		wantKind(t, s.InsertOrg(t.Context(), unknown), app.KindInvalid, "invalid_input")
		unknown.Plan, unknown.Upstream = "free", "nowhere"
		wantKind(t, s.InsertOrg(t.Context(), unknown), app.KindInvalid, "invalid_input")
		_, err = s.UpdateOrg(t.Context(), orgs[1].ID, func(o *app.Org) error { o.Plan = "gold"; return nil })
		wantKind(t, err, app.KindInvalid, "invalid_input")
		if got, _ := s.Org(t.Context(), orgs[1].ID); got != orgs[1] {
			t.Fatalf("a refused change left %+v", got)
		}
	})
}

func TestUpdateOrgKeepsWhatOthersChangeAtOnce(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, again Options) {
		id := insertOrgs(t, s, "acme")[0].ID
		stores := []*Store{s, openStore(t, again)} // two processes
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				_, err := stores[i%2].UpdateOrg(context.Background(), id, func(o *app.Org) error {
					o.Reason += "x"
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if o, err := s.Org(t.Context(), id); err != nil || o.Reason != strings.Repeat("x", 20) {
			t.Fatalf("got %q, %v, want 20 changes", o.Reason, err)
		}
	})
}

func TestUpdateOrgMayNotMoveIt(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		orgs := insertOrgs(t, s, "acme", "other")
		got, err := s.UpdateOrg(t.Context(), orgs[0].ID, func(o *app.Org) error {
			o.ID, o.CreatedAt, o.Name = orgs[1].ID, at(99), "New"
			return nil
		})
		if err != nil || got.ID != orgs[0].ID || got.CreatedAt != orgs[0].CreatedAt || got.Name != "New" {
			t.Fatalf("got %+v, %v", got, err)
		}
		if other, _ := s.Org(t.Context(), orgs[1].ID); other != orgs[1] {
			t.Fatalf("the other organization became %+v", other)
		}
	})
}

func TestDeleteOrgTakesItsKeysAlong(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		orgs := insertOrgs(t, s, "acme", "other")
		mine, theirs := newKey(1, 1), newKey(2, 2)
		insertKeys(t, s, orgs[0].ID, mine)
		insertKeys(t, s, orgs[1].ID, theirs)
		heard := hear(s)
		if err := s.DeleteOrg(t.Context(), orgs[0].ID); err != nil {
			t.Fatal(err)
		}
		_, err := s.KeyByHash(t.Context(), mine.Hash)
		wantKind(t, err, app.KindNotFound, "not_found")
		if _, err := s.KeyByHash(t.Context(), theirs.Hash); err != nil {
			t.Fatalf("the other organization's key: %v", err)
		}
		want := []string{"org " + string(orgs[0].ID), "key " + string(mine.ID)}
		if got := heard(); !reflect.DeepEqual(got, want) {
			t.Fatalf("heard %q, want %q", got, want)
		}
		if err := s.InsertOrg(t.Context(), newOrg("acme", 5)); err != nil {
			t.Fatalf("the slug is not free again: %v", err)
		}
	})
}

// hear answers a function that tells which changes the store announced since.
func hear(s *Store) func() []string {
	var mu sync.Mutex
	var list []string
	s.OnChange(func(c app.Change) {
		mu.Lock()
		defer mu.Unlock()
		list = append(list, c.Noun+" "+c.ID)
	})
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(list)
	}
}

func TestOrgsFindsAndFilters(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		orgs := insertOrgs(t, s, "acme", "under_score-is-no-slug", "a100", "zoë")
		rename := func(i int, name string, status app.OrgStatus) {
			_, err := s.UpdateOrg(t.Context(), orgs[i].ID, func(o *app.Org) error { o.Name, o.Status = name, status; return nil })
			if err != nil {
				t.Fatal(err)
			}
		}
		rename(0, `ACME 100% \ Söhne`, app.OrgStatusActive)
		rename(2, "Plain", app.OrgStatusSuspended)
		for _, row := range []struct {
			page app.Page
			want []string
		}{
			{app.Page{}, []string{"zoë", "a100", "under_score-is-no-slug", "acme"}},
			{app.Page{Search: "acme"}, []string{"acme"}},
			{app.Page{Search: "SÖHNE"}, []string{"acme"}},
			{app.Page{Search: "100%"}, []string{"acme"}},
			{app.Page{Search: `\`}, []string{"acme"}},
			{app.Page{Search: "r_s"}, []string{"under_score-is-no-slug"}},
			{app.Page{Search: "' OR 1=1 --"}, []string{}},
			{app.Page{Filter: "suspended"}, []string{"a100"}},
			{app.Page{Filter: "active", Search: "a"}, []string{"zoë", "under_score-is-no-slug", "acme"}},
			{app.Page{Filter: "plan:free", Limit: 1}, []string{"zoë"}},
			{app.Page{Filter: "plan:gold"}, []string{}},
			{app.Page{Filter: "upstream:own"}, []string{}},
		} {
			list, err := s.Orgs(t.Context(), row.page)
			got := []string{}
			for _, o := range list.Items {
				got = append(got, o.Slug)
			}
			if err != nil || !reflect.DeepEqual(got, row.want) {
				t.Errorf("%+v: got %q, %v, want %q", row.page, got, err, row.want)
			}
		}
		for _, page := range []app.Page{{Filter: "nonsense"}, {Filter: "plan:"}, {Search: "\x00"}, {Search: "\xff"},
			{Cursor: "!"}, {Cursor: "bm90IGEgY3Vyc29y"}, {Cursor: writeCursor(at(1), "org\x00")}, {Cursor: writeCursor(at(1), strings.Repeat("x", 65))}} {
			_, err := s.Orgs(t.Context(), page)
			wantKind(t, err, app.KindInvalid, "invalid_input")
		}
	})
}

// Pages cover a list exactly once, also when many rows have the same time and
// when rows come and go in between.
func TestOrgsPagesThroughTenThousand(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		insertOrgs(t, s)
		const n = 10_000
		want := insertMany(t, s, n)
		seen, pages := map[app.OrgID]bool{}, 0
		for p := (app.Page{Limit: 200}); ; pages++ {
			list, err := s.Orgs(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range list.Items {
				if seen[o.ID] {
					t.Fatalf("%s comes twice", o.ID)
				}
				seen[o.ID] = true
			}
			if pages == 3 { // newer than what was read, so not part of what follows
				if err := s.InsertOrg(t.Context(), newOrg("latecomer", n)); err != nil {
					t.Fatal(err)
				}
			}
			if p.Cursor = list.Next; p.Cursor == "" {
				break
			}
		}
		for _, id := range want {
			if !seen[id] {
				t.Fatalf("%s is missing", id)
			}
		}
		if len(seen) != n || pages != n/200-1 {
			t.Fatalf("saw %d in %d pages", len(seen), pages+1)
		}
	})
}

// insertMany adds organizations in one transaction, a hundred in each second.
func insertMany(t *testing.T, s *Store, n int) (ids []app.OrgID) {
	t.Helper()
	err := s.system(t.Context(), "a test fills the table", func(tx *tx) error {
		for i := range n {
			o := newOrg(fmt.Sprintf("org-%d", i), int64(i/100))
			ids = append(ids, o.ID)
			if _, err := tx.exec(`INSERT INTO main.org (`+orgColumns+`, search) VALUES ($1, $2, $3, $4, '', 'free', NULL, $5, $6, $7)`,
				o.ID, o.Slug, o.Name, o.Status, inMillis(&o.CreatedAt), inMillis(&o.UpdatedAt), searchText(o)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}
