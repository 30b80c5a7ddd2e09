package manual

import (
	"bytes"
	"errors"
	"html/template"
	"slices"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

// parse renders a page's Markdown. Raw HTML in it is left out.
func parse(markdown string) (*page, error) {
	source := []byte(markdown)
	engine := markdownEngine()
	tree := engine.Parser().Parse(text.NewReader(source), parser.WithContext(parser.NewContext(parser.WithIDs(&ids{}))))
	p := &page{anchors: map[string]bool{}}
	err := ast.Walk(tree, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			p.note(node, source)
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		return nil, err
	}
	if p.Title == "" {
		return nil, errors.New("the page has no title (# …)")
	}
	var out bytes.Buffer
	if err := engine.Renderer().Render(&out, source, tree); err != nil {
		return nil, err
	}
	p.Body = template.HTML(reachable(out.String())) //nolint: the text is our own, and raw HTML was left out
	return p, nil
}

func markdownEngine() goldmark.Markdown {
	return goldmark.New(goldmark.WithExtensions(extension.Table), goldmark.WithParserOptions(parser.WithAutoHeadingID()))
}

// note gathers title, headings and links.
func (p *page) note(node ast.Node, source []byte) {
	switch n := node.(type) {
	case *ast.Heading:
		words := plainText(n, source)
		id, _ := n.AttributeString("id")
		name, _ := id.([]byte)
		p.anchors[string(name)] = true
		switch {
		case n.Level == 1 && p.Title == "":
			p.Title = words
		case n.Level == 2:
			p.Headings = append(p.Headings, heading{string(name), words})
		}
	case *ast.Link:
		p.links = append(p.links, string(n.Destination))
	}
}

func plainText(node ast.Node, source []byte) string {
	var out strings.Builder
	for child := node.FirstChild(); child != nil; child = child.NextSibling() {
		if t, ok := child.(*ast.Text); ok {
			out.Write(t.Segment.Value(source))
		} else {
			out.WriteString(plainText(child, source))
		}
	}
	return out.String()
}

// reachable lets the keyboard scroll what is wider than the page.
func reachable(html string) string {
	return strings.NewReplacer("<pre>", `<pre tabindex="0">`, "<table>", `<div class="scroll" tabindex="0"><table>`,
		"</table>", "</table></div>").Replace(html)
}

// inline renders a line or two of Markdown, such as a description in the
// OpenAPI document.
func inline(markdown string) (template.HTML, error) {
	var out bytes.Buffer
	if err := markdownEngine().Convert([]byte(markdown), &out); err != nil {
		return "", err
	}
	return template.HTML(out.String()), nil // raw HTML was left out
}

// ids names headings by their words, as the links on the pages do: lower case,
// dashes for what is neither letter, digit nor _. So an error's anchor is its code.
type ids struct{ taken []string }

// Generate implements parser.IDs.
func (x *ids) Generate(words []byte, _ ast.NodeKind) []byte {
	name := strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, string(words)), "-")
	for strings.Contains(name, "--") {
		name = strings.ReplaceAll(name, "--", "-")
	}
	for slices.Contains(x.taken, name) {
		name += "-"
	}
	x.Put([]byte(name))
	return []byte(name)
}

// Put implements parser.IDs.
func (x *ids) Put(name []byte) { x.taken = append(x.taken, string(name)) }
