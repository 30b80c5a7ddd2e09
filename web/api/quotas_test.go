package api_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/keys"
)

func TestReservations(t *testing.T) {
	everyHouse(t, func(h *house) {
		acme := app.OrgID(h.must(201, "POST /v1/orgs", `{"name":"Acme"}`).str("id"))
		other := app.OrgID(h.must(201, "POST /v1/orgs", `{"name":"Other"}`).str("id"))
		acmeKey, otherKey := h.mint(keys.New{Org: acme, Name: "a"}), h.mint(keys.New{Org: other, Name: "o"})
		h.must(200, "PUT /v1/orgs/acme/quotas/agent_minutes/month", `{"limit":100,"reason":"agreed"}`)

		made := h.call("POST /v1/reservations", acmeKey, `{"meter":"agent_minutes","amount":60,"dimensions":{"task":"x"},"life":"2m"}`, "Idempotency-Key", "1")
		if made.status != 201 || made.str("state") != "open" || made.str("expires_at") != "2026-11-24T08:09:00Z" {
			t.Fatalf("reserved: %d %s", made.status, made.text)
		}
		again := h.call("POST /v1/reservations", acmeKey, `{"meter":"agent_minutes","amount":60,"dimensions":{"task":"x"},"life":"2m"}`, "Idempotency-Key", "1")
		if again.str("id") != made.str("id") {
			t.Errorf("the same request made %s and %s", made.str("id"), again.str("id"))
		}
		refused := h.call("POST /v1/reservations", acmeKey, `{"meter":"agent_minutes","amount":41}`)
		detail, _ := refused.body["quota"].(map[string]any)
		if refused.status != 402 || refused.code() != "quota_exhausted" || detail["limit"] != 100.0 || detail["reserved"] != 60.0 || detail["wanted"] != 41.0 {
			t.Errorf("beyond the quota: %d %s", refused.status, refused.text)
		}
		foreign := h.must(201, "POST /v1/orgs/other/keys", `{"name":"k"}`).str("id")
		path := "/v1/reservations/" + made.str("id")
		for _, row := range []struct {
			line, key, body string
			status          int
			code            string
		}{
			{"GET " + path, otherKey, "", 404, "not_found"},
			{"POST " + path + "/settle", otherKey, `{"used":1}`, 404, "not_found"},
			{"POST " + path + "/release", otherKey, "", 404, "not_found"},
			{"POST " + path + "/extend", otherKey, `{}`, 404, "not_found"},
			{"GET /v1/reservations/rsv_nothing", h.admin, "", 404, "not_found"},
			{"POST /v1/reservations", otherKey, `{"org":"acme","meter":"agent_minutes","amount":1}`, 404, "not_found"},
			{"GET /v1/quotas?org=acme", otherKey, "", 404, "not_found"},
			{"GET /v1/quota-notices?org=acme", otherKey, "", 404, "not_found"},
			{"GET /v1/reservations?org=acme", otherKey, "", 404, "not_found"},
			{"GET /v1/meters/cost/usage?org=acme", otherKey, "", 404, "not_found"},
			{"POST /v1/reservations", h.admin, `{"meter":"agent_minutes","amount":1}`, 400, "invalid_input"},
			{"POST /v1/reservations", h.admin, `{"org":"acme","key_id":"` + foreign + `","meter":"agent_minutes","amount":1}`, 404, "not_found"},
			{"GET /v1/quotas", h.admin, "", 400, "invalid_input"},
			{"POST " + path + "/settle", acmeKey, `{"used":-1}`, 400, "invalid_input"},
			{"POST " + path + "/extend", acmeKey, `{"more":41}`, 402, "quota_exhausted"},
			{"POST " + path + "/extend", acmeKey, `{"used":7,"more":40}`, 200, ""},
			{"POST " + path + "/settle", acmeKey, `{"used":12}`, 200, ""},
			{"POST " + path + "/settle", h.admin, `{"used":12}`, 200, ""},
			{"POST " + path + "/release", acmeKey, "", 409, "reservation_ended"},
		} {
			if a := h.call(row.line, row.key, row.body); a.status != row.status || a.code() != row.code {
				t.Errorf("%s: %d %s, want %d %s\n%s", row.line, a.status, a.code(), row.status, row.code, a.text)
			}
		}
		if len(h.recorded.events) == 0 {
			t.Fatal("nothing was counted")
		}
		for _, e := range h.recorded.events {
			if e.ID != made.str("id") || e.Org != acme || e.Uses[0].Value != 12 || e.Uses[0].Dims != `{"task":"x"}` {
				t.Errorf("counted %+v", e)
			}
		}
	})
}

func TestQuotasAreOverridden(t *testing.T) {
	everyHouse(t, func(h *house) {
		acme := app.OrgID(h.must(201, "POST /v1/orgs", `{"name":"Acme"}`).str("id"))
		h.must(201, "POST /v1/orgs", `{"name":"Other"}`)
		key := h.must(201, "POST /v1/orgs/other/keys", `{"name":"k"}`).str("id")
		h.must(404, "PUT /v1/orgs/acme/quotas/cost/month?key="+key, `{"limit":1}`) // another organization's key
		h.must(200, "PUT /v1/orgs/acme/quotas/cost/month", `{"limit":25000000,"grace":10}`)
		h.must(400, "PUT /v1/orgs/acme/quotas/cost/fortnight", `{"limit":1}`)
		a := h.call("GET /v1/quotas", h.mint(keys.New{Org: acme, Name: "own"}), "")
		states := a.body["items"].([]any)
		if len(states) != 1 || states[0].(map[string]any)["ceiling"] != 27500000.0 {
			t.Errorf("its own: %s", a.text)
		}
		h.must(204, "DELETE /v1/orgs/acme/quotas/cost/month", "")
		h.must(404, "DELETE /v1/orgs/acme/quotas/cost/month", "")
		if a := h.must(200, "GET /v1/orgs/acme/quotas", ""); a.text != `{"items":[],"overrides":[]}`+"\n" {
			t.Errorf("after it was taken away: %s", a.text)
		}
	})
}

func TestMeterUsageIsAskedFor(t *testing.T) {
	h := open(t, sqlite(t))
	acme := app.OrgID(h.must(201, "POST /v1/orgs", `{"name":"Acme"}`).str("id"))
	own := h.mint(keys.New{Org: acme, Name: "own"})
	a := h.call("GET /v1/meters/cost/usage?since=2026-11-01&until=2026-12-01&tz=Asia/Kolkata&step=day&group=model&group=user&filter.task=a", own, "")
	if a.status != 200 {
		t.Fatalf("%d %s", a.status, a.text)
	}
	got := strings.TrimSpace(fmt.Sprintln(h.asked.Org == acme, h.asked.Meter, h.asked.Group, h.asked.Filter, h.asked.Step, h.asked.Since.UTC().Format(time.RFC3339)))
	if want := "true cost [model user] map[task:a] day 2026-10-31T18:30:00Z"; got != want {
		t.Errorf("asked for %s, want %s", got, want)
	}
	for query, field := range map[string]string{"tz=Mars/Base": "tz", "since=2026-11-24T08:07:00Z": "since", "until=soon": "until",
		"filter.a=1&filter.a=2": "filter.a", "colour=red": "colour", "step=week": "step"} {
		if a := h.call("GET /v1/meters/cost/usage?"+query, own, ""); a.status != 400 || !strings.Contains(strings.Join(a.fields(), " "), field) {
			t.Errorf("%s: %d %s", query, a.status, a.text)
		}
	}
}

func TestUsageIsExported(t *testing.T) {
	h := open(t, sqlite(t))
	a := h.must(200, "GET /v1/usage/export?after=1&limit=1", "")
	if a.header.Get("Content-Type") != "application/jsonl" || strings.Count(a.text, "\n") != 1 || a.header.Get("X-Gatehouse-Next") != "2" {
		t.Errorf("one record: %v %s", a.header, a.text)
	}
	if a := h.must(200, "GET /v1/usage/export?format=csv", ""); strings.Count(a.text, "\r\n") != 4 {
		t.Errorf("as CSV: %s", a.text)
	}
	for _, query := range []string{"after=-1", "limit=x", "format=xml", "since=1", "after=1&after=2"} {
		if a := h.call("GET /v1/usage/export?"+query, h.admin, ""); a.status != 400 || a.header.Get("Trailer") != "" {
			t.Errorf("%s: %d %s", query, a.status, a.text)
		}
	}
	h.records.fail = errors.New("disk")
	if a := h.call("GET /v1/usage/export?after=1", h.admin, ""); a.status != 500 {
		t.Errorf("failed at once: %d", a.status)
	}
}

func TestSecretsOfPaidAPIsAreNotShown(t *testing.T) {
	h := open(t, sqlite(t))
	const secret = "sk-secret-of-the-operator-1234"
	a := h.call("POST /v1/routing/apply", h.admin, `{"upstreams":[{"name":"llm","addresses":["https://api.example.com"],
		"credential":{"header":"x-api-key","secret":"`+secret+`"}}],"routes":[{"name":"llm","path_prefix":"/llm","upstream":"llm","cost":"0.01","egress":{"api":"openai"}}]}`)
	if a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.text)
	}
	for _, line := range []string{"GET /v1/upstreams", "GET /v1/upstreams/llm", "GET /v1/routes/llm"} {
		if a := h.must(200, line, ""); strings.Contains(a.text, secret) {
			t.Errorf("%s shows the secret: %s", line, a.text)
		}
	}
	if a := h.must(200, "GET /v1/upstreams/llm", ""); !strings.Contains(a.text, `"hint":"1234"`) {
		t.Errorf("no hint: %s", a.text)
	}
}

func TestPlansTakeAllOfAQuota(t *testing.T) {
	h := open(t, sqlite(t))
	h.must(200, "PUT /v1/plans/pro", `{"slug":"pro","name":"Pro","time_zone":"Asia/Kolkata","quotas":[
		{"meter":"cost","limit":22000000,"period":"month","mode":"hard","grace":5,"thresholds":[50,100]}]}`)
	if a := h.must(200, "GET /v1/plans/pro", ""); !strings.Contains(a.text, `"grace":5,"thresholds":[50,100]`) || a.str("time_zone") != "Asia/Kolkata" {
		t.Errorf("kept %s", a.text)
	}
	h.must(400, "PUT /v1/plans/pro", `{"slug":"pro","name":"Pro","time_zone":"Mars/Base"}`)
}

func TestCorrectionsWantAReason(t *testing.T) {
	h := open(t, sqlite(t))
	h.must(201, "POST /v1/orgs", `{"name":"Acme"}`)
	h.must(400, "POST /v1/usage/adjustments", `{"org":"acme","meter":"docs","value":-1}`)
	h.must(404, "POST /v1/usage/adjustments", `{"org":"nobody","meter":"docs","value":-1,"reason":"x"}`)
	h.must(201, "POST /v1/usage/adjustments", `{"org":"acme","meter":"docs","value":-1,"reason":"x"}`)
	if got := h.adjusted.list; len(got) != 1 || got[0].Value != -1 || !got[0].At.Equal(h.now) {
		t.Errorf("corrected %+v", got)
	}
}
