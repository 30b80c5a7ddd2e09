package console

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/a-h/templ"

	"gatehouse/app"
	"gatehouse/app/limit"
	"gatehouse/app/tenancy"
	"gatehouse/app/traffic"
	"gatehouse/web/ui"
)

var orgTabs = []struct{ tab, label string }{
	{"", "Overview"}, {"keys", "API keys"}, {"usage", "Usage"}, {"quotas", "Quotas"}, {"limits", "Limits"}, {"settings", "Settings"},
}

// org finds the organization that the address names. An unknown one and one
// that may not be seen answer alike.
func (s *site) org(v *visit) (app.Org, error) {
	return s.Orgs.Find(v.ctx(), v.actor, v.r.PathValue("org"))
}

func (s *site) orgHead(v *visit, o app.Org, tab string) orgHead {
	head := orgHead{Name: o.Name, Slug: o.Slug, ID: string(o.ID), Plan: o.Plan, PlanName: planName(s.planNames(v.ctx(), v), o.Plan), State: orgState(o), Reason: o.Reason,
		Since: ui.Date(o.CreatedAt, v.zone), Active: o.Status == app.OrgStatusActive, Suspended: o.Status == app.OrgStatusSuspended}
	head.Tabs.Label = "Organization"
	for _, t := range orgTabs {
		if t.tab == "quotas" && s.Quotas == nil {
			continue
		}
		head.Tabs.Items = append(head.Tabs.Items, ui.Choice{Label: t.label, Href: ui.Org(o.Slug, t.tab), Current: t.tab == tab})
	}
	return head
}

func (s *site) orgPage(v *visit) error {
	o, err := s.org(v)
	if err != nil {
		return err
	}
	live, err := s.orgLive(v.ctx(), v, o)
	if err != nil {
		return err
	}
	chart, err := s.orgMonthChart(v, o)
	if err != nil {
		return err
	}
	list, err := s.Keys.List(v.ctx(), v.actor, o.ID, app.Page{Limit: 5, Filter: string(app.KeyStateActive)})
	if err != nil {
		return err
	}
	view := orgView{Page: s.page(v, o.Name, "orgs", "org."+string(o.ID)), Head: s.orgHead(v, o, ""), Live: live, ID: string(o.ID), Chart: &chart,
		Keys: s.keyTable(v, o.Slug, list.Items), KeysHref: ui.Keys(o.Slug)}
	if view.Quotas, err = s.orgFuseCards(v, o); err != nil {
		return err
	}
	return v.render(orgPage(view))
}

func (s *site) orgParts(ctx context.Context, v *visit, id app.OrgID) (map[string]templ.Component, error) {
	o, err := s.Orgs.Find(ctx, v.actor, string(id))
	if err != nil {
		return nil, err
	}
	live, err := s.orgLive(ctx, v, o)
	if err != nil {
		return nil, err
	}
	rates, _, err := s.rateRows(ctx, v, o)
	if err != nil {
		return nil, err
	}
	parts, err := s.quotaParts(v, o)
	if parts == nil {
		parts = map[string]templ.Component{}
	}
	parts["fuses"], parts["figures"], parts["rates"] = orgFuses(live), ui.Strip(live.Figures), rateTable(rates)
	return parts, err
}

func (s *site) orgLive(ctx context.Context, v *visit, o app.Org) (orgLive, error) {
	plan, err := s.Plans.Plan(ctx, v.actor, o.Plan)
	if err != nil {
		return orgLive{}, err
	}
	snap, err := s.Traffic.Snapshot(ctx, traffic.Range1h)
	if err != nil {
		return orgLive{}, err
	}
	return orgLive{Fuses: s.fuses(ctx, o, plan), Figures: orgFigures(snap, o.ID)}, nil
}

// fuses shows how much of the plan's limits is used now.
func (s *site) fuses(ctx context.Context, o app.Org, plan app.Plan) []ui.Fuse {
	var fuses []ui.Fuse
	if s.Limits != nil {
		shown := plan.RateLimits[:min(len(plan.RateLimits), 2)]
		var cells limitCells
		for _, rate := range shown {
			cells.add(s, limit.OrgCell(o.ID, rate.Name), rate)
		}
		s.Limits.Refresh(ctx, cells)
		for _, cell := range cells {
			fuses = append(fuses, rateFuse(cell.Limit(), cell.State(s.Now())))
		}
	}
	if s.InFlight == nil {
		return fuses
	}
	requests, sockets := s.InFlight(o.ID)
	fuses = append(fuses, slotFuse("Requests at once", "in flight on this node", requests, plan.InFlight))
	return append(fuses, slotFuse("WebSockets", "open on this node", sockets, plan.WebSockets))
}

func rateFuse(rate app.RateLimit, state limit.State) ui.Fuse {
	used := max(rate.Capacity()-state.Remaining, 0)
	perSecond := float64(rate.Requests) / rate.Window.Std().Seconds()
	note := "Full again: refills at " + ui.Rate(perSecond) + " a second."
	if state.Reset > 0 {
		note = "Refills at " + ui.Rate(perSecond) + " a second; full again in " + ui.Span(state.Reset.Round(time.Second)) + "."
	}
	return ui.Fuse{Title: "Units per " + ui.Window(rate.Window.Std()), Used: ui.Count(used), Of: "of " + ui.Count(rate.Capacity()) + " used",
		Percent: used * 100 / max(rate.Capacity(), 1), Some: used > 0, Note: note}
}

func slotFuse(title, where string, used, cap int64) ui.Fuse {
	f := ui.Fuse{Title: title, Used: ui.Count(used), Of: where, Bare: true, Note: "The plan sets no limit."}
	if cap > 0 {
		f.Bare, f.Of, f.Percent, f.Note = false, "of "+ui.Count(cap)+" now", used*100/cap, "On this node; a further one is answered 429."
	}
	return f
}

func orgFigures(snap *traffic.Snapshot, id app.OrgID) []ui.Figure {
	var found traffic.OrgTraffic
	for _, o := range snap.Orgs {
		if o.Org == id {
			found = o
		}
	}
	total, passed := found.Allowed+found.Refused+found.Failed, found.Allowed+found.Failed
	return []ui.Figure{
		{Label: "Requests, last hour", Value: ui.Short(total), Note: perSecond(snap, total) + " a second"},
		{Label: "Refused, last hour", Value: ui.Percent(found.Refused, total), Unit: "%", Note: ui.Short(found.Refused) + " requests"},
		{Label: "Errors, last hour", Value: ui.Percent(found.Failed, passed), Unit: "%", Note: ui.Short(found.Failed) + " of " + ui.Short(passed) + " that passed"},
		{Label: "p95, last hour", Value: ui.MillisBare(found.P95), Unit: "ms", Note: "of requests that passed"},
		{Label: "Share, last hour", Value: ui.Percent(total, snap.Requests()), Unit: "%", Note: "of all organizations' requests"},
	}
}

func (s *site) orgLimits(v *visit) error {
	o, err := s.org(v)
	if err != nil {
		return err
	}
	rates, plan, err := s.rateRows(v.ctx(), v, o)
	if err != nil {
		return err
	}
	view := orgLimitsView{Page: s.page(v, "Limits of "+o.Name, "orgs", "org."+string(o.ID)), Head: s.orgHead(v, o, "limits"), Plan: plan.Name, Slug: plan.Slug,
		Rates: rates, Caps: capsOf(plan), Quotas: quotasOf(plan)}
	if s.About.Counter != "" {
		view.Note = "Counted " + s.About.Counter + "."
	}
	return v.render(orgLimitsPage(view))
}

// rateRows lists every rate limit that can hold for the organization: its
// plan's, its keys' and the routes'.
func (s *site) rateRows(ctx context.Context, v *visit, o app.Org) (rows []rateRow, plan app.Plan, err error) {
	if plan, err = s.Plans.Plan(ctx, v.actor, o.Plan); err != nil {
		return nil, plan, err
	}
	var cells limitCells
	for _, rate := range plan.RateLimits {
		rows = append(rows, rateRowOf("Plan "+plan.Name, ui.Plan(plan.Slug), rate))
		cells.add(s, limit.OrgCell(o.ID, rate.Name), rate)
	}
	list, err := s.Keys.List(ctx, v.actor, o.ID, app.Page{Limit: app.MaxPageLimit, Filter: string(app.KeyStateActive)})
	if err != nil {
		return nil, plan, err
	}
	for _, key := range list.Items {
		for _, rate := range key.RateLimits {
			rows = append(rows, rateRowOf("Key "+key.Name, ui.Keys(o.Slug), rate))
			cells.add(s, limit.KeyCell(o.ID, key.ID, rate.Name), rate)
		}
	}
	routes, err := s.Routing.Routes(ctx, v.actor)
	for _, route := range routes {
		for _, rate := range route.RateLimits {
			rows = append(rows, rateRowOf("Route "+route.Name, ui.Route(route.Name), rate))
			cells.add(s, limit.RouteCell(o.ID, routeID(route), rate.Name), rate)
		}
	}
	s.fillRows(ctx, rows, cells)
	return rows, plan, err
}

// routeID is how the ledger and the limits name a route.
func routeID(r app.Route) app.RouteID {
	if r.ID != "" {
		return r.ID
	}
	return app.RouteID(r.Name)
}

// limitCells are the cells of the limits that a page shows, in its order.
type limitCells []*limit.Cell

func (c *limitCells) add(s *site, key string, rate app.RateLimit) {
	if s.Limits != nil {
		*c = append(*c, s.Limits.Peek(key, rate))
	}
}

// fillRows tells how full the limits are, asking for all of them at once.
func (s *site) fillRows(ctx context.Context, rows []rateRow, cells limitCells) {
	if s.Limits == nil {
		return
	}
	s.Limits.Refresh(ctx, cells)
	for i, cell := range cells {
		state := cell.State(s.Now())
		fuse := rateFuse(cell.Limit(), state)
		rows[i].Fuse = &fuse
		if state.Reset > 0 {
			rows[i].Resets = ui.Span(state.Reset.Round(time.Second))
		}
	}
}

func rateRowOf(whose, href string, rate app.RateLimit) rateRow {
	row := rateRow{Whose: whose, Href: href, Name: rate.Name, Allows: ui.Count(rate.Requests) + " / " + ui.Window(rate.Window.Std()),
		Burst: ui.Count(rate.Capacity()), Mode: ui.State{Text: "Answers 429"}, Resets: ui.Dash}
	if rate.Mode == app.LimitModeDryRun {
		row.Mode = ui.State{Text: "Only reports", Tone: "off"}
	}
	return row
}

func (s *site) orgSettings(v *visit) error {
	o, err := s.org(v)
	if err != nil {
		return err
	}
	view, err := s.orgSettingsView(v, o, o.Name, o.Upstream)
	if err != nil {
		return err
	}
	return v.render(orgSettingsPage(view))
}

func (s *site) orgSettingsView(v *visit, o app.Org, name, upstream string) (orgSettingsView, error) {
	upstreams, err := s.upstreamChoice(v, upstream)
	return orgSettingsView{Page: s.page(v, "Settings of "+o.Name, "orgs"), Head: s.orgHead(v, o, "settings"), Upstream: upstreams,
		Name: ui.Field{Name: "name", Label: "Name", Value: name, Autocomplete: "off"},
		Facts: []capRow{{What: "Id", Value: string(o.ID)}, {What: "Slug", Value: o.Slug}, {What: "State", Value: orgState(o).Text},
			{What: "Created", Value: ui.DateTime(o.CreatedAt, v.zone)}, {What: "Changed", Value: ui.DateTime(o.UpdatedAt, v.zone)}}}, err
}

func (s *site) saveOrg(v *visit) error {
	o, err := s.org(v)
	if err != nil {
		return err
	}
	name, upstream := v.form("name"), v.form("upstream")
	_, err = s.Orgs.Update(v.ctx(), v.actor, string(o.ID), tenancy.Edit{Name: &name, Upstream: &upstream})
	if app.IsKind(err, app.KindInvalid) {
		view, again := s.orgSettingsView(v, o, name, upstream)
		if again != nil {
			return again
		}
		if rest := placeErrors(app.AsError(err), &view.Name); rest != "" {
			view.Notice = &ui.Notice{Tone: "bad", Text: rest}
		}
		return v.renderStatus(http.StatusUnprocessableEntity, orgSettingsPage(view))
	}
	if err != nil {
		return err
	}
	v.tell("Saved. The next request sees it.")
	return v.redirect(ui.Org(o.Slug, "settings"))
}

func (s *site) orgPlan(v *visit) error {
	o, err := s.org(v)
	if err != nil {
		return err
	}
	plans, err := s.planChoice(v, o.Plan)
	if err != nil {
		return err
	}
	return v.render(orgPlanPage(orgPlanView{Page: s.page(v, "Plan of "+o.Name, "orgs"), Slug: o.Slug, Name: o.Name, Plans: plans}))
}

func (s *site) changePlan(v *visit) error {
	plan := v.form("plan")
	o, err := s.Orgs.Update(v.ctx(), v.actor, v.r.PathValue("org"), tenancy.Edit{Plan: &plan})
	if err != nil {
		return err
	}
	v.tell("The plan is changed. Its limits hold for the next request.")
	return v.redirect(ui.Org(o.Slug, ""))
}

func (s *site) askSuspend(v *visit) error { return s.suspendSheet(v, "", http.StatusOK) }

func (s *site) suspendSheet(v *visit, wrong string, status int) error {
	o, err := s.org(v)
	if err != nil {
		return err
	}
	reason := ui.Field{Name: "reason", Label: "Reason", Value: v.form("reason"), Wrong: wrong, Focus: true, Autocomplete: "off",
		Hint: "Kept with the organization, and shown here."}
	return s.confirm(v, o, status, "suspend", ui.Confirm{Title: "Suspend " + o.Name, Button: "Suspend", Destroy: true, Reason: &reason,
		Lines: []string{"Every request of this organization is answered 403 from now on, on every replica within a second. Nothing is deleted, and it can be resumed."}})
}

func (s *site) confirm(v *visit, o app.Org, status int, act string, c ui.Confirm) error {
	c.Action, c.Back = ui.Org(o.Slug, act), ui.Org(o.Slug, "")
	return v.renderStatus(status, confirmPage(confirmView{Page: s.page(v, c.Title, "orgs"), Here: act, Confirm: c,
		Crumb: ui.Choice{Label: o.Slug, Href: ui.Org(o.Slug, "")}}))
}

func (s *site) suspend(v *visit) error {
	if v.form("reason") == "" {
		return s.suspendSheet(v, "Say why, for whoever looks at it next.", http.StatusUnprocessableEntity)
	}
	o, err := s.Orgs.Suspend(v.ctx(), v.actor, v.r.PathValue("org"), v.form("reason"))
	if app.IsKind(err, app.KindInvalid) {
		return s.suspendSheet(v, sentence(wrongText(app.AsError(err))), http.StatusUnprocessableEntity)
	}
	if err != nil {
		return err
	}
	v.tell("The organization is suspended. Its requests are answered 403 from now on.")
	return v.redirect(ui.Org(o.Slug, ""))
}

func (s *site) resume(v *visit) error {
	o, err := s.Orgs.Resume(v.ctx(), v.actor, v.r.PathValue("org"))
	if err != nil {
		return err
	}
	v.tell("The organization is active again. Its requests pass from now on.")
	return v.redirect(ui.Org(o.Slug, ""))
}

func (s *site) askDelete(v *visit) error {
	if ok, err := s.reauthed(v); !ok {
		return err
	}
	return s.deleteSheet(v, "", http.StatusOK)
}

func (s *site) deleteSheet(v *visit, wrong string, status int) error {
	o, err := s.org(v)
	if err != nil {
		return err
	}
	return s.confirm(v, o, status, "delete", ui.Confirm{Title: "Delete " + o.Name, Button: "Delete for good", Destroy: true, Name: o.Slug, NameIs: "slug", Wrong: wrong,
		Lines: []string{"Its keys and sessions are removed, and its requests are refused from now on. This cannot be undone.",
			fmt.Sprintf("Its usage stays in the ledger under %s.", o.ID)}})
}

func (s *site) deleteOrg(v *visit) error {
	if ok, err := s.reauthed(v); !ok {
		return err
	}
	o, err := s.org(v)
	if err != nil {
		return err
	}
	if v.form("confirm") != o.Slug {
		return s.deleteSheet(v, "That is not the slug.", http.StatusUnprocessableEntity)
	}
	if err := s.Orgs.Delete(v.ctx(), v.actor, string(o.ID)); err != nil {
		return err
	}
	v.tell("The organization is deleted with its keys and sessions. Its usage stays in the ledger.")
	return v.redirect(ui.PathOrgs)
}
