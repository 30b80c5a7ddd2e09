package console

import (
	"cmp"
	"slices"
	"strings"

	"gatehouse/app"
	"gatehouse/web/ui"
)

// pick narrows a usage page to one key, one route, or one value of a dimension.
// In the address it is where=model:claude-sonnet-4-5, once for each.
type pick struct {
	by, value string
	name      string // of the value, for people
	href      string // the page of what is picked, if it has one
}

// maxPicks bounds how often a page is narrowed.
const maxPicks = 5

// picksOf reads the address. A name that may not be picked by is left out.
func picksOf(v *visit, allowed []ui.Option) (picks []pick) {
	for _, text := range v.r.URL.Query()["where"] {
		by, value, _ := strings.Cut(text, ":")
		known := slices.ContainsFunc(allowed, func(o ui.Option) bool { return o.Value == by && by != "org" })
		if known && value != "" && len(picks) < maxPicks && !picked(picks, by) {
			picks = append(picks, pick{by: by, value: value, name: value})
		}
	}
	return picks
}

// picked reports whether the page is narrowed by the name.
func picked(picks []pick, by string) bool {
	return slices.ContainsFunc(picks, func(p pick) bool { return p.by == by })
}

// valueOf is what is picked of the name; empty: all.
func valueOf(picks []pick, by string) string {
	for _, p := range picks {
		if p.by == by {
			return p.value
		}
	}
	return ""
}

// unpicked leaves out what the page is narrowed by already: one value makes no groups.
func unpicked(options []ui.Option, picks []pick) []ui.Option {
	return slices.DeleteFunc(options, func(o ui.Option) bool { return picked(picks, o.Value) })
}

// pickPairs are the picks as parameters of an address, without the name (empty: all).
func pickPairs(picks []pick, without string) (pairs []string) {
	for _, p := range picks {
		if p.by != without {
			pairs = append(pairs, "where", p.by+":"+p.value)
		}
	}
	return pairs
}

// hiddenPicks keep the picks when the filters' form is sent.
func hiddenPicks(picks []pick) (fields []hiddenField) {
	for _, p := range picks {
		fields = append(fields, hiddenField{"where", p.by + ":" + p.value})
	}
	return fields
}

// namePicks finds the names of the keys and routes that are picked. What was
// deleted keeps its id.
func (s *site) namePicks(v *visit, o *app.Org, picks []pick) error {
	for i := range picks {
		p := &picks[i]
		t := usageTotal{UsageRow: app.UsageRow{Group: p.value}, name: p.value}
		switch {
		case p.by == "route":
			list, err := s.Routing.Routes(v.ctx(), v.actor)
			if err != nil {
				return err
			}
			t.nameRoute(routeNames(list))
			p.href = t.href
		case p.by == "key" && o != nil:
			if err := t.nameKey(s, v, *o); err != nil {
				return err
			}
			p.href = t.href
		}
		p.name = cmp.Or(t.name, p.value)
	}
	return nil
}

// emptyNarrowed says that nothing is left of a page; wider is the page with
// one thing less that narrows it.
func emptyNarrowed(wider string) ui.Empty {
	return ui.Empty{Icon: "usage", Title: "Nothing was used here in this period", Text: "The page is narrowed. Look at all, or at another period.", Href: wider, Link: "Show all"}
}

// chips says what the page is narrowed to; each leads to the page without it.
func chips(picks []pick, without func(by string) string) (list []chip) {
	for _, p := range picks {
		list = append(list, chip{Of: pickWords(p.by), Name: p.name, Href: p.href, Without: without(p.by)})
	}
	return list
}

// pickWords names what is picked by: "Route", "Model".
func pickWords(by string) string {
	if by == "org" || by == "key" || by == "route" {
		return groupHead(by)
	}
	return sentenceCase(strings.ReplaceAll(by, "_", " "))
}
