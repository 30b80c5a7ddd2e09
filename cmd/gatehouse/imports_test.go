package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// rule is one row of "Who may import whom": packages that match room may
// import, of this module, only what matches one of may. The first row that
// matches counts. "x/*" is one level below x, "x/**" every level.
type rule struct {
	room string
	may  []string
}

// The table of the architecture, from the ground upward. Test files are free
// to import test servers and whatever they need beside it.
var importTable = []rule{
	{"app", nil},
	{"app/*", []string{"app"}},
	{"store", []string{"app"}},
	{"store/storetest", []string{"app", "store"}},
	{"store/storetest/**", []string{"app", "store", "store/storetest"}},
	{"store/**", []string{"app"}},
	{"embed/**", []string{"app"}},
	{"web/ui", []string{"app"}},
	{"web/respond", []string{"app", "web/ui"}},
	{"web/session", []string{"app", "web/ui"}},
	{"web/gateway/**", []string{"app"}},
	{"web/gateway", []string{"app", "app/*", "web/ui", "web/respond", "web/session", "web/gateway/**"}},
	{"web", []string{"app", "app/*", "web/ui", "web/respond", "web/session"}},
	{"web/*", []string{"app", "app/*", "web/ui", "web/respond", "web/session"}},
	{"cmd/**", []string{"app", "app/*", "store", "store/**", "embed/**", "web", "web/**"}},
	{"packaging/**", []string{}},
}

const module = "gatehouse"

func TestNobodyImportsWhatItMayNot(t *testing.T) {
	for _, breach := range importBreaches(t, filepath.Join("..", "..")) {
		t.Error(breach)
	}
}

func TestTheImportTableRefuses(t *testing.T) {
	for _, c := range []struct {
		from, to string
		allowed  bool
	}{
		{"app", "store", false}, {"app/keys", "app", true}, {"app/keys", "app/auth", false},
		{"store/redis", "app", true}, {"store/redis", "store", false}, {"embed/demo", "app/keys", false},
		{"web/console", "store", false}, {"web/console", "web/api", false}, {"web/console", "web/ui", true},
		{"web/gateway", "web/gateway/upstream", true}, {"web/gateway/upstream", "web/respond", false},
		{"web/api", "web/gateway", false}, {"cmd/gatehouse", "web/api", true}, {"elsewhere", "app", false},
	} {
		if got := mayImport(c.from, c.to); got != c.allowed {
			t.Errorf("%s → %s: allowed is %v", c.from, c.to, got)
		}
	}
}

// importBreaches reads the imports of every Go file that is no test.
func importBreaches(t *testing.T, root string) (breaches []string) {
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (strings.HasPrefix(entry.Name(), ".git") || exists(filepath.Join(file, "go.mod")) && file != root) {
			return filepath.SkipDir
		}
		if filepath.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, filepath.Dir(file))
		for _, spec := range parsed.Imports {
			name, _ := strconv.Unquote(spec.Path.Value)
			from, to := filepath.ToSlash(relative), strings.TrimPrefix(name, module+"/")
			switch {
			case to == name && from == "app" && strings.Contains(name, "."):
				breaches = append(breaches, file+": app stands on the standard library alone, not on "+name)
			case to != name && !mayImport(from, to):
				breaches = append(breaches, file+": "+from+" may not import "+to)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return breaches
}

func mayImport(from, to string) bool {
	for _, row := range importTable {
		if !matches(row.room, from) {
			continue
		}
		for _, allowed := range row.may {
			if matches(allowed, to) {
				return true
			}
		}
		return false
	}
	return false // a package outside the house
}

func matches(pattern, name string) bool {
	if above, deep := strings.CutSuffix(pattern, "/**"); deep {
		return strings.HasPrefix(name, above+"/")
	}
	ok, _ := path.Match(pattern, name)
	return ok
}
