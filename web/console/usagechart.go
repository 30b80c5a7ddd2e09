package console

import (
	"fmt"
	"slices"
	"strings"

	"gatehouse/app"
	"gatehouse/web/ui"
)

// topGroups is the number of groups that a chart tells apart; the rest is one.
const topGroups = 5

var groupClasses = []string{"s-1", "s-2", "s-3", "s-4", "s-5"}

// usageChart draws the measure per slot, the largest groups apart.
func (s *site) usageChart(v *visit, a usageAsk, totals []usageTotal, id string) (usageChart, error) {
	all, err := s.slots(v, a, a.query(), a.period)
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
		own, err := s.slots(v, a, a.queryOf(t.Group), a.period)
		if err != nil {
			return card, err
		}
		card.Chart.Series = append(card.Chart.Series, ui.Series{Name: shorten(t.name), Class: groupClasses[len(values)]})
		values = append(values, own)
	}
	if rest := len(totals) - len(values); rest > 0 && len(values) > 0 {
		card.Chart.Series = append(card.Chart.Series, ui.Series{Name: othersName(rest), Class: "s-rest"})
		values = append(values, others(all, values))
	}
	if len(values) == 0 {
		card.Empty = "Nothing to show: no " + strings.ToLower(a.measure.title) + " in this period."
		return card, nil
	}
	before, err := s.slots(v, a, a.query(), a.period.before())
	if err != nil {
		return card, err
	}
	fillChart(&card.Chart, a, values, before)
	return card, nil
}

// totalName heads the column of totals, which one series does not need.
func totalName(values [][]int64) string {
	if len(values) < 2 {
		return ""
	}
	return "In all"
}

// othersName names the part of a chart that holds the smaller groups.
func othersName(n int) string {
	if n == 1 {
		return "1 other"
	}
	return ui.Count(int64(n)) + " others"
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
	q := a.query()
	switch a.group {
	case "org":
		q.Org = app.OrgID(group)
	case "key":
		q.Key = app.KeyID(group)
	default:
		q.Route = app.RouteID(group)
	}
	return q
}

// slots reads the measure of the query in each slot of the period.
func (s *site) slots(v *visit, a usageAsk, q app.UsageQuery, p period) ([]int64, error) {
	q.Since, q.Until, q.Step = p.since(), p.until(), p.step()
	rows, err := s.Usage.Usage(v.ctx(), v.actor, q)
	sums := make([]int64, len(p.Slots))
	for _, row := range rows {
		if i := p.slot(row.Start); i >= 0 {
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

func fillChart(c *ui.Chart, a usageAsk, values [][]int64, before []int64) {
	c.Before, c.Total = a.period.beforeName(before), totalName(values)
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
		step := a.period.chartStep(start, end)
		step.Label, step.BeforeText = a.period.label(start), ui.Dash
		step.Tick, step.Minor = a.period.tick(i)
		if i < len(before) { // a month may have more days than the one before
			step.Before, step.BeforeText = float64(before[i]), a.measure.text(before[i])
		}
		var all int64
		for _, series := range values {
			all += series[i]
			step.Values = append(step.Values, float64(series[i]))
			step.Texts = append(step.Texts, a.measure.text(series[i]))
		}
		step.TotalText = a.measure.text(all)
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
