package api_test

import (
	"fmt"
	"testing"

	"gatehouse/app"
	"gatehouse/app/keys"
)

func TestTextsThatNoDatabaseHolds(t *testing.T) {
	everyHouse(t, func(h *house) {
		for name, status := range map[string]int{`a\u0000b`: 400, "a\x00b": 400, "a\xffb": 400, `a\\\u0000b`: 400, `a\\u0000b`: 201, `a\u00e9b`: 201, `a\\`: 201} {
			if a := h.call("POST /v1/orgs", h.admin, `{"name":"`+name+`"}`); a.status != status {
				t.Errorf("%q: %d %s, want %d", name, a.status, a.text, status)
			}
		}
	})
}

// TestAnOrganizationTakesNoUsageAway reports less than nothing, beside what is
// well.
func TestAnOrganizationTakesNoUsageAway(t *testing.T) {
	h := open(t, sqlite(t))
	acme := app.OrgID(h.must(201, "POST /v1/orgs", `{"name":"Acme"}`).str("id"))
	own := h.mint(keys.New{Org: acme, Name: "own"})
	batch := `[{"id":"1","type":"pages","org":"acme","data":{"pages":2}},{"id":"2","type":"pages","org":"acme","data":{"pages":-2}},{"id":"3","type":"pages","org":"acme","data":{"pages":3}}]`
	for i, row := range []struct {
		key      string
		accepted int
		verdict  string
	}{{own, 2, "rejected"}, {h.admin, 3, "accepted"}} {
		h.recorded.events = nil
		a := h.call("POST /v1/events", row.key, batch)
		results, _ := a.body["results"].([]any)
		if a.status != 200 || len(results) != 3 || len(h.recorded.events) != row.accepted {
			t.Fatalf("row %d: %d %s, %d counted", i, a.status, a.text, len(h.recorded.events))
		}
		for n, want := range []string{"accepted", row.verdict, "accepted"} {
			if got := results[n].(map[string]any); got["status"] != want || got["id"] != fmt.Sprint(n+1) {
				t.Errorf("row %d: event %d is %v, want %s", i, n+1, got, want)
			}
		}
	}
}
