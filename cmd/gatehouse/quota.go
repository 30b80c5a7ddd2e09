package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/app/quota"
	"gatehouse/store"
)

// quotaEngine knows an installation's quotas, and answers how; it lends and
// admits nothing.
func (i *installation) quotaEngine(ledger *store.Ledger, now func() time.Time, replica func() int64) (engine *quota.Engine, books func(context.Context, app.OrgID) (*quota.Book, error)) {
	books = func(ctx context.Context, id app.OrgID) (*quota.Book, error) {
		org, err := i.store.Org(ctx, id)
		if err != nil {
			return nil, err
		}
		plan, err := i.store.Plan(ctx, org.Plan)
		if err != nil {
			return nil, err
		}
		overrides, err := i.store.QuotaOverrides(ctx, id)
		if err != nil {
			return nil, err
		}
		return engine.Book(org, plan, overrides), nil
	}
	engine = quota.New(quota.Options{Store: ledger, Replica: replica, Now: now, Opening: i.uncharged(ledger, now), Books: books})
	return engine, books
}

func (i *installation) openings(ledger *store.Ledger, now func() time.Time) func(context.Context, app.Account) (int64, error) {
	reports := metering.Reports{Store: ledger, Meters: i.meters()}
	return func(ctx context.Context, a app.Account) (int64, error) { return reports.Opening(ctx, a, now()) }
}

func (i *installation) uncharged(ledger *store.Ledger, now func() time.Time) func(context.Context, app.Account) (int64, error) {
	reports := metering.Reports{Store: ledger, Meters: i.meters()}
	return func(ctx context.Context, a app.Account) (int64, error) { return reports.Uncharged(ctx, a, now()) }
}

func (c *cli) quotaService(call call, ledger *store.Ledger) *quota.Service {
	_, books := call.quotaEngine(ledger, c.now, func() int64 { return 0 })
	return &quota.Service{Overrides: call.store, States: ledger, Orgs: call.store, Books: books,
		Opening: call.openings(ledger, c.now), Now: c.now,
		Meter: func(ctx context.Context, slug string) (app.Meter, error) {
			return call.meters().Find(ctx, system, slug)
		}}
}

// withQuotas runs a command on the quotas of an installation.
func (c *cli) withQuotas(do func(call, *quota.Service) error) func(*cobra.Command, []string) error {
	return c.with(func(call call, _ []string) error {
		ledger, err := openLedgerOf(call)
		if err != nil {
			return err
		}
		defer ledger.Close()
		return do(call, c.quotaService(call, ledger))
	})
}

func (c *cli) quotaCommand() *cobra.Command {
	return group("quota", "Look at quotas and budgets, and set them for one organization", c.quotaList(), c.quotaSet(), c.quotaUnset())
}

func (c *cli) quotaList() *cobra.Command {
	var org string
	cmd := &cobra.Command{
		Use:     "list --org ORG",
		Short:   "Show how the quotas of an organization and of its keys stand",
		Example: "  gatehouse quota list --org acme\n  gatehouse quota list --org acme --json",
		Args:    takes(),
		RunE: c.withQuotas(func(call call, quotas *quota.Service) error {
			states, err := quotas.Quotas(call.ctx, c.actor(), org)
			if err != nil {
				return err
			}
			document := struct {
				Items []app.QuotaState `json:"items"`
			}{states}
			return c.show(document, func(t *table) {
				t.row("METER", "OF", "PERIOD", "LIMIT", "AT THE LIMIT", "USED", "RESERVED", "RESETS", "EXHAUSTED ABOUT")
				for _, q := range states {
					of := "organization"
					if q.Key != "" {
						of = string(q.Key)
					}
					t.row(q.Meter, of, string(q.Period), quantity(q.Meter, q.Limit), atLimit(q), quantity(q.Meter, q.Used),
						quantity(q.Meter, q.Reserved), moment(q.ResetsAt), moment(q.ExhaustedAt))
				}
			})
		}),
	}
	cmd.Flags().StringVar(&org, "org", "", "slug or id of the organization (required)")
	cmd.MarkFlagRequired("org")
	return cmd
}

// atLimit says what happens at a quota's limit.
func atLimit(q app.QuotaState) string {
	switch {
	case !q.Hard:
		return "passes"
	case q.Grace > 0:
		return fmt.Sprintf("stops at +%d %%", q.Grace)
	}
	return "stops"
}

// quotaFlags name a quota, and what it grants.
type quotaFlags struct {
	org, key, meter, period, limit, mode, reason string
	grace                                        int64
	unlimited                                    bool
}

func (f *quotaFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.org, "org", "", "slug or id of the organization (required)")
	flags.StringVar(&f.key, "key", "", "id of one of its keys: a quota of that key alone, beside the organization's")
	flags.StringVar(&f.meter, "meter", "", "what is limited; cost is money (required)")
	flags.StringVar(&f.period, "period", "month", "minute, hour, day, month, billing_period or lifetime")
	cmd.MarkFlagRequired("org")
	cmd.MarkFlagRequired("meter")
}

func (c *cli) quotaSet() *cobra.Command {
	var f quotaFlags
	cmd := &cobra.Command{
		Use:   "set --org ORG --meter METER --limit NUMBER",
		Short: "Set a quota of an organization or key, in place of its plan's",
		Example: "  gatehouse quota set --org acme --meter agent_minutes --limit 20000 --reason \"agreed in May\"\n" +
			"  gatehouse quota set --org acme --meter cost --limit '$25' --grace 5\n" +
			"  gatehouse quota set --org acme --key key_01k… --meter requests --period day --limit 1000\n" +
			"  gatehouse quota set --org acme --meter requests --unlimited",
		Args: takes(),
		RunE: c.withQuotas(func(call call, quotas *quota.Service) error {
			override, err := f.override()
			if err == nil && f.key != "" {
				err = c.ownsKey(call, f)
			}
			if err != nil {
				return err
			}
			override, err = quotas.Put(call.ctx, c.actor(), f.org, override)
			if err != nil {
				return err
			}
			return c.show(override, func(t *table) { t.row("quota", override.Meter+"/"+string(override.Period), "set") })
		}),
	}
	f.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.limit, "limit", "", "what is granted in a period: a number, or of cost an amount such as '$25'")
	flags.BoolVar(&f.unlimited, "unlimited", false, "there is no such quota, whatever the plan says")
	flags.StringVar(&f.mode, "mode", "", "hard: nothing passes the limit (the default); soft: everything passes, and notices tell")
	flags.Int64Var(&f.grace, "grace", 0, "per cent beyond the limit that a hard quota lets pass")
	flags.StringVar(&f.reason, "reason", "", "why")
	cmd.MarkFlagsOneRequired("limit", "unlimited")
	cmd.MarkFlagsMutuallyExclusive("limit", "unlimited")
	return cmd
}

func (f quotaFlags) override() (o app.QuotaOverride, err error) {
	o = app.QuotaOverride{Key: app.KeyID(f.key), Unlimited: f.unlimited, Reason: f.reason, Quota: app.Quota{Meter: f.meter,
		Period: app.QuotaPeriod(f.period), Mode: app.QuotaMode(f.mode), Grace: f.grace}}
	if !f.unlimited {
		o.Limit, err = parseQuantity("--limit", f.meter, f.limit)
	}
	return o, err
}

// ownsKey refuses a key that is not the organization's.
func (c *cli) ownsKey(call call, f quotaFlags) error {
	org, err := call.orgs.Find(call.ctx, c.actor(), f.org)
	if err != nil {
		return err
	}
	_, err = call.keys.Find(call.ctx, c.actor(), org.ID, app.KeyID(f.key))
	return err
}

// parseQuantity reads a meter's number. Of cost it is dollars, and must say
// so: nobody shall mean dollars and set micros.
func parseQuantity(flag, meter, word string) (int64, error) {
	rest, negative := strings.CutPrefix(word, "-")
	digits, dollars := strings.CutPrefix(rest, "$")
	if dollars != (meter == app.MeterCost) {
		return 0, app.Invalid(flag, "%q must be a number, or of the meter cost an amount such as '$25'", word)
	}
	if negative {
		digits = "-" + digits
	}
	if dollars {
		amount, err := app.ParseMoney(digits)
		if err != nil {
			return 0, app.Invalid(flag, "%v", err)
		}
		return int64(amount), nil
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0, app.Invalid(flag, "%q must be a whole number", word)
	}
	return n, nil
}

func (c *cli) quotaUnset() *cobra.Command {
	var f quotaFlags
	cmd := &cobra.Command{
		Use:     "unset --org ORG --meter METER",
		Short:   "Take back what `quota set` did: the plan's quota holds again",
		Example: "  gatehouse quota unset --org acme --meter agent_minutes --period month",
		Args:    takes(),
		RunE: c.withQuotas(func(call call, quotas *quota.Service) error {
			err := quotas.Delete(call.ctx, c.actor(), f.org, app.KeyID(f.key), f.meter, app.QuotaPeriod(f.period))
			if err != nil {
				return err
			}
			removed := app.Applied{Removed: []string{f.meter + "/" + f.period}}
			return c.show(removed, func(t *table) { rowsOf(t, "quota", removed) })
		}),
	}
	f.add(cmd)
	return cmd
}
