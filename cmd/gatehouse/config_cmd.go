package main

import (
	"github.com/spf13/cobra"
)

// configDocument is the shape of `config print --json`.
type configDocument struct {
	File     string         `json:"file"` // empty: none was read
	Settings []shownSetting `json:"settings"`
}

// configVerdict is the shape of `config check --json`.
type configVerdict struct {
	OK   bool   `json:"ok"`
	File string `json:"file"`
}

func (c *cli) configCommand() *cobra.Command {
	return group("config", "Show and check the configuration", c.configPrint(), c.configCheck())
}

func (c *cli) configPrint() *cobra.Command {
	return &cobra.Command{
		Use:     "print",
		Short:   "Show each value with its origin; secrets are redacted",
		Example: "  gatehouse config print\n  GATEHOUSE_LOG_LEVEL=debug gatehouse config print --json",
		Args:    takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := c.load(cmd)
			if err != nil {
				return err
			}
			return c.show(configDocument{config.File, config.shown()}, func(t *table) {
				t.row("KEY", "VALUE", "ORIGIN")
				for _, s := range config.shown() {
					origin := s.Origin.From
					if s.Origin.At != "" {
						origin += " " + s.Origin.At
					}
					t.row(s.Key, s.words(), origin)
				}
			})
		},
	}
}

func (c *cli) configCheck() *cobra.Command {
	return &cobra.Command{
		Use:     "check",
		Short:   "Find mistakes: unknown keys, values that do not hold or do not fit",
		Example: "  gatehouse config check\n  gatehouse config check --config ./gatehouse.yaml --json",
		Args:    takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := c.load(cmd)
			if err != nil {
				return err
			}
			return c.show(configVerdict{true, config.File}, func(t *table) {
				if config.File == "" {
					t.row("The configuration is valid (no file; environment, flags and defaults).")
					return
				}
				t.row("The configuration is valid: " + config.File)
			})
		},
	}
}
