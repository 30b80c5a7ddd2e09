package api_test

import (
	"strings"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/keys"
	"gatehouse/app/metering"
)

// count puts requests into the ledger.
func (h *house) count(requests ...app.Intent) {
	h.t.Helper()
	ledger, err := metering.Open(h.t.Context(), metering.Options{Store: h.ledger, Now: func() time.Time { return h.now }})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, in := range requests {
		ticket := ledger.Begin(in)
		if err := ticket.Wait(h.t.Context()); err != nil {
			h.t.Fatal(err)
		}
		ledger.Settle(ticket, app.Outcome{Status: 200, BytesOut: 10})
	}
	if err := ledger.Close(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
}

func TestUsage(t *testing.T) {
	everyHouse(t, func(h *house) {
		acme := app.OrgID(h.must(201, "POST /v1/orgs", `{"name":"Acme"}`).str("id"))
		other := app.OrgID(h.must(201, "POST /v1/orgs", `{"name":"Other"}`).str("id"))
		at := time.Date(2026, 11, 23, 18, 35, 0, 0, time.UTC)
		h.count(app.Intent{At: at, Org: acme, Key: "key_a", Route: "rte_a", Weight: 1},
			app.Intent{At: at, Org: acme, Key: "key_b", Route: "rte_a", Weight: 5},
			app.Intent{At: at.Add(-10 * time.Minute), Org: acme, Key: "key_a", Route: "rte_a", Weight: 1},
			app.Intent{At: at, Org: other, Key: "key_c", Route: "rte_a", Weight: 1})
		acmeKey := h.mint(keys.New{Org: acme, Name: "acme"})
		for _, row := range []struct {
			name, key, line string
			requests        []float64
		}{
			{"all", h.admin, "GET /v1/usage", []float64{4}},
			{"one by query", h.admin, "GET /v1/usage?org=acme", []float64{3}},
			{"one by path", h.admin, "GET /v1/orgs/other/usage", []float64{1}},
			{"its own", acmeKey, "GET /v1/usage", []float64{3}},
			{"by organization", h.admin, "GET /v1/usage?group=org", []float64{3, 1}},
			{"by key", acmeKey, "GET /v1/usage?group=key", []float64{2, 1}},
			{"one key", acmeKey, "GET /v1/usage?key=key_b", []float64{1}},
			{"another's key", acmeKey, "GET /v1/usage?key=key_c", []float64{0}},
			// In India the 24th began at 18:30 UTC.
			{"from midnight in Kolkata", acmeKey, "GET /v1/usage?since=2026-11-24T00:00:00%2B05:30&until=2026-11-25T00:00:00%2B05:30", []float64{2}},
			{"by days of Kolkata", acmeKey, "GET /v1/usage?since=2026-11-23T00:00:00%2B05:30&until=2026-11-25T00:00:00%2B05:30&step=1d", []float64{1, 2}},
		} {
			a := h.call(row.line, row.key, "")
			if a.status != 200 {
				h.t.Errorf("%s: %d %s", row.name, a.status, a.text)
				continue
			}
			if got := requestsOf(a); !equal(got, row.requests) {
				h.t.Errorf("%s: %v, want %v\n%s", row.name, got, row.requests, a.text)
			}
		}
		for _, line := range []string{"GET /v1/usage?org=other", "GET /v1/usage?group=org"} {
			if a := h.call(line, acmeKey, ""); a.status != 400 {
				h.t.Errorf("an organization's key, %s: %d", line, a.status)
			}
		}
		if a := h.call("GET /v1/usage?org=nobody", h.admin, ""); a.status != 404 {
			h.t.Errorf("of nobody: %d", a.status)
		}
	})
}

func requestsOf(a answer) (list []float64) {
	for _, item := range a.body["items"].([]any) {
		list = append(list, item.(map[string]any)["requests"].(float64))
	}
	return list
}

// equal compares, whatever the order of groups.
func equal(a, b []float64) bool {
	counts := map[float64]int{}
	for _, n := range a {
		counts[n]++
	}
	for _, n := range b {
		counts[n]--
	}
	for _, n := range counts {
		if n != 0 {
			return false
		}
	}
	return len(a) == len(b)
}

func TestSystemAndTraffic(t *testing.T) {
	h := open(t, sqlite(t))
	if a := h.must(200, "GET /v1/system", ""); a.str("version") != "1.2.3" || a.str("engine") != "SQLite" || a.str("started_at") != "2026-11-24T08:07:00Z" {
		t.Errorf("system: %s", a.text)
	}
	if a := h.must(200, "GET /v1/traffic", ""); a.str("range") != "1h" || strings.Contains(a.text, "null") {
		t.Errorf("traffic: %s", a.text)
	}
	if a := h.call("GET /v1/traffic?range=1y", h.admin, ""); a.status != 400 {
		t.Errorf("a range of no choice: %d", a.status)
	}
}
