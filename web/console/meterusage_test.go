package console_test

import (
	"encoding/csv"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/web/ui"
)

func TestAMetersUsageIsAskedForAsTheAddressSays(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	org := c.newOrg("Acme", "pro")
	path := ui.Org(org.Slug, "usage")
	for _, row := range []struct{ query, step, group string }{
		{"", "day", "key"}, {"&period=24h", "hour", "key"}, {"&period=24h&step=15m", "15m", "key"}, {"&period=year", "month", "key"}, {"&period=90d&step=15m", "day", "key"},
		{"&group=model", "day", "model"}, {"&group=nonsense", "day", "key"}, {"&group=route&period=7d", "hour", "route"}, {"&period=24h&tz=Asia/Kathmandu", "hour", "key"},
	} {
		s.meterUse.asked = nil
		c.page(path + "?meter=" + app.MeterTokensOutput + row.query)
		first, steps := s.meterUse.asked[0], map[string]bool{}
		groups := map[string]bool{}
		for _, q := range s.meterUse.asked {
			steps[q.Step] = true
			for _, g := range q.Group {
				groups[g] = true
			}
			if q.Org != org.ID || q.Meter != app.MeterTokensOutput {
				t.Errorf("%s asks for %q of %q", row.query, q.Meter, q.Org)
			}
		}
		if !steps[row.step] || len(steps) != 2 || !groups[row.group] || len(groups) != 1 {
			t.Errorf("%s asks in steps %v by %v", row.query, steps, groups)
		}
		if strings.Contains(row.query, "Kathmandu") && first.Zone.String() != "Asia/Kathmandu" {
			t.Errorf("the zone is %s", first.Zone)
		}
	}
	if a := c.get(path + "?meter=nonsense"); a.status != http.StatusNotFound {
		t.Errorf("an unknown meter answered %d", a.status)
	}
}

func TestAMetersTableHoldsSharesAndTheWhole(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	c.newOrg("Acme", "pro")
	page := c.page(ui.With(ui.PathUsage, "meter", app.MeterTokensOutput, "group", "model", "period", "last"))
	for _, part := range []string{"claude-sonnet-4-5", "55\u00a0%", "Without", "The month before", "In all", `role="img"`, "times in UTC", "Show the numbers"} {
		if !strings.Contains(page, part) {
			t.Errorf("the page lacks %q", part)
		}
	}
	if page := c.page(ui.With(ui.PathUsage, "meter", "active_users")); strings.Contains(page, " other") || !strings.Contains(page, "Different values") {
		t.Error("values that do not add up are stacked")
	}
	if page := c.page(ui.With(ui.PathUsage, "meter", app.MeterCost, "group", "model")); !strings.Contains(page, "$") {
		t.Error("money has no $")
	}
}

func TestAMeterWithoutUsageTeachesToSendAnEvent(t *testing.T) {
	s := newStage(t)
	s.meterUse.empty = true
	c := s.visitor()
	org := c.newOrg("Acme", "pro")
	page := c.page(ui.With(ui.Org(org.Slug, "usage"), "meter", "documents"))
	for _, part := range []string{"/v1/events", "document.made", string(org.ID), "Nothing was used in this period"} {
		if !strings.Contains(page, part) {
			t.Errorf("the page lacks %q", part)
		}
	}
	if page := c.page(ui.With(ui.PathUsage, "meter", app.MeterSocketSeconds)); strings.Contains(page, "/v1/events") {
		t.Error("a meter that reads no events teaches to send one")
	}
}

func TestAMetersExportHoldsEachStep(t *testing.T) {
	s := newStage(t)
	a := s.visitor().get(ui.With(ui.PathUsageCSV, "meter", app.MeterTokensOutput, "group", "model", "period", "last", "tz", "Asia/Kolkata"))
	records, err := csv.NewReader(strings.NewReader(a.body)).ReadAll()
	s.must(err)
	if got := strings.Join(records[0], ","); got != "from,meter,model,value,unit,estimated" {
		t.Errorf("the head is %s", got)
	}
	if days := time.Date(s.now().Year(), s.now().Month(), 0, 0, 0, 0, 0, time.UTC).Day(); len(records) != 1+5*days {
		t.Errorf("%d records for %d days of 5 models", len(records), days)
	}
	if at, err := time.Parse(time.RFC3339, records[1][0]); err != nil || at.Format("-07:00") == "+00:00" {
		t.Errorf("the first record begins %s", records[1][0])
	}
}
