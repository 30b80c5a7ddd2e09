package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/app"
)

func (c *cli) planCommand() *cobra.Command {
	return group("plan", "List and change plans", c.planList(), c.planApply(), c.planDelete())
}

func (c *cli) planList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List plans; --json gives what `plan apply` reads",
		Example: "  gatehouse plan list\n  gatehouse plan list --json > plans.json",
		Args:    takes(),
		RunE: c.with(func(call call, _ []string) error {
			plans, err := call.plans.Plans(call.ctx, c.actor())
			if err != nil {
				return err
			}
			return c.show(planFile{plans}, func(t *table) {
				t.row("SLUG", "NAME", "PRICE A MONTH", "RATE LIMITS", "QUOTAS", "IN FLIGHT")
				for _, p := range plans {
					t.row(p.Slug, p.Name, priceOf(p), limitsOf(p.RateLimits), quotasOf(p.Quotas), unlimited(p.InFlight))
				}
			})
		}),
	}
}

func (c *cli) planApply() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:     "apply -f FILE",
		Short:   "Create and change plans as a YAML or JSON file says",
		Example: "  gatehouse plan apply -f plans.yaml\n  gatehouse plan list --json | gatehouse plan apply -f -",
		Args:    takes(),
		RunE: c.withNew(func(call call, _ []string) error {
			documents, err := readDocuments[planFile](file, c.in)
			if err != nil {
				return err
			}
			applied, err := call.plans.Apply(call.ctx, c.actor(), readPlans(documents))
			if err != nil {
				return err
			}
			return c.show(applied, func(t *table) { rowsOf(t, "plan", applied) })
		}),
	}
	addFileFlag(cmd, &file)
	return cmd
}

func (c *cli) planDelete() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "delete SLUG",
		Short:   "Delete a plan that no organization is on",
		Example: "  gatehouse plan delete starter --yes",
		Args:    takes("SLUG"),
		RunE: c.with(func(call call, args []string) error {
			if err := c.confirm(args[0], "This deletes the plan "+args[0]+"."); err != nil {
				return err
			}
			if err := call.plans.Delete(call.ctx, c.actor(), args[0]); err != nil {
				return err
			}
			applied := app.Applied{Removed: args}
			return c.show(applied, func(t *table) { rowsOf(t, "plan", applied) })
		}),
	}
	c.addYes(cmd)
	return cmd
}

func addFileFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVarP(file, "file", "f", "", "the file; - is standard input (required)")
	cmd.MarkFlagRequired("file")
}

// rowsOf tells what applying a file did.
func rowsOf(t *table, noun string, applied app.Applied) {
	for _, part := range []struct {
		did   string
		names []string
	}{{"created", applied.Created}, {"updated", applied.Updated}, {"removed", applied.Removed}, {"unchanged", applied.Unchanged}} {
		for _, name := range part.names {
			t.row(noun, name, part.did)
		}
	}
}

func priceOf(p app.Plan) string {
	if p.Price == nil {
		return "as agreed"
	}
	return "$" + p.Price.String()
}

func limitsOf(limits []app.RateLimit) string {
	var words []string
	for _, l := range limits {
		words = append(words, fmt.Sprintf("%d/%s", l.Requests, l.Window))
	}
	return orDash(strings.Join(words, ", "))
}

func quotasOf(quotas []app.Quota) string {
	var words []string
	for _, q := range quotas {
		amount := fmt.Sprint(q.Limit)
		if q.Meter == "cost" {
			amount = "$" + app.Money(q.Limit).String()
		}
		words = append(words, fmt.Sprintf("%s %s/%s", q.Meter, amount, q.Period))
	}
	return orDash(strings.Join(words, ", "))
}

func unlimited(n int64) string {
	if n == 0 {
		return "unlimited"
	}
	return fmt.Sprint(n)
}
