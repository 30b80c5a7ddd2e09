package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Where the manual keeps the reference. `go generate ./cmd/gatehouse` writes it.
const referencePath = "../../embed/docs/configuration.md"

//go:generate env GATEHOUSE_WRITE_REFERENCE=1 go test -run TestReferenceIsCurrent .

func TestReferenceIsCurrent(t *testing.T) {
	var want bytes.Buffer
	writeReference(&want)
	if os.Getenv("GATEHOUSE_WRITE_REFERENCE") != "" {
		os.MkdirAll(filepath.Dir(referencePath), 0o755)
		if err := os.WriteFile(referencePath, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(referencePath)
	if err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is not what the table says (%v); run: go generate ./cmd/gatehouse", referencePath, err)
	}
}

func TestExampleFileIsValidAndNamesEveryKey(t *testing.T) {
	var example bytes.Buffer
	writeExample(&example, map[string]string{"upstream": "http://127.0.0.1:3000"})
	config, err := load(t, example.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if config.Upstream != "http://127.0.0.1:3000" {
		t.Errorf("upstream is %q", config.Upstream)
	}
	uncommented := regexp.MustCompile(`(?m)^( *)#([a-z_]+:|  [- ] [a-z_]+:)`).ReplaceAllString(example.String(), "$1$2")
	uncommented = strings.NewReplacer("(32 random bytes in base64)", strings.Repeat("00", 32), `jwks_file: ""`, `jwks_file:`).Replace(uncommented)
	config, err = load(t, uncommented, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, uncommented)
	}
	for _, s := range settings() {
		if config.Origins[s.Key].From != "file" {
			t.Errorf("%s is missing from the example file", s.Key)
		}
	}
}

func TestShownSettingsHideSecrets(t *testing.T) {
	config, err := load(t, "database:\n  url: postgres://u:hunter2@db/x?sslpassword=hunter2\nencryption_key: "+strings.Repeat("ab", 32)+"\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := json.Marshal(config.shown())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(shown), "hunter2") || strings.Contains(string(shown), "abab") {
		t.Errorf("a secret is shown: %s", shown)
	}
	if !strings.Contains(string(shown), "db/x") {
		t.Errorf("the database cannot be told apart: %s", shown)
	}
}

func TestTheTableIsSound(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range settings() {
		if s.Doc == "" || !strings.HasSuffix(s.Doc, ".") || s.Value.Kind == "" || seen[envName(s.Key)] {
			t.Errorf("%s: needs a doc that ends in a full stop, a kind, and a name of its own", s.Key)
		}
		seen[envName(s.Key)] = true
	}
}
