package routing_test

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/routing"
	"gatehouse/store"
	"gatehouse/store/storetest"
	"gatehouse/store/storetest/each"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var operator = app.Actor{Kind: app.ActorOperator, ID: "opr_1", Scopes: []string{"routes:*"}}

func upstream(name string) app.Upstream {
	return app.Upstream{Name: name, Addresses: []string{"http://127.0.0.1:3000"}, Health: &app.HealthCheck{Path: "/healthz"}}
}

func route(name, prefix, to string) app.Route {
	return app.Route{Name: name, PathPrefix: prefix, Upstream: to, Hosts: []string{"api.example.com"}, Methods: []string{"GET"},
		Headers: app.Edits{Set: map[string]string{"X-Org": "${org.slug}", "X-A": "b"}, Remove: []string{"Cookie"}},
		Closed:  []string{"/internal"}, Auth: []app.AuthMode{app.AuthKey}, Scopes: []string{"files:read"},
		RateLimits: []app.RateLimit{{Name: "minute", Requests: 10, Window: app.Duration(time.Minute)}},
		Weight:     3, BodyLimit: 1 << 20, Timeout: app.Duration(time.Minute)}
}

func result(err error) string {
	if err == nil {
		return "ok"
	}
	return app.AsError(err).Code
}

func TestWhoMayDoWhat(t *testing.T) {
	each.Store(t, func(t *testing.T, db *store.Store) {
		s := &routing.Service{Store: db}
		set := routing.Set{Upstreams: []app.Upstream{upstream("main")}, Routes: []app.Route{route("all", "/", "main")}}
		for _, call := range []struct {
			name, scope string
			call        func(context.Context, app.Actor) error
		}{
			{"apply", "routes:write", func(ctx context.Context, a app.Actor) error { _, err := s.Apply(ctx, a, set, true); return err }},
			{"routes", "routes:read", func(ctx context.Context, a app.Actor) error { _, err := s.Routes(ctx, a); return err }},
			{"upstreams", "routes:read", func(ctx context.Context, a app.Actor) error { _, err := s.Upstreams(ctx, a); return err }},
			{"delete a route", "routes:write", func(ctx context.Context, a app.Actor) error { return s.DeleteRoute(ctx, a, "all") }},
			{"delete an upstream", "routes:write", func(ctx context.Context, a app.Actor) error { return s.DeleteUpstream(ctx, a, "main") }},
		} {
			other := map[string]string{"routes:read": "routes:write", "routes:write": "routes:read"}[call.scope]
			for _, row := range []struct {
				who   string
				actor app.Actor
				want  string
			}{
				{"anonymous", app.Actor{Kind: app.ActorAnonymous}, "forbidden"},
				{"an organization's key", app.Actor{Kind: app.ActorKey, OrgID: "org_1", Scopes: []string{"*"}}, "forbidden"},
				{"an organization's user", app.Actor{Kind: app.ActorUser, OrgID: "org_1", Scopes: []string{"*"}}, "forbidden"},
				{"an operator with the other scope", app.Actor{Kind: app.ActorOperator, Scopes: []string{other}}, "forbidden"},
				{"an operator with the scope", app.Actor{Kind: app.ActorOperator, Scopes: []string{call.scope}}, "ok"},
			} {
				if got := result(call.call(t.Context(), row.actor)); got != row.want {
					t.Errorf("%s by %s: got %s, want %s", call.name, row.who, got, row.want)
				}
			}
		}
	})
}

func TestApplySaysWhatItDid(t *testing.T) {
	each.Store(t, func(t *testing.T, db *store.Store) {
		s := &routing.Service{Store: db}
		for i, row := range []struct {
			set   routing.Set
			prune bool
			want  routing.Applied
		}{
			{routing.Set{Upstreams: []app.Upstream{upstream("b"), upstream("a")}, Routes: []app.Route{route("x", "/x", "a"), route("y", "/y", "b")}}, false,
				routing.Applied{Upstreams: app.Applied{Created: []string{"a", "b"}}, Routes: app.Applied{Created: []string{"x", "y"}}}},
			{routing.Set{Upstreams: []app.Upstream{upstream("a")}, Routes: []app.Route{route("x", "/x", "a")}}, false,
				routing.Applied{Upstreams: app.Applied{Unchanged: []string{"a"}}, Routes: app.Applied{Unchanged: []string{"x"}}}},
			// a route may refer to an upstream that is not in the set but exists
			{routing.Set{Routes: []app.Route{route("x", "/other", "b")}}, false,
				routing.Applied{Routes: app.Applied{Updated: []string{"x"}}}},
			{routing.Set{Upstreams: []app.Upstream{upstream("c")}, Routes: []app.Route{route("y", "/y", "c")}}, true,
				routing.Applied{Upstreams: app.Applied{Created: []string{"c"}, Removed: []string{"a", "b"}},
					Routes: app.Applied{Updated: []string{"y"}, Removed: []string{"x"}}}},
		} {
			got, err := s.Apply(t.Context(), operator, row.set, row.prune)
			if err != nil || !reflect.DeepEqual(got, row.want) {
				t.Errorf("step %d: got %+v, %v, want %+v", i, got, err, row.want)
			}
		}
	})
}

func TestRoutesReadBackAsApplied(t *testing.T) {
	each.Store(t, func(t *testing.T, db *store.Store) {
		s := &routing.Service{Store: db}
		set := routing.Set{Upstreams: []app.Upstream{upstream("a")}, Routes: []app.Route{route("x", "/x", "a")}}
		set.Routes[0].ID, set.Upstreams[0].ID = "rte_chosen", "ups_chosen" // ids are not for a file to choose
		if _, err := s.Apply(t.Context(), operator, set, false); err != nil {
			t.Fatal(err)
		}
		routes, err := s.Routes(t.Context(), operator)
		if err != nil || len(routes) != 1 {
			t.Fatalf("got %+v, %v", routes, err)
		}
		upstreams, err := s.Upstreams(t.Context(), operator)
		if err != nil || len(upstreams) != 1 {
			t.Fatalf("got %+v, %v", upstreams, err)
		}
		r, u := routes[0], upstreams[0]
		if !strings.HasPrefix(string(r.ID), "rte_") || r.ID == "rte_chosen" || !strings.HasPrefix(string(u.ID), "ups_") || u.ID == "ups_chosen" {
			t.Errorf("ids are %s and %s", r.ID, u.ID)
		}
		if r.CreatedAt.IsZero() || r.UpdatedAt.IsZero() || u.CreatedAt.IsZero() || u.UpdatedAt.IsZero() {
			t.Error("times are missing")
		}
		want, wantUpstream := set.Routes[0], set.Upstreams[0]
		want.ID, want.CreatedAt, want.UpdatedAt = r.ID, r.CreatedAt, r.UpdatedAt
		wantUpstream.ID, wantUpstream.CreatedAt, wantUpstream.UpdatedAt = u.ID, u.CreatedAt, u.UpdatedAt
		if !reflect.DeepEqual(r, want) || !reflect.DeepEqual(u, wantUpstream) {
			t.Errorf("got %+v and %+v", r, u)
		}
		// a change keeps the id and the first time
		set.Routes[0].Weight = 9
		if _, err := s.Apply(t.Context(), operator, set, false); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Routes(t.Context(), operator); err != nil || got[0].ID != r.ID || got[0].CreatedAt != r.CreatedAt || got[0].Weight != 9 {
			t.Errorf("got %+v, %v", got, err)
		}
		if got, err := db.Upstream(t.Context(), "a"); err != nil || !reflect.DeepEqual(got, u) {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

func TestApplyRefuses(t *testing.T) {
	each.Store(t, func(t *testing.T, db *store.Store) {
		s := &routing.Service{Store: db}
		if _, err := s.Apply(t.Context(), operator, routing.Set{Upstreams: []app.Upstream{upstream("a")}, Routes: []app.Route{route("x", "/Docs", "a")}}, false); err != nil {
			t.Fatal(err)
		}
		badAddress := upstream("b")
		badAddress.Addresses = []string{"ftp://x"}
		prefixed := func(prefix string) routing.Set { return routing.Set{Routes: []app.Route{route("y", prefix, "a")}} }
		closed, strip, elsewhere := route("y", "/y", "a"), route("y", "/y", "a"), route("y", "/docs", "a")
		elsewhere.Hosts = nil
		closed.Closed = []string{"/ok", "/a/../b"}
		strip.StripPrefix = "/a%20b"
		for _, row := range []struct {
			set   routing.Set
			prune bool
			field string
		}{
			{routing.Set{Upstreams: []app.Upstream{badAddress}}, false, "upstreams[0].addresses[0]"},
			{routing.Set{Upstreams: []app.Upstream{upstream("b"), upstream("b")}}, false, "upstreams[1].name"},
			{routing.Set{Routes: []app.Route{route("y", "/y", "a"), route("y", "/z", "a")}}, false, "routes[1].name"},
			{routing.Set{Routes: []app.Route{route("y", "/y", "nowhere")}}, false, "routes.y.upstream"},
			{routing.Set{Routes: []app.Route{route("y", "/y", "a")}}, true, "routes.y.upstream"}, // prune would take it away
			{prefixed("y"), false, "routes[0].path_prefix"},
			{prefixed("/a//b"), false, "routes[0].path_prefix"},
			{prefixed("/a/./b"), false, "routes[0].path_prefix"},
			{prefixed("/a%2fb"), false, "routes[0].path_prefix"},
			{prefixed(`/a\b`), false, "routes[0].path_prefix"},
			{prefixed("/a;b"), false, "routes[0].path_prefix"},
			{prefixed("/a."), false, "routes[0].path_prefix"},
			{prefixed("/a\x00"), false, "routes[0].path_prefix"},
			{prefixed("/docs"), false, "routes.x.path_prefix"},
			{routing.Set{Routes: []app.Route{closed}}, false, "routes[0].closed[1]"},
			{routing.Set{Routes: []app.Route{strip}}, false, "routes[0].strip_prefix"},
		} {
			_, err := s.Apply(t.Context(), operator, row.set, row.prune)
			var fields []string
			for _, f := range app.AsError(err).Fields {
				fields = append(fields, f.Field)
			}
			if result(err) != "invalid_input" || !strings.Contains(strings.Join(fields, " "), row.field) {
				t.Errorf("%+v: got %v in %q, want %s", row.set, err, fields, row.field)
			}
		}
		if routes, err := s.Routes(t.Context(), operator); err != nil || len(routes) != 1 {
			t.Errorf("what was refused left %+v, %v", routes, err)
		}
		if _, err := s.Apply(t.Context(), operator, routing.Set{Routes: []app.Route{elsewhere}}, false); err != nil {
			t.Errorf("the other case on other hosts: %v", err)
		}
		for _, prefix := range []string{"/", "/.well-known", "/büro/Ä b", "/v1.2", "/Docs/"} {
			if _, err := s.Apply(t.Context(), operator, prefixed(prefix), false); err != nil {
				t.Errorf("%s: %v", prefix, err)
			}
		}
	})
}

func TestWhatIsInUseStays(t *testing.T) {
	each.Store(t, func(t *testing.T, db *store.Store) {
		s := &routing.Service{Store: db}
		if _, err := s.Apply(t.Context(), operator, routing.Set{Upstreams: []app.Upstream{upstream("a"), upstream("b")}, Routes: []app.Route{route("x", "/x", "a")}}, false); err != nil {
			t.Fatal(err)
		}
		o := each.Org(t, db, "acme")
		setUpstream := func(name string) {
			if _, err := db.UpdateOrg(t.Context(), o.ID, func(o *app.Org) error { o.Upstream = name; return nil }); err != nil {
				t.Fatal(err)
			}
		}
		setUpstream("b")
		for name, want := range map[string]string{"a": "upstream_in_use", "b": "upstream_in_use", "c": "not_found", "\x00": "not_found"} {
			if err := s.DeleteUpstream(t.Context(), operator, name); result(err) != want {
				t.Errorf("delete upstream %q: got %v, want %s", name, err, want)
			}
		}
		// prune takes everything or nothing
		if _, err := s.Apply(t.Context(), operator, routing.Set{}, true); result(err) != "upstream_in_use" {
			t.Errorf("prune: got %v", err)
		}
		if routes, err := s.Routes(t.Context(), operator); err != nil || len(routes) != 1 {
			t.Fatalf("the refused prune left %d routes, %v", len(routes), err)
		}
		setUpstream("")
		got, err := s.Apply(t.Context(), operator, routing.Set{}, true)
		if err != nil || len(got.Routes.Removed) != 1 || len(got.Upstreams.Removed) != 2 {
			t.Fatalf("got %+v, %v", got, err)
		}
		if err := s.DeleteRoute(t.Context(), operator, "x"); result(err) != "not_found" {
			t.Errorf("delete a missing route: got %v", err)
		}
	})
}
