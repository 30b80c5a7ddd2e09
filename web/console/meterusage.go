package console

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/app"
	"gatehouse/web/ui"
)

// meterAsk is what a meter's page was asked for, all of it in its address.
type meterAsk struct {
	path   string
	org    *app.Org // nil: all
	meter  app.Meter
	period period
	step   string
	asked  string // step as asked for
	picks  []pick
	group  string // "org", "key", "route" or a dimension
	zone   string // as asked for; empty: the browser's
}

func (s *site) wantsMeter(v *visit) bool { return s.MeterUsage != nil && v.query("meter") != "" }

// meterChoice picks what a usage page shows: requests by how they were
// answered, or one meter.
func (s *site) meterChoice(v *visit, now string) (*ui.Select, error) {
	if s.MeterUsage == nil {
		return nil, nil
	}
	list, err := s.meters(v)
	menu := &ui.Select{Name: "meter", Label: "Meter", Value: now, Apply: true, Options: []ui.Option{{Label: "Requests by answer"}}}
	for _, m := range list {
		menu.Options = append(menu.Options, ui.Option{Value: m.Slug, Label: m.Name})
	}
	return menu, err
}

func (s *site) meterAsk(v *visit, path string, org *app.Org) (meterAsk, error) {
	zone, named := v.zone, v.query("tz")
	if chosen, ok := zoneNamed(named); ok {
		zone = chosen
	} else {
		named = ""
	}
	list, err := s.meters(v)
	at := slices.IndexFunc(list, func(m app.Meter) bool { return m.Slug == v.query("meter") })
	if err != nil {
		return meterAsk{}, err
	}
	if at < 0 {
		return meterAsk{}, app.NotFound("meter")
	}
	a := meterAsk{path: path, org: org, meter: list[at], zone: named, asked: v.query("step"), group: v.query("group")}
	a.period = meterPeriodOf(v.query("period"), v.now, zone)
	a.step = a.period.stepOf(a.asked)
	a.period = a.period.stepped(a.step)
	a.picks = picksOf(v, a.every())
	if err := s.namePicks(v, org, a.picks); err != nil {
		return a, err
	}
	if !slices.ContainsFunc(a.groups(), func(o ui.Option) bool { return o.Value == a.group }) {
		a.group = a.groups()[0].Value
	}
	return a, nil
}

// groups are what is left to group by. Where everything is picked, the first
// groups what is one.
func (a meterAsk) groups() []ui.Option {
	if left := unpicked(a.every(), a.picks); len(left) > 0 {
		return left
	}
	return a.every()[:1]
}

// every is what the meter's usage can be grouped by, the usual one first.
func (a meterAsk) every() []ui.Option {
	options := usageGroups(a.org)
	for _, d := range a.meter.Dimensions {
		options = append(options, ui.Option{Value: d, Label: "By " + strings.ReplaceAll(d, "_", " ")})
	}
	return options
}

func (a meterAsk) groupHead() string { return pickWords(a.group) }

// pairs are the parameters of the address, without the period.
func (a meterAsk) pairs() []string {
	pairs := []string{"meter", a.meter.Slug, "group", unless(a.group, a.groups()[0].Value), "step", unless(a.step, a.period.usualStep()), "tz", a.zone}
	return append(pairs, pickPairs(a.picks, "")...)
}

// address is the page as it was asked for.
func (a meterAsk) address() string {
	return ui.With(a.path, append([]string{"period", unless(a.period.Key, defaultPeriod)}, a.pairs()...)...)
}

// without is the address of the page that is not narrowed by the name.
func (a meterAsk) without(by string) string {
	wider := a
	wider.picks = slices.DeleteFunc(slices.Clone(a.picks), func(p pick) bool { return p.by == by })
	return wider.address()
}

// hrefOf leads from a group to the page of the group alone.
func (a meterAsk) hrefOf(t usageTotal) string {
	narrow := a
	switch {
	case a.group == "org" && t.href == "", t.Group == "":
		return "" // deleted, or cannot be asked for alone
	case a.group == "org":
		narrow.path, narrow.org = t.href, &app.Org{}
	default:
		narrow.picks = append(slices.Clone(a.picks), pick{by: a.group, value: t.Group})
	}
	narrow.group = narrow.groups()[0].Value
	return narrow.address()
}

func (a meterAsk) query() app.MeterQuery {
	q := app.MeterQuery{Meter: a.meter.Slug, Since: a.period.since(), Until: a.period.until(), Zone: a.period.Zone}
	if a.org != nil {
		q.Org = a.org.ID
	}
	if len(a.picks) > 0 {
		q.Filter = map[string]string{}
	}
	for _, p := range a.picks {
		q.Filter[p.by] = p.value
	}
	return q
}

// perStep is the query cut into the chart's steps.
func (a meterAsk) perStep() app.MeterQuery {
	q := a.query()
	q.Step = a.step
	return q
}

func (s *site) meterUsageOf(v *visit, path string, org *app.Org) error {
	a, err := s.meterAsk(v, path, org)
	if err != nil {
		return err
	}
	whole, err := s.MeterUsage.Meter(v.ctx(), v.actor, a.query())
	if err != nil {
		return err
	}
	groups, err := s.meterGroups(v, a)
	if err != nil {
		return err
	}
	chart, err := s.meterChart(v, a, groups)
	if err != nil {
		return err
	}
	before, err := s.metersBefore(v, a)
	if err != nil {
		return err
	}
	view := meterUsageView{Page: s.page(v, "Usage of "+a.meter.Name, "usage"), Action: path, Chart: chart, About: aboutMeter(a.meter),
		Subtitle: joinSome(" · ", "All organizations", a.period.Words, "times in "+a.period.Zone.String()), RowsOf: a.groupHead(), ValueHead: valueHead(a.meter),
		Hidden: append(hiddenPicks(a.picks), hiddenField{"period", unless(a.period.Key, defaultPeriod)}), Chips: chips(a.picks, a.without), CSV: ui.With(path+".csv", append([]string{"period", unless(a.period.Key, defaultPeriod)}, a.pairs()...)...),
		Range: meterRange(a), Group: ui.Select{Name: "group", Label: "Group by", Value: a.group, Apply: true, Options: a.groups()},
		Step: a.period.stepChoice(a.step), Zone: zoneChoice(v, usageAsk{period: a.period}), Empty: meterEmpty(a)}
	if view.Meter, err = s.meterChoice(v, a.meter.Slug); err != nil {
		return err
	}
	view.fill(a, whole.Rows, groups, before)
	if org != nil {
		head := s.orgHead(v, *org, "usage")
		view.Head, view.Page.Nav, view.Page.Title = &head, "orgs", a.meter.Name+" of "+org.Name
	}
	return v.render(meterUsagePage(view))
}

// meterRange are the periods; the step is left to the period that is gone to.
func meterRange(a meterAsk) ui.Choices {
	pairs := a.pairs()
	pairs[5] = ""
	choices := a.period.choices(a.path, pairs...)
	year := ui.Choice{Label: "Year", Current: a.period.Key == "year", Href: ui.With(a.path, append([]string{"period", "year"}, pairs...)...)}
	choices.Items = append(choices.Items, year)
	return choices
}

func valueHead(m app.Meter) string {
	switch m.Aggregation {
	case app.AggregationUnique:
		return "Different values"
	case app.AggregationMax:
		return "Largest"
	case app.AggregationLatest:
		return "Latest"
	}
	return orText(sentenceCase(unitsOf(m)), m.Name)
}

func aboutMeter(m app.Meter) string {
	text := "Counted by the gate itself"
	if m.EventType != "" {
		text = "From events of the type " + m.EventType
		if m.BuiltIn {
			text = "Counted by the gate, and from events of the type " + m.EventType
		}
	}
	return text + "; sums of 15-minute buckets of the ledger. Estimated are uses whose true quantity nobody said, such as those of a call that was cut off."
}

// meterGroup is one group's usage in the whole period.
type meterGroup struct {
	usageTotal
	value, estimated int64
}

// meterBefore is usage in the period before, up to where this one has come.
type meterBefore struct {
	whole  int64
	groups map[string]int64
}

func (s *site) metersBefore(v *visit, a meterAsk) (b meterBefore, err error) {
	before := a.period.before()
	q := a.query()
	q.Since, q.Until = before.since(), a.period.alike(before)
	whole, err := s.MeterUsage.Meter(v.ctx(), v.actor, q)
	if err != nil {
		return b, err
	}
	for _, row := range whole.Rows {
		b.whole = row.Value
	}
	q.Group, b.groups = []string{a.group}, map[string]int64{}
	grouped, err := s.MeterUsage.Meter(v.ctx(), v.actor, q)
	for _, row := range grouped.Rows {
		b.groups[row.Group[a.group]] = row.Value
	}
	return b, err
}

// meterGroups sums the period per group, the most first, and finds the names
// of the first ones.
func (s *site) meterGroups(v *visit, a meterAsk) ([]meterGroup, error) {
	q := a.query()
	q.Group = []string{a.group}
	report, err := s.MeterUsage.Meter(v.ctx(), v.actor, q)
	if err != nil {
		return nil, err
	}
	rows := slices.SortedFunc(slices.Values(report.Rows), func(x, y app.MeterRow) int {
		return cmp.Or(cmp.Compare(y.Value, x.Value), cmp.Compare(x.Group[a.group], y.Group[a.group]))
	})
	plain := make([]app.UsageRow, len(rows))
	for i, row := range rows {
		plain[i].Group = row.Group[a.group]
	}
	named, err := s.nameGroups(v, usageAsk{org: a.org, group: a.group, period: a.period}, plain, maxUsageRows)
	groups := make([]meterGroup, len(named))
	for i, t := range named {
		if t.name == "" {
			t.name, t.sub = "Without", "no "+strings.ToLower(a.groupHead())+" was told"
		}
		groups[i] = meterGroup{usageTotal: t, value: rows[i].Value, estimated: rows[i].Estimated}
	}
	return groups, err
}

// fill puts the table and the figures into the view.
func (view *meterUsageView) fill(a meterAsk, whole []app.MeterRow, groups []meterGroup, before meterBefore) {
	var total, estimated int64
	for _, row := range whole {
		total, estimated = row.Value, row.Estimated
	}
	view.Total, view.Estimated, view.Change = quantity(a.meter, total), ui.Count(estimated), changeOf(before.whole > 0, total, before.whole)
	view.Figures = meterFigures(a, total, estimated, groups, before.whole)
	for _, g := range groups[:min(len(groups), maxUsageRows)] {
		row := meterRow{Name: g.name, Sub: g.sub, Href: a.hrefOf(g.usageTotal), Value: quantity(a.meter, g.value), Share: ui.Dash, Estimated: ui.Count(g.estimated),
			Change: changeOf(before.whole > 0, g.value, before.groups[g.Group])}
		if additive(a.meter) {
			row.Share = ui.Percent(g.value, total) + "\u00a0%"
		}
		view.Rows = append(view.Rows, row)
	}
	if len(groups) > maxUsageRows {
		view.More = fmt.Sprintf("The %d largest of %s. The export holds them all.", maxUsageRows, ui.Count(int64(len(groups))))
	}
}

// meterFigures are the sum, what it was before, who used the most, and how
// much of it is a guess.
func meterFigures(a meterAsk, total, estimated int64, groups []meterGroup, before int64) []ui.Figure {
	name, _ := a.period.beforeWords()
	most := ui.Figure{Label: "Most by one " + strings.ToLower(a.groupHead()), Value: ui.Dash, Note: "nothing was used"}
	if len(groups) > 0 {
		most.Value, most.Note = quantity(a.meter, groups[0].value), shorten(groups[0].name)
	}
	return []ui.Figure{
		{Label: orText(a.meter.Name, a.meter.Slug), Value: quantity(a.meter, total), Unit: unitsOf(a.meter), Note: changeNote(a.period, total, map[string]int64{"": before})},
		{Label: name, Value: quantity(a.meter, before), Note: beforeNote(a.period, before)},
		most,
		{Label: "Estimated uses", Value: ui.Short(estimated), Note: "whose true quantity nobody said"},
	}
}

// beforeNote says how much of the period before is summed.
func beforeNote(p period, before int64) string {
	switch {
	case before == 0:
		return "nothing was used"
	case p.until().Before(p.End):
		return "as far as this period has come"
	}
	return "all of it"
}

// meterEmpty teaches how usage of the meter comes about.
func meterEmpty(a meterAsk) ui.Empty {
	if len(a.picks) > 0 {
		return emptyNarrowed(a.without(a.picks[0].by))
	}
	empty := ui.Empty{Icon: "usage", Title: "Nothing was used in this period", ID: "usage-command", Command: "gatehouse usage --since 30d",
		Text: "The gate counts this meter by itself, as requests pass."}
	if a.meter.EventType == "" {
		return empty
	}
	org := "ORG_ID"
	if a.org != nil {
		org = string(a.org.ID)
	}
	data := ""
	if a.meter.Value != "" {
		data = fmt.Sprintf(`"%s": 1`, a.meter.Value)
	}
	empty.Text = "Your app tells of what only it knows with events. Each is counted once, however often it is sent: its id and source name it."
	empty.Command = fmt.Sprintf(`curl $GATEHOUSE_URL/v1/events \
  -H "Authorization: Bearer $GATEHOUSE_KEY" \
  -H "Content-Type: application/cloudevents+json" \
  -d '{"specversion": "1.0", "id": "1", "source": "app",
       "type": "%s",
       "subject": "%s",
       "data": {%s}}'`, a.meter.EventType, org, data)
	return empty
}

// exportMeter answers the meter's usage per group and step as a file.
func (s *site) exportMeter(v *visit, path string, org *app.Org, name string) error {
	a, err := s.meterAsk(v, path, org)
	if err != nil {
		return err
	}
	q := a.query()
	q.Step, q.Group = a.step, []string{a.group}
	report, err := s.MeterUsage.Meter(v.ctx(), v.actor, q)
	if err != nil {
		return err
	}
	header := v.w.Header()
	header.Set("Content-Type", "text/csv; charset=utf-8")
	header.Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", fmt.Sprintf("%s-%s-%s.csv", name, a.meter.Slug, a.period.since().Format("2006-01-02"))))
	out := csv.NewWriter(v.w)
	out.Write([]string{"from", "meter", a.group, "value", "unit", "estimated"})
	for _, row := range report.Rows {
		out.Write([]string{row.Start.In(a.period.Zone).Format(time.RFC3339), a.meter.Slug, cell(row.Group[a.group]),
			strconv.FormatInt(row.Value, 10), cell(a.meter.Unit), strconv.FormatInt(row.Estimated, 10)})
	}
	out.Flush()
	return nil // an error of the writer means that the browser is gone
}
