package console

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatehouse/app"
	"gatehouse/web/ui"
)

// measure is what a usage chart counts.
type measure struct {
	key, label, title string
	of                func(app.UsageRow) int64
	text              func(int64) string
}

var measures = []measure{
	{"", "Requests", "Requests", func(r app.UsageRow) int64 { return r.Requests }, ui.Count},
	{"units", "Units", "Units", func(r app.UsageRow) int64 { return r.Weight }, ui.Count},
	{"bytes", "Bytes", "Bytes in and out", func(r app.UsageRow) int64 { return r.BytesIn + r.BytesOut }, ui.Bytes},
	{"errors", "5xx", "Answers 5xx", func(r app.UsageRow) int64 { return r.Status5 }, ui.Count},
}

func measureOf(key string) measure {
	for _, m := range measures {
		if m.key == key {
			return m
		}
	}
	return measures[0]
}

// topGroups is the number of groups that a chart tells apart; the rest is one.
const topGroups = 3

// maxUsageRows bounds the table; the rest is in the export.
const maxUsageRows = 200

var groupClasses = []string{"s-a", "s-soft", "s-faint"}

// usageAsk is what a usage page was asked for, all of it in its address.
type usageAsk struct {
	path    string
	org     *app.Org // nil: all
	period  period
	measure measure
	group   string // "org", "key" or "route"
	sort    string // column; with a leading "-" descending
	zone    string // as asked for; empty: the browser's
}

func (s *site) usageAsk(v *visit, path string, org *app.Org) usageAsk {
	zone, named := v.zone, v.query("tz")
	if chosen, ok := zoneNamed(named); ok {
		zone = chosen
	} else {
		named = ""
	}
	a := usageAsk{path: path, org: org, zone: named, period: periodOf(v.query("period"), v.now, zone), measure: measureOf(v.query("show")), group: v.query("group"), sort: v.query("sort")}
	if a.group != "route" {
		a.group = "org"
		if org != nil {
			a.group = "key"
		}
	}
	return a
}

// pairs are the parameters of the address; the named ones are replaced.
func (a usageAsk) pairs(replaced ...string) []string {
	group := a.group
	if group != "route" {
		group = ""
	}
	pairs := []string{"period", unless(a.period.Key, defaultPeriod), "show", a.measure.key, "group", group, "tz", a.zone, "sort", a.sort}
	for i := 0; i+1 < len(replaced); i += 2 {
		for j := 0; j < len(pairs); j += 2 {
			if pairs[j] == replaced[i] {
				pairs[j+1] = replaced[i+1]
			}
		}
	}
	return pairs
}

func (a usageAsk) orgID() app.OrgID {
	if a.org == nil {
		return ""
	}
	return a.org.ID
}

func (s *site) usage(v *visit) error {
	if s.wantsMeter(v) {
		return s.meterUsageOf(v, ui.PathUsage, nil)
	}
	return s.usageOf(v, s.usageAsk(v, ui.PathUsage, nil))
}

func (s *site) orgUsage(v *visit) error {
	o, err := s.org(v)
	if err != nil {
		return err
	}
	if s.wantsMeter(v) {
		return s.meterUsageOf(v, ui.Org(o.Slug, "usage"), &o)
	}
	return s.usageOf(v, s.usageAsk(v, ui.Org(o.Slug, "usage"), &o))
}

func (s *site) usageOf(v *visit, a usageAsk) error {
	totals, err := s.usageTotals(v, a, maxUsageRows)
	if err != nil {
		return err
	}
	chart, err := s.usageChart(v, a, totals, "usage")
	if err != nil {
		return err
	}
	view := usageView{Page: s.page(v, "Usage", "usage"), Action: a.path, Chart: chart, Figures: usageFigures(a, totals),
		Subtitle: "All organizations · " + a.period.Words + " · times in " + a.period.Zone.String(),
		Range:    a.period.choices(a.path, a.pairs()[2:]...), CSV: ui.With(a.path+".csv", a.pairs()...),
		Hidden: []hiddenField{{"period", a.period.Key}, {"show", a.measure.key}, {"sort", a.sort}},
		Group:  groupChoice(a), Zone: zoneChoice(v, a), RowsOf: groupHead(a.group), Sorts: usageSorts(a),
		Empty: ui.Empty{Icon: "usage", Title: "Nothing was used in this period", ID: "usage-command", Command: "gatehouse usage --since 30d",
			Text: "Each request that passes the gate is counted in the ledger, and appears here at once. The command line shows the same numbers."}}
	view.Rows, view.More = usageRows(a, totals)
	if view.Meter, err = s.meterChoice(v, ""); err != nil {
		return err
	}
	if a.org != nil {
		head := s.orgHead(v, *a.org, "usage")
		view.Head, view.Page.Nav, view.Page.Title = &head, "orgs", "Usage of "+a.org.Name
	}
	return v.render(usagePage(view))
}

// usageTotal is one group's usage in the whole period.
type usageTotal struct {
	app.UsageRow
	name, sub, href string
}

// usageTotals sums the period per group, the most of the measure first, and
// finds the names of the first ones.
func (s *site) usageTotals(v *visit, a usageAsk, named int) ([]usageTotal, error) {
	var rows []app.UsageRow
	if a.group == "org" {
		byOrg, err := s.Usage.Totals(v.ctx(), v.actor, a.period.since(), a.period.until())
		if err != nil {
			return nil, err
		}
		for _, row := range byOrg {
			rows = append(rows, row)
		}
	} else {
		var err error
		rows, err = s.Usage.Usage(v.ctx(), v.actor, app.UsageQuery{Org: a.orgID(), Since: a.period.since(), Until: a.period.until(), Group: a.group})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(rows, func(x, y app.UsageRow) int {
		return cmp.Or(cmp.Compare(a.measure.of(y), a.measure.of(x)), cmp.Compare(x.Group, y.Group))
	})
	return s.nameGroups(v, a, rows, named)
}

// nameGroups gives the groups their names. Who was deleted keeps the id.
func (s *site) nameGroups(v *visit, a usageAsk, rows []app.UsageRow, named int) ([]usageTotal, error) {
	routes := map[string]string{}
	if a.group == "route" {
		list, err := s.Routing.Routes(v.ctx(), v.actor)
		if err != nil {
			return nil, err
		}
		for _, r := range list {
			routes[string(routeID(r))] = r.Name
		}
	}
	totals := make([]usageTotal, len(rows))
	for i, row := range rows {
		t := usageTotal{UsageRow: row, name: row.Group}
		var err error
		switch {
		case a.group == "route":
			t.nameRoute(routes)
		case i >= named:
		case a.group == "org":
			err = t.nameOrg(s, v)
		case a.group == "key":
			err = t.nameKey(s, v, a)
		}
		if err != nil {
			return nil, err
		}
		totals[i] = t
	}
	return totals, nil
}

func (t *usageTotal) nameRoute(routes map[string]string) {
	if name := routes[t.Group]; name != "" {
		t.name, t.href = name, ui.Route(name)
	}
}

func (t *usageTotal) nameOrg(s *site, v *visit) error {
	o, err := s.Orgs.Find(v.ctx(), v.actor, t.Group)
	if app.IsKind(err, app.KindNotFound) {
		t.sub = "deleted"
		return nil
	}
	t.name, t.sub, t.href = o.Name, o.Slug, ui.Org(o.Slug, "usage")
	return err
}

func (t *usageTotal) nameKey(s *site, v *visit, a usageAsk) error {
	if t.Group == "" {
		t.name, t.sub = "Without a key", "JWT or session"
		return nil
	}
	k, err := s.Keys.Find(v.ctx(), v.actor, a.orgID(), app.KeyID(t.Group))
	if app.IsKind(err, app.KindNotFound) {
		t.sub = "deleted"
		return nil
	}
	t.name, t.sub, t.href = k.Name, k.Hint, ui.With(ui.Keys(a.org.Slug), "q", k.Name)
	return err
}

// usageChart draws the measure per slot, the largest groups apart.
func (s *site) usageChart(v *visit, a usageAsk, totals []usageTotal, id string) (usageChart, error) {
	all, err := s.slots(v, a, app.UsageQuery{Org: a.orgID()})
	if err != nil {
		return usageChart{}, err
	}
	card := usageChart{Title: a.measure.title + " " + a.period.Title, Choice: measureChoice(a), Chart: ui.Chart{ID: id, First: "From (" + a.period.Zone.String() + ")"}}
	values := [][]int64{}
	for _, t := range totals {
		if len(values) == topGroups || a.measure.of(t.UsageRow) == 0 {
			break
		}
		if t.Group == "" {
			continue // cannot be asked for alone: it is part of the rest
		}
		own, err := s.slots(v, a, a.queryOf(t.Group))
		if err != nil {
			return card, err
		}
		card.Chart.Series = append(card.Chart.Series, ui.Series{Name: shorten(t.name), Class: groupClasses[len(values)]})
		values = append(values, own)
	}
	if len(totals) > len(values) && len(values) > 0 {
		card.Chart.Series = append(card.Chart.Series, ui.Series{Name: "All others", Class: "s-rest"})
		values = append(values, others(all, values))
	}
	if len(values) == 0 {
		card.Empty = "Nothing to show: no " + strings.ToLower(a.measure.title) + " in this period."
		return card, nil
	}
	fillChart(&card.Chart, a, values)
	return card, nil
}

// shorten keeps a legend's entry on its line.
func shorten(name string) string {
	const most = 28
	if runes := []rune(name); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return name
}

func (a usageAsk) queryOf(group string) app.UsageQuery {
	switch a.group {
	case "org":
		return app.UsageQuery{Org: app.OrgID(group)}
	case "key":
		return app.UsageQuery{Org: a.orgID(), Key: app.KeyID(group)}
	}
	return app.UsageQuery{Org: a.orgID(), Route: app.RouteID(group)}
}

// slots reads the measure of the query in each slot.
func (s *site) slots(v *visit, a usageAsk, q app.UsageQuery) ([]int64, error) {
	q.Since, q.Until, q.Step = a.period.since(), a.period.until(), a.period.step()
	rows, err := s.Usage.Usage(v.ctx(), v.actor, q)
	sums := make([]int64, len(a.period.Slots))
	for _, row := range rows {
		if i := a.period.slot(row.Start); i >= 0 {
			sums[i] += a.measure.of(row)
		}
	}
	return sums, err
}

// others is what is left of all without the parts.
func others(all []int64, parts [][]int64) []int64 {
	rest := slices.Clone(all)
	for _, part := range parts {
		for i, n := range part {
			rest[i] = max(rest[i]-n, 0)
		}
	}
	return rest
}

func fillChart(c *ui.Chart, a usageAsk, values [][]int64) {
	c.Label = fmt.Sprintf("%s %s, %s, times in %s", a.measure.title, a.period.Title, a.period.Words, a.period.Zone)
	c.Rest = a.period.Words + " · times in " + a.period.Zone.String()
	if a.measure.key == "bytes" {
		c.Unit = func(v float64) string { return ui.Bytes(int64(v)) }
	}
	for i, start := range a.period.Slots {
		end := a.period.End
		if i+1 < len(a.period.Slots) {
			end = a.period.Slots[i+1]
		}
		step := ui.Step{Label: a.period.label(start), Partial: start.Before(a.period.Now) && end.After(a.period.Now)}
		step.Tick, step.Minor = a.period.tick(i)
		for _, series := range values {
			step.Values = append(step.Values, float64(series[i]))
			step.Texts = append(step.Texts, a.measure.text(series[i]))
		}
		c.Steps = append(c.Steps, step)
	}
}

func measureChoice(a usageAsk) *ui.Choices {
	choices := ui.Choices{Label: "What is counted"}
	for _, m := range measures {
		choices.Items = append(choices.Items, ui.Choice{Label: m.label, Current: m.key == a.measure.key, Href: ui.With(a.path, a.pairs("show", m.key)...)})
	}
	return &choices
}

// orgMonthChart is the chart on an organization's first page: this month, by key.
func (s *site) orgMonthChart(v *visit, o app.Org) (usageChart, error) {
	a := usageAsk{path: ui.Org(o.Slug, "usage"), org: &o, period: periodOf(defaultPeriod, v.now, v.zone), measure: measures[0], group: "key"}
	totals, err := s.usageTotals(v, a, topGroups)
	if err != nil {
		return usageChart{}, err
	}
	return s.usageChart(v, a, totals, "month")
}

func usageFigures(a usageAsk, totals []usageTotal) []ui.Figure {
	var sum app.UsageRow
	for _, t := range totals {
		sum.Add(t.UsageRow)
	}
	mean := time.Duration(0)
	if sum.Requests > 0 {
		mean = sum.Duration / time.Duration(sum.Requests)
	}
	return []ui.Figure{
		{Label: "Requests", Value: ui.Short(sum.Requests), Note: ui.Count(sum.Requests) + " counted"},
		{Label: "Units", Value: ui.Short(sum.Weight), Note: "requests × weight"},
		{Label: "Answered 2xx", Value: ui.Percent(sum.Status2, sum.Requests), Unit: "%", Note: ui.Short(sum.Status4) + " answered 4xx, " + ui.Short(sum.Status5) + " 5xx"},
		{Label: "Bytes out", Value: ui.Bytes(sum.BytesOut), Note: ui.Bytes(sum.BytesIn) + " in"},
		{Label: "Mean duration", Value: ui.MillisBare(mean), Unit: "ms", Note: "first byte in to last byte out"},
	}
}

func groupChoice(a usageAsk) ui.Select {
	menu := ui.Select{Name: "group", Label: "Group by", Value: a.group, Apply: true, Options: []ui.Option{{Value: "org", Label: "By organization"}, {Value: "route", Label: "By route"}}}
	if a.org != nil {
		menu.Options[0] = ui.Option{Value: "key", Label: "By key"}
	}
	return menu
}

func groupHead(group string) string {
	switch group {
	case "org":
		return "Organization"
	case "key":
		return "Key"
	}
	return "Route"
}

// commonZones are offered beside the browser's own; any other works in the address.
var commonZones = []string{"UTC", "America/Los_Angeles", "America/New_York", "America/Sao_Paulo", "Europe/London", "Europe/Lisbon", "Europe/Berlin",
	"Africa/Lagos", "Asia/Dubai", "Asia/Kolkata", "Asia/Singapore", "Asia/Tokyo", "Australia/Sydney"}

func zoneChoice(v *visit, a usageAsk) ui.Select {
	menu := ui.Select{Name: "tz", Label: "Time zone", Value: a.period.Zone.String(), Apply: true}
	for _, name := range append([]string{a.period.Zone.String(), v.zone.String()}, commonZones...) {
		if !slices.ContainsFunc(menu.Options, func(o ui.Option) bool { return o.Value == name }) {
			menu.Options = append(menu.Options, ui.Option{Value: name, Label: strings.ReplaceAll(name, "_", " ")})
		}
	}
	return menu
}
