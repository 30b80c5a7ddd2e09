package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"gatehouse/app"
)

// show answers with the document under --json, and with the table otherwise.
func (c *cli) show(document any, fill func(t *table)) error {
	if c.json {
		out := json.NewEncoder(c.out)
		out.SetEscapeHTML(false)
		out.SetIndent("", "  ")
		return out.Encode(document)
	}
	t := &table{w: tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)}
	fill(t)
	return t.w.Flush()
}

// table collects rows of aligned columns.
type table struct{ w *tabwriter.Writer }

// row adds one row; the first of a list is its header, in capitals.
func (t *table) row(cells ...string) {
	fmt.Fprintln(t.w, strings.Join(cells, "\t"))
}

// say writes a line for people; under --json it stays silent.
func (c *cli) say(format string, args ...any) {
	if !c.json {
		fmt.Fprintf(c.out, format+"\n", args...)
	}
}

// note writes a hint to standard error, where it disturbs no pipe.
func (c *cli) note(format string, args ...any) {
	if !c.json {
		fmt.Fprintf(c.err, format+"\n", args...)
	}
}

// confirm lets a destructive command go on: --yes, or a person who types the
// name of what is about to end.
func (c *cli) confirm(name, consequence string) error {
	if c.yes {
		return nil
	}
	if !c.interactive {
		return &app.Error{Kind: app.KindForbidden, Code: "not_confirmed",
			Message: consequence, Advice: "Add --yes to confirm it without a question."}
	}
	fmt.Fprintf(c.err, "%s\nType %s to go on: ", consequence, name)
	answer, err := bufio.NewReader(c.in).ReadString('\n')
	if err != nil && answer == "" || strings.TrimSpace(answer) != name {
		return &app.Error{Kind: app.KindForbidden, Code: "not_confirmed", Message: "Nothing was changed."}
	}
	return nil
}

// moment shows a time for people, in UTC; "-" when there is none.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

// orDash shows an empty text as "-".
func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// line writes a document as one line of JSON.
func (c *cli) line(document any) error {
	out := json.NewEncoder(c.out)
	out.SetEscapeHTML(false)
	return out.Encode(document)
}
