package console_test

import (
	"context"
	"encoding/csv"
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/web/ui"
)

// count puts requests of the organization into the ledger.
func (s *stage) count(org app.OrgID, key app.KeyID, n int, at time.Time) {
	s.t.Helper()
	for range n {
		ticket := s.ledger.Begin(app.Intent{At: at, Org: org, Key: key, Route: "rte_app", Weight: 2})
		s.must(ticket.Wait(context.Background()))
		s.ledger.Settle(ticket, app.Outcome{Status: 200, BytesIn: 10, BytesOut: 100, Duration: time.Millisecond})
	}
}

func TestTheConsolesNumbersAreTheLedgers(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	one, two := c.newOrg("One", "pro"), c.newOrg("Two", "pro")
	s.count(one.ID, "key_a", 7, s.now())
	s.count(one.ID, "key_b", 5, s.now())
	s.count(two.ID, "key_c", 30, s.now())
	reports := metering.Reports{Store: s.book}
	for _, row := range []struct {
		path string
		org  app.OrgID
		want int64
	}{{ui.PathUsage, "", 42}, {ui.Org("one", "usage"), one.ID, 12}, {ui.Org("two", "usage"), two.ID, 30}} {
		rows, err := reports.Usage(context.Background(), system, app.UsageQuery{Org: row.org, Since: s.now().Add(-time.Hour), Until: s.now().Add(time.Minute)})
		s.must(err)
		if rows[0].Requests != row.want {
			t.Fatalf("the ledger says %d", rows[0].Requests)
		}
		page := c.page(row.path)
		if !strings.Contains(page, fmt.Sprintf("Requests</dt><dd class=\"figure\">%d", row.want)) {
			t.Errorf("%s does not say %d", row.path, row.want)
		}
	}
	for path, parts := range map[string][]string{ui.PathUsage: {">30<", ">12<"}, ui.Org("one", "usage"): {">7<", ">5<"}, ui.PathUsage + "?show=units": {">24<", ">60<"}, ui.PathUsage + "?group=route": {">42<", "rte_app"}} {
		page := c.page(path)
		for _, part := range parts {
			if !strings.Contains(page, part) {
				t.Errorf("%s lacks %s", path, part)
			}
		}
	}
}

func TestUsageFollowsTheTimeZone(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	org := c.newOrg("One", "pro")
	// 20:00 UTC is already tomorrow in Kathmandu (+5:45), and still today in New York.
	at := s.now().UTC().Truncate(24 * time.Hour).Add(-4 * time.Hour)
	s.count(org.ID, "key_a", 3, at)
	for zone, name := range map[string]string{"Asia/Kathmandu": "", "America/New_York": "", "UTC": ""} {
		location, err := time.LoadLocation(zone)
		s.must(err)
		name = at.In(location).Format("Mon 2 Jan 2006")
		page := c.page(ui.With(ui.PathUsage, "period", "90d", "tz", zone))
		if !strings.Contains(page, "<td>"+name+`</td><td class="n">3</td>`) {
			t.Errorf("in %s the day is not %s", zone, name)
		}
	}
}

func TestTheExportIsSafeInASpreadsheet(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	for _, name := range []string{"=1+1", "+cmd", "-2", "@sum", "plain, with a comma"} {
		s.count(c.newOrg(name, "pro").ID, "", 1, s.now())
	}
	a := c.get(ui.PathUsageCSV)
	if a.header.Get("Content-Type") != "text/csv; charset=utf-8" {
		t.Errorf("Content-Type %q", a.header.Get("Content-Type"))
	}
	records, err := csv.NewReader(strings.NewReader(a.body)).ReadAll()
	s.must(err)
	if len(records) != 6 {
		t.Fatalf("%d records", len(records))
	}
	for _, record := range records[1:] {
		for _, cell := range record {
			if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
				t.Errorf("the cell %q begins like a formula", cell)
			}
		}
	}
}

func TestTheTableSortsByTheAddress(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	for name, n := range map[string]int{"Anna": 1, "Bert": 3, "Cleo": 2} {
		s.count(c.newOrg(name, "pro").ID, "", n, s.now())
	}
	for sort, want := range map[string]string{"": "Bert Cleo Anna", "requests": "Anna Cleo Bert", "name": "Anna Bert Cleo", "-name": "Cleo Bert Anna"} {
		page := c.page(ui.With(ui.PathUsage, "sort", sort))
		var got []string
		for _, part := range strings.Split(page, `<a class="name" dir="auto"`)[1:] {
			_, rest, _ := strings.Cut(part, ">")
			name, _, _ := strings.Cut(rest, "<")
			got = append(got, name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("sort=%q shows %v", sort, got)
		}
	}
}
