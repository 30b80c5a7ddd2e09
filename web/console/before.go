package console

import "time"

// before is the period of the same kind that ends where this one begins.
func (p period) before() period {
	first := p.Slots[0]
	switch p.Key {
	case "24h":
		return periodOf(p.Key, p.Now.Add(-24*time.Hour), p.Zone)
	case "7d":
		return periodOf(p.Key, p.Now.AddDate(0, 0, -7), p.Zone)
	case "90d":
		return periodOf(p.Key, p.Now.AddDate(0, 0, -90), p.Zone)
	case "year":
		return meterPeriodOf(p.Key, first.AddDate(0, -1, 0), p.Zone)
	}
	last := period{Key: p.Key, Zone: p.Zone, Now: p.Now, Title: p.Title}
	last.days(first.AddDate(0, -1, 0), first)
	return last
}

// beforeWords names the period before in a legend; so far says with what this
// period is compared, which may not be over.
func (p period) beforeWords() (name, sofar string) {
	switch p.Key {
	case "24h":
		return "The day before", "on the day before"
	case "7d":
		return "The week before", "on the week before"
	case "90d":
		return "The 90 days before", "on the 90 days before"
	case "year":
		return "The year before", "on the year before"
	case "last":
		return "The month before", "on the month before"
	}
	return "Last month", "on last month by this day"
}

// beforeName names what a chart compares with; empty: there was nothing.
func (p period) beforeName(slots []int64) string {
	for _, n := range slots {
		if n > 0 {
			name, _ := p.beforeWords()
			return name
		}
	}
	return ""
}

// alike is the end of the part of the period before that is as long as what of
// this one is over.
func (p period) alike(before period) time.Time {
	if end := before.Slots[0].Add(p.until().Sub(p.since())); p.until().Before(p.End) && end.Before(before.End) {
		return end
	}
	return before.End
}
