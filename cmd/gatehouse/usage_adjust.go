package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/app/quota"
)

// adjustFlags are what the command line says in words.
type adjustFlags struct {
	org, key, meter, value, at, reason string
	dimensions                         map[string]string
}

func (c *cli) usageAdjust() *cobra.Command {
	var f adjustFlags
	cmd := &cobra.Command{
		Use:   "adjust --org ORG --meter METER --value NUMBER --reason TEXT",
		Short: "Correct usage: add to it or take from it, for ever on the record",
		Long: "Adds a number, which may be negative, to what an organization used of a meter that counts or sums.\n" +
			"Nothing is overwritten: the correction stands in the ledger with its reason. Beside a running server on\n" +
			"SQLite use POST /v1/usage/adjustments: the server alone writes its ledger.",
		Example: "  gatehouse usage adjust --org acme --meter documents --value -3 --reason \"counted twice by an import\" --yes\n" +
			"  gatehouse usage adjust --org acme --meter cost --value '-$1.50' --at 2026-11-01 --reason credit --yes",
		Args: takes(),
		RunE: c.with(func(call call, _ []string) error { return c.adjust(call, f) }),
	}
	flags := cmd.Flags()
	flags.StringVar(&f.org, "org", "", "slug or id of the organization (required)")
	flags.StringVar(&f.key, "key", "", "id of one of its keys")
	flags.StringVar(&f.meter, "meter", "", "the meter's slug (required)")
	flags.StringVar(&f.value, "value", "", "what to add, such as -3, or of cost '-$1.50' (required)")
	flags.StringVar(&f.at, "at", "", "when it counts: a time in UTC or a duration before now (default: now)")
	flags.StringVar(&f.reason, "reason", "", "why (required)")
	flags.StringToStringVar(&f.dimensions, "dimension", nil, "as the events have it, such as format=pdf; repeatable")
	for _, name := range []string{"org", "meter", "value", "reason"} {
		cmd.MarkFlagRequired(name)
	}
	c.addYes(cmd)
	return cmd
}

func (c *cli) adjust(call call, f adjustFlags) error {
	correction, org, err := c.correction(call, f)
	if err != nil {
		return err
	}
	sentence := fmt.Sprintf("This adds %s to what %s used of %s, for ever on the record.", quantity(f.meter, correction.Value), org.Slug, f.meter)
	if err := c.confirm(org.Slug, sentence); err != nil {
		return err
	}
	if call.config.Database.URL == "" { // another process's ledger would be taken for a dead one's
		unlock, err := lockDataDir(call.config)
		if err != nil {
			return besideServer(err)
		}
		defer unlock()
	}
	if err := c.writeCorrection(call, correction); err != nil {
		return err
	}
	return c.show(correction, func(t *table) { t.row("Corrected.") })
}

// besideServer says how to correct usage while a server runs.
func besideServer(err error) error {
	e := *app.AsError(err)
	if e.Kind == app.KindConflict {
		e.Message = "A server runs on this data directory, and it alone writes its ledger."
		e.Advice = "Send the correction to it: POST /v1/usage/adjustments. Or stop it first."
	}
	return &e
}

func (c *cli) correction(call call, f adjustFlags) (a app.Adjustment, org app.Org, err error) {
	if org, err = call.orgs.Find(call.ctx, c.actor(), f.org); err != nil {
		return a, org, err
	}
	a = app.Adjustment{Org: org.ID, Key: app.KeyID(f.key), Meter: f.meter, Dims: metering.Dims(f.dimensions), Reason: f.reason}
	if f.key != "" {
		if _, err = call.keys.Find(call.ctx, c.actor(), org.ID, a.Key); err != nil {
			return a, org, err
		}
	}
	if a.Value, err = parseQuantity("--value", f.meter, f.value); err != nil {
		return a, org, err
	}
	a.At, err = parsePast("--at", f.at, c.now())
	return a, org, err
}

// writeCorrection writes it as a run of its own.
func (c *cli) writeCorrection(call call, correction app.Adjustment) error {
	opened, err := openLedgerOf(call)
	if err != nil {
		return err
	}
	defer opened.Close()
	ledger, err := metering.Open(call.ctx, metering.Options{Store: opened, Node: "gatehouse usage adjust", Now: c.now})
	if err != nil {
		return err
	}
	engine, _ := call.quotaEngine(opened, c.now, ledger.Replica)
	adjuster := metering.Adjuster{Ledger: ledger, Meters: call.meters(), Draws: drawsOf(engine)}
	err = adjuster.Adjust(call.ctx, c.actor(), correction)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(call.ctx), 30*time.Second)
	defer cancel()
	if closed := ledger.Close(ctx); err == nil {
		err = closed
	}
	return err
}

// drawsOf holds corrections against quotas, as events are.
func drawsOf(engine *quota.Engine) func(context.Context, app.OrgID, app.KeyID, string, time.Time, int64) ([]app.Draw, error) {
	return func(ctx context.Context, org app.OrgID, key app.KeyID, meter string, at time.Time, amount int64) ([]app.Draw, error) {
		return engine.EventDraws(ctx, org, key, meter, at, amount, nil)
	}
}
