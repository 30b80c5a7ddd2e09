package console

import (
	"time"

	"gatehouse/app"
	"gatehouse/web/ui"
)

func usageFigures(a usageAsk, totals []usageTotal, before map[string]int64) []ui.Figure {
	var sum app.UsageRow
	for _, t := range totals {
		sum.Add(t.UsageRow)
	}
	change := changeNote(a.period, a.measure.of(sum), before)
	requests, units := usageNote(sum.Requests, "counted"), "requests × weight"
	answers, bytes := ui.Short(sum.Status4)+" answered 4xx, "+ui.Short(sum.Status5)+" 5xx", ui.Bytes(sum.BytesIn)+" in"
	switch a.measure.key { // the figure of what the chart counts is compared
	case "":
		requests = joinSome(" · ", requests, change)
	case "units":
		units = change
	case "bytes":
		bytes = "in and out " + change
	case "errors":
		answers = ui.Short(sum.Status5) + " answered 5xx: " + change
	}
	mean := time.Duration(0)
	if sum.Requests > 0 {
		mean = sum.Duration / time.Duration(sum.Requests)
	}
	return []ui.Figure{
		{Label: "Requests", Value: ui.Short(sum.Requests), Note: orText(requests, "that passed the gate")},
		{Label: "Units", Value: ui.Short(sum.Weight), Note: units},
		{Label: "Answered 2xx", Value: ui.Percent(sum.Status2, sum.Requests), Unit: "%", Note: answers},
		{Label: "Bytes out", Value: ui.Bytes(sum.BytesOut), Note: bytes},
		{Label: "Mean duration", Value: ui.MillisBare(mean), Unit: "ms", Note: "first byte in to last byte out"},
	}
}

// usageNote says the exact number where the figure shows it shortened.
func usageNote(n int64, words string) string {
	if ui.Short(n) == ui.Count(n) {
		return ""
	}
	return ui.Count(n) + " " + words
}

// changeNote says how a sum differs from all groups' in the period before.
func changeNote(p period, now int64, before map[string]int64) string {
	var sum int64
	for _, n := range before {
		sum += n
	}
	if _, words := p.beforeWords(); sum > 0 {
		return ui.Change(now, sum) + " " + words
	}
	return "nothing to compare with"
}
