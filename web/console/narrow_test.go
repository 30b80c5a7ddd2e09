package console_test

import (
	"context"
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/keys"
	"gatehouse/web/console"
	"gatehouse/web/ui"
)

var rowLink = regexp.MustCompile(`<a class="name" dir="auto" href="([^"]*)">([^<]*)</a>`)

// rowsOf are the links of a page's rows, by their text.
func rowsOf(page string) map[string]string {
	rows := map[string]string{}
	for _, found := range rowLink.FindAllStringSubmatch(page, -1) {
		rows[html.UnescapeString(found[2])] = html.UnescapeString(found[1])
	}
	return rows
}

func requestsOf(page string) string {
	_, after, _ := strings.Cut(page, `Requests</dt><dd class="figure">`)
	n, _, _ := strings.Cut(after, " ")
	return n
}

func TestARowOfUsageLeadsToItsOwn(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	one, two := c.newOrg("One", "pro"), c.newOrg("Two", "pro")
	s.count(one.ID, "key_a", 7, s.now())
	s.count(one.ID, "key_b", 5, s.now())
	s.count(two.ID, "key_c", 30, s.now())
	all := rowsOf(c.page(ui.With(ui.PathUsage, "period", "7d", "show", "units", "tz", "Asia/Tokyo")))
	link, err := url.Parse(all["One"])
	s.must(err)
	if q := link.Query(); link.Path != ui.Org("one", "usage") || q.Get("period") != "7d" || q.Get("show") != "units" || q.Get("tz") != "Asia/Tokyo" {
		t.Errorf("the organization's row leads to %s", all["One"])
	}
	for name, want := range map[string]string{"key_a": "7", "key_b": "5"} {
		page := c.page(rowsOf(c.page(all["One"]))[name])
		if got := requestsOf(page); got != want || !strings.Contains(page, `aria-label="Narrowed to"`) || !strings.Contains(page, "rte_app") {
			t.Errorf("the row of %s leads to %q requests, not %s", name, got, want)
		}
	}
	byRoute := c.page(rowsOf(c.page(ui.With(ui.PathUsage, "group", "route")))["rte_app"])
	if got := requestsOf(byRoute); got != "42" || rowsOf(byRoute)["One"] != ui.With(ui.Org("one", "usage"), "where", "route:rte_app") {
		t.Errorf("the route's row leads to %q requests, and from there to %v", got, rowsOf(byRoute))
	}
	if csv := c.get(ui.With(ui.Org("one", "usage.csv"), "where", "key:key_a")).body; strings.Count(csv, "\n") != 2 || !strings.Contains(csv, "rte_app") {
		t.Errorf("the export is not narrowed: %s", csv)
	}
	if got := requestsOf(c.page(ui.With(ui.PathUsage, "where", "key:key_a"))); got != "42" {
		t.Errorf("a key of nobody narrows all to %s", got)
	}
}

func TestARowOfAMeterLeadsToItsOwn(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	org := c.newOrg("Acme", "pro")
	models := rowsOf(c.page(ui.With(ui.PathUsage, "meter", app.MeterTokensOutput, "group", "model", "period", "24h")))
	link := models["gpt-5-mini"]
	if link != ui.With(ui.PathUsage, "period", "24h", "meter", app.MeterTokensOutput, "where", "model:gpt-5-mini") {
		t.Fatalf("the model's row leads to %s", link)
	}
	if _, ok := models["Without"]; ok {
		t.Error("what names no model leads to a page")
	}
	s.meterUse.asked = nil
	page := c.page(link)
	for _, q := range s.meterUse.asked {
		if q.Filter["model"] != "gpt-5-mini" {
			t.Errorf("the page asks for %v", q.Filter)
		}
	}
	if own := rowsOf(page)["Acme"]; own != ui.With(ui.Org(org.Slug, "usage"), "period", "24h", "meter", app.MeterTokensOutput, "where", "model:gpt-5-mini") {
		t.Errorf("from the model an organization's row leads to %s", own)
	}
	if strings.Contains(page, `value="model"`) {
		t.Error("what is one model can be grouped by model")
	}
	s.meterUse.empty = true
	if page := c.page(link); !strings.Contains(page, "The page is narrowed") || strings.Contains(page, "/v1/events") {
		t.Error("an empty page does not say that it is narrowed")
	}
	c.page(ui.With(ui.Org(org.Slug, "usage"), "meter", app.MeterTokensOutput, "where", "nonsense:x", "where", "model:a", "where", "model:b", "where", "user:<b>", "where", "task:", "where", "route:r"))
}

func TestUsageIsComparedWithThePeriodBefore(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	one, two := c.newOrg("One", "pro"), c.newOrg("Two", "pro")
	s.count(one.ID, "", 9, s.now())
	s.count(two.ID, "", 1, s.now())
	s.count(one.ID, "", 6, s.now().Add(-25*time.Hour))
	s.count(two.ID, "", 2, s.now().Add(-25*time.Hour))
	page := c.page(ui.With(ui.PathUsage, "period", "24h"))
	for _, part := range []string{"+25\u00a0% on the day before", `<td class="n">+50` + "\u00a0%</td>", `<td class="n">−50` + "\u00a0%</td>", `class="c-before" d="M`, "The day before</th>"} {
		if !strings.Contains(page, part) {
			t.Errorf("the page lacks %q", part)
		}
	}
	if page := c.page(ui.With(ui.PathUsage, "period", "last")); strings.Contains(page, `class="c-before"`) {
		t.Error("a chart compares with nothing")
	}
}

func TestAPeriodIsComparedUpToWhereItHasCome(t *testing.T) {
	lisbon, err := time.LoadLocation("Europe/Lisbon")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ key, now, since, alike, end string }{
		{"month", "2026-11-24T15:03", "2026-10-01T00:00", "2026-10-24T15:15", "2026-11-01T00:00"},
		{"month", "2026-03-31T20:00", "2026-02-01T00:00", "2026-03-01T00:00", "2026-03-01T00:00"},
		{"last", "2026-03-31T20:00", "2026-01-01T00:00", "2026-02-01T00:00", "2026-02-01T00:00"},
		{"7d", "2026-11-24T15:03", "2026-11-11T00:00", "2026-11-17T15:15", "2026-11-18T00:00"},
		{"24h", "2026-11-24T15:03", "2026-11-22T16:00", "2026-11-23T15:15", "2026-11-23T16:00"},
		{"90d", "2026-11-24T15:03", "2026-05-29T00:00", "2026-08-26T16:15", "2026-08-27T00:00"},
		{"year", "2026-11-24T15:03", "2024-12-01T00:00", "2025-11-24T15:15", "2025-12-01T00:00"},
	} {
		at := func(text string) time.Time {
			read, err := time.ParseInLocation("2006-01-02T15:04", text, lisbon)
			if err != nil {
				t.Fatal(err)
			}
			return read
		}
		since, alike, end := console.PeriodBefore(row.key, at(row.now), lisbon)
		if !since.Equal(at(row.since)) || !alike.Equal(at(row.alike)) || !end.Equal(at(row.end)) {
			t.Errorf("%s at %s: from %v to %v, ends %v", row.key, row.now, since, alike, end)
		}
	}
}

func TestAQuotaLeadsToItsUsageAndANoticeToItsQuota(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	org := c.newOrg("Acme", "pro")
	minted, err := s.keys.Mint(context.Background(), system, keys.New{Org: org.ID, Name: "ci", Scopes: []string{"*"}})
	s.must(err)
	page := html.UnescapeString(c.page(ui.Org(org.Slug, "quotas")))
	for _, part := range []string{`id="quota-cost-month"`, `href="#quota-cost-month"`, ui.With(ui.Org(org.Slug, "usage"), "meter", app.MeterCost, "tz", "UTC"),
		ui.With(ui.Org(org.Slug, "usage"), "meter", app.MeterRequests, "tz", "UTC", "where", "key:"+string(minted.Key.ID))} {
		if !strings.Contains(page, part) {
			t.Errorf("the page of quotas lacks %s", part)
		}
	}
}
