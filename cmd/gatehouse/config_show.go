package main

import (
	"fmt"
	"io"
	"net/url"
	"strings"
)

// shownSetting is one row of `config print`, and its shape in JSON.
type shownSetting struct {
	Key    string `json:"key"`
	Value  any    `json:"value"` // text, list of texts, or list of objects; null when unset
	Origin Origin `json:"origin"`
	Secret bool   `json:"secret,omitempty"` // Value is then redacted
}

// shown lists every setting with its value, redacted, and its origin.
func (c *Config) shown() (rows []shownSetting) {
	for _, s := range settings() {
		rows = append(rows, shownSetting{Key: s.Key, Value: s.shownValue(c), Origin: c.Origins[s.Key], Secret: s.Secret})
	}
	return rows
}

func (s setting[T]) shownValue(from *T) any {
	if s.Value.each != nil {
		return s.Value.each.show(from)
	}
	words := s.Value.show(from)
	switch {
	case s.Value.List:
		return words
	case words[0] == "":
		return nil
	case s.Secret:
		return redact(words[0])
	}
	return words[0]
}

// redact keeps of a secret what tells it apart: of a URL everything but its
// password, of anything else nothing.
func redact(word string) string {
	u, err := url.Parse(word)
	if err != nil || u.Host == "" {
		return "(set)"
	}
	query := u.Query()
	for name := range query {
		if strings.Contains(strings.ToLower(name), "pass") {
			query.Set(name, "xxxxx")
		}
	}
	u.RawQuery = query.Encode()
	return u.Redacted()
}

// words is a shown value on one line, for the table.
func (s shownSetting) words() string {
	switch v := s.Value.(type) {
	case nil:
		return "-"
	case string:
		return v
	case []string:
		if len(v) > 0 {
			return strings.Join(v, ", ")
		}
	case []map[string]string:
		var names []string
		for _, object := range v {
			names = append(names, object["issuer"])
		}
		if len(names) > 0 {
			return strings.Join(names, ", ")
		}
	}
	return "-"
}

// writeExample writes the commented file of `init`. Values in given stand
// uncommented; everything else shows its default or an example.
func writeExample(w io.Writer, given map[string]string) {
	fmt.Fprint(w, "# Configuration of Gatehouse. Lines that are commented out show the default, or an\n"+
		"# example where there is none. Each value can also come from the environment\n"+
		"# (gateway.addr is GATEHOUSE_GATEWAY_ADDR) or a flag of `gatehouse serve`, which win.\n"+
		"# Check with `gatehouse config check`; see what holds with `gatehouse config print`.\n")
	var open []string
	for _, s := range settings() {
		parts := strings.Split(s.Key, ".")
		open = writeSections(w, open, parts[:len(parts)-1])
		s.writeExample(w, strings.Repeat("  ", len(parts)-1), parts[len(parts)-1], given)
	}
}

// writeSections writes the headers that differ from those already open.
func writeSections(w io.Writer, open, want []string) []string {
	same := 0
	for same < len(open) && same < len(want) && open[same] == want[same] {
		same++
	}
	for depth := same; depth < len(want); depth++ {
		fmt.Fprintf(w, "\n%s%s:\n", strings.Repeat("  ", depth), want[depth])
	}
	return want
}

func (s setting[T]) writeExample(w io.Writer, indent, name string, given map[string]string) {
	fmt.Fprintln(w)
	for _, line := range wrap(s.Doc, 84-len(indent)) {
		fmt.Fprintf(w, "%s# %s\n", indent, line)
	}
	if word, ok := given[s.Key]; ok {
		fmt.Fprintf(w, "%s%s: %s\n", indent, name, word)
		return
	}
	if s.Value.each != nil {
		fmt.Fprintf(w, "%s#%s:\n", indent, name)
		for i, row := range s.Value.each.rows() {
			mark := map[bool]string{true: "  - ", false: "    "}[i == 0]
			fmt.Fprintf(w, "%s#%s%s: %s\n", indent, mark, row.Key, row.sample())
		}
		return
	}
	fmt.Fprintf(w, "%s#%s: %s\n", indent, name, s.sample())
}

// sample is what stands behind the colon of a commented line.
func (s setting[T]) sample() string {
	word := s.Default
	if word == "" {
		word = s.Example
	}
	switch {
	case s.Value.List && s.Value.each == nil:
		return "[" + word + "]"
	case word == "" || strings.HasPrefix(word, ":") || strings.HasPrefix(word, "("):
		return `"` + word + `"`
	}
	return word
}

// wrap cuts text into lines of at most width bytes, at spaces.
func wrap(text string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// writeReference writes the manual's page of all settings.
func writeReference(w io.Writer) {
	fmt.Fprint(w, `# Configuration

Every value has a default. A file overrides it, the environment overrides the file, and a flag of
`+"`gatehouse serve`"+` overrides both. `+"`gatehouse init`"+` writes a commented file, `+"`gatehouse config check`"+`
finds mistakes (an unknown key is one), and `+"`gatehouse config print`"+` shows each value with its origin.

- **File**: `+"`--config`"+`, else `+"`GATEHOUSE_CONFIG`"+`, else `+"`gatehouse.yaml`"+` in the data directory, else
  `+"`/etc/gatehouse/gatehouse.yaml`"+` when no data directory was named.
- **Environment**: the key in capitals with underscores, behind `+"`GATEHOUSE_`"+`. Lists are cut at commas.
- **Secrets** may lie in a file of their own: append `+"`_file`"+` to the key, or `+"`_FILE`"+` to the variable.
- **Flags**: those below, and `+"`--set KEY=VALUE`"+` for every key.
- **Durations** look like `+"`90s`, `1m30s`, `1h` or `30d`"+`.
`)
	section := ""
	for _, s := range settings() {
		top, _, nestedKey := strings.Cut(s.Key, ".")
		if !nestedKey {
			top = "general"
		}
		if top != section {
			fmt.Fprintf(w, "\n## %s\n\n| key | kind | default | what it does |\n| --- | --- | --- | --- |\n", top)
			section = top
		}
		s.writeRow(w)
	}
	writeObjectTables(w)
}

func (s setting[T]) writeRow(w io.Writer) {
	doc := s.Doc
	if s.Secret {
		doc += fmt.Sprintf(" Secret: `%s_file` and `%s_FILE` read it from a file.", s.Key, envName(s.Key))
	}
	if s.Flag != "" {
		doc += " Flag: `--" + s.Flag + "`."
	}
	fmt.Fprintf(w, "| `%s` | %s | %s | %s |\n", s.Key, s.Value.Kind, codeOrDash(s.Default), strings.ReplaceAll(doc, "|", "\\|"))
}

func writeObjectTables(w io.Writer) {
	for _, s := range settings() {
		if s.Value.each == nil {
			continue
		}
		fmt.Fprintf(w, "\n## One object of `%s`\n\n| key | kind | default | what it does |\n| --- | --- | --- | --- |\n", s.Key)
		for _, row := range s.Value.each.rows() {
			row.writeRow(w)
		}
	}
}

func codeOrDash(word string) string {
	if word == "" {
		return "–"
	}
	return "`" + word + "`"
}
