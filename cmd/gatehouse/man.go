package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manCommand writes the manual pages for the packages. It is hidden because
// only their build calls it.
func (c *cli) manCommand() *cobra.Command {
	var date string
	cmd := &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the manual pages into a directory",
		Hidden: true,
		Args:   takes("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			day, err := time.Parse(time.DateOnly, date)
			if err != nil {
				return misuse("", "--date must look like 2026-11-24")
			}
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true
			header := &doc.GenManHeader{Title: "GATEHOUSE", Section: "1", Date: &day, Source: "Gatehouse", Manual: "Gatehouse manual"}
			return doc.GenManTree(root, header, args[0])
		},
	}
	cmd.Flags().StringVar(&date, "date", "2026-11-24", "the date that the pages carry; builds give the commit's")
	return cmd
}
