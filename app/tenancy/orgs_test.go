package tenancy_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/tenancy"
	"gatehouse/store"
	"gatehouse/store/storetest"
	"gatehouse/store/storetest/each"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var (
	operator = app.Actor{Kind: app.ActorOperator, ID: "opr_1", Scopes: []string{"orgs:*"}}
	noon     = time.Date(2026, 11, 24, 12, 0, 0, 987_654_321, time.UTC)
)

// eachService runs the test on both databases, with the plans free and pro, the
// upstream own, and the organizations acme and other.
func eachService(t *testing.T, test func(t *testing.T, s *tenancy.Service)) {
	each.Store(t, func(t *testing.T, db *store.Store) {
		if _, err := db.SeedPlans(t.Context(), []app.Plan{{Slug: "free", Name: "Free"}, {Slug: "pro", Name: "Pro"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := db.ApplyRouting(t.Context(), []app.Upstream{{Name: "own"}}, nil, false); err != nil {
			t.Fatal(err)
		}
		s := &tenancy.Service{Store: db, Now: func() time.Time { return noon }}
		for _, name := range []string{"Acme", "Other"} {
			if _, err := s.Create(t.Context(), operator, tenancy.New{Name: name}); err != nil {
				t.Fatal(err)
			}
		}
		test(t, s)
	})
}

// result is a word for an error: "ok", or its code.
func result(err error) string {
	if err == nil {
		return "ok"
	}
	return app.AsError(err).Code
}

func TestWhoMayDoWhat(t *testing.T) {
	eachService(t, func(t *testing.T, s *tenancy.Service) {
		acme, err := s.Find(t.Context(), operator, "acme")
		if err != nil {
			t.Fatal(err)
		}
		calls := []struct {
			name, scope string
			call        func(context.Context, app.Actor) error
		}{
			{"find", "orgs:read", func(ctx context.Context, a app.Actor) error { _, err := s.Find(ctx, a, "acme"); return err }},
			{"find nothing", "orgs:read", func(ctx context.Context, a app.Actor) error {
				if _, err := s.Find(ctx, a, "missing"); result(err) != "not_found" {
					return err
				}
				return nil
			}},
			{"list", "orgs:read", func(ctx context.Context, a app.Actor) error { _, err := s.List(ctx, a, app.Page{}); return err }},
			{"create", "orgs:write", func(ctx context.Context, a app.Actor) error {
				_, err := s.Create(ctx, a, tenancy.New{Name: "New"})
				return err
			}},
			{"update", "orgs:write", func(ctx context.Context, a app.Actor) error {
				_, err := s.Update(ctx, a, "acme", tenancy.Edit{})
				return err
			}},
			{"suspend", "orgs:write", func(ctx context.Context, a app.Actor) error { _, err := s.Suspend(ctx, a, "acme", ""); return err }},
			{"resume", "orgs:write", func(ctx context.Context, a app.Actor) error { _, err := s.Resume(ctx, a, "acme"); return err }},
			{"cancel", "orgs:write", func(ctx context.Context, a app.Actor) error { _, err := s.Cancel(ctx, a, "acme"); return err }},
			{"delete", "orgs:write", func(ctx context.Context, a app.Actor) error { return s.Delete(ctx, a, "acme") }},
		}
		for _, call := range calls {
			other := map[string]string{"orgs:read": "orgs:write", "orgs:write": "orgs:read"}[call.scope]
			for _, row := range []struct {
				who   string
				actor app.Actor
				want  string
			}{
				{"anonymous", app.Actor{Kind: app.ActorAnonymous}, "forbidden"},
				{"nobody", app.Actor{}, "forbidden"},
				{"another organization's key", app.Actor{Kind: app.ActorKey, OrgID: "org_other", Scopes: []string{"*"}}, "forbidden"},
				{"the organization's own key", app.Actor{Kind: app.ActorKey, OrgID: acme.ID, Scopes: []string{"*"}}, "forbidden"},
				{"the organization's own user", app.Actor{Kind: app.ActorUser, OrgID: acme.ID, Scopes: []string{"*"}}, "forbidden"},
				{"an operator without scopes", app.Actor{Kind: app.ActorOperator}, "forbidden"},
				{"an operator with the other scope", app.Actor{Kind: app.ActorOperator, Scopes: []string{other, "keys:*"}}, "forbidden"},
				{"an operator with the scope", app.Actor{Kind: app.ActorOperator, Scopes: []string{call.scope}}, "ok"},
			} {
				if got := result(call.call(t.Context(), row.actor)); got != row.want {
					t.Errorf("%s by %s: got %s, want %s", call.name, row.who, got, row.want)
				}
			}
		}
	})
}

func TestCreate(t *testing.T) {
	eachService(t, func(t *testing.T, s *tenancy.Service) {
		for _, row := range []struct {
			in                 tenancy.New
			want, slug, inPlan string
		}{
			{tenancy.New{Name: ""}, "invalid_input", "", ""},
			{tenancy.New{Name: "\x00"}, "invalid_input", "", ""},
			{tenancy.New{Name: strings.Repeat("é", 201)}, "invalid_input", "", ""},
			{tenancy.New{Name: "A", Slug: "Not a slug"}, "invalid_input", "", ""},
			{tenancy.New{Name: "A", Slug: "org_1"}, "invalid_input", "", ""},
			{tenancy.New{Name: "A", Plan: "gold"}, "invalid_input", "", ""},
			{tenancy.New{Name: "A", Upstream: "nowhere"}, "invalid_input", "", ""},
			{tenancy.New{Name: "A", Slug: "acme"}, "slug_taken", "", ""},
			{tenancy.New{Name: "  Béta & Söhne GmbH "}, "ok", "b-ta-s-hne-gmbh", "free"},
			{tenancy.New{Name: "Acme", Plan: "pro", Upstream: "own"}, "ok", "acme-2", "pro"},
			{tenancy.New{Name: "ACME!"}, "ok", "acme-3", "free"},
			{tenancy.New{Name: "日本"}, "ok", "org", "free"},
			{tenancy.New{Name: "日本"}, "ok", "org-2", "free"},
			{tenancy.New{Name: strings.Repeat("x", 100)}, "ok", strings.Repeat("x", 63), "free"},
			{tenancy.New{Name: strings.Repeat("x", 100)}, "ok", strings.Repeat("x", 61) + "-2", "free"},
		} {
			o, err := s.Create(t.Context(), operator, row.in)
			if result(err) != row.want || o.Slug != row.slug || o.Plan != row.inPlan {
				t.Errorf("%+v: got %+v, %v", row.in, o, err)
			}
			if err != nil {
				continue
			}
			read, err := s.Find(t.Context(), operator, string(o.ID))
			if err != nil || read != o || o.Name != strings.TrimSpace(row.in.Name) || o.Status != app.OrgStatusActive {
				t.Errorf("created %+v, reads %+v, %v", o, read, err)
			}
		}
	})
}

// Many create organizations of one name at once: all get slugs of their own.
func TestCreateManyOfOneName(t *testing.T) {
	eachService(t, func(t *testing.T, s *tenancy.Service) {
		var all sync.WaitGroup
		for range 40 {
			all.Go(func() {
				if _, err := s.Create(context.Background(), operator, tenancy.New{Name: "Same"}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		list, err := s.List(t.Context(), operator, app.Page{Search: "same", Limit: 100})
		if err != nil || len(list.Items) != 40 {
			t.Fatalf("%d organizations, %v", len(list.Items), err)
		}
		for _, o := range list.Items {
			if !app.ValidSlug(o.Slug) {
				t.Errorf("%q is no slug", o.Slug)
			}
		}
	})
}

func TestALife(t *testing.T) {
	eachService(t, func(t *testing.T, s *tenancy.Service) {
		text := func(s string) *string { return &s }
		edit := func(e tenancy.Edit) func(ctx context.Context) (app.Org, error) {
			return func(ctx context.Context) (app.Org, error) { return s.Update(ctx, operator, "acme", e) }
		}
		suspend := func(reason string) func(ctx context.Context) (app.Org, error) {
			return func(ctx context.Context) (app.Org, error) { return s.Suspend(ctx, operator, "acme", reason) }
		}
		resume := func(ctx context.Context) (app.Org, error) { return s.Resume(ctx, operator, "acme") }
		cancel := func(ctx context.Context) (app.Org, error) { return s.Cancel(ctx, operator, "acme") }
		for i, row := range []struct {
			step func(context.Context) (app.Org, error)
			want string // error's code, or what the organization is then
		}{
			{edit(tenancy.Edit{}), "Acme free  active "},
			{suspend(" unpaid "), "Acme free  suspended unpaid"},
			{suspend("abuse"), "Acme free  suspended abuse"},
			{suspend(strings.Repeat("x", 501)), "invalid_input"},
			{suspend("\xff"), "invalid_input"},
			{edit(tenancy.Edit{Name: text("ACME"), Plan: text("pro"), Upstream: text("own")}), "ACME pro own suspended abuse"},
			{edit(tenancy.Edit{Name: text(""), Slug: text("A B")}), "invalid_input"},
			{edit(tenancy.Edit{Slug: text("other")}), "slug_taken"},
			{edit(tenancy.Edit{Plan: text("gold")}), "invalid_input"},
			{edit(tenancy.Edit{Upstream: text("nowhere")}), "invalid_input"},
			{resume, "ACME pro own active "},
			{resume, "ACME pro own active "},
			{edit(tenancy.Edit{Upstream: text("")}), "ACME pro  active "},
			{cancel, "ACME pro  cancelled "},
			{suspend("late"), "org_cancelled"},
			{resume, "ACME pro  active "},
		} {
			o, err := row.step(t.Context())
			got := result(err)
			if err == nil {
				got = fmt.Sprintf("%s %s %s %s %s", o.Name, o.Plan, o.Upstream, o.Status, o.Reason)
			}
			if got != row.want {
				t.Errorf("step %d: got %q, want %q", i, got, row.want)
			}
		}
		if err := s.Delete(t.Context(), operator, "acme"); err != nil {
			t.Fatal(err)
		}
		for _, step := range []func(context.Context) (app.Org, error){resume, cancel, suspend(""), edit(tenancy.Edit{})} {
			if _, err := step(t.Context()); result(err) != "not_found" {
				t.Errorf("a deleted organization answers %v", err)
			}
		}
		if o, err := s.Find(t.Context(), operator, "other"); err != nil || o.Name != "Other" {
			t.Errorf("the other organization is %+v, %v", o, err)
		}
	})
}
