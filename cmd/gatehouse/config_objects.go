package main

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// nested is how a list of objects is read and shown.
type nested[T any] struct {
	decode func(to *T, key string, node *yaml.Node, at string, r *report)
	show   func(from *T) []map[string]string // one map per object, by key, with values that are set
	rows   func() []setting[struct{}]        // keys, docs and defaults, for the reference
}

// objects builds the value of a list of objects, each described by a table.
// check returns what is wrong with one as a whole, or an empty text.
func objects[T, E any](at func(*T) *[]E, table []setting[E], check func(E) string) value[T] {
	return value[T]{Kind: "list of objects", List: true, each: &nested[T]{
		decode: func(to *T, key string, node *yaml.Node, place string, r *report) {
			*at(to) = decodeObjects(key, node, place, table, check, r)
		},
		show: func(from *T) []map[string]string { return showObjects(*at(from), table) },
		rows: func() []setting[struct{}] { return plainRows(table) },
	}}
}

func decodeObjects[E any](key string, node *yaml.Node, place string, table []setting[E], check func(E) string, r *report) (list []E) {
	if node.Kind != yaml.SequenceNode {
		r.add(key, place, "must be a list of objects")
		return nil
	}
	for i, item := range node.Content {
		path, before := fmt.Sprintf("%s[%d]", key, i), len(r.problems)
		var inner report
		entries := readMapping(item, table, "", fileOf(place), &inner)
		var object E
		applyDefaults(&object, table)
		for _, e := range entries {
			e.apply(&object, &inner)
		}
		for _, p := range inner.problems {
			p.Field = path + "." + p.Field
			r.problems = append(r.problems, p)
		}
		if wrong := check(object); wrong != "" && len(r.problems) == before {
			r.add(path, place, "%s", wrong)
		}
		list = append(list, object)
	}
	return list
}

func showObjects[E any](list []E, table []setting[E]) (shown []map[string]string) {
	for i := range list {
		object := map[string]string{}
		for _, s := range table {
			if words := s.Value.show(&list[i]); len(words) == 1 && words[0] != "" {
				object[s.Key] = words[0]
			}
		}
		shown = append(shown, object)
	}
	return shown
}

// plainRows forgets the type that a table's values belong to.
func plainRows[E any](table []setting[E]) (rows []setting[struct{}]) {
	for _, s := range table {
		rows = append(rows, setting[struct{}]{Key: s.Key, Doc: s.Doc, Default: s.Default, Example: s.Example,
			Value: value[struct{}]{Kind: s.Value.Kind}})
	}
	return rows
}

// parseObjects reads a list of objects from one word of the environment.
func parseObjects(word string) (*yaml.Node, error) {
	documents, err := parseYAML([]byte(word))
	if err != nil || len(documents) != 1 {
		return nil, fmt.Errorf("must be a list of objects as JSON or YAML")
	}
	return documents[0], nil
}

// checkIssuer says what is wrong with an outside issuer as a whole.
func checkIssuer(i IssuerConfig) string {
	switch {
	case i.Issuer == "":
		return "issuer must be set: the exact iss claim of its tokens"
	case (i.JWKSURL == "") == (i.JWKSFile == ""):
		return "exactly one of jwks_url and jwks_file must be set"
	case i.Audience == "":
		return "audience must be set: what the aud claim of its tokens holds"
	}
	return ""
}

// fileOf takes the line off a place: "gatehouse.yaml:12" is gatehouse.yaml.
func fileOf(place string) string {
	file, _, _ := strings.Cut(place, ":")
	return file
}
