package gateway_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"

	"gatehouse/app"
	"gatehouse/web/gateway"
)

var variables = map[string]string{"X-Id": "${org.id}", "X-Slug": "org=${org.slug};", "X-Plan": "${org.plan}", "X-Key": "${key.id}",
	"X-Actor": "${actor}", "X-Request": "${request.id}", "X-Unknown": "a${nothing}b", "X-Literal": "$5 {} ${"}

func TestRouteEditsHeaders(t *testing.T) {
	s := newStage(t)
	s.routes(app.Route{Name: "all", Auth: []app.AuthMode{app.AuthKey, app.AuthOptional},
		Headers: app.Edits{Set: variables, Remove: []string{"x-secret", "X-Organization-Slug"}}})
	org := s.org("Acme")
	key := s.key(org.ID)
	lies := []string{"X-Id: forged", "x-slug: forged", "X_Slug: forged", "X-Secret: 1", "X-Organization-Slug: forged", "X_Organization_Slug: forged",
		"Connection: X-Slug, X-Id, X-Gatehouse-Org", "X-Request-Id: req-7"}
	rows := []struct {
		name    string
		headers []string
		want    map[string]string
	}{
		{"a key", append([]string{bearer(key.Secret)}, lies...), map[string]string{"X-Id": string(org.ID), "X-Slug": "org=acme;", "X-Plan": "test",
			"X-Key": string(key.ID), "X-Actor": "key:" + string(key.ID), "X-Request": "req-7", "X-Unknown": "ab", "X-Literal": "$5 {} ${"}},
		{"nobody", lies, map[string]string{"X-Id": "", "X-Slug": "org=;", "X-Plan": "", "X-Key": "", "X-Actor": "anonymous",
			"X-Request": "req-7", "X-Unknown": "ab", "X-Literal": "$5 {} ${"}},
	}
	for _, row := range rows {
		header := s.get("/", row.headers...).seen(t).Header
		for name, want := range row.want {
			if got := strings.Join(header.Values(name), "|"); got != want {
				t.Errorf("%s: %s is %q, want %q", row.name, name, got, want)
			}
		}
		for name := range header {
			if plain := strings.ToLower(strings.ReplaceAll(name, "_", "-")); plain == "x-secret" || plain == "x-organization-slug" || name != "X-Slug" && plain == "x-slug" {
				t.Errorf("%s: %s reached the app", row.name, name)
			}
		}
	}
}

// Only the gate says X-Gatehouse-… to the app, however it is spelled.
func TestInboundIdentityIsStripped(t *testing.T) {
	s := newStage(t)
	s.routes(app.Route{Name: "keys", PathPrefix: "/keys"}, app.Route{Name: "open", PathPrefix: "/open", Auth: []app.AuthMode{app.AuthNone}})
	org := s.org("Acme")
	key := s.key(org.ID)
	lies := []string{"X-Gatehouse-Org: forged", "x-gatehouse-org: forged", "X_Gatehouse_Org: forged", "x_gatehouse-org: forged", "X-Gatehouse_Org: forged",
		"X.Gatehouse.Org: forged", "X-GATEHOUSE-ORG-SLUG: forged", "X-Gatehouse-Key: forged", "X-Gatehouse-Actor: forged", "X-Gatehouse-Assertion: forged",
		"X-Gatehouse-Anything: forged", "X-Gatehouse-Request-Id: forged", "Connection: X-Gatehouse-Org, X-Gatehouse-Assertion, X-Gatehouse-Actor"}
	rows := []struct {
		name, path string
		headers    []string
		want       map[string]string // "*": something
	}{
		{"a key", "/keys", append([]string{bearer(key.Secret)}, lies...), map[string]string{"X-Gatehouse-Org": string(org.ID), "X-Gatehouse-Org-Slug": "acme",
			"X-Gatehouse-Org-Plan": "test", "X-Gatehouse-Key": string(key.ID), "X-Gatehouse-Actor": "key:" + string(key.ID),
			"X-Gatehouse-Request-Id": "*", "X-Gatehouse-Assertion": "*"}},
		{"nobody", "/open", lies, map[string]string{"X-Gatehouse-Actor": "anonymous", "X-Gatehouse-Request-Id": "*", "X-Gatehouse-Assertion": "*"}},
	}
	for _, row := range rows {
		header := s.get(row.path, row.headers...).seen(t).Header
		for name, values := range header {
			if strings.Contains(strings.Join(values, "|"), "forged") {
				t.Errorf("%s: %s: %v reached the app", row.name, name, values)
			}
			if _, ours := row.want[name]; !ours && strings.Contains(strings.ToLower(name), "gatehouse") {
				t.Errorf("%s: %s: %v reached the app", row.name, name, values)
			}
		}
		for name, want := range row.want {
			if got := header.Get(name); got != want && (want != "*" || got == "") {
				t.Errorf("%s: %s is %q, want %q", row.name, name, got, want)
			}
		}
		claims, err := s.tokens.Verify(header.Get("X-Gatehouse-Assertion"))
		if err != nil || row.path == "/keys" != (claims.Org == org.ID) {
			t.Errorf("%s: assertion %+v, %v", row.name, claims, err)
		}
	}
}

func TestRouteEditsQueryAndPath(t *testing.T) {
	s := newStage(t)
	s.routes(app.Route{Name: "all"},
		app.Route{Name: "set", PathPrefix: "/set", Query: app.Edits{Set: map[string]string{"org": "${org.slug} & co"}}},
		app.Route{Name: "cut", PathPrefix: "/cut", Query: app.Edits{Remove: []string{"debug", "a b"}}},
		app.Route{Name: "strip", PathPrefix: "/v2", StripPrefix: "/v2"},
		app.Route{Name: "add", PathPrefix: "/add", AddPrefix: "/base/"},
		app.Route{Name: "swap", PathPrefix: "/old", StripPrefix: "/old", AddPrefix: "/new"})
	key := bearer(s.key(s.org("Acme").ID).Secret)
	rows := []struct{ target, path, query string }{
		{"/?b=%41&a;c=%zz&&=", "/", "b=%41&a;c=%zz&&="},
		{"/set", "/set", "org=acme+%26+co"},
		{"/set?a=%7E&&b;c=+", "/set", "a=%7E&&b;c=+&org=acme+%26+co"},
		{"/set?org=evil&a=1&org=evil", "/set", "a=1&org=acme+%26+co"},
		{"/set?%6Frg=evil&o%72g&a=1", "/set", "a=1&org=acme+%26+co"},
		{"/set?a=1;org=evil;b=2", "/set", "a=1;b=2&org=acme+%26+co"},
		{"/set?org[]=evil&org%5B0%5D=evil&org%00x=evil&Org=kept", "/set", "Org=kept&org=acme+%26+co"},
		{"/cut?debug=1", "/cut", ""},
		{"/cut?x=1&debug=1", "/cut", "x=1"},
		{"/cut?debug&x=%2f", "/cut", "x=%2f"},
		{"/cut?a+b=1&a%20b=2&x=a;y&", "/cut", "x=a;y&"},
		{"/v2", "/", ""},
		{"/v2/a%2Fb/", "/a%2Fb/", ""},
		{"/add/x?y", "/base/add/x", "y"},
		{"/old/x", "/new/x", ""},
	}
	for _, row := range rows {
		if got := s.get(row.target, key).seen(t); got.Path != row.path || got.Query != row.query {
			t.Errorf("%s: the app is asked for %s?%s, want %s?%s", row.target, got.Path, got.Query, row.path, row.query)
		}
	}
}

func TestClosedPathsAndPathTricks(t *testing.T) {
	s := newStage(t)
	s.routes(app.Route{Name: "all", Closed: []string{"/admin", "/a/b"}},
		app.Route{Name: "open", PathPrefix: "/public", Auth: []app.AuthMode{app.AuthNone}, Closed: []string{"/public/internal"}})
	key := bearer(s.key(s.org("Acme").ID).Secret)
	rows := []struct {
		path, code string
	}{
		{"/", ""}, {"/administrator", ""}, {"/a", ""},
		{"/admin", "path_closed"}, {"/admin/", "path_closed"}, {"/admin/x", "path_closed"}, {"/a/b", "path_closed"},
		{"/%61dmin", "path_closed"}, {"/%2561dmin", "path_closed"}, {"/ADMIN", "path_closed"}, {"//admin", "path_closed"},
		{"/admin;x=1", "path_closed"}, {"/admin%3Bx", "path_closed"}, {"/a%2Fb", "path_closed"}, {"/a//b", "path_closed"}, {"/a%5Cb", "path_closed"},
		{"/admin%20", "path_closed"}, {"/admin%23x", "path_closed"}, {"/admin%3Fx", "path_closed"},
		{"/public/../admin", "path_dots"}, {"/x/%2e%2e/admin", "path_dots"}, {"/x/..%2fadmin", "path_dots"}, {"/./admin", "path_dots"},
		{"/x/..;/admin", "path_dots"}, {"/admin%00", "path_malformed"}, {"/public%2f..%2fadmin", "path_dots"},
		{"/public/internal", "path_closed"}, {"/public/%69nternal", "path_closed"}, {"/PUBLIC/x", "path_ambiguous"}, {"/public%2fx", "path_ambiguous"},
	}
	before := s.app.asked.Load()
	passed := int64(0)
	for _, row := range rows {
		got := s.get(row.path, key)
		if got.code() != row.code || got.status == 200 != (row.code == "") {
			t.Errorf("%s: %d %s, want %q", row.path, got.status, got.body, row.code)
		}
		if row.code == "" {
			passed++
		}
	}
	if asked := s.app.asked.Load() - before; asked != passed {
		t.Errorf("the app was asked %d times, want %d", asked, passed)
	}
}

func TestBodyLimit(t *testing.T) {
	s := newStage(t)
	s.routes(app.Route{Name: "all", BodyLimit: 10})
	key := bearer(s.key(s.org("Acme").ID).Secret)
	rows := []struct {
		name string
		body io.Reader
		code string
	}{
		{"declared, within", strings.NewReader("0123456789"), ""},
		{"declared, beyond", strings.NewReader("0123456789a"), "body_too_large"},
		{"streamed, within", io.MultiReader(strings.NewReader("0123456789")), ""},
		{"streamed, beyond", io.MultiReader(strings.NewReader("0123456789a")), "body_too_large"},
	}
	for _, row := range rows {
		got, err := s.try(t.Context(), "POST", "/", row.body, key)
		s.apply(got, err)
		if got.code() != row.code || row.code == "" && got.seen(t).Body != "0123456789" {
			t.Errorf("%s: %d %s, want %q", row.name, got.status, got.body, row.code)
		}
	}
}

// An organization's own upstream is the only place where its requests go.
func TestOwnUpstream(t *testing.T) {
	s := newStage(t)
	theirs := newSampleApp(t)
	upstreams := []app.Upstream{{Name: "app", Addresses: []string{s.app.URL}}, {Name: "theirs", Addresses: []string{theirs.URL}}}
	list := []app.Route{{Name: "all"}, {Name: "shared", PathPrefix: "/shared", SharedUpstream: true}}
	s.routing(upstreams, list...)
	acme, other := s.org("Acme"), s.org("Other")
	s.apply(s.store.UpdateOrg(t.Context(), acme.ID, func(o *app.Org) error { o.Upstream = "theirs"; return nil }))
	key, otherKey := bearer(s.key(acme.ID).Secret), bearer(s.key(other.ID).Secret)
	for _, row := range []struct{ name, path, key, want string }{
		{"its own", "/", key, theirs.URL}, {"a shared route", "/shared", key, s.app.URL}, {"another organization", "/", otherKey, s.app.URL},
	} {
		if got := s.get(row.path, row.key).seen(t).App; got != row.want {
			t.Errorf("%s: %s answered, want %s", row.name, got, row.want)
		}
	}
	// The gate hears of an organization's move before it hears of the upstream,
	// as it may from another process: it must not fall back on the shared one.
	s.options.Directory = &withoutUpstream{s.store, "theirs"}
	s.gate = newGate(t, s)
	s.serve()
	before := s.app.asked.Load()
	if got := s.get("/", key); got.status != 503 || got.code() != "upstream_missing" || s.app.asked.Load() != before {
		t.Errorf("while it is missing: %d %s", got.status, got.body)
	}
}

// newGate opens another gate on the stage's options.
func newGate(t *testing.T, s *stage) *gateway.Gateway {
	t.Helper()
	gate := gateway.New(s.options)
	if err := gate.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	return gate
}

// withoutUpstream is a directory that has not heard of one upstream yet.
type withoutUpstream struct {
	*directory
	name string
}

func (d *withoutUpstream) Upstreams(ctx context.Context) ([]app.Upstream, error) {
	list, err := d.directory.Upstreams(ctx)
	return slices.DeleteFunc(list, func(u app.Upstream) bool { return u.Name == d.name }), err
}
