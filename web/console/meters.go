package console

import (
	"gatehouse/app"
	"gatehouse/web/ui"
)

// metersPage lists what is counted.
func (s *site) metersPage(v *visit) error {
	if s.MeterUsage == nil {
		return app.NotFound("page")
	}
	list, err := s.meters(v)
	if err != nil {
		return err
	}
	view := metersView{Page: s.page(v, "Meters", "usage")}
	for _, m := range list {
		view.Rows = append(view.Rows, meterListRow{Name: m.Name, Slug: m.Slug, Href: ui.With(ui.PathUsage, "meter", m.Slug), Sums: sumsOf(m), Unit: orText(m.Unit, ui.Dash),
			Event: m.EventType, Dimensions: orWords(m.Dimensions, ui.Dash), BuiltIn: m.BuiltIn})
	}
	return v.render(metersListPage(view))
}

// sumsOf says how the values of a meter become one number.
func sumsOf(m app.Meter) string {
	value := "“" + m.Value + "”"
	switch m.Aggregation {
	case app.AggregationCount:
		return "Number of events"
	case app.AggregationUnique:
		return "Different " + value
	case app.AggregationMax:
		return "Largest " + value
	case app.AggregationLatest:
		return "Latest " + value
	}
	if m.Value == "" || m.BuiltIn {
		return "Sum"
	}
	return "Sum of " + value
}
