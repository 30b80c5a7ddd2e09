package manual_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"gatehouse/embed/docs"
	"gatehouse/embed/openapi"
	"gatehouse/web/manual"
	"gatehouse/web/respond"
	"gatehouse/web/ui"
)

const document = `{"info":{"description":"About **it**."},"tags":[{"name":"Things"}],
"paths":{"/v1/things/{thing}":{"get":{"operationId":"getThing","tags":["Things"],"summary":"Get a thing","description":"By <b>anyone</b>.",
"security":[{"k":[]}],"parameters":[{"name":"thing","in":"path","required":true,"schema":{"type":"string","examples":["t'1"]}},
{"name":"page","in":"query","schema":{"type":"string"}}],"responses":{"200":{"description":"OK","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Thing"}}}}}},
"put":{"operationId":"putThing","tags":["Things"],"summary":"Put a thing","requestBody":{"required":true,"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Thing"}}}},
"parameters":[{"name":"thing","in":"path","required":true,"schema":{"type":"string","examples":["t"]}}],"responses":{"204":{"description":"No Content"}}}}},
"components":{"schemas":{"Thing":{"type":"object","required":["name","at"],"properties":{"name":{"type":"string","description":"Its <name>","examples":["it's"]},
"part":{"$ref":"#/components/schemas/Thing"},"at":{"type":"string","format":"date-time"}}}}}}`

func pages(more map[string]string) fstest.MapFS {
	files := fstest.MapFS{
		"start.md":                  {Data: []byte("# Start here\n\nSee [errors](/docs/errors#rate_limited) and [the call](/docs/api#getThing).\n\n## One `two`\n\n<script>alert(1)</script>\n")},
		"errors.md":                 {Data: []byte("# Errors\n\n### rate_limited\n\nSlow down.\n\n|a|b|\n|-|-|\n|1|2|\n")},
		"decisions/0001-a-thing.md": {Data: []byte("# 1. A thing\n\nBecause.\n")},
	}
	for name, text := range more {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return files
}

func open(t *testing.T, more map[string]string) (http.Handler, error) {
	t.Helper()
	return manual.New(manual.Options{Pages: pages(more), Order: []string{"start", "errors"}, OpenAPI: []byte(document),
		BaseURL: "http://127.0.0.1:8081", Assets: ui.Assets{CSS: "/static/c.css"}, Version: "9.9.9",
		Respond: &respond.Responder{Log: slog.New(slog.DiscardHandler), Now: time.Now}})
}

func get(t *testing.T, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	handler, err := open(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", path, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

func TestPages(t *testing.T) {
	for _, row := range []struct {
		path  string
		has   []string
		hasNo []string
	}{
		{"/docs", []string{"<title>Start here · Gatehouse manual</title>", `aria-current="page">Start here`, `<h2 id="one-two">`, `<a href="#one-two">One two</a>`, "9.9.9"}, []string{"<script"}},
		{"/docs/errors", []string{`<h3 id="rate_limited">`, `<div class="scroll" tabindex="0"><table>`}, nil},
		{"/docs/decisions", []string{`<a href="/docs/decisions/0001-a-thing">1. A thing</a>`, `aria-current="page">Decisions`}, nil},
		{"/docs/decisions/0001-a-thing", []string{"Because.", `aria-current="page">Decisions`}, nil},
		{"/docs/manual.css", []string{".prose"}, nil},
		{"/docs/api", []string{`<h3 id="getThing">Get a thing</h3>`, "About <strong>it</strong>.", "/v1/things/{thing}", `href="#Thing"`,
			"Its &lt;name&gt;", "curl &#39;http://127.0.0.1:8081/v1/things/t%271&#39;", "Authorization: Bearer $GATEHOUSE_KEY",
			`-d &#39;{&#34;at&#34;:&#34;2026-11-24T08:00:00Z&#34;,&#34;name&#34;:&#34;it&#39;\&#39;&#39;s&#34;}&#39;`, "<b>204 No Content</b>", `&#34;at&#34;: &#34;2026-11-24T08:00:00Z&#34;`}, []string{"<b>anyone", "page="}},
	} {
		w := get(t, row.path)
		if w.Code != 200 {
			t.Errorf("%s: %d", row.path, w.Code)
		}
		for _, want := range row.has {
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s: without %s\n%s", row.path, want, w.Body)
			}
		}
		for _, unwanted := range row.hasNo {
			if strings.Contains(w.Body.String(), unwanted) {
				t.Errorf("%s: with %s", row.path, unwanted)
			}
		}
	}
}

// TestPagesKeepThePolicy: nothing inline, nothing from elsewhere.
func TestPagesKeepThePolicy(t *testing.T) {
	for _, path := range []string{"/docs", "/docs/api"} {
		w := get(t, path)
		if !strings.HasPrefix(w.Header().Get("Content-Security-Policy"), "default-src 'none'; style-src 'self'") {
			t.Errorf("%s: policy %q", path, w.Header().Get("Content-Security-Policy"))
		}
		if found := regexp.MustCompile(`(?i)<script|style=|<style|\son[a-z]+=|(src|href)="(https?:)?//`).FindString(w.Body.String()); found != "" {
			t.Errorf("%s holds %s", path, found)
		}
	}
}

func TestPagesAreKept(t *testing.T) {
	w := get(t, "/docs")
	if again := get(t, "/docs", "If-None-Match", w.Header().Get("ETag")); again.Code != 304 || again.Body.Len() > 0 {
		t.Errorf("%d", again.Code)
	}
	if w := get(t, "/docs/"); w.Code != 301 || w.Header().Get("Location") != "/docs" {
		t.Errorf("/docs/: %d %s", w.Code, w.Header().Get("Location"))
	}
	if w := get(t, "/docs/nothing"); w.Code != 404 {
		t.Errorf("a page that is not there: %d", w.Code)
	}
}

func TestBrokenManualsAreRefused(t *testing.T) {
	for name, more := range map[string]map[string]string{
		"no title":        {"errors.md": "Errors\n\n### rate_limited\n"},
		"no page":         {"start.md": "# Start\n\n[x](/docs/nothing)\n"},
		"no heading":      {"start.md": "# Start\n\n[x](/docs/errors#nothing)\n"},
		"no own heading":  {"start.md": "# Start\n\n[x](#nothing)\n"},
		"no call":         {"start.md": "# Start\n\n[x](/docs/api#nothing)\n"},
		"no place for it": {"more.md": "# More\n"},
	} {
		if _, err := open(t, more); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestTheRealManual renders what ships.
func TestTheRealManual(t *testing.T) {
	_, err := manual.New(manual.Options{Pages: docs.Pages, Order: docs.Order(), OpenAPI: openapi.Document, BaseURL: "http://127.0.0.1:8081",
		Respond: &respond.Responder{Log: slog.New(slog.DiscardHandler), Now: time.Now}})
	if err != nil {
		t.Error(err)
	}
}
