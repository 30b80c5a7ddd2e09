package manual

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"gatehouse/app"
	"gatehouse/web/respond"
	"gatehouse/web/ui"
)

//go:embed parts
var parts embed.FS

// Paths of the manual.
const (
	PathHome      = "/docs"
	PathReference = "/docs/api"
	pathStyle     = "/docs/manual.css"
	pathDecisions = "/docs/decisions"
)

// policy is the console's content security policy without its script.
const policy = "default-src 'none'; style-src 'self'; font-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Options say what the manual holds.
type Options struct {
	Pages   fs.FS    // NAME.md, served as /docs/NAME, and decisions/NNNN-NAME.md
	Order   []string // of the pages' names; the first is served as /docs
	OpenAPI []byte   // the document that /docs/api shows
	BaseURL string   // of the API in examples
	Assets  ui.Assets
	Version string // of the program, shown at the foot
	Respond *respond.Responder
}

// Manual serves /docs. See New.
type Manual struct {
	respond *respond.Responder
	pages   map[string]file // by path
}

type file struct {
	contentType string
	etag        string
	body        []byte
}

// New renders the manual. Errors are broken pages: no title, a link to a page
// or heading that does not exist.
func New(o Options) (*Manual, error) {
	m := &Manual{respond: o.Respond, pages: map[string]file{}}
	style, err := parts.ReadFile("parts/manual.css")
	if err != nil {
		return nil, err
	}
	m.add(pathStyle, "text/css; charset=utf-8", style)
	book, err := readBook(o)
	if err != nil {
		return nil, err
	}
	frame, err := template.New("").Funcs(template.FuncMap{"dict": dict}).ParseFS(parts, "parts/*.html")
	if err != nil {
		return nil, err
	}
	for _, p := range book.pages {
		var out bytes.Buffer
		if err := frame.ExecuteTemplate(&out, "frame.html", book.view(p, m.pages[pathStyle].etag)); err != nil {
			return nil, fmt.Errorf("page %s: %w", p.Path, err)
		}
		m.add(p.Path, "text/html; charset=utf-8", out.Bytes())
	}
	return m, nil
}

func (m *Manual) add(at, contentType string, body []byte) {
	sum := sha256.Sum256(body)
	m.pages[at] = file{contentType, hex.EncodeToString(sum[:6]), body}
}

// ServeHTTP answers GET and HEAD below /docs.
func (m *Manual) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.respond.Handle(m.serve).ServeHTTP(w, r)
}

func (m *Manual) serve(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return &app.Error{Kind: app.KindMethod, Code: "method_not_allowed", Message: r.Method + " is not allowed here."}
	}
	found, ok := m.pages[r.URL.Path]
	if !ok {
		if clean := path.Clean(r.URL.Path); clean != r.URL.Path && m.pages[clean].body != nil {
			http.Redirect(w, r, clean, http.StatusMovedPermanently)
			return nil
		}
		return app.NotFound("page")
	}
	header := w.Header()
	header.Set("Content-Type", found.contentType)
	header.Set("ETag", `"`+found.etag+`"`)
	header.Set("Cache-Control", "no-cache")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", policy)
	header.Set("Referrer-Policy", "no-referrer")
	if strings.Contains(r.Header.Get("If-None-Match"), found.etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	w.Write(found.body) // an error here means that the client is gone
	return nil
}

// dict makes the one value that a template takes out of several: names and
// values in turn.
func dict(pairs ...any) map[string]any {
	out := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		out[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	return out
}
