package main

import (
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/app"
	"gatehouse/app/routing"
)

// routeFile is one document of `route apply -f`.
type routeFile struct {
	Upstreams []app.Upstream `json:"upstreams"`
	Routes    []app.Route    `json:"routes"`
}

func (c *cli) routeCommand() *cobra.Command {
	return group("route", "List and change routes and their upstreams", c.routeList(), c.routeApply())
}

func (c *cli) routeList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List routes and upstreams; --json gives what `route apply` reads",
		Example: "  gatehouse route list\n  gatehouse route list --json > routes.json",
		Args:    takes(),
		RunE: c.with(func(call call, _ []string) error {
			routes, err := call.routes.Routes(call.ctx, c.actor())
			if err != nil {
				return err
			}
			upstreams, err := call.routes.Upstreams(call.ctx, c.actor())
			if err != nil {
				return err
			}
			return c.show(routeFile{upstreams, routes}, func(t *table) {
				t.row("ROUTE", "HOSTS", "PATH", "METHODS", "AUTH", "SCOPES", "UPSTREAM")
				for _, r := range routes {
					t.row(r.Name, orAny(r.Hosts), r.PathPrefix, orAny(r.Methods), authOf(r), orDash(strings.Join(r.Scopes, " ")), r.Upstream)
				}
				t.row()
				t.row("UPSTREAM", "ADDRESSES", "PROTOCOL")
				for _, u := range upstreams {
					t.row(u.Name, strings.Join(u.Addresses, " "), orDash(string(u.Protocol)))
				}
			})
		}),
	}
}

func (c *cli) routeApply() *cobra.Command {
	var file string
	var prune bool
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Create and change routes and upstreams as a YAML or JSON file says, all or nothing",
		Example: "  gatehouse route apply -f routes.yaml\n" +
			"  gatehouse route apply -f routes.yaml --prune   (removes what the file does not name)",
		Args: takes(),
		RunE: c.withNew(func(call call, _ []string) error {
			documents, err := readDocuments[routeFile](file, c.in)
			if err != nil {
				return err
			}
			var set routing.Set
			for _, d := range documents {
				set.Upstreams = append(set.Upstreams, d.Upstreams...)
				set.Routes = append(set.Routes, d.Routes...)
			}
			applied, err := call.routes.Apply(call.ctx, c.actor(), set, prune)
			if err != nil {
				return err
			}
			return c.show(applied, func(t *table) {
				rowsOf(t, "upstream", applied.Upstreams)
				rowsOf(t, "route", applied.Routes)
			})
		}),
	}
	addFileFlag(cmd, &file)
	cmd.Flags().BoolVar(&prune, "prune", false, "remove routes and upstreams that the file does not name")
	return cmd
}

func orAny(words []string) string {
	if len(words) == 0 {
		return "any"
	}
	return strings.Join(words, " ")
}

func authOf(r app.Route) string {
	if len(r.Auth) == 0 {
		return string(app.AuthKey)
	}
	var words []string
	for _, mode := range r.Auth {
		words = append(words, string(mode))
	}
	return strings.Join(words, " ")
}
