package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parseYAML reads the documents of a text; empty ones are left out. JSON is a
// part of YAML, so it reads that as well.
func parseYAML(raw []byte) (documents []*yaml.Node, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	for {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
		}
		if len(document.Content) == 1 && !isNull(document.Content[0]) {
			documents = append(documents, document.Content[0])
		}
	}
}

// pair is a key of a mapping with its value.
type pair struct{ key, value *yaml.Node }

// pairsOf returns the pairs of a mapping. Aliases and merges are not followed:
// a configuration should say what it means in one place.
func pairsOf(node *yaml.Node) (pairs []pair, ok bool) {
	if node.Kind != yaml.MappingNode {
		return nil, false
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		pairs = append(pairs, pair{node.Content[i], node.Content[i+1]})
	}
	return pairs, true
}

// wordOf returns a scalar as it was written.
func wordOf(node *yaml.Node) (string, bool) {
	if node.Kind != yaml.ScalarNode {
		return "", false
	}
	return strings.TrimRight(node.Value, "\n"), true
}

func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.Tag == "!!null" }

// place says where a node stands: "gatehouse.yaml:12".
func place(file string, node *yaml.Node) string { return fmt.Sprintf("%s:%d", file, node.Line) }
