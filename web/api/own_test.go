package api_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/keys"
)

// TestAnOrganizationSeesItsOwnUsageAlone asks for everything that an
// organization may see of itself, as everybody.
func TestAnOrganizationSeesItsOwnUsageAlone(t *testing.T) {
	everyHouse(t, func(h *house) {
		acme := app.OrgID(h.must(201, "POST /v1/orgs", `{"name":"Acme"}`).str("id"))
		other := app.OrgID(h.must(201, "POST /v1/orgs", `{"name":"Other"}`).str("id"))
		h.must(200, "PUT /v1/orgs/acme/quotas/agent_minutes/month", `{"limit":100,"grace":10}`)
		at := h.now.Add(-time.Minute)
		h.count(app.Intent{At: at, Org: acme, Key: "key_a", Route: "rte_a", Weight: 1}, app.Intent{At: at, Org: other, Key: "key_b", Route: "rte_b", Weight: 7})
		mine, theirs := h.mint(keys.New{Org: acme, Name: "a", Scopes: []string{"files:read"}}), h.mint(keys.New{Org: other, Name: "o"})
		for _, path := range []string{"/v1/meters/requests/usage?org=ORG", "/v1/meters/requests/usage?format=csv&org=ORG", "/v1/quotas?org=ORG",
			"/v1/usage/export?org=ORG", "/v1/usage/export?format=csv&org=ORG"} {
			for _, row := range []struct {
				name, org, key string
				status         int
				code           string
			}{
				{"nobody", "acme", "", 401, "credential_missing"},
				{"another organization's key", "acme", theirs, 404, "not_found"},
				{"another organization's key, by id", string(acme), theirs, 404, "not_found"},
				{"of nobody", "nobody", mine, 404, "not_found"},
				{"of an id of nobody", "org_01kavq5m3n8r2t4w6y9b1d3f5h", mine, 404, "not_found"},
				{"an operator with another scope", "acme", h.mint(keys.New{Name: "x", Scopes: []string{"plans:read"}}), 403, "scope_missing"},
				{"its own", "acme", mine, 200, ""},
				{"its own, by id", string(acme), mine, 200, ""},
				{"its own, unnamed", "", mine, 200, ""},
				{"an operator", "acme", h.admin, 200, ""},
			} {
				a := h.call("GET "+strings.Replace(path, "ORG", row.org, 1), row.key, "")
				if a.status != row.status || a.code() != row.code {
					t.Errorf("%s by %s: %d %s, want %d %s", path, row.name, a.status, a.code(), row.status, row.code)
				}
				for _, foreign := range []string{"key_b", "rte_b", string(other)} {
					if strings.Contains(a.text, foreign) {
						t.Errorf("%s by %s tells of %s: %s", path, row.name, foreign, a.text)
					}
				}
			}
		}
	})
}

func TestAnOrganizationExportsPageByPage(t *testing.T) {
	everyHouse(t, func(h *house) {
		acme := app.OrgID(h.must(201, "POST /v1/orgs", `{"name":"Acme"}`).str("id"))
		other := app.OrgID(h.must(201, "POST /v1/orgs", `{"name":"Other"}`).str("id"))
		mine, theirs := h.mint(keys.New{Org: acme, Name: "a"}), h.mint(keys.New{Org: other, Name: "o"})
		for range 3 {
			h.count(app.Intent{At: h.now, Org: acme, Key: "key_a", Route: "rte_a", Weight: 1}, app.Intent{At: h.now, Org: other, Key: "key_b", Route: "rte_a", Weight: 7})
		}
		names, cursor := map[string]bool{}, ""
		for pages := 0; ; pages++ {
			a := h.call("GET /v1/usage/export?limit=2&after="+cursor, mine, "")
			if a.status != 200 || pages > 9 || strings.Count(a.text, "\n") > 2 || a.header.Get("Trailer") != "" || a.header.Get("Content-Type") != "application/jsonl" {
				t.Fatalf("page %d: %d %v %s", pages, a.status, a.header, a.text)
			}
			for line := range strings.Lines(a.text) {
				var r map[string]any
				if err := json.Unmarshal([]byte(line), &r); err != nil || r["org_id"] != string(acme) || r["n"] != nil {
					t.Fatalf("%v: %s", err, line)
				}
				names[r["id"].(string)] = true
			}
			if cursor = a.header.Get("X-Gatehouse-Next"); a.header.Get("X-Gatehouse-End") == "true" {
				break
			}
		}
		if len(names) != 6 { // three requests and their ends
			t.Errorf("exported %v", names)
		}
		if a := h.call("GET /v1/usage/export?format=csv&limit=4", mine, ""); strings.Count(a.text, "\r\n") != 5 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/csv") {
			t.Errorf("as CSV: %v %s", a.header, a.text)
		}
		if a := h.call("GET /v1/usage/export?org=acme", h.admin, ""); strings.Count(a.text, "\n") != 6 || strings.Contains(a.text, "-request-") {
			t.Errorf("an operator's: %s", a.text)
		}
		for _, row := range []struct{ key, query, field string }{
			{theirs, "after=" + cursor, "after"}, {mine, "after=2", "after"}, {mine, "after=" + cursor + "&since=2026-11-01T00:00:00Z", "since"},
			{mine, "limit=0", "limit"}, {mine, "limit=10001", "limit"}, {mine, "limit=99999999999999999999", "limit"}, {mine, "format=xml", "format"},
			{mine, "since=yesterday", "since"}, {mine, "colour=red", "colour"}, {mine, "after=a&after=b", "after"},
		} {
			a := h.call("GET /v1/usage/export?"+row.query, row.key, "")
			if a.status != 400 || len(a.fields()) != 1 || a.fields()[0] != row.field || a.header.Get("X-Gatehouse-Next") != "" {
				t.Errorf("%s: %d %s", row.query, a.status, a.text)
			}
		}
	})
}

func TestMeterUsageAsCSV(t *testing.T) {
	h := open(t, sqlite(t))
	acme := app.OrgID(h.must(201, "POST /v1/orgs", `{"name":"Acme"}`).str("id"))
	a := h.call("GET /v1/meters/cost/usage?format=csv&group=model&since=2026-11-24&until=2026-11-25&tz=Asia/Kolkata", h.mint(keys.New{Org: acme, Name: "a"}), "")
	if want := "start,model,value,estimated\r\n2026-11-24T00:00:00+05:30,'=cmd(),7,0\r\n"; a.text != want || a.header.Get("Content-Type") != "text/csv; charset=utf-8; header=present" {
		t.Errorf("%v %q", a.header, a.text)
	}
	if a := h.call("GET /v1/meters/cost/usage?format=xml", h.admin, ""); a.status != 400 {
		t.Errorf("as XML: %d %s", a.status, a.text)
	}
}

func TestQuotasSayWhatIsLeft(t *testing.T) {
	everyHouse(t, func(h *house) {
		acme := app.OrgID(h.must(201, "POST /v1/orgs", `{"name":"Acme"}`).str("id"))
		own := h.mint(keys.New{Org: acme, Name: "a"})
		h.must(200, "PUT /v1/orgs/acme/quotas/agent_minutes/month", `{"limit":100,"grace":10}`)
		h.must(200, "PUT /v1/orgs/acme/quotas/agent_minutes/day", `{"limit":20,"mode":"soft"}`)
		if a := h.call("POST /v1/reservations", own, `{"meter":"agent_minutes","amount":30}`); a.status != 201 {
			t.Fatal(a.text)
		}
		left := map[string]any{}
		for _, item := range h.call("GET /v1/quotas", own, "").body["items"].([]any) {
			q := item.(map[string]any)
			left[q["period"].(string)] = []any{q["used"], q["reserved"], q["left"]}
		}
		raw, _ := json.Marshal(left)
		if want := `{"day":[0,30,0],"month":[0,30,80]}`; string(raw) != want {
			t.Errorf("left %s, want %s", raw, want)
		}
	})
}
