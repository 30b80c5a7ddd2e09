package console

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/a-h/templ"

	"gatehouse/app"
	"gatehouse/app/traffic"
	"gatehouse/web/ui"
)

// topOrgs is the number of organizations that the overview lists.
const topOrgs = 12

// youngGate is how long after its start a gate opens its overview on the
// shortest range, because an hour would show little yet.
const youngGate = 15 * time.Minute

// errorTarget is the share of failed requests below which all is well (product: 0.1 %).
const errorTarget = 0.001

var ranges = []struct {
	value traffic.Range
	label string // of the choice
	last  string // in a sentence: "the last hour"
}{
	{traffic.Range15m, "15 min", "last 15 minutes"}, {traffic.Range1h, "1 h", "last hour"},
	{traffic.Range24h, "24 h", "last 24 hours"}, {traffic.Range30d, "30 d", "last 30 days"},
}

// rangeOf reads the range of an address; an unknown one is an hour.
func rangeOf(text string) traffic.Range {
	for _, r := range ranges {
		if string(r.value) == text {
			return r.value
		}
	}
	return traffic.Range1h
}

func rangeWords(rng traffic.Range) string {
	for _, r := range ranges {
		if r.value == rng {
			return r.last
		}
	}
	return ""
}

// rangeLabel is the range in short, for a figure's label.
func rangeLabel(rng traffic.Range) string {
	for _, r := range ranges {
		if r.value == rng {
			return r.label
		}
	}
	return ""
}

// since is when the range's first traffic was: an average over the silence
// before an installation was there would say nothing.
func since(snap *traffic.Snapshot) time.Time {
	for _, p := range snap.Points {
		if p.Allowed+p.Refused+p.Failed > 0 {
			return p.Start
		}
	}
	return snap.At
}

// perSecond is the average rate since the range's first traffic.
func perSecond(snap *traffic.Snapshot, n int64) string {
	return ui.Rate(float64(n) / max(snap.At.Sub(since(snap)).Seconds(), snap.Step.Seconds()))
}

func overviewTopic(rng traffic.Range) string { return "overview." + string(rng) }

func (s *site) overview(v *visit) error {
	rng := rangeOf(v.query("range"))
	if v.query("range") == "" && s.Now().Sub(s.About.Started) < youngGate {
		rng = traffic.Range15m
	}
	start, err := s.startIfNeeded(v.ctx(), v)
	if err != nil {
		return err
	}
	live, err := s.overviewLive(v.ctx(), v, rng)
	if err != nil {
		return err
	}
	view := overviewView{Page: s.page(v, "Overview", "overview", overviewTopic(rng)), Range: rng, Start: start, Live: live,
		Subtitle: fmt.Sprintf("All organizations · %s · times in %s", rangeWords(rng), v.zone)}
	if start == nil {
		if view.Quotas, err = s.quotaNews(v.ctx(), v); err != nil {
			return err
		}
		if n := view.Quotas; n != nil && n.Near != nil && !n.All {
			view.Page.Live = append(view.Page.Live, "near")
		}
	}
	if start != nil {
		view.Page.Live = append(view.Page.Live, "start")
	}
	view.Ranges.Label = "Range"
	for _, r := range ranges {
		view.Ranges.Items = append(view.Ranges.Items, ui.Choice{Label: r.label, Current: r.value == rng,
			Href: ui.With(ui.PathOverview, "range", string(r.value))})
	}
	return v.render(overviewPage(view))
}

// unless leaves out a default, so that it is not part of the address.
func unless(value, fallback string) string {
	if value == fallback {
		return ""
	}
	return value
}

func (s *site) overviewParts(ctx context.Context, v *visit, rng string) (map[string]templ.Component, error) {
	live, err := s.overviewLive(ctx, v, rangeOf(rng))
	if err != nil {
		return nil, err
	}
	return map[string]templ.Component{"figures": ui.Strip(live.Figures), "chart": ui.Plot(live.Chart),
		"numbers": ui.Numbers(live.Chart), "refusals": refusals(live), "orgs": busiest(live)}, nil
}

func (s *site) overviewLive(ctx context.Context, v *visit, rng traffic.Range) (overviewLive, error) {
	snap, err := s.Traffic.Snapshot(ctx, rng)
	if err != nil {
		return overviewLive{}, err
	}
	live := overviewLive{Window: rangeWords(rng), Chart: trafficChart(snap, v.zone)}
	live.Figures = overviewFigures(snap)
	live.Refusals = refusalBars(snap.Refusals)
	live.Refused = ui.Plural(snap.Refused, "request") + " in the " + live.Window
	live.Orgs, err = s.busiestRows(ctx, v, snap)
	if more := len(snap.Orgs) - len(live.Orgs); more > 0 {
		live.More = fmt.Sprintf("The %d busiest of %s with traffic in the %s.", len(live.Orgs), ui.Plural(int64(len(snap.Orgs)), "organization"), live.Window)
	}
	return live, err
}

func overviewFigures(snap *traffic.Snapshot) []ui.Figure {
	window, total, passed := rangeLabel(snap.Range), snap.Requests(), snap.Allowed+snap.Failed
	errorNote := "target below 0.1 %"
	tone := ""
	if passed > 0 && float64(snap.Failed)/float64(passed) >= errorTarget {
		errorNote, tone = ui.Count(snap.Failed)+" failed; target below 0.1 %", "down"
	}
	return []ui.Figure{
		{Label: "Requests / s, last 10 s", Value: ui.Rate(snap.PerSecond), Note: perSecond(snap, total) + " on average, " + window},
		{Label: "p50 · p95 · p99, " + window, Value: strings.Join([]string{ui.MillisBare(snap.P50), ui.MillisBare(snap.P95), ui.MillisBare(snap.P99)}, " · "),
			Unit: "ms", Note: "the gate's own share: " + ui.Millis(snap.OwnP50), Long: true},
		{Label: "Errors, " + window, Value: ui.Percent(snap.Failed, passed), Unit: "%", Note: errorNote, Tone: tone},
		{Label: "Refused, " + window, Value: ui.Percent(snap.Refused, total), Unit: "%",
			Note: ui.Short(snap.Refused) + " of " + ui.Short(total) + " requests"},
		{Label: "Served, " + window, Value: ui.Short(passed), Unit: "requests",
			Note: "of " + ui.Plural(int64(len(snap.Orgs)), "organization")},
	}
}

// trafficChart is requests a second in each step, by how they ended.
func trafficChart(snap *traffic.Snapshot, zone *time.Location) ui.Chart {
	chart := ui.Chart{ID: "traffic", First: "From (" + zone.String() + ")",
		Label:  fmt.Sprintf("Requests per second in the %s by outcome, in steps of %s, times in %s", rangeWords(snap.Range), ui.Span(snap.Step), zone),
		Rest:   fmt.Sprintf("Steps of %s · times in %s", ui.Span(snap.Step), zone),
		Series: []ui.Series{{Name: "Allowed", Class: "s-a"}, {Name: "Refused", Class: "s-w"}, {Name: "Failed", Class: "s-b"}}}
	for i, p := range snap.Points {
		length := snap.Step
		partial := p.Start.Add(snap.Step).After(snap.At)
		if partial {
			length = max(snap.At.Sub(p.Start), 3*time.Second)
		}
		step := ui.Step{Label: stepLabel(p.Start, snap.Range, zone), Partial: partial}
		step.Tick, step.Minor = stepTick(p.Start, snap.Range, zone, i)
		for _, n := range []int64{p.Allowed, p.Refused, p.Failed} {
			rate := float64(n) / length.Seconds()
			step.Values = append(step.Values, rate)
			step.Texts = append(step.Texts, ui.Rate(rate))
		}
		chart.Steps = append(chart.Steps, step)
	}
	return chart
}

func stepLabel(at time.Time, rng traffic.Range, zone *time.Location) string {
	switch rng {
	case traffic.Range15m:
		return at.In(zone).Format("15:04:05")
	case traffic.Range1h:
		return at.In(zone).Format("15:04")
	}
	return at.In(zone).Format("2 Jan, 15:04")
}

// stepTick labels round times: every 3 or 10 minutes, 4 hours or 5 days. Every
// second label leaves on a phone.
func stepTick(at time.Time, rng traffic.Range, zone *time.Location, i int) (label string, minor bool) {
	local := at.In(zone)
	minutes := local.Hour()*60 + local.Minute()
	switch rng {
	case traffic.Range15m:
		if local.Second() == 0 && minutes%3 == 0 {
			return local.Format("15:04"), minutes%6 != 0
		}
	case traffic.Range1h:
		if minutes%10 == 0 {
			return local.Format("15:04"), minutes%20 != 0
		}
	case traffic.Range24h:
		if minutes%240 == 0 {
			return local.Format("15:04"), minutes%480 != 0
		}
	case traffic.Range30d:
		if i%20 == 4 {
			return local.Format("2 Jan"), i%40 != 4
		}
	}
	return "", false
}

func refusalBars(refusals []traffic.Refusal) []ui.Bar {
	var bars []ui.Bar
	for i, r := range refusals {
		if i == 8 {
			break
		}
		words, class := refusalWords(r.Code)
		bars = append(bars, ui.Bar{Label: words, Code: r.Code, Value: ui.Count(r.Count), Share: r.Count * 100 / max(refusals[0].Count, 1), Class: class})
	}
	return bars
}

// refusalNames say refusals' codes as people do. Amber is a limit that did its
// work, red is a stop of a customer, grey is a caller who may not.
var refusalNames = map[string]struct{ words, class string }{
	"rate_limited":        {"Rate limit", "s-w"},
	"in_flight_limited":   {"Too many at once", "s-w"},
	"websockets_limited":  {"Too many WebSockets", "s-w"},
	"address_limited":     {"Address too fast", "s-w"},
	"org_suspended":       {"Organization suspended", "s-b"},
	"org_cancelled":       {"Organization cancelled", "s-b"},
	"ledger_unavailable":  {"Ledger not ready", "s-b"},
	"quota_exhausted":     {"Quota exhausted", "s-b"},
	"quota_unavailable":   {"Quotas not ready", "s-b"},
	"price_unknown":       {"Price unknown", "s-b"},
	"address_blocked":     {"Address blocked", "s-g"},
	"key_unknown":         {"Key unknown", "s-g"},
	"key_malformed":       {"Key malformed", "s-g"},
	"key_revoked":         {"Key revoked", "s-g"},
	"key_expired":         {"Key expired", "s-g"},
	"key_address":         {"Address not in the key's list", "s-g"},
	"address_not_allowed": {"Address not in the key's list", "s-g"},
	"credential_missing":  {"No credential", "s-g"},
	"scope_missing":       {"Scope missing", "s-g"},
	"route_not_found":     {"No such route", "s-g"},
	"path_closed":         {"Closed path", "s-g"},
	"body_too_large":      {"Body too large", "s-g"},
}

// refusalWords says a code in words; one without a name reads as it is written.
func refusalWords(code string) (words, class string) {
	if known, ok := refusalNames[code]; ok {
		return known.words, known.class
	}
	return sentenceCase(strings.ReplaceAll(code, "_", " ")), "s-g"
}

func (s *site) busiestRows(ctx context.Context, v *visit, snap *traffic.Snapshot) ([]orgTrafficRow, error) {
	plans := s.planNames(ctx, v)
	var rows []orgTrafficRow
	for _, o := range snap.Orgs[:min(topOrgs, len(snap.Orgs))] {
		total := o.Allowed + o.Refused + o.Failed
		row := orgTrafficRow{Spark: o.Spark, PerSecond: perSecond(snap, total), Requests: ui.Short(total),
			Refused: ui.Short(o.Refused), Failed: ui.Short(o.Failed), P95: ui.Dash, Name: "Deleted", Slug: string(o.Org), State: ui.State{Text: "Deleted", Tone: "off"}}
		if o.Refused*10 > total {
			row.RefusedTone = "near"
		}
		if o.Failed > 0 {
			row.FailedTone = "down"
		}
		if o.P95 > 0 {
			row.P95 = ui.Millis(o.P95)
		}
		org, err := s.Orgs.Find(ctx, v.actor, string(o.Org))
		switch {
		case err == nil:
			row.Name, row.Slug, row.Href, row.Plan, row.State = org.Name, org.Slug, ui.Org(org.Slug, ""), plans[org.Plan], orgState(org)
		case !app.IsKind(err, app.KindNotFound):
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func orgState(o app.Org) ui.State {
	switch o.Status {
	case app.OrgStatusSuspended:
		return ui.State{Text: "Suspended", Tone: "bad"}
	case app.OrgStatusCancelled:
		return ui.State{Text: "Cancelled", Tone: "off"}
	}
	return ui.State{Text: "Active"}
}
