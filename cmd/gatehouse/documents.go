package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"gatehouse/app"
)

// readDocuments reads what `apply -f` takes: YAML (JSON is part of it), one or
// more documents, each an object of T. Names that T does not have are errors
// with their line and the nearest name. "-" is standard input.
func readDocuments[T any](path string, stdin io.Reader) ([]T, error) {
	raw, name, err := readInput(path, stdin)
	if err != nil {
		return nil, err
	}
	return parseDocuments[T](raw, name)
}

func readInput(path string, stdin io.Reader) (raw []byte, name string, err error) {
	if path == "-" {
		raw, err = io.ReadAll(stdin)
		return raw, "standard input", err
	}
	raw, err = os.ReadFile(path)
	if err != nil {
		return nil, "", &app.Error{Kind: app.KindNotFound, Code: "file_unreadable", Err: err,
			Message: fmt.Sprintf("The file cannot be read: %v.", err), Advice: "Name a file with -f, or - for standard input."}
	}
	return raw, filepath.Base(path), nil
}

func parseDocuments[T any](raw []byte, name string) (list []T, err error) {
	documents, err := parseYAML(raw)
	if err != nil {
		return nil, app.Invalid(name, "is neither YAML nor JSON: %v", err)
	}
	var r report
	for _, document := range documents {
		var item T
		checkNames(document, reflect.TypeFor[T](), "", name, &r)
		if len(r.problems) == 0 {
			decodeDocument(document, &item, name, &r)
		}
		list = append(list, item)
	}
	if len(r.problems) > 0 {
		return nil, app.InvalidFields(r.problems)
	}
	if len(list) == 0 {
		return nil, app.Invalid(name, "is empty")
	}
	return list, nil
}

// decodeDocument goes through JSON, because the nouns say there how they read.
func decodeDocument(node *yaml.Node, to any, name string, r *report) {
	var loose any
	err := node.Decode(&loose)
	if err == nil {
		var raw []byte
		if raw, err = json.Marshal(loose); err == nil {
			err = json.Unmarshal(raw, to)
		}
	}
	if err == nil {
		return
	}
	if wrong, ok := err.(*json.UnmarshalTypeError); ok {
		r.add(wrong.Field, place(name, node), "must be %s, not %s", kindForPeople(wrong.Type), wrong.Value)
		return
	}
	r.add(name, "", "%s", strings.TrimPrefix(strings.TrimPrefix(err.Error(), "json: "), "yaml: "))
}

func kindForPeople(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a text"
	case reflect.Slice:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Bool:
		return "true or false"
	}
	return "a number"
}

// checkNames compares the keys of a document with the JSON names of a type.
func checkNames(node *yaml.Node, t reflect.Type, path, file string, r *report) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Slice:
		if node.Kind == yaml.SequenceNode {
			for i, item := range node.Content {
				checkNames(item, t.Elem(), fmt.Sprintf("%s[%d]", path, i), file, r)
			}
		}
	case reflect.Struct:
		pairs, ok := pairsOf(node)
		if !ok {
			if path == "" {
				r.add(file, "", "must hold %s", strings.Join(jsonNames(t), " and "))
			}
			return
		}
		for _, pair := range pairs {
			checkName(pair, t, path, file, r)
		}
	}
}

func checkName(pair pair, t reflect.Type, path, file string, r *report) {
	key := pair.key.Value
	for i := range t.NumField() {
		if jsonName(t.Field(i)) == key {
			checkNames(pair.value, t.Field(i).Type, joinKey(path, key), file, r)
			return
		}
	}
	names := jsonNames(t)
	message := "there is no such name here; there are " + strings.Join(names, ", ")
	if near := nearest(key, names); near != "" {
		message = "there is no such name here; did you mean " + near + "?"
	}
	r.add(joinKey(path, key), place(file, pair.key), "%s", message)
}

func jsonNames(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		if name := jsonName(t.Field(i)); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// jsonName is the name of a field in JSON; empty when it has none.
func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "-" || !f.IsExported() {
		return ""
	}
	return name
}
