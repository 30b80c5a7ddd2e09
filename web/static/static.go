// Package static holds what the console's pages load: one style sheet, one
// script, the font and the icon. Each is served under a name that carries its
// hash, so browsers keep it for good and a new release is seen at once.
package static

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed files
var files embed.FS

// Prefix is the path under which the assets answer.
const Prefix = "/static/"

// The assets, by the names that URL takes.
const (
	CSS  = "console.css"
	JS   = "console.js"
	Font = "inter.woff2"
	Icon = "icon.svg"
)

// The parts of the style sheet and of the script, in their order.
var (
	cssParts = []string{"tokens", "frame", "controls", "cards", "tables", "charts", "forms"}
	jsParts  = []string{"page", "copy", "chart", "command", "live"}
)

// Assets serves the files. The zero value is not usable: see New.
type Assets struct {
	urls   map[string]string
	byPath map[string]asset
}

type asset struct {
	contentType string
	etag        string
	plain       []byte
	gzipped     []byte // nil when it would not be smaller
}

// New reads the embedded files, and names each by its hash.
func New() *Assets {
	a := &Assets{urls: map[string]string{}, byPath: map[string]asset{}}
	a.add(Font, "font/woff2", read(Font))
	a.add("inter-LICENSE.txt", "text/plain; charset=utf-8", read("inter-LICENSE.txt"))
	a.add(Icon, "image/svg+xml", read(Icon))
	css := bundle("css/", ".css", cssParts)
	css = bytes.ReplaceAll(css, []byte("url("+Font+")"), []byte("url("+a.URL(Font)+")"))
	a.add(CSS, "text/css; charset=utf-8", css)
	a.add(JS, "text/javascript; charset=utf-8", bundle("js/", ".js", jsParts))
	return a
}

// URL returns the path that serves the asset; an unknown name is a mistake of
// the caller and returns the name unhashed, which answers 404.
func (a *Assets) URL(name string) string {
	if url, ok := a.urls[name]; ok {
		return url
	}
	return Prefix + name
}

// ServeHTTP answers GET and HEAD below Prefix.
func (a *Assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	found, ok := a.byPath[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	header := w.Header()
	header.Set("Content-Type", found.contentType)
	header.Set("Cache-Control", "public, max-age=31536000, immutable")
	header.Set("ETag", found.etag)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Vary", "Accept-Encoding")
	if r.Header.Get("If-None-Match") == found.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := found.plain
	if found.gzipped != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		header.Set("Content-Encoding", "gzip")
		body = found.gzipped
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		w.Write(body) // an error here means that the client is gone
	}
}

func (a *Assets) add(name, contentType string, body []byte) {
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:6])
	ext := path.Ext(name)
	url := Prefix + strings.TrimSuffix(name, ext) + "." + hash + ext
	a.urls[name] = url
	a.byPath[url] = asset{contentType: contentType, etag: `"` + hash + `"`, plain: body, gzipped: compress(body)}
}

// compress returns the body gzipped when that saves a tenth or more.
func compress(body []byte) []byte {
	var out bytes.Buffer
	writer, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // the level is valid
	writer.Write(body)                                           // a bytes.Buffer does not fail
	writer.Close()
	if out.Len() > len(body)*9/10 {
		return nil
	}
	return out.Bytes()
}

func bundle(folder, ext string, parts []string) []byte {
	var out bytes.Buffer
	for _, part := range parts {
		out.Write(read(folder + part + ext))
		out.WriteByte('\n')
	}
	return out.Bytes()
}

// read returns an embedded file; a missing one is a broken build, which the
// package's test finds.
func read(name string) []byte {
	body, err := files.ReadFile("files/" + name)
	if err != nil {
		panic(err)
	}
	return body
}
