package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/app"
	"gatehouse/app/metering"
)

// reportDocument is the shape of `usage report --json`.
type reportDocument struct {
	Org   string         `json:"org_id,omitempty"` // left out: all organizations
	Meter app.Meter      `json:"meter"`
	Since time.Time      `json:"since"`
	Until time.Time      `json:"until"`
	Step  string         `json:"step,omitempty"`
	Zone  string         `json:"tz"`
	Rows  []app.MeterRow `json:"rows"`
}

// reportFlags are what the command line says in words.
type reportFlags struct {
	meter, org, since, until, step, zone string
	group, filter                        []string
	csv                                  bool
}

func (c *cli) usageReport() *cobra.Command {
	var f reportFlags
	cmd := &cobra.Command{
		Use:   "report --meter METER",
		Short: "Show usage of one meter, by what it can be grouped by",
		Long: "Show usage of one meter. Days and months begin as --tz says: usage is kept in quarters of an hour,\n" +
			"so those of any time zone are exact. Under --csv a cell that a spreadsheet would take for a formula\n" +
			"begins with an apostrophe.",
		Example: "  gatehouse usage report --meter tokens_output --org acme --group model --since 30d\n" +
			"  gatehouse usage report --meter cost --step day --tz Asia/Kolkata --since 2026-11-01 --until 2026-12-01 --csv\n" +
			"  gatehouse usage report --meter agent_minutes --group org --filter task=import --json",
		Args: takes(),
		RunE: c.with(func(call call, _ []string) error { return c.report(call, f) }),
	}
	flags := cmd.Flags()
	flags.StringVar(&f.meter, "meter", "", "the meter's slug (required; see `gatehouse meter list`)")
	flags.StringVar(&f.org, "org", "", "slug or id of the organization (default: all)")
	flags.StringVar(&f.since, "since", "1d", "from when: a duration before now (30d) or a time in --tz (2026-11-01)")
	flags.StringVar(&f.until, "until", "", "until when (default: now)")
	flags.StringVar(&f.step, "step", "", "a row for each 15m, hour, day or month (default: one for the whole time)")
	flags.StringVar(&f.zone, "tz", "", "time zone of days and months, such as Asia/Kolkata (default: UTC)")
	flags.StringSliceVar(&f.group, "group", nil, "a row for each of these: key, route, org or dimensions; repeatable")
	flags.StringArrayVar(&f.filter, "filter", nil, "only what has this value, such as model=gpt-4o; repeatable")
	flags.BoolVar(&f.csv, "csv", false, "answer with CSV")
	cmd.MarkFlagRequired("meter")
	return cmd
}

func (c *cli) report(call call, f reportFlags) error {
	if f.csv && c.json {
		return misuse(seeHelp(call.cmd), "--csv and --json exclude each other")
	}
	q, err := f.query(c.now())
	if err != nil {
		return err
	}
	if f.org != "" {
		org, err := call.orgs.Find(call.ctx, c.actor(), f.org)
		if err != nil {
			return err
		}
		q.Org = org.ID
	}
	ledger, err := openLedgerOf(call)
	if err != nil {
		return err
	}
	defer ledger.Close()
	report, err := metering.Reports{Store: ledger, Meters: call.meters()}.Meter(call.ctx, c.actor(), q)
	if err != nil {
		return err
	}
	if f.csv {
		return metering.WriteCSV(c.out, report, q)
	}
	if report.Rows == nil {
		report.Rows = []app.MeterRow{}
	}
	return c.show(reportDocument{string(q.Org), report.Meter, report.Since, report.Until, q.Step, q.Zone.String(), report.Rows},
		func(t *table) { c.fillReport(t, report, q) })
}

func (f reportFlags) query(now time.Time) (q app.MeterQuery, err error) {
	q = app.MeterQuery{Meter: f.meter, Group: f.group, Step: f.step}
	if q.Zone, err = (app.Plan{TimeZone: f.zone}).Zone(); err != nil {
		return q, app.Invalid("--tz", "%q must be a time zone such as Europe/Berlin", f.zone)
	}
	if q.Since, err = parsePastIn("--since", f.since, now, q.Zone); err != nil {
		return q, err
	}
	if q.Until, err = parsePastIn("--until", f.until, now, q.Zone); err != nil {
		return q, err
	}
	for _, pair := range f.filter {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return q, app.Invalid("--filter", "%q must look like NAME=VALUE", pair)
		}
		if q.Filter == nil {
			q.Filter = map[string]string{}
		}
		q.Filter[name] = value
	}
	return q, nil
}

// parsePastIn is parsePast for times of a zone.
func parsePastIn(flag, word string, now time.Time, zone *time.Location) (time.Time, error) {
	for _, layout := range []string{"2006-01-02T15:04", time.DateOnly} {
		if at, err := time.ParseInLocation(layout, word, zone); err == nil {
			return at, nil
		}
	}
	return parsePast(flag, word, now)
}

func (c *cli) fillReport(t *table, report app.MeterReport, q app.MeterQuery) {
	heads := []string{"START (" + q.Zone.String() + ")"}
	for _, name := range q.Group {
		heads = append(heads, strings.ToUpper(name))
	}
	t.row(append(heads, strings.ToUpper(orDash(report.Meter.Unit))+"S", "ESTIMATED USES")...)
	for _, r := range report.Rows {
		cells := []string{r.Start.In(q.Zone).Format("2006-01-02 15:04")}
		for _, name := range q.Group {
			cells = append(cells, orDash(r.Group[name]))
		}
		t.row(append(cells, quantity(report.Meter.Slug, r.Value), strconv.FormatInt(r.Estimated, 10))...)
	}
}

// quantity shows a meter's number to people: money as dollars.
func quantity(meter string, n int64) string {
	if meter == app.MeterCost {
		return "$" + app.Money(n).String()
	}
	return strconv.FormatInt(n, 10)
}
