package manual

import "strings"

// openAPI is what the reference reads of an OpenAPI document.
type openAPI struct {
	Info struct {
		Description string
	}
	Tags       []struct{ Name string }
	Paths      map[string]map[string]operation
	Components struct {
		Schemas map[string]*schema
	}
}

type operation struct {
	OperationID string
	Tags        []string
	Summary     string
	Description string
	Parameters  []parameter
	RequestBody *struct {
		Required bool
		Content  map[string]media
	}
	Responses map[string]struct {
		Description string
		Content     map[string]media
	}
	Security []map[string][]string
}

type parameter struct {
	Name, In, Description string
	Required              bool
	Schema                *schema
	Example               any
}

type media struct{ Schema *schema }

// schema is a JSON Schema, as far as the API uses it.
type schema struct {
	Ref                string `json:"$ref"`
	Type               any    // a word, or words
	Format             string
	Description        string
	Properties         map[string]*schema
	Required           []string
	Items              *schema
	Enum               []any
	Default            any
	Examples           []any
	Minimum            *float64
	Maximum            *float64
	PatternDescription string
}

const refPrefix = "#/components/schemas/"

// resolve follows a reference.
func (d *openAPI) resolve(s *schema) (*schema, string) {
	if name, ok := strings.CutPrefix(s.Ref, refPrefix); ok && d.Components.Schemas[name] != nil {
		return d.Components.Schemas[name], name
	}
	return s, ""
}

// typeOf describes a type in words, and names the schema that it links to.
func (d *openAPI) typeOf(s *schema) (words, link string) {
	if s == nil {
		return "any", ""
	}
	if _, name := d.resolve(s); name != "" {
		return name, name
	}
	switch word, _ := s.Type.(string); {
	case word == "array":
		words, link = d.typeOf(s.Items)
		return "list of " + words, link
	case word == "string" && s.Format == "date-time":
		return "time", ""
	case s.PatternDescription != "":
		kind, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(s.PatternDescription, "an "), "a "), " ")
		return kind, ""
	case word != "":
		return word, ""
	}
	return "any", ""
}
