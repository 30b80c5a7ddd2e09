package api_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"gatehouse/web/respond"
)

func TestWrongInputNamesItsFields(t *testing.T) {
	h := open(t, sqlite(t))
	for _, row := range []struct {
		name, line, body string
		status           int
		code, field      string
	}{
		{"no body", "POST /v1/orgs", "", 400, "invalid_input", "body"},
		{"not JSON", "POST /v1/orgs", `name=acme`, 400, "invalid_input", "body"},
		{"cut", "POST /v1/orgs", `{"name":`, 400, "invalid_input", "body"},
		{"another type", "POST /v1/orgs", `[]`, 400, "invalid_input", "body"},
		{"missing", "POST /v1/orgs", `{}`, 400, "invalid_input", "name"},
		{"null", "POST /v1/orgs", `{"name":null}`, 400, "invalid_input", "name"},
		{"empty", "POST /v1/orgs", `{"name":" "}`, 400, "invalid_input", "name"},
		{"wrong type", "POST /v1/orgs", `{"name":7}`, 400, "invalid_input", "name"},
		{"unknown field", "POST /v1/orgs", `{"name":"a","nmae":"b"}`, 400, "invalid_input", "nmae"},
		{"no such plan", "POST /v1/orgs", `{"name":"a","plan":"gold"}`, 400, "invalid_input", "plan"},
		{"bad slug", "POST /v1/orgs", `{"name":"a","slug":"A B"}`, 400, "invalid_input", "slug"},
		{"unknown parameter", "GET /v1/orgs?lmit=3", "", 400, "invalid_input", "lmit"},
		{"parameter out of bounds", "GET /v1/orgs?limit=201", "", 400, "invalid_input", "limit"},
		{"parameter of another type", "GET /v1/orgs?limit=x", "", 400, "invalid_input", "limit"},
		{"parameter of no choice", "GET /v1/orgs?status=gone", "", 400, "invalid_input", "status"},
		{"bad cursor", "GET /v1/orgs?cursor=x", "", 400, "invalid_input", "cursor"},
		{"two filters", "GET /v1/orgs?status=active&plan=pro", "", 400, "invalid_input", "plan"},
		{"nested", "PUT /v1/plans/pro", `{"slug":"pro","name":"P","rate_limits":[{"name":"m","requests":0,"window":"1m"}]}`, 400, "invalid_input", "rate_limits[0].requests"},
		{"nested unknown", "PUT /v1/plans/pro", `{"slug":"pro","name":"P","rate_limits":[{"name":"m","requests":1,"window":"1m","brust":2}]}`, 400, "invalid_input", "rate_limits[0].brust"},
		{"duration", "PUT /v1/plans/pro", `{"slug":"pro","name":"P","rate_limits":[{"name":"m","requests":1,"window":"a minute"}]}`, 400, "invalid_input", "rate_limits[0].window"},
		{"money", "PUT /v1/plans/pro", `{"slug":"pro","name":"P","price":"1.2345678"}`, 400, "invalid_input", "price"},
		{"two names", "PUT /v1/plans/pro", `{"slug":"free","name":"P"}`, 400, "invalid_input", "slug"},
		{"time", "POST /v1/operator-keys", `{"name":"k","scopes":["a"],"expires_at":"tomorrow"}`, 400, "invalid_input", "expires_at"},
		{"past", "POST /v1/operator-keys", `{"name":"k","scopes":["a"],"expires_at":"2020-01-01T00:00:00Z"}`, 400, "invalid_input", "expires_at"},
		{"address", "POST /v1/operator-keys", `{"name":"k","scopes":["a"],"cidrs":["300.0.0.0/8"]}`, 400, "invalid_input", "body"},
		{"scope", "POST /v1/operator-keys", `{"name":"k","scopes":["A B"]}`, 400, "invalid_input", "scopes[0]"},
		{"no upstream", "POST /v1/routing/apply", `{"routes":[{"name":"a","path_prefix":"/","upstream":"gone"}]}`, 400, "invalid_input", "routes.a.upstream"},
		{"half past", "GET /v1/usage?since=2026-11-24T08:07:00Z", "", 400, "invalid_input", "since"},
		{"backwards", "GET /v1/usage?since=2026-11-24T08:00:00Z&until=2026-11-23T08:00:00Z", "", 400, "invalid_input", "until"},
		{"step", "GET /v1/usage?step=7m", "", 400, "invalid_input", "step"},
		{"no step", "GET /v1/usage?step=daily", "", 400, "invalid_input", "step"},
		{"too many rows", "GET /v1/usage?since=2026-01-01T00:00:00Z&until=2026-11-01T00:00:00Z&step=15m", "", 400, "invalid_input", "step"},
		{"time without zone", "GET /v1/usage?since=2026-11-24", "", 400, "invalid_input", "since"},
		{"no user", "DELETE /v1/orgs/x/sessions", "", 400, "invalid_input", "user_id"},
	} {
		a := h.call(row.line, h.admin, row.body)
		if a.status != row.status || a.code() != row.code || !slices.Contains(a.fields(), row.field) {
			t.Errorf("%s: %d %s %v, want %d %s [%s]\n%s", row.name, a.status, a.code(), a.fields(), row.status, row.code, row.field, a.text)
		}
		if strings.Contains(a.text, "expected ") {
			t.Errorf("%s: the message is not in our words: %s", row.name, a.text)
		}
	}
	if h.log.Len() > 0 {
		t.Errorf("wrong input is no fault of ours, but was logged: %s", h.log.String())
	}
}

func TestBodiesAreBounded(t *testing.T) {
	h := open(t, sqlite(t))
	body := `{"name":"` + strings.Repeat("a", respond.MaxBody) + `"}`
	for _, headers := range [][]string{nil, {"Idempotency-Key", "k"}} {
		if a := h.call("POST /v1/orgs", h.admin, body, headers...); a.status != 413 || a.code() != "body_too_large" {
			t.Errorf("%v: %d %s", headers, a.status, a.code())
		}
	}
	if a := h.call("POST /v1/orgs", h.admin, "name=a", "Content-Type", "application/x-www-form-urlencoded"); a.status != 415 {
		t.Errorf("a form: %d %s", a.status, a.text)
	}
}

func TestMethodsAndPaths(t *testing.T) {
	h := open(t, sqlite(t))
	for _, row := range []struct {
		line   string
		status int
		code   string
		allow  string
	}{
		{"GET /v1/nothing", 404, "no_such_call", ""},
		{"GET /v2/orgs", 404, "no_such_call", ""},
		{"PUT /v1/orgs", 405, "method_not_allowed", "GET, HEAD, POST"},
		{"DELETE /v1/usage", 405, "method_not_allowed", "GET, HEAD"},
		{"TRACE /v1/orgs", 405, "method_not_allowed", "GET, HEAD, POST"},
		{"OPTIONS /v1/orgs", 204, "", "GET, HEAD, POST, OPTIONS"},
		{"OPTIONS /v1/nothing", 404, "no_such_call", ""},
		{"HEAD /v1/orgs", 200, "", ""},
		{"HEAD /v1/orgs/nobody", 404, "", ""},
		{"GET /v1//orgs", 307, "", ""},
		{"GET /v1//nothing", 308, "", ""},
		{"GET /v1/orgs/", 404, "no_such_call", ""},
		{"GET /v1/orgs/..%2fplans", 404, "not_found", ""},
		{"GET /v1/orgs/%00", 404, "not_found", ""},
		{"GET /v1/orgs/%ff", 404, "not_found", ""},
	} {
		a := h.call(row.line, h.admin, "")
		if a.status != row.status || a.code() != row.code || a.header.Get("Allow") != row.allow {
			t.Errorf("%s: %d %q Allow %q, want %d %q %q\n%s", row.line, a.status, a.code(), a.header.Get("Allow"), row.status, row.code, row.allow, a.text)
		}
		for name := range a.header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s: %s lets other pages in", row.line, name)
			}
		}
	}
}

func TestCredentials(t *testing.T) {
	h := open(t, sqlite(t))
	for _, row := range []struct {
		name, value string
		status      int
		code        string
	}{
		{"bearer", "Bearer " + h.admin, 200, ""},
		{"lower case", "bearer " + h.admin, 200, ""},
		{"two spaces", "Bearer  " + h.admin, 200, ""},
		{"basic", "Basic " + h.admin, 401, "credential_missing"},
		{"no scheme", h.admin, 401, "credential_missing"},
		{"empty", "Bearer ", 401, "credential_missing"},
		{"one character off", "Bearer " + h.admin[:len(h.admin)-1] + "_", 401, "key_malformed"},
	} {
		a := h.call("GET /v1/plans", "", "", "Authorization", row.value)
		if a.status != row.status || a.code() != row.code {
			t.Errorf("%s: %d %s", row.name, a.status, a.code())
		}
		if a.status == 401 && a.header.Get("WWW-Authenticate") != `Bearer realm="gatehouse"` {
			t.Errorf("%s: challenge %q", row.name, a.header.Get("WWW-Authenticate"))
		}
	}
	if a := h.call("GET /v1/plans?key="+h.admin, "", ""); a.status != 401 {
		t.Error("a key in the query string was taken")
	}
	if a := h.call("GET /v1/plans", "", "", "Cookie", "gatehouse="+h.admin); a.status != 401 {
		t.Error("a cookie was taken")
	}
}

func TestAnswersAreNotKept(t *testing.T) {
	h := open(t, sqlite(t))
	for _, line := range []string{"GET /v1/orgs", "GET /v1/orgs/nobody"} {
		a := h.call(line, h.admin, "")
		if a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", line, a.header)
		}
	}
	if a := h.call("GET /v1/openapi.json", "", ""); a.status != http.StatusOK || a.str("openapi") != "3.1.0" {
		t.Errorf("the document: %d %.80s", a.status, a.text)
	}
}

// TestAClientThatBreaksOff sends half a body and leaves.
func TestAClientThatBreaksOff(t *testing.T) {
	h := open(t, sqlite(t))
	done := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		h.handler.ServeHTTP(w, r)
	}))
	defer server.Close()
	connection, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(connection, "POST /v1/orgs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 100\r\n\r\n{\"name\":", h.admin)
	connection.Close()
	<-done
	if h.log.Len() > 0 {
		t.Errorf("a client that left is no fault of ours, but was logged: %s", h.log.String())
	}
	if a := h.must(200, "GET /v1/orgs", ""); a.text != `{"items":[]}`+"\n" {
		t.Errorf("half a body did something: %s", a.text)
	}
}
