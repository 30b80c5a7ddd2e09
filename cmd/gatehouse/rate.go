package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/app"
)

func (c *cli) rateCommand() *cobra.Command {
	return group("rate", "List and change what models cost you", c.rateList(), c.rateApply(), c.rateDelete())
}

func (c *cli) rateList() *cobra.Command {
	var model string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List rates, in dollars for a million tokens; --json gives what `rate apply` reads",
		Example: "  gatehouse rate list --model claude\n  gatehouse rate list --json > rates.json",
		Args:    takes(),
		RunE: c.with(func(call call, _ []string) error {
			all, err := call.rates.List(call.ctx, c.actor())
			if err != nil {
				return err
			}
			rates := []app.Rate{}
			for _, r := range all {
				if strings.HasPrefix(r.Model, model) {
					rates = append(rates, r)
				}
			}
			return c.show(rateFile{rates}, func(t *table) {
				t.row("MODEL", "PROVIDER", "INPUT", "OUTPUT", "CACHE READ", "CACHE WRITE", "KEPT LONG", "SEARCH", "VALID FROM")
				for _, r := range rates {
					rowOfPrices(t, r.Model, orDash(r.Provider), r.Base(), knownPrice(r.Search), moment(r.ValidFrom))
					for _, v := range r.Variants {
						rowOfPrices(t, "  "+whereHolds(v), "", v, "", "")
					}
				}
			})
		}),
	}
	cmd.Flags().StringVar(&model, "model", "", "only models that begin so")
	return cmd
}

// rowOfPrices shows the prices of a rate or of one of its variants.
func rowOfPrices(t *table, name, provider string, v app.RateVariant, search, from string) {
	t.row(name, provider, "$"+v.Input, "$"+v.Output, priceOr(v.CacheRead, v.Input), priceOr(v.CacheWrite, v.Input),
		knownPrice(v.CacheWriteLong), search, from)
}

// whereHolds says where a variant's prices hold instead of the rate's own.
func whereHolds(v app.RateVariant) string {
	var where []string
	if v.Tier != "" {
		where = append(where, "tier "+v.Tier)
	}
	if v.Region != "" {
		where = append(where, "region "+v.Region)
	}
	if v.AboveInput > 0 {
		where = append(where, "above "+strconv.FormatInt(v.AboveInput, 10)+" tokens")
	}
	return strings.Join(where, ", ")
}

// knownPrice shows a price that is not known where it is left out.
func knownPrice(price string) string {
	if price == "" {
		return "-"
	}
	return "$" + price
}

func priceOr(price, otherwise string) string {
	if price == "" {
		price = otherwise
	}
	return "$" + price
}

func (c *cli) rateApply() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Create and change rates as a YAML or JSON file says",
		Long: "Create and change rates. What was counted keeps the price that it had. A file looks like this:\n\n" +
			"  rates:\n" +
			"    - model: \"some-model*\"       # a trailing * matches any rest\n" +
			"      provider: Some\n" +
			"      input: \"0.15\"             # dollars for a million tokens\n" +
			"      output: \"0.6\"\n" +
			"      cache_read: \"0.075\"       # default: input, as is cache_write\n" +
			"      cache_write_long: \"0.3\"   # for longer than the vendor's shortest time\n" +
			"      search: \"0.01\"            # one search of the web that the vendor runs\n" +
			"      variants:                 # the prices that hold instead\n" +
			"        - {tier: priority, input: \"0.3\", output: \"1.2\"}\n" +
			"        - {above_input_tokens: 200000, input: \"0.3\", output: \"0.9\"}\n" +
			"      max_output: 16384         # tokens that the model writes at most\n" +
			"      valid_from: 2026-01-01T00:00:00Z",
		Example: "  gatehouse rate apply -f rates.yaml",
		Args:    takes(),
		RunE: c.withNew(func(call call, _ []string) error {
			documents, err := readDocuments[rateFile](file, c.in)
			if err != nil {
				return err
			}
			applied, err := call.rates.Apply(call.ctx, c.actor(), readRates(documents))
			if err != nil {
				return err
			}
			return c.show(applied, func(t *table) { rowsOf(t, "rate", applied) })
		}),
	}
	addFileFlag(cmd, &file)
	return cmd
}

func (c *cli) rateDelete() *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use:     "delete MODEL --valid-from TIME",
		Short:   "Delete the rate of a model that holds from a time on",
		Example: "  gatehouse rate delete 'gpt-4o-mini*' --valid-from 2026-01-01 --yes",
		Args:    takes("MODEL"),
		RunE: c.with(func(call call, args []string) error {
			at, err := parsePast("--valid-from", from, c.now())
			if err != nil {
				return err
			}
			if err := c.confirm(args[0], "This deletes the rate of "+args[0]+" from "+at.Format(time.RFC3339)+" on."); err != nil {
				return err
			}
			if err := call.rates.Delete(call.ctx, c.actor(), args[0], at); err != nil {
				return err
			}
			applied := app.Applied{Removed: args}
			return c.show(applied, func(t *table) { rowsOf(t, "rate", applied) })
		}),
	}
	cmd.Flags().StringVar(&from, "valid-from", "", "a time in UTC, such as 2026-01-01 (required)")
	cmd.MarkFlagRequired("valid-from")
	c.addYes(cmd)
	return cmd
}
