package console

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/app"
	"gatehouse/web/ui"
)

// usageColumn is a column of the table: its head and what it sorts by.
type usageColumn struct {
	key, label, class string
	compare           func(x, y usageTotal) int
}

func byNumber(of func(app.UsageRow) int64) func(x, y usageTotal) int {
	return func(x, y usageTotal) int { return cmp.Compare(of(x.UsageRow), of(y.UsageRow)) }
}

var usageColumns = []usageColumn{
	{"name", "", "", func(x, y usageTotal) int { return cmp.Compare(strings.ToLower(x.name), strings.ToLower(y.name)) }},
	{"requests", "Requests", "n", byNumber(func(r app.UsageRow) int64 { return r.Requests })},
	{"share", "Share", "n p3", byNumber(func(r app.UsageRow) int64 { return r.Requests })},
	{"change", "Change", "n", func(x, y usageTotal) int { return cmp.Compare(x.grown(), y.grown()) }},
	{"units", "Units", "n p3", byNumber(func(r app.UsageRow) int64 { return r.Weight })},
	{"ok", "2xx, 3xx", "n p2", byNumber(func(r app.UsageRow) int64 { return r.Status2 + r.Status3 })},
	{"client", "4xx", "n p2", byNumber(func(r app.UsageRow) int64 { return r.Status4 })},
	{"server", "5xx", "n p3", byNumber(func(r app.UsageRow) int64 { return r.Status5 })},
	{"in", "In", "n p2", byNumber(func(r app.UsageRow) int64 { return r.BytesIn })},
	{"out", "Out", "n p2", byNumber(func(r app.UsageRow) int64 { return r.BytesOut })},
	{"mean", "Mean", "n p2", byNumber(func(r app.UsageRow) int64 { return int64(meanOf(r)) })},
}

func meanOf(r app.UsageRow) time.Duration {
	if r.Requests == 0 {
		return 0
	}
	return r.Duration / time.Duration(r.Requests)
}

const defaultSort = "-requests"

// usageSorts are the heads; a head that is sorted by turns the order around.
func usageSorts(a usageAsk) []ui.Sort {
	now := cmp.Or(a.sort, defaultSort)
	var heads []ui.Sort
	for _, c := range usageColumns {
		head := ui.Sort{Label: c.label, Class: c.class}
		next := "-" + c.key
		if c.key == "name" {
			head.Label, next = groupHead(a.group), c.key
		}
		switch now {
		case c.key:
			head.On, next = "ascending", "-"+c.key
		case "-" + c.key:
			head.On, next = "descending", c.key
		}
		head.Href = ui.With(a.path, a.pairs("sort", unless(next, defaultSort))...)
		heads = append(heads, head)
	}
	return heads
}

// sorted orders the totals as the address asks.
func sorted(a usageAsk, totals []usageTotal) []usageTotal {
	key, down := strings.CutPrefix(cmp.Or(a.sort, defaultSort), "-")
	for _, c := range usageColumns {
		if c.key != key {
			continue
		}
		totals = slices.Clone(totals)
		slices.SortStableFunc(totals, func(x, y usageTotal) int {
			if down {
				return c.compare(y, x)
			}
			return c.compare(x, y)
		})
	}
	return totals
}

// changeOf is a dash for every group when nothing at all was used before.
func changeOf(compared bool, now, before int64) string {
	if !compared {
		return ui.Dash
	}
	return ui.Change(now, before)
}

// grown is by how much the measure differs from the period before.
func (t usageTotal) grown() int64 { return t.now - t.before }

func usageRows(a usageAsk, totals []usageTotal) (rows []usageRow, more string) {
	var all int64
	for _, t := range totals {
		all += t.Requests
	}
	shown := sorted(a, totals)
	if len(shown) > maxUsageRows {
		shown = sorted(a, totals[:maxUsageRows])
		more = fmt.Sprintf("The %d with the most %s of %s. The export holds them all.", maxUsageRows, strings.ToLower(a.measure.title), ui.Count(int64(len(totals))))
	}
	for _, t := range shown {
		row := usageRow{Name: t.name, Sub: t.sub, Href: a.hrefOf(t), Change: changeOf(t.compared, t.now, t.before), Requests: ui.Count(t.Requests), Units: ui.Count(t.Weight), Share: ui.Percent(t.Requests, all) + "\u00a0%",
			OK: ui.Count(t.Status2 + t.Status3), Client: ui.Count(t.Status4), Server: ui.Count(t.Status5), In: ui.Bytes(t.BytesIn), Out: ui.Bytes(t.BytesOut), Mean: ui.Millis(meanOf(t.UsageRow))}
		if t.Status5 > 0 {
			row.ServerTone = "down"
		}
		rows = append(rows, row)
	}
	return rows, more
}

func (s *site) usageCSV(v *visit) error {
	if s.wantsMeter(v) {
		return s.exportMeter(v, ui.PathUsage, nil, "usage")
	}
	a, err := s.usageAsk(v, ui.PathUsage, nil)
	if err != nil {
		return err
	}
	return s.exportUsage(v, a, "usage")
}

func (s *site) orgUsageCSV(v *visit) error {
	o, err := s.org(v)
	if err != nil {
		return err
	}
	if s.wantsMeter(v) {
		return s.exportMeter(v, ui.Org(o.Slug, "usage"), &o, "usage-"+o.Slug)
	}
	a, err := s.usageAsk(v, ui.Org(o.Slug, "usage"), &o)
	if err != nil {
		return err
	}
	return s.exportUsage(v, a, "usage-"+o.Slug)
}

// exportUsage answers the period's usage per group as a file.
func (s *site) exportUsage(v *visit, a usageAsk, name string) error {
	totals, err := s.usageTotals(v, a, math.MaxInt)
	if err != nil {
		return err
	}
	header := v.w.Header()
	header.Set("Content-Type", "text/csv; charset=utf-8")
	header.Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", fmt.Sprintf("%s-%s.csv", name, a.period.since().Format("2006-01-02"))))
	out := csv.NewWriter(v.w)
	out.Write([]string{"from", "until", a.group, "name", "requests", "units", "status_2xx", "status_3xx", "status_4xx", "status_5xx", "unknown", "bytes_in", "bytes_out", "duration_ms"})
	for _, t := range sorted(a, totals) {
		record := []string{a.period.since().Format(time.RFC3339), a.period.until().In(a.period.Zone).Format(time.RFC3339), cell(t.Group), cell(t.name)}
		for _, n := range []int64{t.Requests, t.Weight, t.Status2, t.Status3, t.Status4, t.Status5, t.Unknown, t.BytesIn, t.BytesOut, t.Duration.Milliseconds()} {
			record = append(record, strconv.FormatInt(n, 10))
		}
		out.Write(record)
	}
	out.Flush()
	return nil // an error of the writer means that the browser is gone
}

// cell keeps a spreadsheet from taking a name for a formula.
func cell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r\n", rune(text[0])) {
		return "'" + text
	}
	return text
}
