package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/app/keys"
)

func TestOrganizationsLife(t *testing.T) {
	everyHouse(t, func(h *house) {
		org := h.must(201, "POST /v1/orgs", `{"name":"Ärger & Söhne 🚀","plan":"pro"}`)
		if org.str("slug") != "rger-s-hne" || org.str("status") != "active" || org.str("plan") != "pro" || !strings.HasPrefix(org.str("id"), "org_") {
			h.t.Errorf("created: %s", org.text)
		}
		if again := h.must(201, "POST /v1/orgs", `{"name":"Ärger & Söhne 🚀"}`); again.str("slug") != "rger-s-hne-2" || again.str("plan") != "free" {
			h.t.Errorf("a second of that name: %s", again.text)
		}
		if a := h.call("POST /v1/orgs", h.admin, `{"name":"x","slug":"rger-s-hne"}`); a.status != 409 || a.code() != "slug_taken" {
			h.t.Errorf("a taken slug: %d %s", a.status, a.code())
		}
		id := org.str("id")
		for _, name := range []string{id, "rger-s-hne"} {
			if got := h.must(200, "GET /v1/orgs/"+name, ""); got.text != org.text {
				h.t.Errorf("read by %s: %s", name, got.text)
			}
		}
		if got := h.must(200, "PATCH /v1/orgs/"+id, `{"name":"<script>"}`); got.str("name") != "<script>" || got.str("plan") != "pro" {
			h.t.Errorf("changed: %s", got.text)
		}
		if got := h.must(200, "POST /v1/orgs/"+id+"/suspend", ""); got.str("status") != "suspended" {
			h.t.Errorf("suspended without a reason: %s", got.text)
		}
		if got := h.must(200, "POST /v1/orgs/"+id+"/suspend", `{"reason":"late"}`); got.str("reason") != "late" {
			h.t.Errorf("suspended: %s", got.text)
		}
		if got := h.must(200, "POST /v1/orgs/"+id+"/resume", ""); got.str("status") != "active" || got.str("reason") != "" {
			h.t.Errorf("resumed: %s", got.text)
		}
		if got := h.must(200, "POST /v1/orgs/"+id+"/cancel", ""); got.str("status") != "cancelled" {
			h.t.Errorf("cancelled: %s", got.text)
		}
		if a := h.must(204, "DELETE /v1/orgs/"+id, ""); a.text != "" {
			h.t.Errorf("deleted: %q", a.text)
		}
		if a := h.call("GET /v1/orgs/"+id, h.admin, ""); a.status != 404 {
			h.t.Errorf("after its end: %d", a.status)
		}
	})
}

func TestListsArePaged(t *testing.T) {
	everyHouse(t, func(h *house) {
		for i := range 7 {
			plan := []string{"free", "pro"}[i%2]
			h.must(201, "POST /v1/orgs", fmt.Sprintf(`{"name":"Org %d","plan":%q}`, i, plan))
			h.now = h.now.Add(time.Millisecond)
		}
		h.must(200, "POST /v1/orgs/org-3/suspend", "")
		for query, want := range map[string]string{
			"limit=3": "org-6 org-5 org-4 | org-3 org-2 org-1 | org-0", "": "org-6 org-5 org-4 org-3 org-2 org-1 org-0",
			"plan=pro&limit=2": "org-5 org-3 | org-1", "status=suspended": "org-3", "search=ORG%206": "org-6", "search=nothing": "",
		} {
			if got := h.pages("/v1/orgs?" + query); got != want {
				h.t.Errorf("%s: %s, want %s", query, got, want)
			}
		}
		if a := h.must(200, "GET /v1/orgs?search=nothing", ""); a.text != `{"items":[]}`+"\n" {
			h.t.Errorf("an empty list: %s", a.text)
		}
	})
}

// pages reads a list to its end: slugs, with | between pages.
func (h *house) pages(target string) string {
	var pages []string
	for next := ""; ; {
		a := h.must(200, "GET "+target+"&cursor="+next, "")
		var slugs []string
		for _, item := range a.body["items"].([]any) {
			slugs = append(slugs, item.(map[string]any)["slug"].(string))
		}
		pages = append(pages, strings.Join(slugs, " "))
		if next = a.str("next"); next == "" {
			return strings.Join(pages, " | ")
		}
	}
}

func TestKeysLife(t *testing.T) {
	everyHouse(t, func(h *house) {
		h.must(201, "POST /v1/orgs", `{"name":"Acme"}`)
		key := h.must(201, "POST /v1/orgs/acme/keys", `{"name":"ci","env":"test","scopes":["files:read"],"cidrs":["203.0.113.7/24"],
			"expires_at":"2027-01-01T00:00:00+01:00","rate_limits":[{"name":"m","requests":5,"window":"1m"}]}`)
		secret := key.str("key")
		if _, ok := keys.Parse(secret); !ok || !strings.HasPrefix(secret, "gk_test_") || key.str("state") != "active" {
			h.t.Errorf("created: %s", key.text)
		}
		if key.str("expires_at") != "2026-12-31T23:00:00Z" || !strings.Contains(key.text, `"203.0.113.0/24"`) {
			h.t.Errorf("created: %s", key.text)
		}
		path := "/v1/orgs/acme/keys/" + key.str("id")
		fresh := h.must(201, "POST "+path+"/rotate", `{"grace":"1d"}`)
		if fresh.str("key") == secret || fresh.str("name") != "ci" {
			h.t.Errorf("rotated: %s", fresh.text)
		}
		if old := h.must(200, "GET "+path, ""); old.str("state") != "rotated" || old.str("rotated_to") != fresh.str("id") {
			h.t.Errorf("the old one: %s", old.text)
		}
		if a := h.call("POST "+path+"/rotate", h.admin, ""); a.status != 409 || a.code() != "key_not_active" {
			h.t.Errorf("rotated twice: %d %s", a.status, a.code())
		}
		if a := h.must(200, "POST "+path+"/revoke", ""); a.str("state") != "revoked" {
			h.t.Errorf("revoked: %s", a.text)
		}
		list := h.must(200, "GET /v1/orgs/acme/keys", "")
		for _, hidden := range []string{secret, fresh.str("key"), "hash"} {
			if strings.Contains(list.text, hidden) {
				h.t.Errorf("the list shows %s", hidden)
			}
		}
		if strings.Contains(list.text, "null") || !strings.Contains(list.text, fresh.str("id")) {
			h.t.Errorf("the list: %s", list.text)
		}
	})
}

// TestAForeignKeyAnswersLikeNone compares byte for byte, the request's id apart.
func TestAForeignKeyAnswersLikeNone(t *testing.T) {
	everyHouse(t, func(h *house) {
		h.must(201, "POST /v1/orgs", `{"name":"Acme"}`)
		h.must(201, "POST /v1/orgs", `{"name":"Other"}`)
		foreign := h.must(201, "POST /v1/orgs/other/keys", `{"name":"x"}`).str("id")
		operators := h.must(201, "POST /v1/operator-keys", `{"name":"x","scopes":["a:b"]}`).str("id")
		for _, act := range []string{"GET %s", "POST %s/rotate", "POST %s/revoke"} {
			missing := h.call(fmt.Sprintf(act, "/v1/orgs/acme/keys/key_01kavq5m3n8r2t4w6y9b1d3f5h"), h.admin, "", "X-Request-Id", "same")
			for _, id := range []string{foreign, operators, "%ff", "x"} {
				a := h.call(fmt.Sprintf(act, "/v1/orgs/acme/keys/"+id), h.admin, "", "X-Request-Id", "same")
				if a.status != 404 || a.text != missing.text {
					h.t.Errorf(act+": %d %s", id, a.status, a.text)
				}
			}
			if a := h.call(fmt.Sprintf(act, "/v1/operator-keys/"+foreign), h.admin, "", "X-Request-Id", "same"); a.text != missing.text {
				h.t.Errorf("as the operator's: %d %s", a.status, a.text)
			}
		}
	})
}

func TestPlansAndRouting(t *testing.T) {
	everyHouse(t, func(h *house) {
		plan := `{"slug":"team","name":"Team","price":"49.50","in_flight":3,"rate_limits":[{"name":"minute","requests":100,"window":"1m30s","burst":10}]}`
		first := h.must(200, "PUT /v1/plans/team", plan)
		if first.str("price") != "49.5" || !strings.Contains(first.text, `"1m30s"`) {
			h.t.Errorf("put: %s", first.text)
		}
		if read := h.must(200, "GET /v1/plans/team", ""); read.text != first.text {
			h.t.Errorf("read: %s", read.text)
		}
		h.must(200, "PUT /v1/plans/team", first.text) // what was read may be sent back
		if a := h.must(200, "POST /v1/plans/apply", `{"plans":[`+plan+`,{"slug":"new","name":"New"}]}`); a.text != `{"created":["new"],"unchanged":["team"]}`+"\n" {
			h.t.Errorf("applied: %s", a.text)
		}
		if a := h.call("POST /v1/plans/apply", h.admin, `{"plans":[{"slug":"a","name":"A"},{"slug":"b","name":""}]}`); a.status != 400 || a.fields()[0] != "plans[1].name" {
			h.t.Errorf("half a set: %d %v", a.status, a.fields())
		}
		if a := h.call("GET /v1/plans/a", h.admin, ""); a.status != 404 {
			h.t.Error("half of a refused set was applied")
		}
		h.must(201, "POST /v1/orgs", `{"name":"Acme","plan":"team"}`)
		if a := h.call("DELETE /v1/plans/team", h.admin, ""); a.status != 409 || a.code() != "plan_in_use" {
			h.t.Errorf("a plan in use: %d %s", a.status, a.code())
		}
		set := `{"upstreams":[{"name":"app","addresses":["http://127.0.0.1:3000"]}],"routes":[{"name":"files","path_prefix":"/files","upstream":"app","scopes":["files:read"],"timeout":"5s"}]}`
		if a := h.must(200, "POST /v1/routing/apply", set); a.text != `{"upstreams":{"created":["app"]},"routes":{"created":["files"]}}`+"\n" {
			h.t.Errorf("applied: %s", a.text)
		}
		if a := h.call("DELETE /v1/upstreams/app", h.admin, ""); a.status != 409 || a.code() != "upstream_in_use" {
			h.t.Errorf("an upstream in use: %d %s", a.status, a.code())
		}
		if a := h.must(200, "GET /v1/routes/files", ""); a.str("timeout") != "5s" || !strings.HasPrefix(a.str("id"), "rte_") {
			h.t.Errorf("the route: %s", a.text)
		}
		if a := h.must(200, "POST /v1/routing/apply?prune=true", `{"upstreams":[{"name":"app","addresses":["http://127.0.0.1:3000"]}]}`); a.text != `{"upstreams":{"unchanged":["app"]},"routes":{"removed":["files"]}}`+"\n" {
			h.t.Errorf("pruned: %s", a.text)
		}
		if a := h.must(200, "GET /v1/routes", ""); a.text != `{"items":[]}`+"\n" {
			h.t.Errorf("routes: %s", a.text)
		}
	})
}

func TestSessionsOfUsers(t *testing.T) {
	everyHouse(t, func(h *house) {
		h.must(201, "POST /v1/orgs", `{"name":"Acme"}`)
		h.must(201, "POST /v1/orgs", `{"name":"Other"}`)
		session := h.must(201, "POST /v1/orgs/acme/sessions", `{"user_id":"42","ttl":"8h","scopes":["files:read"],"address":"203.0.113.7","user_agent":"Firefox"}`)
		if !strings.HasPrefix(session.str("cookie"), "gs_") || session.str("expires_at") != "2026-11-24T16:07:00Z" {
			h.t.Errorf("created: %s", session.text)
		}
		h.must(201, "POST /v1/orgs/acme/sessions", `{"user_id":"42"}`)
		list := h.must(200, "GET /v1/orgs/acme/sessions?user_id=42", "")
		if strings.Count(list.text, `"id"`) != 2 || strings.Contains(list.text, "gs_") || !strings.Contains(list.text, "203.0.113.7") {
			h.t.Errorf("listed: %s", list.text)
		}
		if a := h.must(200, "GET /v1/orgs/other/sessions?user_id=42", ""); a.text != `{"items":[]}`+"\n" {
			h.t.Errorf("in another organization: %s", a.text)
		}
		path := "/v1/orgs/%s/sessions/" + session.str("id")
		if a := h.call("DELETE "+fmt.Sprintf(path, "other"), h.admin, ""); a.status != 404 {
			h.t.Errorf("ended from another organization: %d", a.status)
		}
		h.must(204, "DELETE "+fmt.Sprintf(path, "acme"), "")
		if a := h.must(200, "DELETE /v1/orgs/acme/sessions?user_id=42", ""); a.text != `{"ended":1}`+"\n" {
			h.t.Errorf("ended: %s", a.text)
		}
	})
}
