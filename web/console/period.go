package console

import (
	"sort"
	"time"

	"gatehouse/app"
	"gatehouse/web/ui"
)

// period is a stretch of time cut into slots, as a usage chart shows it. Slots
// follow the wall clock of the zone: a day of 23 hours is one slot.
type period struct {
	Key   string // in the address
	Label string // of the choice
	Title string // of a slot: "Requests a day"
	Words string // "24 November 2026, 00:00 to now"
	Zone  *time.Location
	Slots []time.Time // starts; those in the future have no usage yet
	End   time.Time   // of the last slot
	Now   time.Time
}

var periods = []struct{ key, label string }{
	{"24h", "24 h"}, {"7d", "7 d"}, {"month", "This month"}, {"last", "Last month"}, {"90d", "90 d"},
}

const defaultPeriod = "month"

// periodOf builds the period that the key names; an unknown key is this month.
func periodOf(key string, now time.Time, zone *time.Location) period {
	local := now.In(zone)
	year, month, day := local.Date()
	at := func(month time.Month, day, hour int) time.Time {
		return time.Date(year, month, day, hour, 0, 0, 0, zone)
	}
	p := period{Key: key, Zone: zone, Now: now, Title: "a day"}
	switch key {
	case "24h":
		p.Title = "an hour"
		for hour := local.Hour() - 23; hour <= local.Hour(); hour++ {
			p.add(at(month, day, hour))
		}
		p.End = at(month, day, local.Hour()+1)
	case "7d":
		p.Title = "in 6 hours"
		for hour := -6 * 24; hour < 24; hour += 6 {
			p.add(at(month, day, hour))
		}
		p.End = at(month, day+1, 0)
	case "90d":
		p.days(at(month, day-89, 0), at(month, day+1, 0))
	case "last":
		p.days(at(month-1, 1, 0), at(month, 1, 0))
	default:
		p.Key = defaultPeriod
		p.days(at(month, 1, 0), at(month+1, 1, 0))
	}
	p.Words = p.words()
	return p
}

// add appends a slot, unless the clocks skipped it.
func (p *period) add(start time.Time) {
	if n := len(p.Slots); n == 0 || start.After(p.Slots[n-1]) {
		p.Slots = append(p.Slots, start)
	}
}

func (p *period) days(from, to time.Time) {
	for at := from; at.Before(to); at = at.AddDate(0, 0, 1) {
		p.add(at)
	}
	p.End = to
}

func (p *period) words() string {
	const form = "2 January 2006"
	first, last := p.Slots[0], p.End.Add(-time.Second)
	if p.Key == "24h" {
		return first.Format("2 January, 15:04") + " to now"
	}
	if p.End.After(p.Now) {
		return first.Format(form) + " to now"
	}
	return first.Format(form) + " to " + last.Format(form)
}

// since and until bound what is asked of the ledger.
func (p *period) since() time.Time { return p.Slots[0] }

func (p *period) until() time.Time {
	if now := quarterAfter(p.Now); now.Before(p.End) {
		return now
	}
	return p.End
}

// step is the length of the ledger's rows from which slots are folded: hours,
// unless the zone is not whole hours from UTC.
func (p *period) step() time.Duration {
	for _, at := range []time.Time{p.since(), p.End} {
		if _, offset := at.Zone(); offset%3600 != 0 {
			return app.BucketLength
		}
	}
	return time.Hour
}

// slot is the index of the slot that holds the time.
func (p *period) slot(at time.Time) int {
	return sort.Search(len(p.Slots), func(i int) bool { return p.Slots[i].After(at) }) - 1
}

// chartStep is a slot as a chart draws it.
func (p *period) chartStep(start, end time.Time) ui.Step {
	return ui.Step{Partial: start.Before(p.Now) && end.After(p.Now), Future: start.After(p.Now)}
}

// label names a slot in the read-out and the table.
func (p *period) label(start time.Time) string {
	switch p.Key {
	case "24h", "7d":
		return start.Format("Mon 2 Jan, 15:04")
	}
	return start.Format("Mon 2 Jan 2006")
}

// tick labels some slots below the chart; every second leaves on a phone.
func (p *period) tick(i int) (label string, minor bool) {
	at := p.Slots[i]
	switch p.Key {
	case "24h":
		if at.Hour()%4 == 0 {
			return at.Format("15:04"), at.Hour()%8 != 0
		}
	case "7d":
		if at.Hour() == 0 {
			return at.Format("2 Jan"), i/4%2 == 1
		}
	case "90d":
		if at.Day() == 1 || at.Day() == 15 {
			return at.Format("2 Jan"), at.Day() != 1
		}
	default:
		if at.Day()%7 == 1 {
			return at.Format("2 Jan"), at.Day()%14 != 1
		}
	}
	return "", false
}

// choices are the links between periods; path and pairs are the page's address.
func (p *period) choices(path string, pairs ...string) ui.Choices {
	choices := ui.Choices{Label: "Period"}
	for _, other := range periods {
		choices.Items = append(choices.Items, ui.Choice{Label: other.label, Current: other.key == p.Key,
			Href: ui.With(path, append([]string{"period", unless(other.key, defaultPeriod)}, pairs...)...)})
	}
	return choices
}
