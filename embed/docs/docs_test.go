package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// elsewhere are codes that never leave as a problem document: they end a
// start, stay inside, or tell of a client that is gone.
var elsewhere = []string{"cancelled", "client_left", "client_gone", "changes_lost", "check_slow", "schema_newer",
	"schema_differs", "schema_failed", "ledger_conflict", "event_counted"}

// codeMarks are how the code names an error's code.
var codeMarks = []*regexp.Regexp{
	regexp.MustCompile(`Code: *"([a-z0-9_]+)"`),
	regexp.MustCompile(`Code[A-Za-z]+ *= "([a-z0-9_]+)"`),
	regexp.MustCompile(`Conflict\("([a-z0-9_]+)"`),
	regexp.MustCompile(`(?:unauthenticated|away|unavailable|refusal|conflict)\("([a-z0-9_]+)"`),
	regexp.MustCompile(`\bCode(?:, [a-zA-Z.]+)* = "([a-z0-9_]+)"`),
}

// TestEveryCodeIsInTheManual compares the page on errors with the code.
func TestEveryCodeIsInTheManual(t *testing.T) {
	page, err := Pages.ReadFile("errors.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, heading := range regexp.MustCompile(`(?m)^### ([a-z0-9_]+)$`).FindAllStringSubmatch(string(page), -1) {
		documented = append(documented, heading[1])
	}
	source := sources(t)
	for code, file := range codesOf(source) {
		if !slices.Contains(documented, code) && !slices.Contains(elsewhere, code) {
			t.Errorf("%s has the code %s, which the page on errors does not explain", file, code)
		}
	}
	for i, code := range documented {
		if !strings.Contains(source.text, `"`+code+`"`) && !strings.HasSuffix(code, "_expired") && !strings.HasSuffix(code, "_in_use") {
			t.Errorf("the page explains %s, which nothing answers", code)
		}
		if slices.Contains(documented[:i], code) {
			t.Errorf("the page explains %s twice", code)
		}
	}
}

type sourceText struct {
	files map[string]string
	text  string
}

func sources(t *testing.T) sourceText {
	t.Helper()
	s := sourceText{files: map[string]string{}}
	for _, room := range []string{"app", "web", "store", "cmd"} {
		err := filepath.WalkDir(filepath.Join("..", "..", room), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "storetest") {
				return err
			}
			raw, err := os.ReadFile(path)
			if room != "cmd" { // the command line has codes of its own
				s.files[path] = string(raw)
			}
			s.text += string(raw)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func codesOf(s sourceText) map[string]string {
	found := map[string]string{}
	for file, text := range s.files {
		for _, mark := range codeMarks {
			for _, match := range mark.FindAllStringSubmatch(text, -1) {
				found[match[1]] = file
			}
		}
	}
	return found
}

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
