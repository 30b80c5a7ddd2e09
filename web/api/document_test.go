package api_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"gatehouse/web/api"
)

type described struct {
	Paths map[string]map[string]struct {
		OperationID string
		Summary     string
		Tags        []string
		Parameters  []struct{ Name, In, Description string }
		Responses   map[string]json.RawMessage
	}
	Tags       []struct{ Name string }
	Components struct {
		Schemas map[string]struct {
			Properties           map[string]struct{ Description string }
			AdditionalProperties *bool
		}
	}
}

func read(t *testing.T) (d described, text string) {
	t.Helper()
	raw := open(t, sqlite(t)).api.Document()
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatal(err)
	}
	return d, string(raw)
}

func TestTheDocumentDescribesEverything(t *testing.T) {
	d, text := read(t)
	for name, schema := range d.Components.Schemas {
		for field, property := range schema.Properties {
			if property.Description == "" {
				t.Errorf("%s.%s is not described", name, field)
			}
		}
	}
	var tags []string
	for _, tag := range d.Tags {
		tags = append(tags, tag.Name)
	}
	for path, methods := range d.Paths {
		for method, op := range methods {
			if op.Summary == "" || len(op.Tags) != 1 || !slices.Contains(tags, op.Tags[0]) {
				t.Errorf("%s %s: %+v", method, path, op)
			}
			for _, p := range op.Parameters {
				if p.Description == "" {
					t.Errorf("%s %s: the parameter %s is not described", method, path, p.Name)
				}
			}
			if len(op.Responses) != 2 || op.Responses["default"] == nil {
				t.Errorf("%s %s: answers %v", method, path, op.Responses)
			}
			if strings.Count(path, "{") != countIn(op.Parameters, "path") {
				t.Errorf("%s %s: its parameters are not described", method, path)
			}
		}
	}
	for _, foreign := range []string{"ErrorModel", "$schema", "422", `"null"`} {
		if strings.Contains(text, foreign) {
			t.Errorf("the document speaks of %s", foreign)
		}
	}
}

func countIn(list []struct{ Name, In, Description string }, in string) (n int) {
	for _, p := range list {
		if p.In == in {
			n++
		}
	}
	return n
}

func TestRequestsAreClosedAndAnswersOpen(t *testing.T) {
	d, _ := read(t)
	for name, closed := range map[string]bool{"NewOrg": true, "Plan": true, "RateLimit": true, "Route": true, "Org": false, "Key": false, "Problem": false} {
		schema, ok := d.Components.Schemas[name]
		if !ok {
			t.Errorf("no schema %s", name)
			continue
		}
		if got := schema.AdditionalProperties != nil && !*schema.AdditionalProperties; got != closed {
			t.Errorf("%s: closed is %v", name, got)
		}
	}
}

// TestNoWordIsLeftOver finds words about fields that are gone.
func TestNoWordIsLeftOver(t *testing.T) {
	d, _ := read(t)
	for _, name := range api.DescribedFields() {
		schema, field, isField := strings.Cut(name, ".")
		if schema == "*" || schema == "List" || strings.HasPrefix(schema, "Check") { // Check…: of the gateway
			continue
		}
		known, ok := d.Components.Schemas[schema]
		if _, found := known.Properties[field]; !ok || (isField && !found) {
			t.Errorf("words about %s, which does not exist", name)
		}
	}
}
