package console

import "time"

// Row is a row of the table of pages, for tests.
type Row struct {
	Method, Path string
	Open         bool // anyone may open it
}

// Rows lists all pages.
func Rows() []Row {
	var rows []Row
	for _, p := range (&site{}).pages() {
		rows = append(rows, Row{p.method, p.path, p.who == forAnyone})
	}
	return rows
}

// Policy is the content security policy of every page.
const Policy = policy

// PeriodBefore is the period before the one of the key: when it begins, up to
// when it is compared with this one, and when it ends.
func PeriodBefore(key string, now time.Time, zone *time.Location) (since, alike, end time.Time) {
	p := meterPeriodOf(key, now, zone)
	before := p.before()
	return before.since(), p.alike(before), before.End
}
