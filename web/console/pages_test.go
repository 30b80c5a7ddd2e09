package console_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/keys"
	"gatehouse/app/limit"
	"gatehouse/web/ui"
)

// everyPage lists what a signed-in operator can look at, by the name of its picture.
func everyPage(org string, key app.KeyID) []struct{ name, path string } {
	return []struct{ name, path string }{
		{"overview", ui.PathOverview}, {"organizations", ui.PathOrgs}, {"organization-new", ui.PathNewOrg}, {"organization", ui.Org(org, "")},
		{"keys", ui.Keys(org)}, {"key-new", ui.NewKey(org)}, {"key-rotate", ui.Key(org, key, "rotate")}, {"key-revoke", ui.Key(org, key, "revoke")},
		{"organization-usage", ui.Org(org, "usage")}, {"limits", ui.Org(org, "limits")}, {"settings", ui.Org(org, "settings")}, {"plan-change", ui.Org(org, "plan")},
		{"suspend", ui.Org(org, "suspend")}, {"delete", ui.Org(org, "delete")}, {"usage", ui.PathUsage}, {"traffic", ui.PathTraffic}, {"route", ui.Route("agents")},
		{"upstream", ui.Upstream("app")}, {"plans", ui.PathPlans}, {"plan", ui.Plan("pro")}, {"system", ui.PathSystem}, {"operator-keys", ui.PathKeys},
		{"operator-key-new", ui.NewKey("")}, {"sessions", ui.PathSessions}, {"password", ui.PathPassword}, {"search", ui.With(ui.PathSearch, "q", "a")},
		{"usage-meter", ui.With(ui.PathUsage, "meter", app.MeterTokensOutput, "group", "model")}, {"organization-usage-meter", ui.With(ui.Org(org, "usage"), "meter", app.MeterCost, "group", "model", "period", "7d")},
		{"meters", ui.PathMeters}, {"quotas", ui.Org(org, "quotas")}, {"quota-set", ui.Org(org, "quotas/edit")}, {"quota-change", ui.Quota(org, "edit", "", app.MeterCost, app.PeriodMonth)},
		{"quota-remove", ui.Quota(org, "remove", "", app.MeterCost, app.PeriodMonth)}, {"rates", ui.PathRates}, {"stripe", ui.PathStripe}, {"stripe-customer", ui.With(ui.PathStripe+"/customer", "org", org)}, {"stripe-remove", ui.With(ui.PathStripe+"/remove", "org", org)}, {"stripe-retry", ui.PathStripe + "/retry"},
		{"stripe-parked", ui.With(ui.PathStripe, "state", "parked")}, {"usage-narrowed", ui.With(ui.Org(org, "usage"), "meter", app.MeterTokensOutput, "where", "model:gpt-5-mini")}, {"overview-near", ui.With(ui.PathOverview, "near", "all")},
		{"usage-before", ui.With(ui.PathUsage, "period", "7d", "show", "bytes", "sort", "-change")}, {"ledger", ui.PathLedger},
		{"not-found", ui.Org("nobody", "")},
	}
}

// busy uses up some of an organization's limits, so that its fuses show something.
func (s *stage) busy(slug string) {
	ctx := context.Background()
	org, err := s.store.OrgBySlug(ctx, slug)
	s.must(err)
	plan, err := s.store.Plan(ctx, org.Plan)
	s.must(err)
	for i, rate := range plan.RateLimits {
		cell := s.limits.Cell(limit.OrgCell(org.ID, rate.Name), rate)
		s.limits.Take(ctx, s.now(), rate.Capacity()*int64(61+25*i)/100, []*limit.Cell{cell})
	}
}

// anyKey returns an active key of the organization.
func (s *stage) anyKey(slug string) app.Key {
	ctx := context.Background()
	org, err := s.store.OrgBySlug(ctx, slug)
	s.must(err)
	list, err := s.store.Keys(ctx, org.ID, app.Page{Filter: string(app.KeyStateActive)})
	s.must(err)
	return list.Items[len(list.Items)-1]
}

func TestEveryPageIsAccessibleAtEveryWidthInLightAndDark(t *testing.T) {
	s := newStage(t)
	s.populate(customers...)
	b := openBrowser(t)
	b.tab(t, s.url).signIn(s)
	s.operatorKeys()
	s.goOn()
	s.override("acme-robotics")
	s.reported("acme-robotics", "northwind-labs", "quill-health", "tiny-teapot", "harbor-pine", "lumen-press")
	for _, page := range everyPage("acme-robotics", s.anyKey("acme-robotics").ID) {
		t.Run(page.name, func(t *testing.T) {
			p := b.tab(t, s.url)
			s.busy("acme-robotics")
			p.lookAt(page.name, page.path)
			if page.name == "not-found" {
				p.forget("404")
			}
			p.clean()
		})
	}
}

// lookAt checks the page at every width, in light and dark.
func (p *tab) lookAt(name, path string) {
	p.t.Helper()
	p.theme("light")
	p.size(1280)
	p.open(path)
	p.settle()
	for _, theme := range []string{"light", "dark"} {
		p.theme(theme)
		for _, width := range []int64{390, 768, 1280} {
			p.size(width)
			what := fmt.Sprintf("%s, %s, %d px", path, theme, width)
			if theme == "light" {
				p.check(what)
			} else {
				p.checkColours(what)
			}
			if width != 768 && !slices.Contains(unpictured, name) && (width == 1280 || slices.Contains(phonePictures, name)) {
				p.keep(pictureName(name, theme, width), 1500)
			}
		}
	}
}

func TestAnUnprovenLedgerIsAccessible(t *testing.T) {
	s := newStage(t)
	p := openBrowser(t).tab(t, s.url)
	p.signIn(s)
	s.proofs.broken(s.now())
	p.lookAt("ledger-broken", ui.PathLedger)
	s.proofs.unreadable(s.now())
	p.open(ui.PathLedger)
	p.check("a ledger that cannot be read")
	s.proofs.at = time.Time{}
	p.open(ui.PathLedger)
	p.check("a ledger that was never read")
	p.clean()
}

func TestPagesOfMetersAndQuotasWithoutContentAreAccessible(t *testing.T) {
	s := newStage(t)
	s.meterUse.empty, s.quotas.none = true, true
	org := s.visitor().newOrg("Acme", "pro")
	p := openBrowser(t).tab(t, s.url)
	p.signIn(s)
	p.lookAt("usage-meter-empty", ui.With(ui.Org(org.Slug, "usage"), "meter", "documents"))
	for _, path := range []string{ui.Org(org.Slug, "quotas"), ui.PathRates + "?q=nothing+like+it", ui.PathStripe} {
		p.open(path)
		p.check(path + ", empty")
	}
	s.console.Rates = nil
	p.open(ui.PathRates)
	p.check("no price list")
	p.clean()
}

// unpictured are pages that look like others, or are questions of one line.
var unpictured = []string{"stripe-remove", "stripe-retry", "stripe-parked", "overview-near", "usage-before"}

// phonePictures are the pages of which the manual shows how a phone shows them.
var phonePictures = []string{"overview", "organization", "quotas", "usage-meter", "stripe"}

// override gives the organization a quota of its own.
func (s *stage) override(slug string) {
	_, err := s.quotas.Put(context.Background(), system, slug, app.QuotaOverride{Reason: "agreed for the launch, ticket 4411",
		Quota: app.Quota{Meter: app.MeterCost, Period: app.PeriodMonth, Limit: 22_000_000, Mode: app.QuotaHard, Grace: 5}})
	s.must(err)
}

func pictureName(page, theme string, width int64) string {
	if width < 500 {
		return page + "-phone-" + theme
	}
	return page + "-" + theme
}

// operatorKeys makes the keys that System lists.
func (s *stage) operatorKeys() {
	ctx := context.Background()
	_, err := s.keys.Mint(ctx, system, keys.New{Name: "provisioning", Scopes: []string{"orgs:write", "keys:write"}, CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	s.must(err)
	_, err = s.keys.Mint(ctx, system, keys.New{Name: "billing export", Scopes: []string{"usage:read"}, ExpiresAt: time.Now().Add(90 * 24 * time.Hour)})
	s.must(err)
}

func TestThePagesBeforeSignInAreAccessible(t *testing.T) {
	s := newStage(t)
	claim, _, err := s.auth.ClaimLink(context.Background())
	s.must(err)
	p := openBrowser(t).tab(t, s.url)
	look := func(name, path string) {
		p.open(path)
		for _, theme := range []string{"light", "dark"} {
			p.theme(theme)
			for _, width := range []int64{390, 768, 1280} {
				p.size(width)
				p.check(fmt.Sprintf("%s, %s, %d px", path, theme, width))
			}
			p.keep(name+"-"+theme, 900)
		}
	}
	look("claim", ui.Claim(claim))
	p.clean()
	s.claim()
	look("sign-in", ui.PathSignIn)
	p.clean()
	look("claimed-already", ui.Claim(claim))
	look("link-gone", ui.SignInLink("gl_unknown"))
	p.forget("401")
	p.clean()
}

func TestTheFirstStepsAreAccessible(t *testing.T) {
	s := newStage(t)
	p := openBrowser(t).tab(t, s.url)
	p.signIn(s)
	for _, theme := range []string{"light", "dark"} {
		p.theme(theme)
		for _, width := range []int64{390, 768, 1280} {
			p.size(width)
			p.check(fmt.Sprintf("first steps, %s, %d px", theme, width))
		}
		p.keep("first-run-"+theme, 1000)
	}
	for _, path := range []string{ui.PathOrgs, ui.PathUsage, ui.PathTraffic, ui.PathKeys, ui.With(ui.PathSearch, "q", "nothing like it")} {
		p.open(path)
		p.check(path + ", empty")
	}
	p.clean()
}

func TestAwkwardNamesBreakNoPage(t *testing.T) {
	s := newStage(t)
	s.populate(awkward...)
	p := openBrowser(t).tab(t, s.url)
	p.signIn(s)
	list, err := s.store.Orgs(context.Background(), app.Page{})
	s.must(err)
	paths := []string{ui.PathOverview, ui.PathOrgs, ui.PathUsage, ui.With(ui.PathSearch, "q", `<script>alert("x")</script>`)}
	for _, org := range list.Items {
		paths = append(paths, ui.Org(org.Slug, ""), ui.Org(org.Slug, "settings"), ui.Org(org.Slug, "suspend"), ui.Org(org.Slug, "delete"), ui.Org(org.Slug, "plan"), ui.NewKey(org.Slug))
	}
	for _, path := range paths {
		p.open(path)
		for _, width := range []int64{390, 1280} {
			p.size(width)
			p.fits(fmt.Sprintf("%s at %d px", path, width))
		}
	}
	p.open(ui.PathOrgs)
	p.check("awkward names")
	p.clean()
}
