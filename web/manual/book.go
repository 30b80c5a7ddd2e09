package manual

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"sort"
	"strings"

	"github.com/a-h/templ"

	"gatehouse/web/ui"
)

// book is the manual before it is laid out.
type book struct {
	options Options
	mark    template.HTML
	pages   []*page
}

// page is one page of the manual.
type page struct {
	Path      string
	Title     string
	Body      template.HTML
	Headings  []heading
	Reference *reference // of /docs/api alone
	InMenu    bool
	anchors   map[string]bool
	links     []string
}

type heading struct {
	ID, Text string
}

func readBook(o Options) (*book, error) {
	mark, err := templ.ToGoHTML(context.Background(), ui.Mark())
	if err != nil {
		return nil, err
	}
	b := &book{options: o, mark: mark}
	if err := b.readPages(); err != nil {
		return nil, err
	}
	shown, err := readReference(o.OpenAPI, o.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("OpenAPI document: %w", err)
	}
	b.pages = append(b.pages, &page{Path: PathReference, Title: "API reference", Reference: shown, InMenu: true,
		Headings: shown.headings(), anchors: shown.anchors()})
	if err := b.readDecisions(); err != nil {
		return nil, err
	}
	return b, b.checkLinks()
}

// readPages reads the pages in their order. One that has no place in it would
// be lost, so it is an error.
func (b *book) readPages() error {
	names, err := fs.Glob(b.options.Pages, "*.md")
	if err != nil {
		return err
	}
	if len(names) != len(b.options.Order) {
		return fmt.Errorf("there are %d pages and %d places for them", len(names), len(b.options.Order))
	}
	for i, name := range b.options.Order {
		at := PathHome + "/" + name
		if i == 0 {
			at = PathHome
		}
		if err := b.read(name+".md", at, true); err != nil {
			return err
		}
	}
	return nil
}

// readDecisions reads decisions/NNNN-name.md, and lists them on a page.
func (b *book) readDecisions() error {
	names, err := fs.Glob(b.options.Pages, "decisions/[0-9]*.md")
	if err != nil {
		return err
	}
	sort.Strings(names)
	list := "# Decisions\n\nThe main choices, with their reasons and their price. A choice that is changed gets a new record.\n\n"
	at := len(b.pages)
	for _, name := range names {
		file := strings.TrimSuffix(path.Base(name), ".md")
		if err := b.read(name, pathDecisions+"/"+file, false); err != nil {
			return err
		}
		list += "- [" + b.pages[len(b.pages)-1].Title + "](" + pathDecisions + "/" + file + ")\n"
	}
	overview, err := parse(list)
	if err != nil {
		return err
	}
	overview.Path, overview.InMenu = pathDecisions, true
	b.pages = append(b.pages[:at:at], append([]*page{overview}, b.pages[at:]...)...)
	return nil
}

func (b *book) read(name, at string, inMenu bool) error {
	text, err := fs.ReadFile(b.options.Pages, name)
	if err != nil {
		return err
	}
	p, err := parse(string(text))
	if err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	p.Path, p.InMenu = at, inMenu
	b.pages = append(b.pages, p)
	return nil
}

// checkLinks finds links within the manual that lead nowhere.
func (b *book) checkLinks() error {
	byPath := map[string]*page{}
	for _, p := range b.pages {
		byPath[p.Path] = p
	}
	var broken []error
	for _, p := range b.pages {
		for _, link := range p.links {
			target, anchor, _ := strings.Cut(link, "#")
			to := p
			if target != "" {
				if !strings.HasPrefix(target, PathHome) {
					continue
				}
				to = byPath[target]
			}
			if to == nil || (anchor != "" && !to.anchors[anchor]) {
				broken = append(broken, fmt.Errorf("page %s: the link %s leads nowhere", p.Path, link))
			}
		}
	}
	return errors.Join(broken...)
}

// view is what the frame's template reads.
type view struct {
	*page
	Mark    template.HTML
	Menu    []*page
	Assets  ui.Assets
	Style   string
	Version string
}

func (b *book) view(p *page, style string) view {
	v := view{page: p, Mark: b.mark, Assets: b.options.Assets, Style: pathStyle + "?" + style, Version: b.options.Version}
	for _, other := range b.pages {
		if other.InMenu {
			v.Menu = append(v.Menu, other)
		}
	}
	return v
}

// Current reports whether the menu's entry is this page, or the list that it
// belongs to.
func (v view) Current(entry *page) bool {
	return entry == v.page || (entry.Path == pathDecisions && strings.HasPrefix(v.Path, pathDecisions+"/"))
}
