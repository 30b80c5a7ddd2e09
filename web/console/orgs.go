package console

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"gatehouse/app"
	"gatehouse/app/keys"
	"gatehouse/app/tenancy"
	"gatehouse/web/ui"
)

// orgsPerPage is the number of rows of the list.
const orgsPerPage = 50

func (s *site) orgs(v *visit) error {
	search, status, plan, cursor := v.query("q"), v.query("status"), v.query("plan"), v.query("after")
	page := app.Page{Search: strings.TrimSpace(search), Cursor: cursor, Limit: orgsPerPage, Filter: status}
	if plan != "" {
		page.Filter = "plan:" + plan
	}
	list, err := s.orgList(v, page, status, plan)
	if err != nil {
		return err
	}
	used, err := s.monthByOrg(v)
	if err != nil {
		return err
	}
	plans := s.planNames(v.ctx(), v)
	view := orgsView{Page: s.page(v, "Organizations", "orgs"), Search: search, Filtered: search != "" || status != "" || plan != "",
		Subtitle: "Your customers, newest first · requests since " + monthStart(v.now, v.zone).Format("2 January") + " · times in " + v.zone.String(),
		Status:   statusFilter(status), Plan: planFilter(plans, plan)}
	for _, o := range list.Items {
		view.Rows = append(view.Rows, orgRow{Name: o.Name, Slug: o.Slug, Href: ui.Org(o.Slug, ""), Plan: planName(plans, o.Plan), PlanHref: ui.Plan(o.Plan),
			State: orgState(o), Created: v.moment(o.CreatedAt), Requests: ui.Short(used[o.ID].Requests), Upstream: o.Upstream})
	}
	view.Pager = ui.Pager{Text: fmt.Sprintf("%d on this page, newest first", len(list.Items))}
	if cursor != "" {
		view.Pager.First = ui.With(ui.PathOrgs, "q", search, "status", status, "plan", plan)
	}
	if list.Next != "" {
		view.Pager.Next = ui.With(ui.PathOrgs, "q", search, "status", status, "plan", plan, "after", list.Next)
	}
	return v.render(orgsPage(view))
}

// orgList reads one page. The store filters by state or by plan; when both are
// asked for, the page is filled from further pages of the plan.
func (s *site) orgList(v *visit, page app.Page, status, plan string) (app.List[app.Org], error) {
	both := status != "" && plan != ""
	if both {
		page.Limit = app.MaxPageLimit
	}
	list, err := s.Orgs.List(v.ctx(), v.actor, page)
	if err != nil || !both {
		return list, err
	}
	var all app.List[app.Org]
	for {
		for _, o := range list.Items {
			if string(o.Status) == status {
				all.Items = append(all.Items, o)
			}
		}
		all.Next = list.Next
		if list.Next == "" || len(all.Items) >= orgsPerPage {
			return all, nil
		}
		page.Cursor = list.Next
		if list, err = s.Orgs.List(v.ctx(), v.actor, page); err != nil {
			return all, err
		}
	}
}

func statusFilter(value string) ui.Select {
	return ui.Select{Name: "status", Label: "State", Value: value, Apply: true, Options: []ui.Option{
		{Label: "Any state"}, {Value: string(app.OrgStatusActive), Label: "Active"},
		{Value: string(app.OrgStatusSuspended), Label: "Suspended"}, {Value: string(app.OrgStatusCancelled), Label: "Cancelled"}}}
}

func planFilter(plans map[string]string, value string) ui.Select {
	menu := ui.Select{Name: "plan", Label: "Plan", Value: value, Apply: true, Options: []ui.Option{{Label: "Any plan"}}}
	for slug, name := range plans {
		menu.Options = append(menu.Options, ui.Option{Value: slug, Label: name})
	}
	slices.SortFunc(menu.Options[1:], func(a, b ui.Option) int { return cmp.Compare(a.Label, b.Label) })
	return menu
}

func planName(names map[string]string, slug string) string {
	if name := names[slug]; name != "" {
		return name
	}
	return slug
}

// monthByOrg is this month's usage of each organization.
func (s *site) monthByOrg(v *visit) (map[app.OrgID]app.UsageRow, error) {
	return s.Usage.Totals(v.ctx(), v.actor, monthStart(v.now, v.zone), quarterAfter(v.now))
}

func monthStart(now time.Time, zone *time.Location) time.Time {
	year, month, _ := now.In(zone).Date()
	return time.Date(year, month, 1, 0, 0, 0, 0, zone)
}

// quarterAfter is the end of the bucket that holds the time.
func quarterAfter(at time.Time) time.Time { return at.Truncate(app.BucketLength).Add(app.BucketLength) }

func (s *site) newOrg(v *visit) error {
	view, err := s.newOrgView(v)
	if err != nil {
		return err
	}
	view.WithKey = true
	view.Name.Focus = true
	return v.render(newOrgPage(view))
}

func (s *site) newOrgView(v *visit) (newOrgView, error) {
	plans, err := s.planChoice(v, v.form("plan"))
	if err != nil {
		return newOrgView{}, err
	}
	upstreams, err := s.upstreamChoice(v, v.form("upstream"))
	return newOrgView{Page: s.page(v, "New organization", "orgs"), Plans: plans, Upstream: upstreams, WithKey: v.form("first_key") != "",
		Name: ui.Field{Name: "name", Label: "Name", Value: v.r.PostFormValue("name"), Placeholder: "Acme Robotics", Autocomplete: "off"},
		Slug: ui.Field{Name: "slug", Label: "Slug", Value: v.form("slug"), Optional: true, Mono: true, Max: 63, Autocomplete: "off",
			Hint: "Part of addresses: a–z, 0–9 and -. Made from the name if left empty."}}, err
}

// planChoice offers the plans, the first of them by default.
func (s *site) planChoice(v *visit, value string) (ui.Select, error) {
	plans, err := s.Plans.Plans(v.ctx(), v.actor)
	choice := ui.Select{Name: "plan", Label: "Plan", Value: value}
	for _, p := range plans {
		choice.Options = append(choice.Options, ui.Option{Value: p.Slug, Label: p.Name, Note: joinSome(" · ", priceOf(p), ratesOf(p.RateLimits))})
	}
	if value == "" && len(plans) > 0 {
		choice.Value = plans[0].Slug
	}
	return choice, err
}

func (s *site) upstreamChoice(v *visit, value string) (ui.Select, error) {
	upstreams, err := s.Routing.Upstreams(v.ctx(), v.actor)
	choice := ui.Select{Name: "upstream", Label: "Upstream", Value: value, Options: []ui.Option{{Label: "That of the route"}},
		Hint: "An organization can have its own upstream, for an app that keeps what all customers would share."}
	for _, u := range upstreams {
		choice.Options = append(choice.Options, ui.Option{Value: u.Name, Label: u.Name})
	}
	return choice, err
}

func (s *site) createOrg(v *visit) error {
	org, err := s.Orgs.Create(v.ctx(), v.actor, tenancy.New{Name: v.form("name"), Slug: v.form("slug"), Plan: v.form("plan"), Upstream: v.form("upstream")})
	if shown := app.AsError(err); shown != nil && (shown.Kind == app.KindInvalid || shown.Kind == app.KindConflict) {
		return s.newOrgAgain(v, shown)
	}
	if err != nil {
		return err
	}
	if v.form("first_key") == "" {
		v.tell("The organization is created.")
		return v.redirect(ui.Org(org.Slug, ""))
	}
	minted, err := s.Keys.Mint(v.ctx(), v.actor, keys.New{Org: org.ID, Name: "first", Env: keys.EnvLive})
	if err != nil {
		return err
	}
	return s.showOnce(v, org.Slug, minted, "")
}

func (s *site) newOrgAgain(v *visit, wrong *app.Error) error {
	view, err := s.newOrgView(v)
	if err != nil {
		return err
	}
	if rest := placeErrors(wrong, &view.Name, &view.Slug); rest != "" {
		view.Notice = &ui.Notice{Tone: "bad", Text: rest}
	}
	return v.renderStatus(http.StatusUnprocessableEntity, newOrgPage(view))
}

// placeErrors writes each field's error beside it, gives the first wrong one
// the focus, and returns what belongs to none of them.
func placeErrors(wrong *app.Error, fields ...*ui.Field) (rest string) {
	named := wrong.Fields
	if wrong.Code == "slug_taken" {
		named = append(named, app.FieldError{Field: "slug", Message: wrong.Message})
	}
	if len(named) == 0 {
		return wrong.Message
	}
	focused := false
	for _, e := range named {
		placed := false
		for _, f := range fields {
			if e.Field == f.Name || strings.HasPrefix(e.Field, f.Name+"[") {
				f.Wrong, placed = sentence(e.Message), true
				f.Focus = !focused
				focused = true
			}
		}
		if !placed {
			rest = sentence(strings.ReplaceAll(e.Field, "_", " ") + " " + e.Message)
		}
	}
	return rest
}

// sentence begins a message in upper case and ends it with a full stop.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	text = strings.ToUpper(text[:1]) + text[1:]
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	return text
}

// joinSome joins the texts that are not empty.
func joinSome(separator string, texts ...string) string {
	return strings.Join(slices.DeleteFunc(texts, func(text string) bool { return text == "" }), separator)
}
