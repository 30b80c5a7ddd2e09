package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A coder reads the codes of errors out of the program's source: what
// app.Error is made with and what is assigned to a Code, be it a text, a
// constant, or a parameter of a function that others call with a text.
type coder struct {
	packages map[string]*sourcePackage // by folder, such as app/quota
	makers   map[string][]maker        // by folder and function, such as "app Conflict"
	codes    map[string]string         // code → where
	unread   []string                  // what is no code that can be read
}

type sourcePackage struct {
	files     map[string]*ast.File
	constants map[string]string
}

// maker is a parameter that becomes a code, between two texts.
type maker struct {
	index         int
	before, after string
}

// readCodes reads the non-test source of the folders.
func readCodes(t *testing.T, rooms ...string) *coder {
	t.Helper()
	c := &coder{packages: map[string]*sourcePackage{}, makers: map[string][]maker{}, codes: map[string]string{}}
	for _, room := range rooms {
		err := filepath.WalkDir(filepath.Join("..", "..", room), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "storetest") {
				return err
			}
			return c.parse(path)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for known := -1; known != c.size(); { // a maker may call another
		known = c.size()
		c.unread = nil
		for folder, p := range c.packages {
			for _, file := range p.files {
				c.read(folder, file)
			}
		}
	}
	return c
}

func (c *coder) size() (n int) {
	for _, list := range c.makers {
		n += len(list)
	}
	return n
}

func (c *coder) parse(path string) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	folder := filepath.ToSlash(strings.TrimPrefix(filepath.Dir(path), filepath.Join("..", "..")+string(filepath.Separator)))
	p := c.packages[folder]
	if p == nil {
		p = &sourcePackage{map[string]*ast.File{}, map[string]string{}}
		c.packages[folder] = p
	}
	p.files[path] = file
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Names) != len(spec.Values) {
			return true
		}
		for i, value := range spec.Values {
			if text, ok := literal(value); ok {
				p.constants[spec.Names[i].Name] = text
			}
		}
		return true
	})
	return nil
}

func literal(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(lit.Value)
	return text, err == nil
}

// read notes the codes of one file, function by function.
func (c *coder) read(folder string, file *ast.File) {
	for _, declared := range file.Decls {
		function, _ := declared.(*ast.FuncDecl)
		in := scope{c, folder, file, function}
		ast.Inspect(declared, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				if in.isError(n.Type) {
					for _, element := range n.Elts {
						if pair, ok := element.(*ast.KeyValueExpr); ok && isName(pair.Key, "Code") {
							in.note(pair.Value, "", "")
						}
					}
				}
			case *ast.AssignStmt:
				for i, left := range n.Lhs {
					if selector, ok := left.(*ast.SelectorExpr); ok && selector.Sel.Name == "Code" && i < len(n.Rhs) {
						in.note(n.Rhs[i], "", "")
					}
				}
			case *ast.CallExpr:
				for _, m := range c.makers[in.called(n.Fun)] {
					if m.index < len(n.Args) {
						in.note(n.Args[m.index], m.before, m.after)
					}
				}
			}
			return true
		})
	}
}

// scope is a declaration that is being read.
type scope struct {
	*coder
	folder   string
	file     *ast.File
	function *ast.FuncDecl // nil outside of one
}

func isName(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

func (s scope) isError(e ast.Expr) bool {
	if selector, ok := e.(*ast.SelectorExpr); ok {
		return isName(selector.X, "app") && selector.Sel.Name == "Error"
	}
	return s.folder == "app" && isName(e, "Error")
}

// called names a function by its folder: of this package, or of an imported one.
func (s scope) called(f ast.Expr) string {
	switch f := f.(type) {
	case *ast.Ident:
		return s.folder + " " + f.Name
	case *ast.SelectorExpr:
		if folder := s.imported(f.X); folder != "" {
			return folder + " " + f.Sel.Name
		}
	}
	return ""
}

func (s scope) imported(e ast.Expr) string {
	id, ok := e.(*ast.Ident)
	if !ok {
		return ""
	}
	for _, spec := range s.file.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		folder, own := strings.CutPrefix(path, "gatehouse/")
		name := path[strings.LastIndexByte(path, '/')+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if own && name == id.Name {
			return folder
		}
	}
	return ""
}

// note writes down a code: before, the expression, after.
func (s scope) note(e ast.Expr, before, after string) {
	if text, ok := s.text(e); ok {
		s.codes[before+text+after] = s.folder
		return
	}
	if sum, ok := e.(*ast.BinaryExpr); ok && sum.Op == token.ADD {
		if text, ok := s.text(sum.Y); ok {
			s.note(sum.X, before, text+after)
			return
		}
		if text, ok := s.text(sum.X); ok {
			s.note(sum.Y, before+text, after)
			return
		}
	}
	if id, ok := e.(*ast.Ident); ok && s.function != nil {
		if i := parameter(s.function.Type, id.Name); i >= 0 {
			name, m := s.folder+" "+s.function.Name.Name, maker{i, before, after}
			if !slices.Contains(s.makers[name], m) {
				s.makers[name] = append(s.makers[name], m)
			}
			return
		}
	}
	if selector, ok := e.(*ast.SelectorExpr); ok && selector.Sel.Name == "Code" {
		return // that of another error, passed on
	}
	name := "a declaration"
	if s.function != nil {
		name = s.function.Name.Name
	}
	s.unread = append(s.unread, s.folder+" "+name)
}

// text is a literal or a constant, of this package or of another.
func (s scope) text(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.Ident:
		text, ok := s.packages[s.folder].constants[e.Name]
		return text, ok
	case *ast.SelectorExpr:
		if p := s.packages[s.imported(e.X)]; p != nil {
			text, ok := p.constants[e.Sel.Name]
			return text, ok
		}
	}
	return literal(e)
}

func parameter(f *ast.FuncType, name string) (index int) {
	for _, field := range f.Params.List {
		for _, id := range field.Names {
			if id.Name == name {
				return index
			}
			index++
		}
	}
	return -1
}

// TestEveryCodeIsInTheManual compares the page on errors with the source.
func TestEveryCodeIsInTheManual(t *testing.T) {
	page, err := Pages.ReadFile("errors.md")
	if err != nil {
		t.Fatal(err)
	}
	source := readCodes(t, "app", "web", "store", "cmd", "embed")
	// The one code that is put together while the program runs: of a session
	// or a token that ended after it was first seen.
	for _, mode := range []string{"session", "jwt"} {
		source.codes[mode+"_expired"] = "web/gateway"
	}
	if !slices.Equal(source.unread, []string{"web/gateway errExpired"}) {
		t.Errorf("codes that this test cannot read: %v", source.unread)
	}
	var documented []string
	for _, heading := range regexp.MustCompile(`(?m)^### ([a-z0-9_]+)$`).FindAllStringSubmatch(string(page), -1) {
		if slices.Contains(documented, heading[1]) {
			t.Errorf("the page explains %s twice", heading[1])
		}
		documented = append(documented, heading[1])
	}
	for code, folder := range source.codes {
		if !slices.Contains(documented, code) {
			t.Errorf("%s has the code %s, which the page on errors does not explain", folder, code)
		}
	}
	for _, code := range documented {
		if source.codes[code] == "" {
			t.Errorf("the page explains %s, which nothing answers", code)
		}
	}
}
