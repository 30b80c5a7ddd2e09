package console

import (
	"context"
	"fmt"
	"time"

	"gatehouse/app"
	"gatehouse/web/ui"
)

// planNames maps slugs of plans to their names; without the plans, pages show slugs.
func (s *site) planNames(ctx context.Context, v *visit) map[string]string {
	names := map[string]string{}
	plans, err := s.Plans.Plans(ctx, v.actor)
	if err != nil {
		return names
	}
	for _, p := range plans {
		names[p.Slug] = p.Name
	}
	return names
}

// planOrgs bounds how far the list counts the organizations of a plan.
const planOrgs = app.MaxPageLimit

func (s *site) plans(v *visit) error {
	plans, err := s.Plans.Plans(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	view := plansView{Page: s.page(v, "Plans and limits", "plans")}
	for _, p := range plans {
		orgs, err := s.orgsOn(v, p.Slug)
		if err != nil {
			return err
		}
		view.Rows = append(view.Rows, planRow{Name: p.Name, Slug: p.Slug, Href: ui.Plan(p.Slug), Price: priceOf(p), Rates: orText(ratesOf(p.RateLimits), "None"),
			Quotas: quotaText(p), Promise: orText(sentenceCase(p.Promise), ui.Dash), Orgs: orgs, OrgsHref: ui.With(ui.PathOrgs, "plan", p.Slug)})
	}
	return v.render(plansPage(view))
}

// orgsOn counts a plan's organizations, as far as a page reaches.
func (s *site) orgsOn(v *visit, plan string) (string, error) {
	list, err := s.Orgs.List(v.ctx(), v.actor, app.Page{Filter: "plan:" + plan, Limit: planOrgs})
	if list.Next != "" {
		return "more than " + ui.Count(planOrgs), err
	}
	return ui.Count(int64(len(list.Items))), err
}

func priceOf(p app.Plan) string {
	if p.Price == nil {
		return "As agreed"
	}
	return ui.Money(p.Price.String())
}

func quotaText(p app.Plan) string {
	var texts []string
	for _, row := range quotasOf(p) {
		texts = append(texts, row.Value+" "+row.What)
	}
	return orWords(texts, "None")
}

func quotasOf(p app.Plan) []capRow {
	list := app.BuiltInMeters()
	var rows []capRow
	for _, q := range p.Quotas {
		m := meterNamed(list, q.Meter)
		rows = append(rows, capRow{What: meterWords(q.Meter), Value: quantity(m, q.Limit), Note: "a " + periodWords(string(q.Period)) + " · " + quotaMode(m, q)})
	}
	return rows
}

func meterWords(meter string) string {
	switch meter {
	case "agent_minutes", "agent-minutes":
		return "agent-minutes"
	case "cost":
		return "cost cap"
	}
	return meter
}

func periodWords(period string) string {
	if period == "billing_period" {
		return "billing period"
	}
	return period
}

func capsOf(p app.Plan) []capRow {
	cap := func(what string, n int64, note string) capRow {
		if n == 0 {
			return capRow{What: what, Value: "Unlimited"}
		}
		return capRow{What: what, Value: ui.Count(n), Note: note}
	}
	return []capRow{cap("Requests in flight", p.InFlight, "then 429"), cap("WebSockets", p.WebSockets, "then 429"), cap("Agent tasks", p.Tasks, ""), cap("Members", p.Members, "")}
}

func (s *site) plan(v *visit) error {
	p, err := s.Plans.Plan(v.ctx(), v.actor, v.r.PathValue("plan"))
	if err != nil {
		return err
	}
	orgs, err := s.orgsOn(v, p.Slug)
	if err != nil {
		return err
	}
	plain := p
	plain.CreatedAt, plain.UpdatedAt = time.Time{}, time.Time{}
	view := detailView{Page: s.page(v, "Plan "+p.Name, "plans"), Crumb: ui.Choice{Label: "Plans and limits", Href: ui.PathPlans}, Name: p.Name,
		Subtitle:   fmt.Sprintf("%s a month · %s on it · kept in this installation's database, changed %s", priceOf(p), orgsWords(orgs), ui.DateTime(p.UpdatedAt, v.zone)),
		Definition: definition(planFile{Plans: []app.Plan{plain}}), Apply: "gatehouse plan apply -f plans.json"}
	view.Groups = []factGroup{{"Rate limits", rateFacts(p)}, {"At once", capsOf(p)}, {"Quotas and budgets", quotasOf(p)},
		{"Terms", []capRow{{What: "Price", Value: priceOf(p), Note: "a month"}, {What: "Promise", Value: orText(sentenceCase(p.Promise), "None")}, {What: "Trial", Value: trialOf(p)}, {What: "Time zone", Value: orText(p.TimeZone, "UTC"), Note: "in which months and days of quotas begin"}, {What: "Slug", Value: p.Slug}}}}
	return v.render(detailPage(view))
}

func orgsWords(count string) string {
	if count == "1" {
		return "1 organization"
	}
	return count + " organizations"
}

func trialOf(p app.Plan) string {
	if p.TrialDays == 0 {
		return "None"
	}
	return ui.Plural(p.TrialDays, "day")
}

func rateFacts(p app.Plan) []capRow {
	var rows []capRow
	for _, r := range p.RateLimits {
		row := capRow{What: r.Name, Value: ui.Count(r.Requests) + " / " + ui.Window(r.Window.Std()), Note: "at most " + ui.Count(r.Capacity()) + " at once"}
		if r.Mode == app.LimitModeDryRun {
			row.Note += ", only reported"
		}
		rows = append(rows, row)
	}
	return rows
}
