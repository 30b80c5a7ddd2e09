package routing

import (
	"fmt"
	"net/url"
	"path"
	"strings"
	"testing"

	"gatehouse/app"
)

// routes are named by what they match: "host|prefix|method".
func routes(names ...string) (list []app.Route) {
	for _, name := range names {
		part := strings.Split(name+"||", "|")
		r := app.Route{Name: name, PathPrefix: part[1]}
		if part[0] != "" {
			r.Hosts = []string{part[0]}
		}
		if part[2] != "" {
			r.Methods = []string{part[2]}
		}
		list = append(list, r)
	}
	return list
}

// answer writes a table's answer as a word: a route's name, "closed", "none"
// or an error's code.
func answer(table *Table, list []app.Route, method, host, path string) string {
	found, err := table.Find(method, host, path)
	switch {
	case err != nil:
		return app.AsError(err).Code
	case found.Closed:
		return "closed"
	case found.Route < 0:
		return "none"
	}
	return list[found.Route].Name
}

func TestTheMostSpecificRouteWins(t *testing.T) {
	list := routes("|/", "|/api", "|/api/v1|POST", "|/api/v1", "api.example.com|/", "api.example.com|/v2",
		"*.example.com|/", "*.example.com|/api/v1/deep", "*.eu.example.com|/v2", "2001:db8::1|/six", "|/GET-only|GET", "|/büro/a b")
	table := Compile(list)
	for _, row := range []struct{ method, host, path, want string }{
		{"GET", "other.org", "/", "|/"},
		{"GET", "other.org", "", "|/"},
		{"GET", "other.org", "/api", "|/api"},
		{"GET", "other.org", "/api/", "|/api"},
		{"GET", "other.org", "/apia", "|/"}, // whole segments
		{"GET", "other.org", "/api/x/y/z", "|/api"},
		{"POST", "other.org", "/api/v1/x", "|/api/v1|POST"}, // with methods before without
		{"PUT", "other.org", "/api/v1/x", "|/api/v1"},
		{"GET", "api.example.com", "/api/v1", "api.example.com|/"}, // host before prefix
		{"GET", "API.Example.COM.:8080", "/v2/x", "api.example.com|/v2"},
		{"GET", "a.example.com", "/api", "*.example.com|/"},
		{"GET", "a.b.example.com", "/api/v1/deep/x", "*.example.com|/api/v1/deep"},
		{"GET", "a.eu.example.com", "/v2", "*.eu.example.com|/v2"},
		{"GET", "a.eu.example.com", "/v3", "*.example.com|/"}, // the longer suffix has no such route
		{"GET", "example.com", "/", "|/"},                     // the wildcard wants a label
		{"GET", "evil-example.com", "/", "|/"},
		{"GET", "[2001:DB8::1]:443", "/six", "2001:db8::1|/six"},
		{"GET", "[2001:db8::1]", "/six", "2001:db8::1|/six"},
		{"GET", "", "/api", "|/api"},
		{"HEAD", "other.org", "/GET-only", "|/GET-only|GET"},
		{"POST", "other.org", "/GET-only", "|/"},
		{"get", "other.org", "/GET-only", "|/"}, // methods have a case
		{"GET", "other.org", "/b%C3%BCro/a%20b/c", "|/büro/a b"},
		{"GET", "other.org", "/b%c3%bcro/a b", "|/büro/a b"},
		{"OPTIONS", "other.org", "*", "path_malformed"},
	} {
		if got := answer(table, list, row.method, row.host, row.path); got != row.want {
			t.Errorf("%s %s%s: got %s, want %s", row.method, row.host, row.path, got, row.want)
		}
	}
	if got := answer(Compile(nil), nil, "GET", "a", "/"); got != "none" {
		t.Errorf("an empty table answers %s", got)
	}
}

func TestAmongEqualsTheNameDecides(t *testing.T) {
	for _, list := range [][]app.Route{
		{{Name: "b", PathPrefix: "/x"}, {Name: "a", PathPrefix: "/x/"}},
		{{Name: "a", PathPrefix: "/x"}, {Name: "b", PathPrefix: "/x"}},
	} {
		if got := answer(Compile(list), list, "GET", "h", "/x"); got != "a" {
			t.Errorf("got %s", got)
		}
	}
}

// What reaches an app may not look, to any app, like a path of another route.
func TestPathsCannotDodgeARoute(t *testing.T) {
	list := routes("|/", "|/admin", "|/files", "|/Docs")
	list[0].Closed = []string{"/internal", "/.git", "/a/b"}
	list[2].Closed = []string{"/files/secret/"}
	table := Compile(list)
	for _, row := range []struct{ path, want string }{
		{"/admin", "|/admin"},
		{"/admin/x", "|/admin"},
		{"/administrator", "|/"},
		// dot segments
		{"/..", "path_dots"}, {"/.", "path_dots"}, {"/files/../admin", "path_dots"}, {"/files/./x", "path_dots"},
		{"/files/%2e%2e/admin", "path_dots"}, {"/files/%2E%2e/admin", "path_dots"}, {"/files/.%2e/admin", "path_dots"},
		{"/files/%252e%252e/admin", "path_dots"}, {"/files/..%2fadmin", "path_dots"}, {"/files/..%5cadmin", "path_dots"},
		{`/files/..\admin`, "path_dots"}, {"/files/..;x=1/admin", "path_dots"}, {"/files/..%3bx/admin", "path_dots"},
		{"/files/...", "path_dots"}, {"/files/..%20/x", "path_dots"}, {"/files/%20../x", "path_dots"}, {"/files/..%00", "path_malformed"},
		{"/files/..%3f", "path_dots"}, {"/files/..%23", "path_dots"},
		{"/files/..a", "|/files"}, {"/files/a..b", "|/files"}, {"/files/.well-known", "|/files"},
		// another route by another reading
		{"/%61dmin", "|/admin"}, {"/%61%64min/%78", "|/admin"}, {"/%2561dmin", "path_ambiguous"},
		{"//admin", "path_ambiguous"}, {"/x//admin", "|/"}, {"/%2fadmin", "path_ambiguous"}, {"/admin%2fx", "path_ambiguous"},
		{"/admin%2Fx", "path_ambiguous"}, {"/admin%252fx", "path_ambiguous"}, {"/admin%5Cx", "path_ambiguous"}, {`/admin\x`, "path_ambiguous"},
		{"/ADMIN", "path_ambiguous"}, {"/Admin/x", "path_ambiguous"}, {"/%41dmin", "path_ambiguous"},
		{"/admin;x=1", "path_ambiguous"}, {"/admin;/x", "path_ambiguous"}, {"/admin%3bx", "path_ambiguous"}, {"/;x/admin", "path_ambiguous"},
		{"/admin.", "path_ambiguous"}, {"/admin%2e", "path_ambiguous"}, {"/admin%20", "path_ambiguous"}, {"/admin.%20./x", "path_ambiguous"},
		{"/admin%3fx", "path_ambiguous"}, {"/admin%23x", "path_ambiguous"}, {"/%20/admin", "path_ambiguous"},
		{"/docs", "path_ambiguous"}, {"/Docs", "|/Docs"}, {"/Docs/API", "|/Docs"},
		// closed paths
		{"/internal", "closed"}, {"/internal/x", "closed"}, {"/internals", "|/"}, {"/%69nternal", "closed"},
		{"/INTERNAL", "closed"}, {"//internal", "closed"}, {"/internal;x", "closed"}, {"/internal.", "closed"}, {"/internal%2fx", "closed"},
		{"/%2Finternal", "closed"}, {"/internal%5cx", "closed"}, {"/internal%3Fx", "closed"}, {"/%2569nternal", "closed"},
		{"/.git/config", "closed"}, {"/.GIT/config", "closed"}, {"/a/b", "closed"}, {"/a%2fb/c", "closed"}, {"/a//b", "closed"}, {"/a/c", "|/"},
		{"/files/secret", "closed"}, {"/files/secret%2fx", "closed"}, {"/files//Secret/x", "closed"}, {"/files/secrets", "|/files"},
		// malformed
		{"/%", "path_malformed"}, {"/%4", "path_malformed"}, {"/%zz", "path_malformed"}, {"/x%00", "path_malformed"}, {"/x%2500", "path_malformed"},
		{"/x%0d%0aSet-Cookie:1", "path_malformed"}, {"/x%7f", "path_malformed"}, {"/x\n", "path_malformed"}, {"admin", "path_malformed"},
		// legitimate oddities pass
		{"/files/a%2Fb", "|/files"}, {"/files/a%2fb%2Fc", "|/files"}, {"/files//x", "|/files"}, {"/files/", "|/files"}, {"/files/a;v=1", "|/files"},
		{"/files/README.md", "|/files"}, {"/files/100%25", "|/files"}, {"/files/a%20b", "|/files"}, {"/files/a%5Cb", "|/files"},
		{"/files/C%23/what%3F", "|/files"}, {"/files/%FF", "|/files"}, {"/files/%E2%80%A6", "|/files"}, {"/files/end.", "|/files"},
		{"/proxy/https://example.com/x", "|/"}, {"/proxy/https%3A%2F%2Fexample.com%2Fx", "|/"}, {"/~user/a+b,c=d@e:f!$&'()*", "|/"},
		{"/" + strings.Repeat("A/", 4000), "|/"},
	} {
		if got := answer(table, list, "GET", "h", row.path); got != row.want {
			t.Errorf("%.60q: got %s, want %s", row.path, got, row.want)
		}
	}
}

// The apps of the fuzz test: how frameworks are known to read a path.
var apps = map[string]func(string) string{
	"as it is":         func(p string) string { return p },
	"decoding":         decode,
	"decoding twice":   func(p string) string { return decode(decode(p)) },
	"cleaning":         func(p string) string { return path.Clean(decode(p)) },
	"case-insensitive": func(p string) string { return strings.ToLower(path.Clean(decode(p))) },
	"Windows":          func(p string) string { return path.Clean(trimDots(strings.ReplaceAll(decode(p), `\`, "/"))) },
	"path parameters":  func(p string) string { return path.Clean(decode(cutParameters(p))) },
	"late parameters":  func(p string) string { return path.Clean(cutParameters(decode(p))) },
	"one slash":        func(p string) string { return strings.ReplaceAll(decode(p), "//", "/") },
}

func decode(p string) string {
	if decoded, err := url.PathUnescape(p); err == nil {
		return decoded
	}
	return p
}

func eachSegment(p string, change func(string) string) string {
	parts := strings.Split(p, "/")
	for i := range parts {
		parts[i] = change(parts[i])
	}
	return strings.Join(parts, "/")
}

func cutParameters(p string) string {
	return eachSegment(p, func(s string) string { s, _, _ = strings.Cut(s, ";"); return s })
}

func trimDots(p string) string {
	return eachSegment(p, func(s string) string {
		if strings.Trim(s, ".") == "" {
			return s
		}
		return strings.TrimRight(s, ". ")
	})
}

// FuzzNoAppSeesAnotherRoute: a path that passes on the open route is, to no
// app, one of the guarded route or a closed one.
func FuzzNoAppSeesAnotherRoute(f *testing.F) {
	for _, seed := range []string{"/", "/admin", "/a/../admin", "/%61dmin", "//admin", "/x/..;/admin", `/\admin`, "/closed%2fx", "/%2e%2e/closed",
		"/ADMIN", "/admin.", "/admin%20", "/%2561dmin", "/.%2e/admin", "/admin;a/b", "/;/admin", "/files/a%2Fb", "/./admin", "/%2f/admin", "/%5cclosed"} {
		f.Add(seed)
	}
	list := routes("|/", "|/admin")
	list[0].Closed = []string{"/closed"}
	table := Compile(list)
	f.Fuzz(func(t *testing.T, p string) {
		if _, err := url.PathUnescape(p); err != nil || !strings.HasPrefix(p, "/") || answer(table, list, "GET", "h", p) != "|/" {
			return
		}
		for name, read := range apps {
			seen := read(p)
			for _, guarded := range []string{"/admin", "/closed"} {
				if seen == guarded || strings.HasPrefix(seen, guarded+"/") {
					t.Errorf("%q passes on the open route, and the app %q reads it as %q", p, name, seen)
				}
			}
		}
	})
}

func TestCutPrefix(t *testing.T) {
	for _, row := range []struct {
		path, prefix, rest string
		ok                 bool
	}{
		{"/api/x", "/api", "/x", true}, {"/api", "/api", "/", true}, {"/api/", "/api/", "/", true}, {"/api", "/api/", "/", true},
		{"/apix", "/api", "/apix", false}, {"/ap", "/api", "/ap", false}, {"/x", "", "/x", true}, {"", "/", "/", true},
		{"/%61pi/a%2Fb", "/api", "/a%2Fb", true}, {"/api%2Fx", "/api", "/api%2Fx", false}, {"%2Fapi", "/api", "%2Fapi", false},
		{"/b%C3%BCro/x", "/büro", "/x", true}, {"/%zz", "/api", "/%zz", false}, {"/ap%6", "/api", "/ap%6", false},
	} {
		if rest, ok := CutPrefix(row.path, row.prefix); rest != row.rest || ok != row.ok {
			t.Errorf("%s without %s: got %s, %t", row.path, row.prefix, rest, ok)
		}
	}
}

func TestFindAllocatesNothing(t *testing.T) {
	list := routes("|/", "|/api/v1/orders", "*.example.com|/admin")
	list[1].Closed = []string{"/api/v1/orders/internal"}
	table := Compile(list)
	for _, path := range []string{"/api/v1/orders/17", "/api/v1/orders/a%2Fb/README.md", "/"} {
		if n := testing.AllocsPerRun(100, func() { table.Find("GET", "app.example.com:8080", path) }); n != 0 {
			t.Errorf("%s: %g allocations", path, n)
		}
	}
}

// On a 2-core machine: about 40 ns a plain path, whatever the number of routes.
func BenchmarkFind(b *testing.B) {
	for _, n := range []int{1, 10, 1000} {
		list := routes("|/")
		for i := range n {
			list = append(list, app.Route{Name: fmt.Sprint(i), PathPrefix: fmt.Sprintf("/api/v1/thing-%d", i)})
		}
		table := Compile(list)
		for name, path := range map[string]string{"plain": "/api/v1/thing-0/17/lines", "odd": "/api/v1/thing-0/a%2Fb/README.md"} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					table.Find("GET", "app.example.com:8080", path)
				}
			})
		}
	}
}
