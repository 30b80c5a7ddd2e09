package manual

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"sort"
	"strings"
)

// maxDepth ends examples of schemas that hold each other.
const maxDepth = 5

// example builds a value that fits the schema: what the document gives as an
// example, else something plain of the right type.
func (d *openAPI) example(s *schema, depth int) any {
	known, _ := d.resolve(s)
	switch {
	case depth > maxDepth:
		return nil
	case len(s.Examples) > 0:
		return s.Examples[0]
	case len(known.Examples) > 0:
		return known.Examples[0]
	case known.Default != nil:
		return known.Default
	case len(known.Enum) > 0:
		return known.Enum[0]
	case known.Properties != nil:
		return d.exampleObject(known, depth)
	}
	switch word, _ := known.Type.(string); {
	case word == "array":
		return []any{d.example(known.Items, depth+1)}
	case word == "object":
		return map[string]any{}
	case word == "boolean":
		return false
	case word == "integer", word == "number":
		return max(valueOr(known.Minimum, 0), 0)
	case known.Format == "date-time":
		return "2026-11-24T08:00:00Z"
	}
	return "…"
}

func valueOr(p *float64, otherwise float64) float64 {
	if p != nil {
		return *p
	}
	return otherwise
}

// object keeps the order of its fields, as a map of Go would not.
type object []member

type member struct {
	name  string
	value any
}

// MarshalJSON implements json.Marshaler.
func (o object) MarshalJSON() ([]byte, error) {
	out := bytes.NewBufferString("{")
	for i, m := range o {
		if i > 0 {
			out.WriteByte(',')
		}
		name, _ := json.Marshal(m.name) // a string always can
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		out.Write(name)
		out.WriteByte(':')
		out.Write(value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// exampleObject holds what is required, and what has an example of its own.
func (d *openAPI) exampleObject(s *schema, depth int) object {
	names := make([]string, 0, len(s.Properties))
	for name, property := range s.Properties {
		if slices.Contains(s.Required, name) || len(property.Examples) > 0 {
			names = append(names, name)
		}
	}
	sort.Slice(names, func(i, j int) bool { return fieldOrder(s, names[i]) < fieldOrder(s, names[j]) })
	var out object
	for _, name := range names {
		out = append(out, member{name, d.example(s.Properties[name], depth+1)})
	}
	return out
}

func exampleText(value any) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if encoder.Encode(value) != nil {
		return ""
	}
	return strings.TrimSpace(out.String())
}

// curl writes the call as one would type it.
func (d *openAPI) curl(method, path string, op operation, base string) string {
	lines := []string{"curl " + methodFlag(method) + "'" + base + d.exampleURL(path, op) + "'"}
	if len(op.Security) > 0 {
		lines = append(lines, `-H "Authorization: Bearer $GATEHOUSE_KEY"`)
	}
	if body := d.exampleBody(op); body != "" {
		lines = append(lines, `-H "Content-Type: application/json"`, "-d '"+strings.ReplaceAll(body, "'", `'\''`)+"'")
	}
	return strings.Join(lines, " \\\n  ")
}

func methodFlag(method string) string {
	if method == "GET" {
		return ""
	}
	return "-X " + method + " "
}

// exampleURL fills the path's parameters, and the query's required ones.
func (d *openAPI) exampleURL(path string, op operation) string {
	query := url.Values{}
	for _, p := range op.Parameters {
		value := p.Example
		if value == nil {
			value = d.example(p.Schema, 0)
		}
		text := strings.Trim(exampleText(value), `"`)
		switch {
		case p.In == "path":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(text))
		case p.In == "query" && (p.Required || p.Example != nil || len(p.Schema.Examples) > 0):
			query.Set(p.Name, text)
		}
	}
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

// exampleBody is the body's own example, or what it requires.
func (d *openAPI) exampleBody(op operation) string {
	if op.RequestBody == nil || op.RequestBody.Content["application/json"].Schema == nil {
		return ""
	}
	body := d.example(op.RequestBody.Content["application/json"].Schema, 0)
	compact, err := json.Marshal(body)
	if err != nil {
		return ""
	}
	return string(compact)
}
