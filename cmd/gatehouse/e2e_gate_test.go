package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestCredentialsAtTheGate(t *testing.T) {
	eachGate(t, func(t *testing.T, g *gate) {
		g.routes(`- {name: app, path_prefix: /, upstream: app, closed: [/internal]}
- {name: files, path_prefix: /files, upstream: app, scopes: [files:read]}
- {name: open, path_prefix: /open, upstream: app, auth: [none]}
- {name: maybe, path_prefix: /maybe, upstream: app, auth: [key, optional]}
`)
		org := g.org("pro")
		good := g.key(org)
		reader := g.key(org, "--scope", "files:*")
		here := g.key(org, "--cidr", "192.0.2.0/24")
		revoked := g.key(org)
		g.terminal.do(nil, "key", "revoke", revoked.ID, "--org", org, "--yes")
		old := g.key(org)
		var next mintedKey
		g.terminal.do(&next, "key", "rotate", old.ID, "--org", org, "--grace", "1h")
		gone := g.key(org)
		g.terminal.do(nil, "key", "rotate", gone.ID, "--org", org, "--grace", "0s")
		expired := g.key(org, "--expires", "1s")
		var operator mintedKey
		g.terminal.do(&operator, "key", "create", "--operator", "--name", "x")
		suspended := g.org("pro")
		of := g.key(suspended)
		g.terminal.do(nil, "org", "suspend", suspended)
		last := len(good.Key) - 1
		mistyped := good.Key[:last] + string(rune('0'+(good.Key[last]-'0'+1)%10))

		g.await("the newest changes", func() bool {
			return ask(t, "GET", g.url+"/open", "").status == 200 && g.get("/x", of.Key).problem().Code == "org_suspended" &&
				g.get("/x", expired.Key).status != 200
		})
		for _, c := range []struct {
			name, path, key string
			more            []string
			status          int
			code            string
		}{
			{"no key", "/x", "", nil, 401, "credential_missing"},
			{"good", "/x", good.Key, nil, 200, ""},
			{"mistyped: the checksum does not hold", "/x", mistyped, nil, 401, ""},
			{"malformed", "/x", "gk_live_short", nil, 401, ""},
			{"invented", "/x", "hunter2", nil, 401, ""},
			{"revoked", "/x", revoked.Key, nil, 401, "key_revoked"},
			{"expired", "/x", expired.Key, nil, 401, "key_expired"},
			{"rotated, in its grace", "/x", old.Key, nil, 200, ""},
			{"the one after it", "/x", next.Key, nil, 200, ""},
			{"rotated without grace", "/x", gone.Key, nil, 401, ""},
			{"scope missing", "/files", good.Key, nil, 403, "scope_missing"},
			{"scope held", "/files", reader.Key, nil, 200, ""},
			{"from another address", "/x", here.Key, []string{"X-Forwarded-For: 198.51.100.7"}, 403, ""},
			{"from its network", "/x", here.Key, []string{"X-Forwarded-For: 192.0.2.9"}, 200, ""},
			{"an operator's", "/x", operator.Key, nil, 403, "operator_key"},
			{"of a suspended organization", "/x", of.Key, nil, 403, "org_suspended"},
			{"closed path", "/internal/x", good.Key, nil, 404, "path_closed"},
			{"closed path, dodged", "/x/..%2finternal/x", good.Key, nil, 0, ""},
			{"closed path, doubled", "//internal/x", good.Key, nil, 404, "path_closed"},
			{"open route without a key", "/open", "", nil, 200, ""},
			{"optional, without", "/maybe", "", nil, 200, ""},
			{"optional, with a wrong one", "/maybe", revoked.Key, nil, 401, "key_revoked"},
		} {
			header := c.more
			if c.key != "" {
				header = append(header, "Authorization: Bearer "+c.key)
			}
			got := ask(t, "GET", g.url+c.path, "", header...)
			if c.status == 0 {
				if got.status < 400 {
					t.Errorf("%s: passed with %d", c.name, got.status)
				}
				continue
			}
			if got.status != c.status || c.code != "" && got.problem().Code != c.code {
				t.Errorf("%s: %d %s, want %d %s", c.name, got.status, got.body, c.status, c.code)
			}
			if got.status >= 400 && (got.header.Get("Content-Type") != "application/problem+json" || got.header.Get("X-Request-Id") == "") {
				t.Errorf("%s: a bare refusal: %v %s", c.name, got.header, got.body)
			}
			if strings.Contains(got.body, c.key) && c.key != "" && c.key != "hunter2" {
				t.Errorf("%s: the answer repeats the key", c.name)
			}
		}
		if got := ask(t, "GET", g.url+"/x", "", "X-API-Key: "+good.Key); got.status != 200 {
			t.Errorf("X-API-Key: %d %s", got.status, got.body)
		}
	})
}

func TestTheAppLearnsWhoCalls(t *testing.T) {
	eachGate(t, func(t *testing.T, g *gate) {
		org := g.org("starter")
		key := g.key(org)
		got := ask(t, "POST", g.url+"/things?a=1", "hello", "Authorization: Bearer "+key.Key,
			"X-Gatehouse-Org: org_forged", "X-Gatehouse-Anything: forged", "X_Gatehouse_Org: org_forged")
		s := got.seen(t)
		if s.Path != "/things" || s.Method != "POST" || s.Body != "hello" {
			t.Errorf("the app saw %+v", s)
		}
		var shown shownOrg
		g.terminal.do(&shown, "org", "show", org)
		for name, want := range map[string]string{"X-Gatehouse-Org": shown.ID, "X-Gatehouse-Org-Plan": "starter",
			"X-Gatehouse-Key": key.ID, "X-Gatehouse-Actor": "key:" + key.ID, "X-Gatehouse-Anything": "", "Authorization": ""} {
			if s.Header.Get(name) != want {
				t.Errorf("%s is %q, want %q", name, s.Header.Get(name), want)
			}
		}
		for name := range s.Header {
			if strings.EqualFold(name, "X_Gatehouse_Org") {
				t.Error("a forged header with underscores passed")
			}
		}
		if s.Header.Get("X-Gatehouse-Request-Id") == "" {
			t.Error("no request id")
		}
		assertion := s.Header.Get("X-Gatehouse-Assertion")
		claims := verifyAssertion(t, g.url+"/.well-known/jwks.json", assertion)
		if claims["org_id"] != shown.ID && claims["org"] != shown.ID {
			t.Errorf("the assertion says %v", claims)
		}
	})
}

func TestLimitsAnswerWithWhatIsLeft(t *testing.T) {
	eachGate(t, func(t *testing.T, g *gate) {
		x := g.terminal
		if code, _, errs := x.run("plans:\n- slug: tiny\n  name: Tiny\n  rate_limits: [{name: hour, requests: 3, window: 1h}]\n",
			"plan", "apply", "-f", "-"); code != exitOK {
			t.Fatal(errs)
		}
		key := g.key(g.org("tiny"))
		var got answer
		for i := range 3 {
			if got = g.get("/x", key.Key); got.status != 200 {
				t.Fatalf("request %d: %d %s", i+1, got.status, got.body)
			}
			var left int
			fmt.Sscanf(got.header.Get("RateLimit"), `"hour";r=%d;`, &left) // over Redis, what this replica knows of
			if left > 2-i || left < 1-i || got.header.Get("RateLimit-Policy") != `"hour";q=3;w=3600` {
				t.Errorf("request %d: RateLimit %q, policy %q", i+1, got.header.Get("RateLimit"), got.header.Get("RateLimit-Policy"))
			}
		}
		got = g.get("/x", key.Key)
		if got.status != http.StatusTooManyRequests || got.problem().Code != "rate_limited" {
			t.Fatalf("the fourth: %d %s", got.status, got.body)
		}
		if got.header.Get("Retry-After") == "" || !strings.Contains(got.header.Get("RateLimit"), "r=0") {
			t.Errorf("the refusal's headers: %v", got.header)
		}
		if other := g.key(g.org("tiny")); g.get("/x", other.Key).status != 200 {
			t.Error("another organization is refused, too")
		}
	})
}

func TestTheCommandLineReachesARunningGate(t *testing.T) {
	eachGate(t, func(t *testing.T, g *gate) {
		org := g.org("pro")
		key := g.key(org)
		if got := g.get("/x", key.Key); got.status != 200 { // a new key needs no waiting
			t.Fatalf("%d %s", got.status, got.body)
		}
		becomes := func(what, code string) {
			t.Helper()
			g.await(what, func() bool { return g.get("/x", key.Key).problem().Code == code })
		}
		g.terminal.do(nil, "org", "suspend", org)
		becomes("suspended", "org_suspended")
		g.terminal.do(nil, "org", "resume", org)
		becomes("resumed", "")
		g.routes("- {name: app, path_prefix: /, upstream: app, scopes: [admin]}\n")
		becomes("the route wants a scope", "scope_missing")
		g.routes("- {name: app, path_prefix: /, upstream: app}\n")
		becomes("it no longer does", "")
		g.terminal.do(nil, "key", "revoke", key.ID, "--org", org, "--yes")
		becomes("revoked", "key_revoked")
	})
}

func TestUsageCountsWhatPassed(t *testing.T) {
	eachGate(t, func(t *testing.T, g *gate) {
		org := g.org("pro")
		key := g.key(org)
		for range 7 {
			g.get("/x", key.Key)
		}
		g.get("/x", "gk_live_wrong")
		var usage usageDocument
		g.await("seven requests with their outcome", func() bool {
			usage = usageDocument{}
			g.terminal.do(&usage, "usage", "--org", org)
			return len(usage.Rows) == 1 && usage.Rows[0].Status2 == 7
		})
		if usage.Rows[0].Requests != 7 || usage.Rows[0].Unknown != 0 || usage.Rows[0].BytesOut == 0 {
			t.Errorf("counted %+v", usage.Rows[0])
		}
		if err := g.stop(); err != nil {
			t.Fatal(err)
		}
		g.terminal.do(&usage, "usage", "--org", org) // also when nothing runs
		if usage.Rows[0].Requests != 7 {
			t.Errorf("after the stop: %+v", usage.Rows[0])
		}
	})
}

func TestDecisionsWithoutTheProxy(t *testing.T) {
	eachGate(t, func(t *testing.T, g *gate) {
		key := g.key(g.org("pro"))
		var operator mintedKey
		g.terminal.do(&operator, "key", "create", "--operator", "--name", "x")
		got := ask(t, "GET", g.console+"/v1/authorize", "", "Authorization: Bearer "+key.Key, "X-Forwarded-Method: GET",
			"X-Forwarded-Uri: /x", "X-Forwarded-Host: api.example.com")
		if got.status != 200 || got.header.Get("X-Gatehouse-Org") == "" || got.header.Get("X-Gatehouse-Assertion") == "" {
			t.Errorf("authorize: %d %v %s", got.status, got.header, got.body)
		}
		if got = ask(t, "GET", g.console+"/v1/authorize", "", "Authorization: Bearer gk_live_wrong"); got.status != 401 {
			t.Errorf("authorize with a wrong key: %d", got.status)
		}
		body := fmt.Sprintf(`{"key": %q, "path": "/x"}`, key.Key)
		got = ask(t, "POST", g.console+"/v1/check", body, "Authorization: Bearer "+operator.Key, "Content-Type: application/json")
		if got.status != 200 || !strings.Contains(got.body, `"allowed":true`) {
			t.Errorf("check: %d %s", got.status, got.body)
		}
		if got = ask(t, "POST", g.console+"/v1/check", body, "Content-Type: application/json"); got.status != 401 {
			t.Errorf("check by nobody: %d %s", got.status, got.body)
		}
	})
}

func TestTheManagementAPIOfARunningGate(t *testing.T) {
	eachGate(t, func(t *testing.T, g *gate) {
		var operator mintedKey
		g.terminal.do(&operator, "key", "create", "--operator", "--name", "x")
		as := []string{"Authorization: Bearer " + operator.Key, "Content-Type: application/json"}
		got := ask(t, "POST", g.console+"/v1/orgs", `{"name": "By API", "plan": "pro"}`, as...)
		if got.status != 201 || !strings.Contains(got.body, `"by-api"`) {
			t.Fatalf("create: %d %s", got.status, got.body)
		}
		if got = ask(t, "GET", g.console+"/v1/orgs", "", as...); got.status != 200 || !strings.Contains(got.body, "By API") {
			t.Errorf("list: %d %s", got.status, got.body)
		}
		for path, holds := range map[string]string{"/healthz": "ok", "/readyz": "", "/metrics": "gatehouse_", "/v1/openapi.json": `"3.1`,
			"/docs/api": "<html"} {
			if got = ask(t, "GET", g.console+path, ""); got.status != 200 || !strings.Contains(got.body, holds) {
				t.Errorf("%s: %d, lacks %q", path, got.status, holds)
			}
		}
		if got = ask(t, "GET", g.url+"/v1/orgs", "", as...); got.status != 403 {
			t.Errorf("the gateway's port answers the API: %d %s", got.status, got.body)
		}
	})
}

func TestOnePortSplitByHostNames(t *testing.T) {
	addr := freePort(t)
	g := newGate(t, embedded(), "gateway.addr="+addr, "console.addr="+addr, "console.host=localhost")
	key := g.key(g.org("pro"))
	if got := g.get("/v1/things", key.Key); got.status != 200 || got.seen(t).Path != "/v1/things" {
		t.Errorf("the gateway's host: %d %s", got.status, got.body)
	}
	if got := ask(t, "GET", g.console+"/v1/openapi.json", ""); got.status != 200 || !strings.Contains(got.body, "openapi") {
		t.Errorf("the console's host: %d %s", got.status, got.body)
	}
}
