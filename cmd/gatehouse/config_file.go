package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"go.yaml.in/yaml/v3"

	"gatehouse/app"
)

// report gathers everything that is wrong, so that one run shows it all.
type report struct{ problems []app.FieldError }

// add notes a problem of a key; at is where the value was given.
func (r *report) add(key, at, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	if at != "" {
		message = at + ": " + message
	}
	r.problems = append(r.problems, app.FieldError{Field: key, Message: message})
}

// entry is one value that a source gave for a setting.
type entry[T any] struct {
	setting  setting[T]
	words    []string
	node     *yaml.Node // for a list of objects
	indirect bool       // words[0] is the path of a file with the value
	at       string     // "gatehouse.yaml:12", "GATEHOUSE_UPSTREAM", "--upstream"
}

// readFile reads the configuration file's text into entries of the table.
func readFile(name string, raw []byte, r *report) []entry[Config] {
	documents, err := parseYAML(raw)
	switch {
	case err != nil:
		r.add(filepath.Base(name), "", "is not YAML: %v", err)
	case len(documents) > 1:
		r.add(filepath.Base(name), "", "must hold one document")
	case len(documents) == 1:
		return readMapping(documents[0], settings(), "", filepath.Base(name), r)
	}
	return nil
}

// readMapping walks a mapping of the file; path is the dotted key above it.
func readMapping[T any](node *yaml.Node, table []setting[T], path, file string, r *report) (found []entry[T]) {
	pairs, ok := pairsOf(node)
	if !ok {
		r.add(orRoot(path), place(file, node), "must hold keys and values")
		return nil
	}
	for _, pair := range pairs {
		key := joinKey(path, pair.key.Value)
		at := place(file, pair.key)
		switch known, indirect := lookUp(table, key); {
		case isNull(pair.value):
			if known == nil && !isSection(table, key) {
				r.add(key, at, "%s", unknownKey(key, table))
			}
		case known != nil:
			if e, ok := readEntry(*known, indirect, pair.value, at, r); ok {
				found = append(found, e)
			}
		case isSection(table, key):
			found = append(found, readMapping(pair.value, table, key, file, r)...)
		default:
			r.add(key, at, "%s", unknownKey(key, table))
		}
	}
	return found
}

// readEntry takes a setting's value from the file: a word, a list of words, or
// a list of objects.
func readEntry[T any](known setting[T], indirect bool, node *yaml.Node, at string, r *report) (entry[T], bool) {
	e := entry[T]{setting: known, node: node, indirect: indirect, at: at}
	if known.Value.each != nil {
		return e, true
	}
	items := []*yaml.Node{node}
	if node.Kind == yaml.SequenceNode && known.Value.List {
		items = node.Content
	}
	for _, item := range items {
		word, ok := wordOf(item)
		if !ok {
			r.add(known.Key, at, "must be %s", article(known.Value.Kind))
			return e, false
		}
		e.words = append(e.words, word)
	}
	return e, true
}

// lookUp finds the setting of a key, or the secret that KEY_file points to.
func lookUp[T any](table []setting[T], key string) (known *setting[T], indirect bool) {
	for i := range table {
		if table[i].Key == key {
			return &table[i], false
		}
		if table[i].Secret && table[i].Key+"_file" == key {
			return &table[i], true
		}
	}
	return nil, false
}

func isSection[T any](table []setting[T], key string) bool {
	return slices.ContainsFunc(table, func(s setting[T]) bool { return strings.HasPrefix(s.Key, key+".") })
}

// unknownKey says that a key does not exist, and which one was probably meant.
func unknownKey[T any](key string, table []setting[T]) string {
	var names []string
	for _, s := range table {
		names = append(names, s.Key)
		for at, c := range s.Key {
			if c == '.' && !slices.Contains(names, s.Key[:at]) {
				names = append(names, s.Key[:at])
			}
		}
	}
	if near := nearest(key, names); near != "" {
		return fmt.Sprintf("there is no key %s; did you mean %s?", key, near)
	}
	return fmt.Sprintf("there is no key %s; `gatehouse config print` lists them all", key)
}

// nearest returns the name with the fewest changes, if they are few enough to
// be a slip of the hand. The last part alone may match too: "addr" is near
// "gateway.addr" when nothing else is.
func nearest(word string, names []string) string {
	best, least := "", 3+len(word)/8
	for _, name := range names {
		if distance := levenshtein.ComputeDistance(word, name); distance < least {
			best, least = name, distance
		}
	}
	if best != "" {
		return best
	}
	for _, name := range names {
		if strings.HasSuffix(name, "."+word) {
			return name
		}
	}
	return ""
}

func joinKey(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func orRoot(path string) string {
	if path == "" {
		return "(file)"
	}
	return path
}

// article puts "a" before a kind where English wants it.
func article(kind string) string {
	if strings.HasPrefix(kind, "one of") || strings.HasPrefix(kind, "true") || strings.HasPrefix(kind, "32") {
		return kind
	}
	return "a " + kind
}
