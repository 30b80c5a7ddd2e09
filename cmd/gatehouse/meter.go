package main

import (
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/app"
	"gatehouse/app/metering"
)

// meterFile is one document of `meter apply -f`.
type meterFile struct {
	Meters []app.Meter `json:"meters"`
}

// meters manages what is counted.
func (i *installation) meters() *metering.Meters { return &metering.Meters{Store: i.store} }

func (c *cli) meterCommand() *cobra.Command {
	return group("meter", "List and change what is counted", c.meterList(), c.meterShow(), c.meterApply(), c.meterDelete())
}

func (c *cli) meterList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List meters, the built-in ones first",
		Example: "  gatehouse meter list\n  gatehouse meter list --json",
		Args:    takes(),
		RunE: c.with(func(call call, _ []string) error {
			meters, err := call.meters().List(call.ctx, c.actor())
			if err != nil {
				return err
			}
			return c.show(meterFile{meters}, func(t *table) {
				t.row("SLUG", "NAME", "AGGREGATION", "UNIT", "READS EVENTS", "DIMENSIONS", "BUILT IN")
				for _, m := range meters {
					t.row(m.Slug, m.Name, string(m.Aggregation), orDash(m.Unit), orDash(m.EventType), orDash(strings.Join(m.Dimensions, ", ")), yesNo(m.BuiltIn))
				}
			})
		}),
	}
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

func (c *cli) meterShow() *cobra.Command {
	return &cobra.Command{
		Use:     "show METER",
		Short:   "Show one meter, and how to count with it",
		Example: "  gatehouse meter show agent_minutes",
		Args:    takes("METER"),
		RunE: c.with(func(call call, args []string) error {
			m, err := call.meters().Find(call.ctx, c.actor(), args[0])
			if err != nil {
				return err
			}
			return c.show(m, func(t *table) {
				t.row("Meter", m.Name)
				t.row("Slug", m.Slug)
				t.row("Aggregation", string(m.Aggregation))
				t.row("Unit", orDash(m.Unit))
				t.row("Reads events", orDash(m.EventType))
				t.row("Value", orDash(m.Value))
				t.row("Dimensions", orDash(strings.Join(m.Dimensions, ", ")))
				t.row("Built in", yesNo(m.BuiltIn))
			})
		}),
	}
}

func (c *cli) meterApply() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Create and change meters as a YAML or JSON file says",
		Long: "Create and change meters. A file looks like this:\n\n" +
			"  meters:\n" +
			"    - slug: pages\n" +
			"      name: Pages\n" +
			"      unit: page\n" +
			"      aggregation: sum                  # count, sum, unique, max or latest\n" +
			"      event_type: document.converted    # which events it reads\n" +
			"      value: pages                      # property of their data; a count has none\n" +
			"      dimensions: [format]              # properties that usage can be grouped by",
		Example: "  gatehouse meter apply -f meters.yaml",
		Args:    takes(),
		RunE: c.withNew(func(call call, _ []string) error {
			documents, err := readDocuments[meterFile](file, c.in)
			if err != nil {
				return err
			}
			var meters []app.Meter
			for _, document := range documents {
				meters = append(meters, document.Meters...)
			}
			applied, err := call.meters().Apply(call.ctx, c.actor(), meters)
			if err != nil {
				return err
			}
			return c.show(applied, func(t *table) { rowsOf(t, "meter", applied) })
		}),
	}
	addFileFlag(cmd, &file)
	return cmd
}

func (c *cli) meterDelete() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "delete METER",
		Short:   "Delete a meter; what it counted stays in the ledger",
		Example: "  gatehouse meter delete pages --yes",
		Args:    takes("METER"),
		RunE: c.with(func(call call, args []string) error {
			if err := c.confirm(args[0], "This deletes the meter "+args[0]+": events no longer count for it."); err != nil {
				return err
			}
			if err := call.meters().Delete(call.ctx, c.actor(), args[0]); err != nil {
				return err
			}
			applied := app.Applied{Removed: args}
			return c.show(applied, func(t *table) { rowsOf(t, "meter", applied) })
		}),
	}
	c.addYes(cmd)
	return cmd
}
