// Package docs holds the manual: pages in Markdown, served at /docs, and the
// decision records below decisions/.
package docs

import "embed"

// Pages holds NAME.md and decisions/NNNN-NAME.md.
//
//go:embed *.md decisions/*.md
var Pages embed.FS

// Order is the order of the pages' names; the first is the manual's home.
func Order() []string {
	return []string{"getting-started", "routes", "keys", "limits", "usage", "events", "quotas", "reservations",
		"egress", "export", "verify", "identity", "forward-auth", "configuration", "operations", "errors", "glossary"}
}
