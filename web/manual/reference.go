package manual

import (
	"encoding/json"
	"html/template"
	"slices"
	"sort"
	"strings"
)

// reference is /docs/api, ready to be laid out.
type reference struct {
	About    template.HTML
	Sections []section
	Schemas  []shape
}

type section struct {
	ID, Name string
	Calls    []call
}

type call struct {
	ID, Method, Path, Summary string
	About                     template.HTML
	Parameters                []field
	Body                      *shape
	Answer                    *shape
	Status                    string
	Curl                      string
	Example                   string // of the answer
}

// shape is a schema with its fields.
type shape struct {
	Name   string
	Fields []field
}

type field struct {
	Name, Type, Link, About string
	Required                bool
}

// methods in the order in which a resource's calls are shown.
var methods = []string{"get", "post", "put", "patch", "delete"}

func readReference(raw []byte, base string) (*reference, error) {
	var doc openAPI
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, err
	}
	about, err := inline(doc.Info.Description)
	if err != nil {
		return nil, err
	}
	r := &reference{About: about}
	for _, tag := range doc.Tags {
		s := section{ID: anchor(tag.Name), Name: tag.Name}
		if s.Calls, err = doc.calls(tag.Name, base); err != nil {
			return nil, err
		}
		if len(s.Calls) > 0 {
			r.Sections = append(r.Sections, s)
		}
	}
	names := make([]string, 0, len(doc.Components.Schemas))
	for name := range doc.Components.Schemas {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		r.Schemas = append(r.Schemas, *doc.shape(&schema{Ref: refPrefix + name}))
	}
	return r, nil
}

func anchor(words string) string {
	return strings.ToLower(strings.NewReplacer(" ", "-", "'", "").Replace(words))
}

func (d *openAPI) calls(tag, base string) ([]call, error) {
	var list []call
	paths := make([]string, 0, len(d.Paths))
	for p := range d.Paths {
		paths = append(paths, p)
	}
	sort.Strings(paths)
	for _, p := range paths {
		for _, method := range methods {
			op, ok := d.Paths[p][method]
			if !ok || !slices.Contains(op.Tags, tag) {
				continue
			}
			c, err := d.call(method, p, op, base)
			if err != nil {
				return nil, err
			}
			list = append(list, c)
		}
	}
	return list, nil
}

func (d *openAPI) call(method, path string, op operation, base string) (c call, err error) {
	c = call{ID: op.OperationID, Method: strings.ToUpper(method), Path: path, Summary: op.Summary}
	if c.About, err = inline(op.Description); err != nil {
		return c, err
	}
	for _, p := range op.Parameters {
		f := d.field(p.Name, p.Schema, p.Required)
		f.About, f.Type = p.Description+defaultOf(p.Schema), f.Type+" in "+p.In
		c.Parameters = append(c.Parameters, f)
	}
	if op.RequestBody != nil {
		c.Body = d.shape(op.RequestBody.Content["application/json"].Schema)
	}
	for _, status := range []string{"200", "201", "204"} {
		answer, ok := op.Responses[status]
		if !ok {
			continue
		}
		c.Status = status + " " + answer.Description
		if s := answer.Content["application/json"].Schema; s != nil {
			c.Answer = d.shape(s)
			c.Example = exampleText(d.example(s, 0))
		}
	}
	c.Curl = d.curl(c.Method, path, op, base)
	return c, nil
}

func (d *openAPI) shape(s *schema) *shape {
	if s == nil {
		return nil
	}
	known, name := d.resolve(s)
	out := &shape{Name: name}
	names := make([]string, 0, len(known.Properties))
	for f := range known.Properties {
		names = append(names, f)
	}
	sort.Slice(names, func(i, j int) bool { return fieldOrder(known, names[i]) < fieldOrder(known, names[j]) })
	for _, f := range names {
		out.Fields = append(out.Fields, d.field(f, known.Properties[f], slices.Contains(known.Required, f)))
	}
	return out
}

// fieldOrder puts required fields first, each group by name, ids before all.
func fieldOrder(s *schema, name string) string {
	switch {
	case name == "id":
		return "0"
	case slices.Contains(s.Required, name):
		return "1" + name
	}
	return "2" + name
}

func (d *openAPI) field(name string, s *schema, required bool) field {
	words, link := d.typeOf(s)
	f := field{Name: name, Type: words, Link: link, About: s.Description, Required: required}
	if len(s.Enum) > 0 {
		f.Type = enumOf(s)
	}
	f.About += defaultOf(s)
	return f
}

func defaultOf(s *schema) string {
	if s.Default == nil {
		return ""
	}
	return " (default: " + strings.Trim(exampleText(s.Default), `"`) + ")"
}

func enumOf(s *schema) string {
	words := make([]string, len(s.Enum))
	for i, value := range s.Enum {
		words[i] = strings.Trim(exampleText(value), `"`)
	}
	return strings.Join(words, " | ")
}

func (r *reference) headings() (list []heading) {
	for _, s := range r.Sections {
		list = append(list, heading{s.ID, s.Name})
	}
	return append(list, heading{"objects", "Objects"})
}

func (r *reference) anchors() map[string]bool {
	all := map[string]bool{"objects": true}
	for _, s := range r.Sections {
		all[s.ID] = true
		for _, c := range s.Calls {
			all[c.ID] = true
		}
	}
	for _, s := range r.Schemas {
		all[s.Name] = true
	}
	return all
}
