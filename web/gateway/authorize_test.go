package gateway_test

import (
	"strings"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/web/gateway"
)

// The question as each proxy puts it.
func TestAuthorizeAsEachProxyAsks(t *testing.T) {
	s := newStage(t)
	s.routes(app.Route{Name: "all"}, app.Route{Name: "open", PathPrefix: "/public", Auth: []app.AuthMode{app.AuthNone}},
		app.Route{Name: "write", PathPrefix: "/", Methods: []string{"POST"}, Scopes: []string{"files:write"}},
		app.Route{Name: "host", Hosts: []string{"open.example"}, Auth: []app.AuthMode{app.AuthNone}},
		app.Route{Name: "closed", PathPrefix: "/closed", Closed: []string{"/closed"}})
	org := s.org("Acme")
	key := bearer(s.key(org.ID).Secret)
	type lines = []string
	rows := []struct {
		name, target string
		headers      lines
		status       int
		code         string
	}{
		{"nothing asked: /, with a key", "", lines{key}, 200, ""},
		{"nothing asked, nobody", "", nil, 401, "credential_missing"},
		{"Traefik, Caddy, nginx", "", lines{key, "X-Forwarded-Method: GET", "X-Forwarded-Host: x", "X-Forwarded-Uri: /x?token=1"}, 200, ""},
		{"and a method with a scope", "", lines{key, "X-Forwarded-Method: POST", "X-Forwarded-Uri: /x"}, 403, "scope_missing"},
		{"and an open path", "", lines{"X-Forwarded-Uri: /public/x"}, 200, ""},
		{"and an open host", "", lines{"X-Forwarded-Host: open.example", "X-Forwarded-Uri: /x"}, 200, ""},
		{"and a closed path", "", lines{key, "X-Forwarded-Uri: /closed/x"}, 404, "path_closed"},
		{"and a closed path, encoded", "", lines{key, "X-Forwarded-Uri: /%63losed?x"}, 404, "path_closed"},
		{"and a fragment", "", lines{key, "X-Forwarded-Uri: /closed#x"}, 400, "path_ambiguous"},
		{"and dots", "", lines{"X-Forwarded-Uri: /public/../x"}, 400, "path_dots"},
		{"and no path", "", lines{"X-Forwarded-Uri: http://open.example/public"}, 400, "path_malformed"},
		{"nginx otherwise", "", lines{key, "X-Original-Method: POST", "X-Original-Uri: /x"}, 403, "scope_missing"},
		{"and an open path, otherwise", "", lines{"X-Original-Uri: /public"}, 200, ""},
		{"Envoy, below the path", "/x", lines{key}, 200, ""},
		{"Envoy, an open path", "/public/x?token=1", nil, 200, ""},
		{"Envoy, a closed path", "/closed", lines{key}, 404, "path_closed"},
		{"X-Original-Uri of the client beside the proxy's own", "", lines{"X-Forwarded-Uri: /x", "X-Original-Uri: /public"}, 400, "question_ambiguous"},
		{"X-Forwarded-Uri of the client beside the proxy's own", "", lines{"X-Original-Uri: /x", "X-Forwarded-Uri: /public"}, 400, "question_ambiguous"},
		{"X-Original-Method of the client", "", lines{key, "X-Forwarded-Method: POST", "X-Forwarded-Uri: /x", "X-Original-Method: GET"}, 400, "question_ambiguous"},
		{"X-Forwarded-Host of the client, otherwise", "", lines{"X-Original-Uri: /x", "X-Forwarded-Host: open.example"}, 401, "credential_missing"},
		{"X-Forwarded-Uri of the client under Envoy", "/x", lines{"X-Forwarded-Uri: /public"}, 400, "question_ambiguous"},
		{"X-Forwarded-Uri twice", "", lines{"X-Forwarded-Uri: /public", "X-Forwarded-Uri: /x"}, 400, "question_ambiguous"},
	}
	for _, row := range rows {
		got := s.get("/v1/authorize"+row.target, row.headers...)
		if got.status != row.status || got.code() != row.code {
			t.Errorf("%s: %d %s, want %d %s", row.name, got.status, got.body, row.status, row.code)
		}
	}
	if s.app.asked.Load() != 0 {
		t.Error("the app was asked")
	}
}

func TestAuthorizeAnswersWithIdentity(t *testing.T) {
	s := newStage(t, func(s *stage) { s.plan.RateLimits = []app.RateLimit{perHour("hour", 2)} })
	s.routes(app.Route{Name: "all", Auth: []app.AuthMode{app.AuthKey, app.AuthOptional}, Headers: app.Edits{Set: map[string]string{"X-Slug": "${org.slug}"}}})
	org := s.org("Acme")
	key := s.key(org.ID)
	got := s.get("/v1/authorize", bearer(key.Secret), "X-Gatehouse-Org: forged")
	for name, want := range map[string]string{gateway.HeaderOrg: string(org.ID), gateway.HeaderOrgSlug: "acme", gateway.HeaderOrgPlan: "test",
		gateway.HeaderKey: string(key.ID), gateway.HeaderActor: "key:" + string(key.ID), "X-Slug": "acme", "Cache-Control": "no-store",
		"Ratelimit": `"hour";r=1;t=1800`} {
		if got.header.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.header.Get(name), want)
		}
	}
	if claims, err := s.tokens.Verify(got.header.Get(gateway.HeaderAssertion)); err != nil || claims.Org != org.ID {
		t.Errorf("assertion %+v, %v", claims, err)
	}
	if got = s.get("/v1/authorize"); got.status != 200 || got.header.Get(gateway.HeaderActor) != "anonymous" {
		t.Errorf("nobody: %d %v", got.status, got.header)
	}
	for _, name := range []string{gateway.HeaderOrg, gateway.HeaderOrgSlug, gateway.HeaderOrgPlan, gateway.HeaderKey, "X-Slug"} {
		if values := got.header[name]; len(values) != 1 || values[0] != "" { // a proxy that copies it overwrites the client's
			t.Errorf("nobody: %s is %q, want it empty", name, values)
		}
	}
}

// nginx understands 401 and 403 alone; what it really is stands in a header.
func TestAuthorizeRefusesFor(t *testing.T) {
	s := newStage(t, func(s *stage) { s.plan.RateLimits = []app.RateLimit{perHour("hour", 1)} })
	s.routes(app.Route{Name: "all", Closed: []string{"/closed"}})
	org, limited := s.org("Acme"), s.org("Limited")
	key, spent := bearer(s.key(org.ID).Secret), bearer(s.key(limited.ID).Secret)
	s.get("/", spent)
	for _, row := range []struct {
		name         string
		headers      []string
		status       int
		truth, code  string
		wantsRetries bool
	}{
		{"nobody", nil, 401, "401", "credential_missing", false},
		{"closed", []string{key, "X-Forwarded-Uri: /closed"}, 403, "404", "path_closed", false},
		{"limited", []string{spent}, 403, "429", "rate_limited", true},
		{"malformed", []string{key, "X-Forwarded-Uri: /%zz"}, 403, "400", "path_malformed", false},
		{"good", []string{key}, 200, "", "", false},
	} {
		got := s.get("/v1/authorize?refuse=403", row.headers...)
		if got.status != row.status || got.header.Get(gateway.HeaderStatus) != row.truth || got.code() != row.code ||
			row.wantsRetries != (got.header.Get("Retry-After") != "") {
			t.Errorf("%s: %d, in truth %q: %s", row.name, got.status, got.header.Get(gateway.HeaderStatus), got.body)
		}
	}
	fresh := bearer(s.key(s.org("Fresh").ID).Secret)
	fails := func() error { return errDatabase }
	s.store.orgFails.Store(&fails)
	if got := s.get("/v1/authorize?refuse=403", fresh); got.status != 403 || got.header.Get(gateway.HeaderStatus) != "500" {
		t.Errorf("a fault of ours: %d %s", got.status, got.body)
	}
	if text := s.log.String(); !contains(text, "request failed", "the disk is gone") {
		t.Errorf("a fault of ours is not in the log: %s", text)
	}
}

// While no route exists, any path wants a key.
func TestAuthorizeWithoutRoutes(t *testing.T) {
	s := newStage(t, func(s *stage) { s.options.Default = "" })
	key := bearer(s.key(s.org("Acme").ID).Secret)
	if got := s.get("/v1/authorize", key, "X-Forwarded-Uri: /x"); got.status != 200 {
		t.Errorf("with a key: %d %s", got.status, got.body)
	}
	if got := s.get("/v1/authorize", "X-Forwarded-Uri: /x"); got.status != 401 {
		t.Errorf("without: %d", got.status)
	}
	if got := s.get("/x", key); got.code() != "route_not_found" {
		t.Errorf("through the gate: %d %s", got.status, got.body)
	}
	s.routes(app.Route{Name: "some", PathPrefix: "/some"})
	if got := s.get("/v1/authorize", key, "X-Forwarded-Uri: /x"); got.code() != "route_not_found" {
		t.Errorf("beside a route: %d %s", got.status, got.body)
	}
}

func TestCheck(t *testing.T) {
	s := newStage(t, func(s *stage) { s.plan.RateLimits = []app.RateLimit{perHour("hour", 10)} })
	s.routes(app.Route{Name: "all", Auth: []app.AuthMode{app.AuthKey, app.AuthJWT, app.AuthSession}, Closed: []string{"/closed"}},
		app.Route{Name: "files", PathPrefix: "/files", Methods: []string{"PUT"}, Hosts: []string{"files.example"}, Scopes: []string{"files:write"}})
	org := s.org("Acme")
	key, inside := s.key(org.ID), s.key(org.ID, onlyFrom("198.51.100.0/24")).Secret
	may := bearer(s.key("").Secret)
	cannot := bearer(s.key("", scoped("orgs:read")).Secret)
	session, token := s.session(org.ID), s.issuer.token(t, "acme", time.Hour, "")
	rows := []struct {
		name, by, body string
		status         int
		holds          []string
	}{
		{"by nobody", "X: 1", `{}`, 401, []string{"credential_missing"}},
		{"by an organization's key", bearer(key.Secret), `{}`, 403, []string{"scope_missing"}},
		{"by an operator's key without the scope", cannot, `{}`, 403, []string{"scope_missing"}},
		{"by an unknown key", bearer(unknownKey(3)), `{}`, 401, []string{"key_unknown"}},
		{"nothing", may, ``, 400, []string{"invalid_input"}},
		{"no JSON", may, `{"key`, 400, []string{"invalid_input"}},
		{"no key", may, `{}`, 400, []string{`"field":"key"`}},
		{"two documents", may, `{"key": "x"} {"key": "y"}`, 400, []string{"nothing after it"}},
		{"an unknown field", may, `{"key": "x", "tenant": "y"}`, 400, []string{"tenant"}},
		{"a wrong type", may, `{"key": 7}`, 400, []string{`"field":"key"`}},
		{"too large", may, `{"key": "` + string(make([]byte, 65<<10)) + `"}`, 400, nil},
		{"too large, well-formed", may, `{"key": "` + strings.Repeat("x", 65<<10) + `"}`, 413, []string{"body_too_large"}},
		{"an amount below 1", may, `{"key": "x", "amount": -1}`, 400, []string{"amount"}},
		{"an amount beyond bounds", may, `{"key": "x", "amount": 1000001}`, 400, []string{"amount"}},
		{"another meter", may, `{"key": "x", "meter": "tokens"}`, 400, []string{"meter"}},
		{"no address", may, `{"key": "x", "address": "nowhere"}`, 400, []string{"address"}},
		{"a path of dots", may, `{"key": "` + key.Secret + `", "path": "/../x"}`, 400, []string{"path_dots"}},
		{"a good key", may, `{"key": "` + key.Secret + `"}`, 200, []string{`"allowed":true`, `"status":200`, string(org.ID), string(key.ID), `"acme"`, `"remaining":9`}},
		{"an amount", may, `{"key": "` + key.Secret + `", "amount": 4}`, 200, []string{`"allowed":true`, `"remaining":5`}},
		{"too much", may, `{"key": "` + key.Secret + `", "amount": 6}`, 200, []string{`"allowed":false`, `"status":429`, "rate_limited", `"retry_after_seconds"`}},
		{"a session", may, `{"key": "` + session + `"}`, 200, []string{`"allowed":true`, `"user:lena"`}},
		{"a JWT", may, `{"key": "` + token + `"}`, 200, []string{`"allowed":true`, `"user:lena"`}},
		{"a malformed key", may, `{"key": "gk_live_x"}`, 200, []string{`"allowed":false`, `"status":401`, "key_malformed"}},
		{"a closed path", may, `{"key": "` + key.Secret + `", "path": "/closed"}`, 200, []string{`"allowed":false`, `"status":404`}},
		{"a lacking scope", may, `{"key": "` + key.Secret + `", "method": "PUT", "host": "files.example", "path": "/files/7"}`, 200, []string{`"allowed":false`, "scope_missing"}},
		{"another host has no such scope", may, `{"key": "` + key.Secret + `", "method": "PUT", "host": "x", "path": "/files/7"}`, 200, []string{`"allowed":true`}},
		{"an allow-list and no address", may, `{"key": "` + inside + `"}`, 200, []string{`"allowed":false`, "key_address"}},
		{"an allow-list from outside", may, `{"key": "` + inside + `", "address": "192.0.2.1"}`, 200, []string{`"allowed":false`, "key_address"}},
		{"an allow-list from inside", may, `{"key": "` + inside + `", "address": "198.51.100.9"}`, 200, []string{`"allowed":true`}},
	}
	for _, row := range rows {
		got := s.ask("POST", "/v1/check", row.body, row.by)
		if got.status != row.status || !contains(got.body, row.holds...) {
			t.Errorf("%s: %d %s, want %d and %q", row.name, got.status, got.body, row.status, row.holds)
		}
	}
	if sum := s.usage(org.ID); sum.Requests != 6 || sum.Weight != 9 || sum.Unknown != 6 {
		t.Errorf("the ledger has %+v", sum)
	}
}
