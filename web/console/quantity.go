package console

import (
	"strings"
	"time"

	"gatehouse/app"
	"gatehouse/web/ui"
)

// meters lists what is counted; without the service, the built-in meters.
func (s *site) meters(v *visit) ([]app.Meter, error) {
	if s.Meters == nil {
		return app.BuiltInMeters(), nil
	}
	return s.Meters.List(v.ctx(), v.actor)
}

// meterNamed finds a meter; one that was deleted is known by its slug alone.
func meterNamed(list []app.Meter, slug string) app.Meter {
	for _, m := range list {
		if m.Slug == slug {
			return m
		}
	}
	return app.Meter{Slug: slug, Name: sentenceCase(strings.ReplaceAll(slug, "_", " "))}
}

// quantity writes a value of the meter: money with $, bytes and durations with
// a prefix, others as a number whose unit stands elsewhere.
func quantity(m app.Meter, n int64) string {
	switch {
	case m.Slug == app.MeterCost:
		return ui.Dollars(n)
	case m.Unit == "byte" && n >= 0:
		return ui.Bytes(n)
	case m.Slug == app.MeterDuration:
		return length(time.Duration(n) * time.Millisecond)
	}
	return ui.Count(n)
}

// length writes a duration in its two largest units, a short one in milliseconds.
func length(d time.Duration) string {
	if d < time.Second {
		return ui.Millis(d)
	}
	return ui.Span(d)
}

// axisOf writes the labels of a chart's axis for the meter; nil: plain numbers.
func axisOf(m app.Meter) func(float64) string {
	switch {
	case m.Slug == app.MeterCost, m.Unit == "byte":
		return func(v float64) string { return quantity(m, int64(v)) }
	case m.Slug == app.MeterDuration:
		return func(v float64) string {
			d := time.Duration(v) * time.Millisecond
			if d > time.Minute {
				d = d.Truncate(time.Minute)
			}
			if d == 0 {
				return "0"
			}
			return length(d)
		}
	}
	return nil
}

// unitsOf is the meter's unit for many: "tokens"; empty where the number says it.
func unitsOf(m app.Meter) string {
	switch {
	case m.Slug == app.MeterCost, m.Slug == app.MeterDuration, m.Unit == "", m.Unit == "byte":
		return ""
	}
	return m.Unit + "s"
}

// additive reports whether values of groups and steps add up to the whole.
func additive(m app.Meter) bool {
	return m.Aggregation == app.AggregationCount || m.Aggregation == app.AggregationSum || m.Aggregation == ""
}
