package console

import (
	"cmp"
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

// maxUsageRows bounds the table; the rest is in the export.
const maxUsageRows = 200

// usageAsk is what a usage page was asked for, all of it in its address.
type usageAsk struct {
	path    string
	org     *app.Org // nil: all
	period  period
	measure measure
	picks   []pick
	group   string // "org", "key" or "route"
	sort    string // column; with a leading "-" descending
	zone    string // as asked for; empty: the browser's
}

func (s *site) usageAsk(v *visit, path string, org *app.Org) (usageAsk, error) {
	zone, named := v.zone, v.query("tz")
	if chosen, ok := zoneNamed(named); ok {
		zone = chosen
	} else {
		named = ""
	}
	a := usageAsk{path: path, org: org, zone: named, period: periodOf(v.query("period"), v.now, zone), measure: measureOf(v.query("show")), group: v.query("group"), sort: v.query("sort")}
	a.picks = picksOf(v, usageGroups(org))
	if err := s.namePicks(v, org, a.picks); err != nil {
		return a, err
	}
	if groups := a.groups(); !slices.ContainsFunc(groups, func(o ui.Option) bool { return o.Value == a.group }) {
		a.group = groups[0].Value
	}
	return a, nil
}

// usageGroups are what requests can be grouped by, the usual one first.
func usageGroups(org *app.Org) []ui.Option {
	if org != nil {
		return []ui.Option{{Value: "key", Label: "By key"}, {Value: "route", Label: "By route"}}
	}
	return []ui.Option{{Value: "org", Label: "By organization"}, {Value: "route", Label: "By route"}}
}

// groups are what is left to group by. Where everything is picked, the first
// groups what is one.
func (a usageAsk) groups() []ui.Option {
	if left := unpicked(usageGroups(a.org), a.picks); len(left) > 0 {
		return left
	}
	return usageGroups(a.org)[:1]
}

// pairs are the parameters of the address; the named ones are replaced.
func (a usageAsk) pairs(replaced ...string) []string {
	pairs := []string{"period", unless(a.period.Key, defaultPeriod), "show", a.measure.key, "group", unless(a.group, a.groups()[0].Value), "tz", a.zone, "sort", a.sort}
	pairs = append(pairs, pickPairs(a.picks, "")...)
	for i := 0; i+1 < len(replaced); i += 2 {
		for j := 0; j < len(pairs); j += 2 {
			if pairs[j] == replaced[i] {
				pairs[j+1] = replaced[i+1]
			}
		}
	}
	return pairs
}

// without is the address of the page that is not narrowed by the name.
func (a usageAsk) without(by string) string {
	wider := a
	wider.picks = slices.DeleteFunc(slices.Clone(a.picks), func(p pick) bool { return p.by == by })
	return ui.With(a.path, wider.pairs()...)
}

// hrefOf leads from a row to the page of the row alone.
func (a usageAsk) hrefOf(t usageTotal) string {
	narrow := a
	narrow.sort = ""
	switch {
	case a.group == "org":
		if t.href == "" {
			return "" // deleted: it has no page any more
		}
		narrow.path, narrow.org, narrow.group = t.href, &app.Org{}, "key"
	case t.Group == "":
		return "" // cannot be asked for alone
	default:
		narrow.picks = append(slices.Clone(a.picks), pick{by: a.group, value: t.Group})
		if len(unpicked(usageGroups(a.org), narrow.picks)) == 0 {
			narrow.picks = narrow.picks[len(narrow.picks)-1:]
		}
		narrow.group = narrow.groups()[0].Value
	}
	return ui.With(narrow.path, narrow.pairs()...)
}

func (a usageAsk) orgID() app.OrgID {
	if a.org == nil {
		return ""
	}
	return a.org.ID
}

// query is what the page asks of the ledger, as a whole.
func (a usageAsk) query() app.UsageQuery {
	return app.UsageQuery{Org: a.orgID(), Key: app.KeyID(valueOf(a.picks, "key")), Route: app.RouteID(valueOf(a.picks, "route"))}
}

func (s *site) usage(v *visit) error {
	if s.wantsMeter(v) {
		return s.meterUsageOf(v, ui.PathUsage, nil)
	}
	a, err := s.usageAsk(v, ui.PathUsage, nil)
	if err != nil {
		return err
	}
	return s.usageOf(v, a)
}

func (s *site) orgUsage(v *visit) error {
	o, err := s.org(v)
	if err != nil {
		return err
	}
	if s.wantsMeter(v) {
		return s.meterUsageOf(v, ui.Org(o.Slug, "usage"), &o)
	}
	a, err := s.usageAsk(v, ui.Org(o.Slug, "usage"), &o)
	if err != nil {
		return err
	}
	return s.usageOf(v, a)
}

func (s *site) usageOf(v *visit, a usageAsk) error {
	totals, err := s.usageTotals(v, a, maxUsageRows)
	if err != nil {
		return err
	}
	before, err := s.groupsBefore(v, a)
	if err != nil {
		return err
	}
	for i := range totals {
		t := &totals[i]
		t.now, t.before, t.compared = a.measure.of(t.UsageRow), before[t.Group], len(before) > 0
	}
	chart, err := s.usageChart(v, a, totals, "usage")
	if err != nil {
		return err
	}
	view := usageView{Page: s.page(v, "Usage", "usage"), Action: a.path, Chart: chart, Figures: usageFigures(a, totals, before), Chips: chips(a.picks, a.without),
		Subtitle: "All organizations · " + a.period.Words + " · times in " + a.period.Zone.String(),
		Range:    a.period.choices(a.path, a.pairs()[2:]...), CSV: ui.With(a.path+".csv", a.pairs()...),
		Hidden: append(hiddenPicks(a.picks), hiddenField{"period", unless(a.period.Key, defaultPeriod)}, hiddenField{"show", a.measure.key}, hiddenField{"sort", a.sort}),
		Group:  groupChoice(a), Zone: zoneChoice(v, a), RowsOf: groupHead(a.group), Sorts: usageSorts(a),
		Empty: ui.Empty{Icon: "usage", Title: "Nothing was used in this period", ID: "usage-command", Command: "gatehouse usage --since 30d",
			Text: "Each request that passes the gate is counted in the ledger, and appears here at once. The command line shows the same numbers."}}
	if len(a.picks) > 0 {
		view.Empty = emptyNarrowed(a.without(a.picks[0].by))
	}
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
	now, before     int64 // of the measure, in this period and by this point in the one before
	compared        bool  // there was something in the period before
}

// usageTotals sums the period per group, the most of the measure first, and
// finds the names of the first ones.
func (s *site) usageTotals(v *visit, a usageAsk, named int) ([]usageTotal, error) {
	var rows []app.UsageRow
	byGroup, err := s.usageBetween(v, a, a.period.since(), a.period.until())
	if err != nil {
		return nil, err
	}
	for _, row := range byGroup {
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(x, y app.UsageRow) int {
		return cmp.Or(cmp.Compare(a.measure.of(y), a.measure.of(x)), cmp.Compare(x.Group, y.Group))
	})
	return s.nameGroups(v, a, rows, named)
}

// usageBetween sums a stretch of time per group.
func (s *site) usageBetween(v *visit, a usageAsk, since, until time.Time) (map[string]app.UsageRow, error) {
	sums := map[string]app.UsageRow{}
	if a.group == "org" && len(a.picks) == 0 { // any number of organizations
		byOrg, err := s.Usage.Totals(v.ctx(), v.actor, since, until)
		for org, row := range byOrg {
			sums[string(org)] = row
		}
		return sums, err
	}
	q := a.query()
	q.Since, q.Until, q.Group = since, until, a.group
	rows, err := s.Usage.Usage(v.ctx(), v.actor, q)
	for _, row := range rows {
		sums[row.Group] = row
	}
	return sums, err
}

// groupsBefore is the measure of each group in the period before, up to where
// this one has come.
func (s *site) groupsBefore(v *visit, a usageAsk) (map[string]int64, error) {
	before := a.period.before()
	rows, err := s.usageBetween(v, a, before.since(), a.period.alike(before))
	sums := map[string]int64{}
	for group, row := range rows {
		sums[group] = a.measure.of(row)
	}
	return sums, err
}

// nameGroups gives the groups their names. Who was deleted keeps the id.
func (s *site) nameGroups(v *visit, a usageAsk, rows []app.UsageRow, named int) ([]usageTotal, error) {
	routes := map[string]string{}
	if a.group == "route" {
		list, err := s.Routing.Routes(v.ctx(), v.actor)
		if err != nil {
			return nil, err
		}
		routes = routeNames(list)
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
			err = t.nameKey(s, v, *a.org)
		}
		if err != nil {
			return nil, err
		}
		totals[i] = t
	}
	return totals, nil
}

// routeNames maps ids of routes to their names.
func routeNames(list []app.Route) map[string]string {
	names := map[string]string{}
	for _, r := range list {
		names[string(routeID(r))] = r.Name
	}
	return names
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

func (t *usageTotal) nameKey(s *site, v *visit, o app.Org) error {
	if t.Group == "" {
		t.name, t.sub = "Without a key", "JWT or session"
		return nil
	}
	k, err := s.Keys.Find(v.ctx(), v.actor, o.ID, app.KeyID(t.Group))
	if app.IsKind(err, app.KindNotFound) {
		t.sub = "deleted"
		return nil
	}
	t.name, t.sub, t.href = k.Name, k.Hint, ui.With(ui.Keys(o.Slug), "q", k.Name)
	return err
}

func groupChoice(a usageAsk) ui.Select {
	return ui.Select{Name: "group", Label: "Group by", Value: a.group, Apply: true, Options: a.groups()}
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
