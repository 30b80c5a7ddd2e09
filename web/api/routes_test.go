package api_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/keys"
	"gatehouse/web/api"
)

// inputs are what each call is tried with, by its operationId: what follows
// the path's parameters, and the body. {key} is a key of the organization acme.
var inputs = map[string]struct{ path, body string }{
	"listOrgs":           {"/v1/orgs", ""},
	"createOrg":          {"/v1/orgs", `{"name":"New"}`},
	"getOrg":             {"/v1/orgs/acme", ""},
	"updateOrg":          {"/v1/orgs/acme", `{"plan":"pro"}`},
	"suspendOrg":         {"/v1/orgs/acme/suspend", `{"reason":"late"}`},
	"resumeOrg":          {"/v1/orgs/acme/resume", ""},
	"cancelOrg":          {"/v1/orgs/acme/cancel", ""},
	"deleteOrg":          {"/v1/orgs/acme", ""},
	"listKeys":           {"/v1/orgs/acme/keys", ""},
	"createKey":          {"/v1/orgs/acme/keys", `{"name":"ci"}`},
	"getKey":             {"/v1/orgs/acme/keys/{key}", ""},
	"rotateKey":          {"/v1/orgs/acme/keys/{key}/rotate", `{"grace":"1h"}`},
	"revokeKey":          {"/v1/orgs/acme/keys/{key}/revoke", ""},
	"listOperatorKeys":   {"/v1/operator-keys", ""},
	"createOperatorKey":  {"/v1/operator-keys", `{"name":"deploy","scopes":["operator_keys:write"]}`},
	"getOperatorKey":     {"/v1/operator-keys/{operator key}", ""},
	"rotateOperatorKey":  {"/v1/operator-keys/{operator key}/rotate", ""},
	"revokeOperatorKey":  {"/v1/operator-keys/{operator key}/revoke", ""},
	"listPlans":          {"/v1/plans", ""},
	"applyPlans":         {"/v1/plans/apply", `{"plans":[{"slug":"team","name":"Team"}]}`},
	"getPlan":            {"/v1/plans/pro", ""},
	"putPlan":            {"/v1/plans/team", `{"slug":"team","name":"Team"}`},
	"deletePlan":         {"/v1/plans/pro", ""},
	"listUpstreams":      {"/v1/upstreams", ""},
	"getUpstream":        {"/v1/upstreams/app", ""},
	"deleteUpstream":     {"/v1/upstreams/spare", ""},
	"listRoutes":         {"/v1/routes", ""},
	"getRoute":           {"/v1/routes/files", ""},
	"deleteRoute":        {"/v1/routes/files", ""},
	"applyRouting":       {"/v1/routing/apply", `{"upstreams":[{"name":"app","addresses":["http://127.0.0.1:3000"]}]}`},
	"getUsage":           {"/v1/usage", ""},
	"getOrgUsage":        {"/v1/orgs/acme/usage", ""},
	"getTraffic":         {"/v1/traffic", ""},
	"getSystem":          {"/v1/system", ""},
	"createUserSession":  {"/v1/orgs/acme/sessions", `{"user_id":"42"}`},
	"listUserSessions":   {"/v1/orgs/acme/sessions?user_id=42", ""},
	"revokeUserSession":  {"/v1/orgs/acme/sessions/{session}", ""},
	"revokeUserSessions": {"/v1/orgs/acme/sessions?user_id=42", ""},
}

// TestEveryCallKnowsItsCallers tries every row of the table with every kind of
// caller. A row without an input fails.
func TestEveryCallKnowsItsCallers(t *testing.T) {
	everyHouse(t, func(h *house) {
		world := h.furnish()
		for _, row := range h.api.Rows() {
			in, known := inputs[row.ID]
			if !known {
				h.t.Errorf("%s %s (%s) is tested with nobody", row.Method, row.Path, row.ID)
				continue
			}
			line := row.Method + " " + world.fill(in.path)
			own := 403
			if row.Own {
				own = row.Status
			}
			for _, caller := range []struct {
				name, key, code string
				status          int
			}{
				{"nobody", "", "credential_missing", 401},
				{"a malformed key", "ga_live_nonsense", "key_malformed", 401},
				{"an unknown key", world.unknown, "key_unknown", 401},
				{"a revoked operator's key", world.revoked, "key_revoked", 401},
				{"an expired operator's key", world.expired, "key_expired", 401},
				{"an operator's key from elsewhere", world.elsewhere, "key_address", 403},
				{"the organization's key", world.acmeKey, "operator_key_needed", own},
				{"the organization's key with the scope", h.mint(keys.New{Org: world.acme, Name: "x", Scopes: []string{row.Scope, "*"}}), "operator_key_needed", own},
				{"another organization's key", world.otherKey, "operator_key_needed", own},
				{"an operator's key without the scope", h.mint(keys.New{Name: "x", Scopes: []string{"other:read"}}), "scope_missing", 403},
				{"an operator's key with the scope", h.mint(keys.New{Name: "x", Scopes: []string{row.Scope}}), "", row.Status},
			} {
				a := h.call(line, caller.key, in.body)
				if a.status != caller.status || (a.status >= 400 && a.code() != caller.code) {
					h.t.Errorf("%s by %s: %d %s, want %d %s\n%s", line, caller.name, a.status, a.code(), caller.status, caller.code, a.text)
				}
			}
			world = h.refurnish(world)
		}
		for id := range inputs {
			if !hasRow(h.api.Rows(), id) {
				h.t.Errorf("the input %s belongs to no call", id)
			}
		}
	})
}

func hasRow(rows []api.Row, id string) bool {
	for _, row := range rows {
		if row.ID == id {
			return true
		}
	}
	return false
}

// world is what the calls are about.
type world struct {
	acme, other                          app.OrgID
	acmeKey, otherKey                    string
	acmeKeyID, operatorKeyID, sessionID  string
	unknown, revoked, expired, elsewhere string
}

func (w world) fill(path string) string {
	return strings.NewReplacer("{key}", w.acmeKeyID, "{operator key}", w.operatorKeyID, "{session}", w.sessionID).Replace(path)
}

// furnish creates what the calls are about.
func (h *house) furnish() world {
	var w world
	w.other = app.OrgID(h.must(201, "POST /v1/orgs", `{"name":"Other","slug":"other"}`).str("id"))
	w.otherKey = h.mint(keys.New{Org: w.other, Name: "other"})
	operatorKey := h.must(201, "POST /v1/operator-keys", `{"name":"revoked","scopes":["*"]}`)
	w.revoked = operatorKey.str("key")
	h.must(200, "POST /v1/operator-keys/"+operatorKey.str("id")+"/revoke", "")
	w.expired = h.mint(keys.New{Name: "expired", Scopes: []string{"*"}, ExpiresAt: h.now.Add(time.Minute)})
	w.elsewhere = h.mint(keys.New{Name: "elsewhere", Scopes: []string{"*"}, CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	h.now = h.now.Add(2 * time.Minute)
	w.unknown = open(h.t, sqlite(h.t)).admin // well formed, of another installation
	return h.refurnish(w)
}

// refurnish puts back what a call may have taken away.
func (h *house) refurnish(w world) world {
	h.call("DELETE /v1/orgs/acme", h.admin, "")
	h.must(200, "POST /v1/plans/apply", `{"plans":[{"slug":"pro","name":"Pro"}]}`)
	h.must(200, "POST /v1/routing/apply?prune=true", `{"upstreams":[{"name":"app","addresses":["http://127.0.0.1:3000"]},
		{"name":"spare","addresses":["http://127.0.0.1:3001"]}],"routes":[{"name":"files","path_prefix":"/files","upstream":"app"}]}`)
	w.acme = app.OrgID(h.must(201, "POST /v1/orgs", `{"name":"Acme","slug":"acme"}`).str("id"))
	w.acmeKey = h.mint(keys.New{Org: w.acme, Name: "acme"})
	w.acmeKeyID = h.must(201, "POST /v1/orgs/acme/keys", `{"name":"subject"}`).str("id")
	w.operatorKeyID = h.must(201, "POST /v1/operator-keys", `{"name":"subject","scopes":["operator_keys:write"]}`).str("id")
	w.sessionID = h.must(201, "POST /v1/orgs/acme/sessions", `{"user_id":"42"}`).str("id")
	return w
}
