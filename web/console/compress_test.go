package console_test

import (
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"gatehouse/web/ui"
)

func TestPagesAreCompressedAndASecretNever(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	org := c.newOrg("Acme", "pro")
	plain := c.get(ui.PathRates, "Accept-Encoding", "identity")
	small := c.get(ui.PathRates, "Accept-Encoding", "gzip")
	if plain.header.Get("Content-Encoding") != "" || small.header.Get("Content-Encoding") != "gzip" || !strings.Contains(strings.Join(plain.header.Values("Vary"), ","), "Accept-Encoding") {
		t.Fatalf("the page's encodings are %q and %q", plain.header.Get("Content-Encoding"), small.header.Get("Content-Encoding"))
	}
	if len(small.body)*4 > len(plain.body) {
		t.Errorf("%d bytes of %d are sent", len(small.body), len(plain.body))
	}
	reader, err := gzip.NewReader(strings.NewReader(small.body))
	s.must(err)
	body, err := io.ReadAll(reader)
	s.must(err)
	if !strings.Contains(string(body), "</html>") || !strings.Contains(string(body), "claude") {
		t.Error("the compressed page is not whole")
	}
	made := c.post(ui.Keys(org.Slug), "name", "ci", "env", "live", "scopes", "*")
	secret := c.get(made.location(), "Accept-Encoding", "gzip")
	if secret.header.Get("Content-Encoding") != "" || !strings.Contains(secret.body, "gk_live_") {
		t.Error("a page with a secret is compressed")
	}
	if door := s.stranger().get(ui.PathSignIn, "Accept-Encoding", "gzip"); door.header.Get("Content-Encoding") != "" {
		t.Error("a page outside the console is compressed")
	}
}
