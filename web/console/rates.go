package console

import (
	"fmt"
	"strings"
	"time"

	"gatehouse/app"
	"gatehouse/web/ui"
)

// maxRateRows bounds the list; a search finds the others.
const maxRateRows = 200

// rates lists what models cost the operator: by model, the newest price first.
func (s *site) rates(v *visit) error {
	view := ratesView{Page: s.page(v, "Rates", "money"), Tabs: s.moneyTabs(ui.PathRates), Query: strings.TrimSpace(v.query("q"))}
	if s.Rates == nil {
		return v.render(ratesPage(view))
	}
	list, err := s.Rates.List(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	var latest time.Time
	replaced := map[string]time.Time{} // of a model: when a newer rate took over
	found := 0
	for _, r := range list {
		if r.ValidFrom.After(latest) {
			latest = r.ValidFrom
		}
		row := rateRowFor(v.now, r, replaced[r.Model])
		replaced[r.Model] = r.ValidFrom
		if !rateMatches(r, view.Query) {
			continue
		}
		if found++; found <= maxRateRows {
			view.Rows = append(view.Rows, row)
		}
	}
	view.Known = len(list) > 0
	if view.Known {
		view.Subtitle = fmt.Sprintf("%s · the latest holds from %s", ui.Plural(int64(len(list)), "price"), ui.Date(latest, time.UTC))
	}
	if found > maxRateRows {
		view.More = fmt.Sprintf("The first %d of %s. Search for the others.", maxRateRows, ui.Count(int64(found)))
	}
	return v.render(ratesPage(view))
}

// rateMatches reports whether model or provider hold every word of the query.
func rateMatches(r app.Rate, query string) bool {
	text := strings.ToLower(r.Model + " " + r.Provider)
	for _, word := range strings.Fields(strings.ToLower(query)) {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// otherPrices says what is charged apart from the four prices of the row: for
// other tiers, regions and long prompts, for a search, for long caching.
func otherPrices(r app.Rate) (lines []string) {
	if r.CacheWriteLong != "" {
		lines = append(lines, "Cache write for an hour: "+ui.Money(r.CacheWriteLong))
	}
	if r.Search != "" {
		lines = append(lines, "A search of the web: "+ui.Money(r.Search))
	}
	for _, variant := range r.Variants {
		var when []string
		if variant.Tier != "" {
			when = append(when, "tier "+variant.Tier)
		}
		if variant.Region != "" {
			when = append(when, "region "+variant.Region)
		}
		if variant.AboveInput > 0 {
			when = append(when, "prompts above "+ui.Count(variant.AboveInput)+" tokens")
		}
		lines = append(lines, sentenceCase(strings.Join(when, ", "))+": "+ui.Money(variant.Input)+" in, "+ui.Money(variant.Output)+" out")
	}
	return lines
}

func rateRowFor(now time.Time, r app.Rate, until time.Time) modelRate {
	row := modelRate{Model: r.Model, Provider: orText(r.Provider, ui.Dash), Input: ui.Money(r.Input), Output: ui.Money(r.Output), CacheRead: ui.Money(orText(r.CacheRead, r.Input)),
		CacheWrite: ui.Money(orText(r.CacheWrite, r.Input)), Most: ui.Dash, From: ui.Date(r.ValidFrom, time.UTC), State: ui.State{Text: "Holds"}}
	row.Others = otherPrices(r)
	if r.MaxOutput > 0 {
		row.Most = ui.Count(r.MaxOutput)
	}
	switch {
	case r.ValidFrom.After(now):
		row.State = ui.State{Text: "To come", Tone: "off"}
	case !until.IsZero() && !until.After(now):
		row.State = ui.State{Text: "Until " + ui.Date(until, time.UTC), Tone: "off"}
	}
	return row
}
