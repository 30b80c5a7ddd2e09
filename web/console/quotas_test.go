package console_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/web/ui"
)

func TestAQuotaIsSetAndRemovedWithoutScripts(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	org := c.newOrg("Acme", "pro")
	set, all := ui.Org(org.Slug, "quotas/edit"), ui.Org(org.Slug, "quotas")
	form := func(changes ...string) []string {
		pairs := []string{"meter", app.MeterCost, "period", "month", "key", "", "limit", "1,007.50", "mode", "hard", "grace", "5", "reason", "agreed"}
		for i := 0; i < len(changes); i += 2 {
			for j := 0; j < len(pairs); j += 2 {
				if pairs[j] == changes[i] {
					pairs[j+1] = changes[i+1]
				}
			}
		}
		return pairs
	}
	for _, wrong := range []struct {
		form []string
		says string
	}{
		{form("limit", "many"), "Must be a number such as 10,000"}, {form("limit", ""), "Must be a number"}, {form("limit", "-1"), "Must be between 0"}, {form("grace", "101"), "per cent"},
		{form("grace", "x"), "0 to 100"}, {form("reason", ""), "Must say why"}, {form("period", "week"), "Period must be"}, {form("meter", "not a meter", "limit", "10"), "Meter must be"},
	} {
		if a := c.post(set, wrong.form...); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, wrong.says) {
			t.Errorf("%v answered %d without %q", wrong.form, a.status, wrong.says)
		}
	}
	if len(s.quotas.overrides) != 0 {
		t.Fatalf("a wrong form set %v", s.quotas.overrides)
	}
	if a := c.post(set, form()...); a.status != http.StatusSeeOther || a.location() != all {
		t.Fatalf("the form answered %d to %q", a.status, a.location())
	}
	got := s.quotas.overrides[0]
	if got.Limit != 1_007_500_000 || got.Grace != 5 || got.Mode != app.QuotaHard || got.Period != app.PeriodMonth || got.Reason != "agreed" {
		t.Fatalf("the form set %+v", got)
	}
	page := c.page(all)
	for _, part := range []string{"of $1,007.50", ">Override<", "5 % beyond", "agreed", "84\u00a0%", "340 more reserved", "At this pace exhausted", "rsv_01kb2r8m4x9cvt"} {
		if !strings.Contains(page, part) {
			t.Errorf("the page lacks %q", part)
		}
	}
	if form := c.page(ui.Quota(org.Slug, "edit", "", app.MeterCost, app.PeriodMonth)); !strings.Contains(form, `value="1007.5"`) {
		t.Error("the form does not begin with what holds")
	}
	remove := ui.Quota(org.Slug, "remove", "", app.MeterCost, app.PeriodMonth)
	if !strings.Contains(c.page(remove), "plan&#39;s quota holds again") || len(s.quotas.overrides) != 1 {
		t.Error("asking removed it, or did not say what will hold")
	}
	if a := c.post(remove); a.status != http.StatusSeeOther || len(s.quotas.overrides) != 0 {
		t.Errorf("removing answered %d and left %v", a.status, s.quotas.overrides)
	}
	if a := c.get(remove); a.status != http.StatusNotFound {
		t.Errorf("removing what is not there answered %d", a.status)
	}
}

func TestWithoutServicesTheirPagesAreNotThere(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	org := c.newOrg("Acme", "pro")
	s.console.Meters, s.console.MeterUsage, s.console.Quotas, s.console.Proofs, s.console.Reservations, s.console.Rates = nil, nil, nil, nil, nil, nil
	s.console.QuotaAccounts, s.console.QuotaOf, s.console.Customers, s.console.Outbox = nil, nil, nil, nil
	for _, path := range []string{ui.PathOverview, ui.PathUsage, ui.Org(org.Slug, ""), ui.Org(org.Slug, "usage"), ui.PathSystem, ui.PathRates, ui.PathPlans, ui.PathTraffic} {
		if page := c.page(path); strings.Contains(page, "/quotas") || strings.Contains(page, ui.PathLedger) || strings.Contains(page, ui.PathStripe) || strings.Contains(page, `name="meter"`) {
			t.Errorf("%s leads to what is not there", path)
		}
	}
	for _, path := range []string{ui.Org(org.Slug, "quotas"), ui.Org(org.Slug, "quotas/edit"), ui.PathLedger, ui.PathMeters, ui.PathStripe, ui.PathStripe + "/customer", ui.PathStripe + "/remove?org=acme", ui.PathStripe + "/retry"} {
		if a := c.get(path); a.status != http.StatusNotFound {
			t.Errorf("%s answered %d", path, a.status)
		}
	}
}

func TestTheOverviewTellsOfQuotasNearTheirLimit(t *testing.T) {
	s := newStage(t)
	s.populate(customers...)
	c := s.visitor()
	page := c.page(ui.PathOverview)
	for _, part := range []string{"Quotas near their limit", "Notices of quotas", "quotas#quota-cost-month"} {
		if !strings.Contains(page, part) {
			t.Errorf("the overview lacks %q", part)
		}
	}
	if n := strings.Count(page, `class="tn share`); n != 6 {
		t.Errorf("%d quotas are listed, not the 6 fullest", n)
	}
	all := c.page(ui.PathOverview + "?near=all")
	n := strings.Count(all, `class="tn share`)
	if n <= 6 || !strings.Contains(page, fmt.Sprintf("and %d more", n-6)) {
		t.Errorf("all are %d, and the overview does not say how many more", n)
	}
	if !strings.Contains(all, `$20.35 <span class="muted">of $22.00`) || strings.Contains(all, "12,310,442") {
		t.Error("what is near its limit is missing, or a quota of which 30 % is used is listed")
	}
	var last int64 = 1000
	for _, part := range strings.Split(all, `class="tn share`)[1:] {
		_, text, _ := strings.Cut(part, ">")
		text, _, _ = strings.Cut(text, "\u00a0%")
		percent, err := strconv.ParseInt(text, 10, 64)
		if err != nil || percent > last || percent < 80 {
			t.Errorf("%q comes after %d %%", text, last)
		}
		last = percent
	}
}

func TestWhoIsNearALimitIsKnownWithoutANotice(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	s.populate(customers[:1]...)
	near := func() string {
		page := c.page(ui.PathOverview)
		_, after, _ := strings.Cut(page, `id="near-title"`)
		list, _, _ := strings.Cut(after, `id="news-title"`)
		return list
	}
	if !strings.Contains(near(), "Northwind") {
		t.Fatal("an account near its limit is not listed")
	}
	asked := s.accounts.asked
	if near(); s.accounts.asked != asked {
		t.Error("a second look within a moment reads again")
	}
	org, err := s.store.OrgBySlug(context.Background(), "northwind-labs")
	s.must(err)
	ends := s.now().Add(2 * time.Minute)
	s.accounts.changed = []app.AccountState{{Account: app.Account{Org: org.ID, Meter: app.MeterCost, Period: app.PeriodMonth, Start: 1, End: ends.UnixMilli()}, Spent: 21_900_000, UpdatedAt: s.now()}}
	s.shift.Add(int64(time.Minute))
	if list := near(); strings.Count(list, "Cost a month") != 2 {
		t.Errorf("an account that changed is not listed: %s", list)
	}
	s.shift.Add(int64(2 * time.Minute))
	if list := near(); strings.Count(list, "Cost a month") != 1 {
		t.Error("an account whose period is over is listed")
	}
	_, err = s.quotas.Put(context.Background(), system, "northwind-labs", app.QuotaOverride{Reason: "more", Quota: app.Quota{Meter: app.MeterCost, Period: app.PeriodMonth, Limit: 220_000_000}})
	s.must(err)
	s.quotas.overrides[0].Org = org.ID
	s.shift.Add(int64(time.Minute))
	if list := near(); strings.Contains(list, "Cost a month") {
		t.Error("a quota that was raised is listed by its old limit")
	}
	s.quotas.overrides = nil
	s.shift.Add(int64(time.Minute))
	if list := near(); !strings.Contains(list, "Cost a month") {
		t.Error("a quota that was lowered while nothing was used is not listed")
	}
}

func TestTheLedgersPageIsGreenOnlyWhenItHeld(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	const held, tick = `<span class="badge ok">`, "Proven"
	if page := c.page(ui.PathLedger); strings.Count(page, held) != 9 || !strings.Contains(page, tick) || strings.Contains(page, "What to do") {
		t.Errorf("a ledger that held has %d marks", strings.Count(page, held))
	}
	s.proofs.broken(s.now())
	page := c.page(ui.PathLedger)
	if strings.Count(page, held) != 6 || !strings.Contains(page, "Not proven") || !strings.Contains(page, "What to do") || !strings.Contains(page, "block_damaged") {
		t.Errorf("a broken ledger has %d marks", strings.Count(page, held))
	}
	for code, equation := range map[string]string{metering.FaultOutcomeUnmatched: "Each outcome", metering.FaultMeterDiffers: "Meters are", metering.FaultAccountDiffers: "Quotas are", metering.FaultAccountOverdrawn: "Quotas are",
		metering.FaultHeldDiffers: "Quotas are", metering.FaultAnswersDiffer: "Answered requests", metering.FaultEventTwice: "Each event", metering.FaultStepsDiffer: "Steps have", "something_else": "Nothing else"} {
		s.proofs.proof.Faulty, s.proofs.proof.Faults = 1, []metering.Fault{{Code: code, Text: "x"}}
		_, after, _ := strings.Cut(c.page(ui.PathLedger), equation)
		if badge, _, _ := strings.Cut(after, "</tr>"); !strings.Contains(badge, "Broken, 1 fault") {
			t.Errorf("%s does not break %q", code, equation)
		}
	}
	s.proofs.proof.Faulty = 1000 // more than were kept: the others may be of any kind
	if page := c.page(ui.PathLedger); strings.Contains(page, held) {
		t.Error("an equation whose faults may have been left out is green")
	}
	s.proofs.unreadable(s.now())
	if page := c.page(ui.PathLedger); strings.Contains(page, held) || !strings.Contains(page, "disk I/O error") {
		t.Error("a ledger that could not be read is green, or does not say why")
	}
	s.proofs.at = time.Time{}
	if page := c.page(ui.PathLedger); strings.Contains(page, held) || !strings.Contains(page, "has not been read yet") {
		t.Error("a ledger that was never read is green")
	}
	if a := c.post(ui.PathLedger); a.status != http.StatusSeeOther || s.proofs.runs != 1 {
		t.Errorf("the button answered %d and ran %d proofs", a.status, s.proofs.runs)
	}
}

func TestRatesAreFoundAndSayFromWhenTheyHold(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	_, err := s.rates.Apply(context.Background(), system, []app.Rate{
		{Model: "acme-1", Provider: "Acme", Input: "3", Output: "15.5", ValidFrom: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
		{Model: "acme-1", Provider: "Acme", Input: "2", Output: "10", ValidFrom: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)},
		{Model: "acme-1", Provider: "Acme", Input: "1", Output: "9", ValidFrom: s.now().Add(48 * time.Hour)}})
	s.must(err)
	page := c.page(ui.PathRates + "?q=ACME+1")
	for _, part := range []string{"$15.50", "1 Jan 2026", "Until 1 Mar 2026", "Holds", "To come"} {
		if !strings.Contains(page, part) {
			t.Errorf("the list lacks %q", part)
		}
	}
	if strings.Contains(page, "claude") {
		t.Error("the search shows other models")
	}
	if page := c.page(ui.PathRates + "?q=%3Cb%3E"); !strings.Contains(page, "No model or provider is called") {
		t.Error("a search without a result does not say so")
	}
}

func TestRoutesTellOfEgressAndNeverOfTheSecret(t *testing.T) {
	s := newStage(t)
	s.populate(customers...)
	c := s.visitor()
	for path, part := range map[string]string{ui.PathTraffic: "Egress: Anthropic", ui.Route("models"): "Shortened to what is left", ui.Route("files"): "$0.0015", ui.Upstream("anthropic"): "x-api-key …4f2a"} {
		page := c.page(path)
		if !strings.Contains(page, part) {
			t.Errorf("%s lacks %q", path, part)
		}
		if strings.Contains(page, "secret-of-a-test") {
			t.Errorf("%s shows the secret", path)
		}
	}
}
