package main

import (
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/store"
)

// usageDocument is the shape of `usage --json`.
type usageDocument struct {
	Org   string         `json:"org,omitempty"` // id; left out: all organizations
	Since time.Time      `json:"since"`
	Until time.Time      `json:"until"`
	Group string         `json:"group,omitempty"`
	Rows  []app.UsageRow `json:"rows"`
}

// usageFlags are what the command line says in words.
type usageFlags struct{ org, since, until, step, group string }

func (c *cli) usageCommand() *cobra.Command {
	var f usageFlags
	cmd := &cobra.Command{
		Use:   "usage",
		Short: "Show what was counted: requests, status classes, bytes",
		Example: "  gatehouse usage                          (this day, by organization)\n" +
			"  gatehouse usage --org acme-inc --since 30d --step 1d\n" +
			"  gatehouse usage --org acme-inc --since 2026-11-01 --group key --json",
		Args: takes(),
		RunE: c.with(func(call call, _ []string) error {
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
			} else if !call.cmd.Flags().Changed("group") {
				q.Group = "org"
			}
			ledger, err := store.OpenLedger(call.ctx, store.Options{DSN: call.config.Database.URL, Path: call.config.Path(storeName), Now: c.now})
			if err != nil {
				return err
			}
			defer ledger.Close()
			rows, err := metering.Reports{Store: ledger}.Usage(call.ctx, c.actor(), q)
			if err != nil {
				return err
			}
			return c.showUsage(usageDocument{string(q.Org), q.Since, q.Until, q.Group, rows}, c.namesOf(call, q, rows))
		}),
	}
	cmd.Flags().StringVar(&f.org, "org", "", "slug or id of the organization (default: all)")
	cmd.Flags().StringVar(&f.since, "since", "1d", "from when: a duration before now (30d) or a time in UTC (2026-11-01)")
	cmd.Flags().StringVar(&f.until, "until", "", "until when (default: now)")
	cmd.Flags().StringVar(&f.step, "step", "", "a row for each 15m, 1h, 1d, … (default: one for the whole time)")
	cmd.Flags().StringVar(&f.group, "group", "", "a row for each key, route or org")
	cmd.AddCommand(c.usageReport(), c.usageVerify(), c.usageAdjust(), c.usageExport(), c.usageImport())
	return cmd
}

func (f usageFlags) query(now time.Time) (q app.UsageQuery, err error) {
	q.Group = f.group
	if q.Since, err = parsePast("--since", f.since, now); err != nil {
		return q, err
	}
	if q.Until, err = parsePast("--until", f.until, now); err != nil {
		return q, err
	}
	if f.step != "" {
		step, err := app.ParseDuration(f.step)
		if err != nil {
			return q, app.Invalid("--step", "%v", err)
		}
		q.Step = step.Std()
	}
	return q, nil
}

// parsePast reads a duration before now, or a time; empty is now.
func parsePast(flag, word string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", time.DateOnly} {
		if at, err := time.Parse(layout, word); err == nil {
			return at.UTC(), nil
		}
	}
	if word == "" {
		return now.UTC(), nil
	}
	before, err := app.ParseDuration(word)
	if err != nil || before < 0 {
		return time.Time{}, app.Invalid(flag, "%q must be a duration such as 30d, or a time such as 2026-11-01 or 2026-11-01T00:00:00Z", word)
	}
	return now.Add(-before.Std()).UTC(), nil
}

// namesOf finds what people call the organizations or keys of the rows; what
// has been deleted keeps its id.
func (c *cli) namesOf(call call, q app.UsageQuery, rows []app.UsageRow) map[string]string {
	names := map[string]string{}
	for _, row := range rows {
		if _, known := names[row.Group]; known || c.json || row.Group == "" {
			continue
		}
		names[row.Group] = row.Group
		switch q.Group {
		case "org":
			if org, err := call.orgs.Find(call.ctx, c.actor(), row.Group); err == nil {
				names[row.Group] = org.Slug
			}
		case "key":
			if key, err := call.keys.Find(call.ctx, c.actor(), q.Org, app.KeyID(row.Group)); err == nil {
				names[row.Group] = key.Name + " (" + key.Hint + ")"
			}
		}
	}
	return names
}

func (c *cli) showUsage(d usageDocument, names map[string]string) error {
	return c.show(d, func(t *table) {
		t.row("START (UTC)", "OF", "REQUESTS", "UNITS", "2XX", "3XX", "4XX", "5XX", "UNKNOWN", "BYTES IN", "BYTES OUT")
		for _, r := range d.Rows {
			cells := []string{r.Start.UTC().Format("2006-01-02 15:04"), orDash(names[r.Group])}
			for _, n := range []int64{r.Requests, r.Weight, r.Status2, r.Status3, r.Status4, r.Status5, r.Unknown, r.BytesIn, r.BytesOut} {
				cells = append(cells, strconv.FormatInt(n, 10))
			}
			t.row(cells...)
		}
	})
}
