package api_test

import (
	"cmp"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/keys"
	"gatehouse/web/api"
)

// inputs are what each call is tried with, by its operationId: what follows
// the path's parameters, and the body; operators, who name the organization,
// may say it in other words. {key} is a key of the organization acme.
var inputs = map[string]struct{ path, body, operatorPath, operatorBody string }{
	"listOrgs":             {"/v1/orgs", "", "", ""},
	"createOrg":            {"/v1/orgs", `{"name":"New"}`, "", ""},
	"getOrg":               {"/v1/orgs/acme", "", "", ""},
	"updateOrg":            {"/v1/orgs/acme", `{"plan":"pro"}`, "", ""},
	"suspendOrg":           {"/v1/orgs/acme/suspend", `{"reason":"late"}`, "", ""},
	"resumeOrg":            {"/v1/orgs/acme/resume", "", "", ""},
	"cancelOrg":            {"/v1/orgs/acme/cancel", "", "", ""},
	"deleteOrg":            {"/v1/orgs/acme", "", "", ""},
	"listKeys":             {"/v1/orgs/acme/keys", "", "", ""},
	"createKey":            {"/v1/orgs/acme/keys", `{"name":"ci"}`, "", ""},
	"getKey":               {"/v1/orgs/acme/keys/{key}", "", "", ""},
	"rotateKey":            {"/v1/orgs/acme/keys/{key}/rotate", `{"grace":"1h"}`, "", ""},
	"revokeKey":            {"/v1/orgs/acme/keys/{key}/revoke", "", "", ""},
	"listOperatorKeys":     {"/v1/operator-keys", "", "", ""},
	"createOperatorKey":    {"/v1/operator-keys", `{"name":"deploy","scopes":["operator_keys:write"]}`, "", ""},
	"getOperatorKey":       {"/v1/operator-keys/{operator key}", "", "", ""},
	"rotateOperatorKey":    {"/v1/operator-keys/{operator key}/rotate", "", "", ""},
	"revokeOperatorKey":    {"/v1/operator-keys/{operator key}/revoke", "", "", ""},
	"listPlans":            {"/v1/plans", "", "", ""},
	"applyPlans":           {"/v1/plans/apply", `{"plans":[{"slug":"team","name":"Team"}]}`, "", ""},
	"getPlan":              {"/v1/plans/pro", "", "", ""},
	"putPlan":              {"/v1/plans/team", `{"slug":"team","name":"Team"}`, "", ""},
	"deletePlan":           {"/v1/plans/pro", "", "", ""},
	"listUpstreams":        {"/v1/upstreams", "", "", ""},
	"getUpstream":          {"/v1/upstreams/app", "", "", ""},
	"deleteUpstream":       {"/v1/upstreams/spare", "", "", ""},
	"listRoutes":           {"/v1/routes", "", "", ""},
	"getRoute":             {"/v1/routes/files", "", "", ""},
	"deleteRoute":          {"/v1/routes/files", "", "", ""},
	"applyRouting":         {"/v1/routing/apply", `{"upstreams":[{"name":"app","addresses":["http://127.0.0.1:3000"]}]}`, "", ""},
	"getUsage":             {"/v1/usage", "", "", ""},
	"getOrgUsage":          {"/v1/orgs/acme/usage", "", "", ""},
	"getTraffic":           {"/v1/traffic", "", "", ""},
	"getSystem":            {"/v1/system", "", "", ""},
	"listMeters":           {"/v1/meters", "", "", ""},
	"applyMeters":          {"/v1/meters/apply", `{"meters":[{"slug":"docs","name":"Docs","aggregation":"count","event_type":"doc"}]}`, "", ""},
	"getMeter":             {"/v1/meters/cost", "", "", ""},
	"deleteMeter":          {"/v1/meters/docs", "", "", ""},
	"getMeterUsage":        {"/v1/meters/cost/usage", "", "", ""},
	"listQuotas":           {"/v1/quotas", "", "/v1/quotas?org=acme", ""},
	"getOrgQuotas":         {"/v1/orgs/acme/quotas", "", "", ""},
	"putQuota":             {"/v1/orgs/acme/quotas/requests/day?key={key}", `{"limit":10}`, "", ""},
	"deleteQuota":          {"/v1/orgs/acme/quotas/requests/month", "", "", ""},
	"listQuotaNotices":     {"/v1/quota-notices", "", "", ""},
	"createReservation":    {"/v1/reservations", `{"meter":"agent_minutes","amount":5}`, "", `{"org":"acme","meter":"agent_minutes","amount":5}`},
	"listReservations":     {"/v1/reservations", "", "", ""},
	"getReservation":       {"/v1/reservations/{own reservation}", "", "/v1/reservations/{reservation}", ""},
	"settleReservation":    {"/v1/reservations/{own reservation}/settle", `{"used":3}`, "/v1/reservations/{reservation}/settle", ""},
	"releaseReservation":   {"/v1/reservations/{own reservation}/release", "", "/v1/reservations/{reservation}/release", ""},
	"extendReservation":    {"/v1/reservations/{own reservation}/extend", `{"used":3}`, "/v1/reservations/{reservation}/extend", ""},
	"listRates":            {"/v1/rates", "", "", ""},
	"applyRates":           {"/v1/rates/apply", `{"rates":[{"model":"m","input":"1","output":"2","valid_from":"2026-01-01T00:00:00Z"}]}`, "", ""},
	"deleteRate":           {"/v1/rates?model=m&valid_from=2026-01-01T00:00:00Z", "", "", ""},
	"getVerification":      {"/v1/usage/verify", "", "", ""},
	"verifyUsage":          {"/v1/usage/verify", "", "", ""},
	"adjustUsage":          {"/v1/usage/adjustments", `{"org":"acme","meter":"docs","value":-1,"reason":"twice"}`, "", ""},
	"postEvents":           {"/v1/events", `{"id":"1","type":"doc"}`, "", `{"id":"1","type":"doc","org":"acme"}`},
	"importEvents":         {"/v1/events/import", `[{"id":"2","type":"doc","org":"acme"}]`, "", ""},
	"exportUsage":          {"/v1/usage/export", "", "", ""},
	"listStripeCustomers":  {"/v1/stripe/customers", "", "", ""},
	"getStripeCustomer":    {"/v1/orgs/acme/stripe-customer", "", "", ""},
	"putStripeCustomer":    {"/v1/orgs/acme/stripe-customer", `{"customer":"cus_acme"}`, "", ""},
	"deleteStripeCustomer": {"/v1/orgs/acme/stripe-customer", "", "", ""},
	"getStripeOutbox":      {"/v1/stripe/outbox", "", "", ""},
	"listStripeEvents":     {"/v1/stripe/outbox/events?state=parked&org=acme", "", "", ""},
	"retryStripeEvents":    {"/v1/stripe/outbox/retry", "", "", ""},
	"retryStripeEvent":     {"/v1/stripe/outbox/events/{parked}/retry", "", "", ""},
	"createUserSession":    {"/v1/orgs/acme/sessions", `{"user_id":"42"}`, "", ""},
	"listUserSessions":     {"/v1/orgs/acme/sessions?user_id=42", "", "", ""},
	"revokeUserSession":    {"/v1/orgs/acme/sessions/{session}", "", "", ""},
	"revokeUserSessions":   {"/v1/orgs/acme/sessions?user_id=42", "", "", ""},
}

// TestEveryCallKnowsItsCallers tries every row of the table with every kind of
// caller. A row without an input fails.
func TestEveryCallKnowsItsCallers(t *testing.T) {
	everyHouse(t, func(h *house) {
		world := h.furnish()
		for _, row := range h.api.Rows() {
			_, known := inputs[row.ID]
			if !known {
				h.t.Errorf("%s %s (%s) is tested with nobody", row.Method, row.Path, row.ID)
				continue
			}
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
				line, body := world.input(row, caller.key)
				a := h.call(line, caller.key, body)
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

// input is what the caller says: its own reservation, or as an operator that
// of an organization which it names.
func (w world) input(row api.Row, key string) (line, body string) {
	in := inputs[row.ID]
	path, body := in.path, in.body
	if strings.HasPrefix(key, "ga_") {
		path, body = cmp.Or(in.operatorPath, path), cmp.Or(in.operatorBody, body)
	}
	own := w.reservation
	if key == w.otherKey {
		own = w.otherReservation
	}
	path = strings.ReplaceAll(path, "{own reservation}", own)
	return row.Method + " " + w.fill(path), body
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
	reservation, otherReservation        string
	parked                               string // an event for Stripe
}

func (w world) fill(path string) string {
	return strings.NewReplacer("{key}", w.acmeKeyID, "{operator key}", w.operatorKeyID, "{session}", w.sessionID, "{reservation}", w.reservation, "{parked}", w.parked).Replace(path)
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
	h.must(200, "PUT /v1/orgs/acme/quotas/requests/month", `{"limit":1000}`)
	h.must(200, "POST /v1/rates/apply", `{"rates":[{"model":"m","input":"1","output":"2","valid_from":"2026-01-01T00:00:00Z"}]}`)
	w.reservation = h.must(201, "POST /v1/reservations", `{"org":"acme","meter":"agent_minutes","amount":5}`).str("id")
	h.must(200, "PUT /v1/orgs/acme/stripe-customer", `{"customer":"cus_acme"}`)
	w.parked = h.report(app.MeterEventParked, w.acme)
	w.otherReservation = h.must(201, "POST /v1/reservations", `{"org":"other","meter":"agent_minutes","amount":5}`).str("id")
	return w
}
