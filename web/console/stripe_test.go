package console_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/web/ui"
)

// reported puts reports in every state into the outbox, of the organizations
// in turn, and gives all but the last a customer.
func (s *stage) reported(slugs ...string) {
	ctx := context.Background()
	var list []app.MeterEvent
	for i, slug := range slugs {
		org, err := s.store.OrgBySlug(ctx, slug)
		s.must(err)
		event := app.MeterEvent{Identifier: fmt.Sprintf("gh_%d_%s_agent_minutes", 4711+i, org.ID), Org: org.ID, Meter: app.MeterAgentMinutes, EventName: "agent_minutes", Value: 1_240 + int64(i), At: s.now().Add(-3 * time.Hour),
			State: []app.MeterEventState{app.MeterEventParked, app.MeterEventDue, app.MeterEventDelivered, app.MeterEventWaiting}[i%4], Attempts: 1}
		switch event.State {
		case app.MeterEventParked:
			event.Reason = "No such customer: 'cus_NffrFeUfNV2Hib'"
		case app.MeterEventDue:
			event.Attempts, event.NextAt, event.UnsureAt, event.Reason = 3, s.now().Add(40*time.Second), s.now(), "no answer within 30 s"
		}
		list = append(list, event)
		if i < len(slugs)-1 {
			_, err := s.console.Customers.Set(ctx, system, org.ID, fmt.Sprintf("cus_NffrFeUfNV%dHib", i))
			s.must(err)
		}
	}
	ok, err := s.book.InsertMeterEvents(ctx, "stripe", app.ExportRange{Upto: 9}, list)
	if err != nil || !ok {
		s.t.Fatalf("the outbox takes no events: %v", err)
	}
}

func TestCustomersAreSetChangedFoundAndRemoved(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	org := c.newOrg("Acme", "pro")
	set, remove := ui.PathStripe+"/customer", ui.With(ui.PathStripe+"/remove", "org", org.Slug)
	if page := c.page(ui.PathStripe); !strings.Contains(page, "No organization has a customer") {
		t.Error("an empty list does not say how to begin")
	}
	for _, wrong := range []struct{ org, customer, says string }{{"", "cus_1", "no organization"}, {"nobody", "cus_1", "no organization"}, {org.Slug, "acct_1", "look like cus_"}, {org.Slug, "", "look like cus_"}} {
		if a := c.post(set, "org", wrong.org, "customer", wrong.customer); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, wrong.says) {
			t.Errorf("%v answered %d without %q", wrong, a.status, wrong.says)
		}
	}
	for _, customer := range []string{"cus_one", "cus_two"} {
		if a := c.post(set, "org", org.Slug, "customer", customer); a.status != http.StatusSeeOther {
			t.Fatalf("naming %s answered %d", customer, a.status)
		}
	}
	if form := c.page(set + "?org=" + org.Slug); !strings.Contains(form, "Now it is <code>cus_two</code>") {
		t.Error("the form does not say who the customer is now")
	}
	for query, found := range map[string]bool{"": true, "acme": true, "CUS_TWO": true, "cus_one": false} {
		if page := c.page(ui.With(ui.PathStripe, "q", query)); strings.Contains(page, "<code>cus_two</code>") != found {
			t.Errorf("%q: found is %v", query, !found)
		}
	}
	c.page(remove)
	if a := c.post(remove, "confirm", "acm"); a.status != http.StatusUnprocessableEntity {
		t.Errorf("another name removed it: %d", a.status)
	}
	if known, err := s.console.Customers.Customer(context.Background(), system, org.ID); err != nil || known.Customer != "cus_two" {
		t.Fatalf("asking removed the customer: %v", err)
	}
	if a := c.post(remove, "confirm", org.Slug); a.status != http.StatusSeeOther {
		t.Errorf("removing answered %d", a.status)
	}
	if a := c.get(remove); a.status != http.StatusNotFound {
		t.Errorf("removing what is not there answered %d", a.status)
	}
}

func TestReportsAreListedByStateAndRetried(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	for _, name := range []string{"One", "Two", "Three", "Four", "Five", "Six"} {
		c.newOrg(name, "pro")
	}
	s.reported("one", "two", "three", "four", "five", "six")
	for state, parts := range map[string][]string{"": {"One", "Four", "Five", "No such customer"}, "parked": {"One", "Five"}, "waiting": {"Four", "Set customer"}, "due": {"Two", "Six", "tried again in"}, "delivered": {"Three", "1,242 minutes"}} {
		page := c.page(ui.With(ui.PathStripe, "state", state))
		_, reports, _ := strings.Cut(page, "Reports to Stripe")
		reports, _, _ = strings.Cut(reports, "</table>")
		if n := strings.Count(reports, `class="sub"`); n != map[string]int{"": 3, "parked": 2, "waiting": 1, "due": 2, "delivered": 1}[state] {
			t.Errorf("%q lists %d reports", state, n)
		}
		for _, part := range parts {
			if !strings.Contains(reports, part) {
				t.Errorf("%q lacks %q", state, part)
			}
		}
	}
	status, err := s.console.Outbox.Status(context.Background(), system)
	s.must(err)
	one := ui.With(ui.PathStripe+"/retry", "id", status.Troubles[0].Identifier)
	if page := c.page(one); !strings.Contains(page, "Send this report again") {
		t.Error("retrying one does not ask")
	}
	if page := c.page(ui.PathStripe + "/retry"); !strings.Contains(page, "2 reports") {
		t.Error("retrying all does not say how many")
	}
	if status, err = s.console.Outbox.Status(context.Background(), system); err != nil || status.Parked != 2 {
		t.Fatalf("asking retried: %+v %v", status, err)
	}
	for _, e := range status.Troubles {
		if e.State == app.MeterEventParked {
			one = ui.With(ui.PathStripe+"/retry", "id", e.Identifier)
		}
	}
	for path, left := range map[string]int64{one: 1} {
		if a := c.post(path); a.status != http.StatusSeeOther {
			t.Errorf("retrying answered %d", a.status)
		}
		if status, err = s.console.Outbox.Status(context.Background(), system); err != nil || status.Parked != left {
			t.Errorf("%d are parked, not %d: %v", status.Parked, left, err)
		}
	}
	if a := c.post(ui.PathStripe + "/retry"); a.status != http.StatusSeeOther {
		t.Errorf("retrying all answered %d", a.status)
	}
	if status, _ = s.console.Outbox.Status(context.Background(), system); status.Parked != 0 || status.Due != 4 {
		t.Errorf("after all were retried %+v", status)
	}
	if a := c.post(one); a.status != http.StatusNotFound {
		t.Errorf("retrying what is not parked answered %d", a.status)
	}
}
