package main

import (
	"github.com/spf13/cobra"

	"gatehouse/app"
)

// addPageFlags lets a list be read page by page.
func addPageFlags(cmd *cobra.Command, page *app.Page) {
	cmd.Flags().IntVar(&page.Limit, "limit", app.DefaultPageLimit, "rows, 1–200")
	cmd.Flags().StringVar(&page.Cursor, "cursor", "", "where to go on: `next` of the page before")
	cmd.Flags().StringVar(&page.Search, "search", "", "only names that hold this text")
}

// addYes gives a destructive command its confirmation.
func (c *cli) addYes(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&c.yes, "yes", false, "do it without asking")
}

// showList shows a page, and how to see the next one.
func (c *cli) showList(document any, next string, fill func(t *table)) error {
	if err := c.show(document, fill); err != nil {
		return err
	}
	if next != "" {
		c.note("More: add --cursor %s", next)
	}
	return nil
}
