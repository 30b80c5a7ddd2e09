package api_test

import (
	"fmt"
	"strings"
	"testing"

	"gatehouse/app"
)

// report puts an event for Stripe into the outbox, and returns its name.
func (h *house) report(state app.MeterEventState, org app.OrgID) string {
	h.t.Helper()
	h.reported++
	name := fmt.Sprintf("gh_%d_%s_pages_1995024", h.reported, org)
	e := app.MeterEvent{Identifier: name, Org: org, Meter: "pages", EventName: "pages", Value: int64(h.reported), At: h.now, State: state, NextAt: h.now}
	if state == app.MeterEventParked {
		e.Reason = "No such meter."
	}
	ok, err := h.ledger.InsertMeterEvents(h.t.Context(), name, app.ExportRange{Upto: 1}, []app.MeterEvent{e})
	if err != nil || !ok {
		h.t.Fatal(ok, err)
	}
	return name
}

func TestStripesCustomers(t *testing.T) {
	everyHouse(t, func(h *house) {
		for _, name := range []string{"Acme", "Other", "Third"} {
			h.must(201, "POST /v1/orgs", `{"name":"`+name+`"}`)
		}
		h.must(404, "GET /v1/orgs/acme/stripe-customer", "")
		for _, body := range []string{`{}`, `{"customer":""}`, `{"customer":"acct_1"}`, `{"customer":"cus_1 "}`, `{"customer":"cus_1","org":"other"}`} {
			h.must(400, "PUT /v1/orgs/acme/stripe-customer", body)
		}
		h.must(404, "PUT /v1/orgs/nobody/stripe-customer", `{"customer":"cus_1"}`)
		h.must(200, "PUT /v1/orgs/acme/stripe-customer", `{"customer":"cus_1"}`)
		if a := h.must(200, "PUT /v1/orgs/acme/stripe-customer", `{"customer":"cus_2"}`); a.str("customer") != "cus_2" || a.str("provider") != "stripe" {
			t.Errorf("renamed: %s", a.text)
		}
		h.must(200, "PUT /v1/orgs/other/stripe-customer", `{"customer":"cus_2"}`)
		h.must(200, "PUT /v1/orgs/third/stripe-customer", `{"customer":"cus_3"}`)
		var seen []string
		for line, pages := "GET /v1/stripe/customers?limit=2", 0; line != "" && pages < 5; pages++ {
			a := h.must(200, line, "")
			for _, item := range a.body["items"].([]any) {
				seen = append(seen, item.(map[string]any)["customer"].(string))
			}
			if line = ""; a.str("next") != "" {
				line = "GET /v1/stripe/customers?limit=2&cursor=" + a.str("next")
			}
		}
		if len(seen) != 3 {
			t.Errorf("listed %v", seen)
		}
		h.must(204, "DELETE /v1/orgs/acme/stripe-customer", "")
		h.must(404, "DELETE /v1/orgs/acme/stripe-customer", "")
		h.must(404, "GET /v1/orgs/acme/stripe-customer", "")
	})
}

func TestTheOutboxOfStripe(t *testing.T) {
	everyHouse(t, func(h *house) {
		acme := app.OrgID(h.must(201, "POST /v1/orgs", `{"name":"Acme"}`).str("id"))
		other := app.OrgID(h.must(201, "POST /v1/orgs", `{"name":"Other"}`).str("id"))
		parked, theirs := h.report(app.MeterEventParked, acme), h.report(app.MeterEventParked, other)
		h.report(app.MeterEventParked, acme)
		waiting := h.report(app.MeterEventWaiting, acme)
		h.report(app.MeterEventDelivered, acme)
		a := h.must(200, "GET /v1/stripe/outbox", "")
		if a.body["parked"] != 3.0 || a.body["waiting"] != 1.0 || a.body["delivered"] != 1.0 || a.body["due"] != 0.0 ||
			!strings.Contains(a.text, "No such meter.") || !strings.Contains(a.text, waiting) {
			t.Errorf("outbox: %s", a.text)
		}
		if a := h.must(200, "GET /v1/stripe/outbox/events?org=other", ""); len(a.body["items"].([]any)) != 1 || !strings.Contains(a.text, theirs) {
			t.Errorf("parked of other: %s", a.text)
		}
		first := h.must(200, "GET /v1/stripe/outbox/events?limit=2", "")
		second := h.must(200, "GET /v1/stripe/outbox/events?limit=2&cursor="+first.str("next"), "")
		if first.str("next") == "" || len(first.body["items"].([]any)) != 2 || len(second.body["items"].([]any)) != 1 || second.str("next") != "" {
			t.Errorf("pages: %s %s", first.text, second.text)
		}
		h.must(400, "GET /v1/stripe/outbox/events?state=lost", "")
		h.must(404, "GET /v1/stripe/outbox/events?org=nobody", "")
		h.must(404, "POST /v1/stripe/outbox/events/"+waiting+"/retry", "") // not parked
		h.must(404, "POST /v1/stripe/outbox/events/gh_nothing/retry", "")
		if a := h.must(200, "POST /v1/stripe/outbox/events/"+parked+"/retry", ""); a.body["due"] != 1.0 {
			t.Errorf("one again: %s", a.text)
		}
		h.must(404, "POST /v1/stripe/outbox/events/"+parked+"/retry", "") // it is due now
		if a := h.must(200, "POST /v1/stripe/outbox/retry", ""); a.body["due"] != 2.0 {
			t.Errorf("all again: %s", a.text)
		}
		if a := h.must(200, "GET /v1/stripe/outbox/events?state=due", ""); len(a.body["items"].([]any)) != 3 {
			t.Errorf("due: %s", a.text)
		}
	})
}
