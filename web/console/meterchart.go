package console

import (
	"fmt"
	"maps"

	"gatehouse/app"
	"gatehouse/web/ui"
)

// meterChart draws the meter per step: the largest groups apart, if they add
// up to the whole.
func (s *site) meterChart(v *visit, a meterAsk, groups []meterGroup) (usageChart, error) {
	card := usageChart{Title: a.meter.Name + " " + a.period.Title, Chart: ui.Chart{ID: "meter", First: "From (" + a.period.Zone.String() + ")", Unit: axisOf(a.meter)}}
	all, any, err := s.meterSlots(v, a.perStep(), a.period)
	if err != nil {
		return card, err
	}
	earlier := a
	earlier.period = a.period.before().stepped(a.step)
	before, _, err := s.meterSlots(v, earlier.perStep(), earlier.period)
	if err != nil {
		return card, err
	}
	if !any {
		card.Empty = "Nothing to show: no use of this meter in this period."
		return card, nil
	}
	if !additive(a.meter) {
		card.Chart.Series = []ui.Series{{Name: valueHead(a.meter), Class: groupClasses[0]}}
		a.fill(&card.Chart, [][]int64{all}, before)
		return card, nil
	}
	values, err := s.meterParts(v, a, groups, &card.Chart, all)
	if err != nil {
		return card, err
	}
	a.fill(&card.Chart, values, before)
	return card, nil
}

// meterParts reads the largest groups per step, and what is left of all.
func (s *site) meterParts(v *visit, a meterAsk, groups []meterGroup, c *ui.Chart, all []int64) ([][]int64, error) {
	values := [][]int64{}
	for _, g := range groups {
		if len(values) == topGroups || g.value <= 0 {
			break
		}
		if g.Group == "" {
			continue // cannot be asked for alone: it is part of the rest
		}
		own, _, err := s.meterSlots(v, a.only(g.Group), a.period)
		if err != nil {
			return nil, err
		}
		c.Series = append(c.Series, ui.Series{Name: shorten(g.name), Class: groupClasses[len(values)]})
		values = append(values, own)
	}
	if rest := len(groups) - len(values); rest > 0 {
		part := ui.Series{Name: othersName(rest), Class: "s-rest"}
		if len(values) == 0 {
			part = ui.Series{Name: "All", Class: groupClasses[0]}
		}
		c.Series = append(c.Series, part)
		values = append(values, others(all, values))
	}
	return values, nil
}

// only is the query per step of one group.
func (a meterAsk) only(group string) app.MeterQuery {
	q := a.perStep()
	if a.group == "org" {
		q.Org = app.OrgID(group)
	} else {
		q.Filter = maps.Clone(q.Filter)
		if q.Filter == nil {
			q.Filter = map[string]string{}
		}
		q.Filter[a.group] = group
	}
	return q
}

// meterSlots reads the meter in each slot of the period.
func (s *site) meterSlots(v *visit, q app.MeterQuery, p period) (values []int64, any bool, err error) {
	report, err := s.MeterUsage.Meter(v.ctx(), v.actor, q)
	values = make([]int64, len(p.Slots))
	for _, row := range report.Rows {
		any = any || row.Value != 0
		if i := p.slot(row.Start); i >= 0 {
			values[i] += row.Value
		}
	}
	return values, any, err
}

func (a meterAsk) fill(c *ui.Chart, values [][]int64, before []int64) {
	c.Before, c.Total = a.period.beforeName(before), totalName(values)
	c.Label = fmt.Sprintf("%s %s, %s, times in %s", a.meter.Name, a.period.Title, a.period.Words, a.period.Zone)
	c.Rest = a.period.Words + " · times in " + a.period.Zone.String()
	for i, start := range a.period.Slots {
		end := a.period.End
		if i+1 < len(a.period.Slots) {
			end = a.period.Slots[i+1]
		}
		step := a.period.chartStep(start, end)
		step.Label, step.Tick, step.Minor = a.period.stepLabels(a.step, i)
		step.BeforeText = ui.Dash
		if i < len(before) { // a month may have more days than the one before
			step.Before, step.BeforeText = float64(before[i]), quantity(a.meter, before[i])
		}
		var all int64
		for _, series := range values {
			all += series[i]
			step.Values = append(step.Values, float64(series[i]))
			step.Texts = append(step.Texts, quantity(a.meter, series[i]))
		}
		step.TotalText = quantity(a.meter, all)
		c.Steps = append(c.Steps, step)
	}
}
