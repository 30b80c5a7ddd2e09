package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"gatehouse/app"
	"gatehouse/app/billing"
	"gatehouse/app/export"
)

func (c *cli) stripeCommand() *cobra.Command {
	customer := group("customer", "Say which customer of Stripe an organization is", c.customerList(), c.customerSet(), c.customerRemove())
	customer.Example = "  gatehouse stripe customer set acme-inc cus_NciAYcXfLnqBoz"
	return group("stripe", "See and repeat what is reported to Stripe, and name its customers", c.stripeStatus(), c.stripeRetry(), customer)
}

// atDesk runs a command on the outbox.
func (c *cli) atDesk(do func(call, *export.Desk, []string) error) func(*cobra.Command, []string) error {
	return c.with(func(call call, args []string) error {
		ledger, err := openLedgerOf(call)
		if err != nil {
			return err
		}
		defer ledger.Close()
		return do(call, &export.Desk{Outbox: ledger}, args)
	})
}

func (c *cli) stripeStatus() *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Count reported usage by state, and list what is stuck",
		Example: "  gatehouse stripe status\n  gatehouse stripe status --json | jq .troubles",
		Args:    takes(),
		RunE: c.atDesk(func(call call, desk *export.Desk, _ []string) error {
			s, err := desk.Status(call.ctx, c.actor())
			if err != nil {
				return err
			}
			return c.show(s, func(t *table) {
				t.row("DUE", "WAITING FOR A CUSTOMER", "DELIVERED", "PARKED", "STEP")
				t.row(fmt.Sprint(s.Due), fmt.Sprint(s.Waiting), fmt.Sprint(s.Delivered), fmt.Sprint(s.Parked), fmt.Sprint(s.Cursor))
				if len(s.Troubles) == 0 {
					return
				}
				t.row()
				t.row("IDENTIFIER", "STATE", "VALUE", "OF", "REASON")
				for _, e := range s.Troubles {
					t.row(e.Identifier, string(e.State), fmt.Sprint(e.Value), moment(e.At), orDash(e.Reason))
				}
			})
		}),
	}
}

func (c *cli) stripeRetry() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "retry IDENTIFIER | --all",
		Short:   "Send parked usage again",
		Example: "  gatehouse stripe retry gh_4711_org_…_pages_1995024\n  gatehouse stripe retry --all",
		Args:    cobra.MaximumNArgs(1),
		RunE: c.atDesk(func(call call, desk *export.Desk, args []string) error {
			if all == (len(args) == 1) {
				return misuse("", "name one identifier, or --all")
			}
			identifier := ""
			if !all {
				identifier = args[0]
			}
			n, err := desk.Retry(call.ctx, c.actor(), identifier)
			if err != nil {
				return err
			}
			return c.show(map[string]int64{"due": n}, func(t *table) { t.row(fmt.Sprintf("%d due again", n)) })
		}),
	}
	cmd.Flags().BoolVar(&all, "all", false, "everything that is parked")
	return cmd
}

func (c *cli) customerList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List organizations that have a customer",
		Example: "  gatehouse stripe customer list",
		Args:    takes(),
		RunE: c.with(func(call call, _ []string) error {
			list, err := (&billing.Customers{Store: call.store}).Customers(call.ctx, c.actor())
			if err != nil {
				return err
			}
			return c.showCustomers(list...)
		}),
	}
}

func (c *cli) customerSet() *cobra.Command {
	return &cobra.Command{
		Use:     "set ORG CUSTOMER",
		Short:   "Name an organization's customer; its waiting usage is sent then",
		Example: "  gatehouse stripe customer set acme-inc cus_NciAYcXfLnqBoz",
		Args:    takes("ORG", "CUSTOMER"),
		RunE: c.with(func(call call, args []string) error {
			org, err := call.orgs.Find(call.ctx, c.actor(), args[0])
			if err != nil {
				return err
			}
			customer, err := (&billing.Customers{Store: call.store}).Set(call.ctx, c.actor(), org.ID, args[1])
			if err != nil {
				return err
			}
			return c.showCustomers(customer)
		}),
	}
}

func (c *cli) customerRemove() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "remove ORG",
		Short:   "Forget an organization's customer; its usage waits from then on",
		Example: "  gatehouse stripe customer remove acme-inc --yes",
		Args:    takes("ORG"),
		RunE: c.with(func(call call, args []string) error {
			org, err := call.orgs.Find(call.ctx, c.actor(), args[0])
			if err != nil {
				return err
			}
			if err := c.confirm(args[0], "This stops reporting the usage of "+org.Name+" to Stripe."); err != nil {
				return err
			}
			if err := (&billing.Customers{Store: call.store}).Remove(call.ctx, c.actor(), org.ID); err != nil {
				return err
			}
			applied := app.Applied{Removed: args}
			return c.show(applied, func(t *table) { rowsOf(t, "customer", applied) })
		}),
	}
	c.addYes(cmd)
	return cmd
}

func (c *cli) showCustomers(list ...app.BillingCustomer) error {
	return c.show(map[string]any{"items": list}, func(t *table) {
		t.row("ORGANIZATION", "CUSTOMER", "SINCE")
		for _, customer := range list {
			t.row(string(customer.Org), customer.Customer, moment(customer.UpdatedAt))
		}
	})
}
