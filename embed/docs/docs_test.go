package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTheProxiesAreThoseThatShip compares the snippets on the page with the
// files that ship. The nginx one runs in cmd/gatehouse's end-to-end tests.
func TestTheProxiesAreTheTestedOnes(t *testing.T) {
	page, err := Pages.ReadFile("forward-auth.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"nginx.conf", "traefik.yaml", "Caddyfile", "envoy.yaml"} {
		file, err := os.ReadFile(filepath.Join("..", "..", "packaging", "proxies", name))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(page), "\n"+strings.TrimSpace(string(file))+"\n```") {
			t.Errorf("the page shows another %s than packaging/proxies", name)
		}
	}
}

func TestEveryPageHasItsPlace(t *testing.T) {
	names, err := fs.Glob(Pages, "*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !slices.Contains(Order(), strings.TrimSuffix(name, ".md")) {
			t.Errorf("%s has no place in the order", name)
		}
	}
	if len(names) != len(Order()) {
		t.Errorf("%d pages, %d places", len(names), len(Order()))
	}
}
