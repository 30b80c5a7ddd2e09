package main

import (
	"github.com/spf13/cobra"

	"gatehouse/app"
	"gatehouse/app/tenancy"
)

func (c *cli) orgCommand() *cobra.Command {
	return group("org", "Create, list and change organizations",
		c.orgCreate(), c.orgList(), c.orgShow(), c.orgUpdate(), c.orgSuspend(), c.orgResume(), c.orgDelete())
}

func (c *cli) orgCreate() *cobra.Command {
	var in tenancy.New
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create an organization",
		Example: "  gatehouse org create \"Acme Inc\" --plan pro\n" +
			"  gatehouse org create \"Acme Inc\" --slug acme --json",
		Args: takes("NAME"),
		RunE: c.withNew(func(call call, args []string) error {
			in.Name = args[0]
			org, err := call.orgs.Create(call.ctx, c.actor(), in)
			if err != nil {
				return err
			}
			return c.showOrg(org)
		}),
	}
	cmd.Flags().StringVar(&in.Slug, "slug", "", "part of addresses, a-z 0-9 - (default: made of the name)")
	cmd.Flags().StringVar(&in.Plan, "plan", "", "slug of the plan (default: free)")
	cmd.Flags().StringVar(&in.Upstream, "upstream", "", "name of an upstream of its own")
	return cmd
}

func (c *cli) orgList() *cobra.Command {
	var page app.Page
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List organizations, newest first",
		Example: "  gatehouse org list --search acme\n  gatehouse org list --limit 200 --json",
		Args:    takes(),
		RunE: c.with(func(call call, _ []string) error {
			list, err := call.orgs.List(call.ctx, c.actor(), page)
			if err != nil {
				return err
			}
			return c.showList(list, list.Next, func(t *table) {
				t.row("SLUG", "NAME", "STATUS", "PLAN", "CREATED", "ID")
				for _, o := range list.Items {
					t.row(o.Slug, o.Name, string(o.Status), o.Plan, moment(o.CreatedAt), string(o.ID))
				}
			})
		}),
	}
	addPageFlags(cmd, &page)
	return cmd
}

func (c *cli) orgShow() *cobra.Command {
	return &cobra.Command{
		Use:     "show ORG",
		Short:   "Show one organization, by slug or id",
		Example: "  gatehouse org show acme-inc",
		Args:    takes("ORG"),
		RunE: c.with(func(call call, args []string) error {
			org, err := call.orgs.Find(call.ctx, c.actor(), args[0])
			if err != nil {
				return err
			}
			return c.showOrg(org)
		}),
	}
}

func (c *cli) orgUpdate() *cobra.Command {
	var name, plan, upstream string
	cmd := &cobra.Command{
		Use:     "update ORG",
		Short:   "Change an organization's name, plan or upstream",
		Example: "  gatehouse org update acme-inc --plan enterprise\n  gatehouse org update acme-inc --upstream \"\"",
		Args:    takes("ORG"),
		RunE: c.with(func(call call, args []string) error {
			var edit tenancy.Edit
			for flag, field := range map[string]struct {
				to    **string
				value *string
			}{"name": {&edit.Name, &name}, "plan": {&edit.Plan, &plan}, "upstream": {&edit.Upstream, &upstream}} {
				if call.cmd.Flags().Changed(flag) {
					*field.to = field.value
				}
			}
			if edit == (tenancy.Edit{}) {
				return misuse(seeHelp(call.cmd), "nothing to change was named")
			}
			org, err := call.orgs.Update(call.ctx, c.actor(), args[0], edit)
			if err != nil {
				return err
			}
			return c.showOrg(org)
		}),
	}
	cmd.Flags().StringVar(&name, "name", "", "what people see")
	cmd.Flags().StringVar(&plan, "plan", "", "slug of the plan")
	cmd.Flags().StringVar(&upstream, "upstream", "", "name of an upstream of its own; empty: that of the routes")
	return cmd
}

func (c *cli) orgSuspend() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     "suspend ORG",
		Short:   "Refuse an organization's traffic (403) until it is resumed",
		Example: "  gatehouse org suspend acme-inc --reason \"unpaid invoice\"",
		Args:    takes("ORG"),
		RunE: c.with(func(call call, args []string) error {
			org, err := call.orgs.Suspend(call.ctx, c.actor(), args[0], reason)
			if err != nil {
				return err
			}
			return c.showOrg(org)
		}),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; people of the organization may see it")
	return cmd
}

func (c *cli) orgResume() *cobra.Command {
	return &cobra.Command{
		Use:     "resume ORG",
		Short:   "Let a suspended organization's traffic pass again",
		Example: "  gatehouse org resume acme-inc",
		Args:    takes("ORG"),
		RunE: c.with(func(call call, args []string) error {
			org, err := call.orgs.Resume(call.ctx, c.actor(), args[0])
			if err != nil {
				return err
			}
			return c.showOrg(org)
		}),
	}
}

func (c *cli) orgDelete() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "delete ORG",
		Short:   "Delete an organization and its keys for ever; its usage stays counted",
		Example: "  gatehouse org delete acme-inc\n  gatehouse org delete acme-inc --yes --json",
		Args:    takes("ORG"),
		RunE: c.with(func(call call, args []string) error {
			org, err := call.orgs.Find(call.ctx, c.actor(), args[0])
			if err != nil {
				return err
			}
			if err := c.confirm(org.Slug, "This deletes "+org.Name+" with its keys, for ever."); err != nil {
				return err
			}
			if err := call.orgs.Delete(call.ctx, c.actor(), string(org.ID)); err != nil {
				return err
			}
			return c.show(deleted{org.ID, org.Slug, true}, func(t *table) { t.row("Deleted " + org.Slug + ".") })
		}),
	}
	c.addYes(cmd)
	return cmd
}

// deleted is the shape of `org delete --json`.
type deleted struct {
	ID      app.OrgID `json:"id"`
	Slug    string    `json:"slug"`
	Deleted bool      `json:"deleted"`
}

func (c *cli) showOrg(org app.Org) error {
	return c.show(org, func(t *table) {
		t.row("Organization", org.Name)
		t.row("Slug", org.Slug)
		t.row("Id", string(org.ID))
		status := string(org.Status)
		if org.Reason != "" {
			status += " (" + org.Reason + ")"
		}
		t.row("Status", status)
		t.row("Plan", org.Plan)
		t.row("Upstream", orDash(org.Upstream))
		t.row("Created", moment(org.CreatedAt))
	})
}
