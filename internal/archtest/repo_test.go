package archtest_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const root = "../.."

// goPackage is one folder of Go files, whatever their build tags.
type goPackage struct {
	folder  string // "internal/audit"; "." for the top
	name    string
	hasDoc  bool
	imports []edge
	files   []*ast.File // without tests
	fset    *token.FileSet
}

// readRepo parses every package of the module.
func readRepo(t *testing.T) []*goPackage {
	t.Helper()
	byFolder := make(map[string]*goPackage)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skip(path, d.Name())
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		folder = filepath.ToSlash(folder)
		p := byFolder[folder]
		if p == nil {
			p = &goPackage{folder: folder, fset: token.NewFileSet()}
			byFolder[folder] = p
		}
		return p.read(path)
	})
	if err != nil {
		t.Fatal(err)
	}
	var out []*goPackage
	for _, folder := range sortedFolders(byFolder) {
		out = append(out, byFolder[folder])
	}
	if len(out) < 10 {
		t.Fatalf("only %d packages found under %s", len(out), root)
	}
	return out
}

func sortedFolders(m map[string]*goPackage) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// skip leaves out what is no part of the module.
func skip(path, name string) error {
	if path == root {
		return nil
	}
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "node_modules" || name == "testdata" {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil {
		return filepath.SkipDir // a module of its own
	}
	return nil
}

func (p *goPackage) read(path string) error {
	f, err := parser.ParseFile(p.fset, path, nil, parser.ParseComments)
	if err != nil {
		return err
	}
	test := strings.HasSuffix(path, "_test.go")
	for _, i := range f.Imports {
		to, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return err
		}
		p.imports = append(p.imports, edge{from: p.folder, to: to, test: test})
	}
	if !test {
		p.files = append(p.files, f)
		p.name = f.Name.Name
	}
	p.hasDoc = p.hasDoc || f.Doc != nil
	return nil
}

func TestImports(t *testing.T) {
	for _, p := range readRepo(t) {
		for _, e := range p.imports {
			for _, v := range violations(e) {
				t.Error(v)
			}
		}
	}
}

func TestDeclarations(t *testing.T) {
	for _, p := range readRepo(t) {
		for _, v := range p.declarations() {
			t.Errorf("%s: %s", p.folder, v)
		}
	}
}

var drawers = []string{"util", "utils", "common", "helper", "helpers", "manager", "types"}

// declarations returns what breaks rule 8 in a package.
func (p *goPackage) declarations() []string {
	var out []string
	if !p.hasDoc {
		out = append(out, "rule 8: no package comment; say in one sentence what the package promises")
	}
	if slices.Contains(drawers, p.name) || slices.Contains(drawers, filepath.Base(p.folder)) {
		out = append(out, "rule 8: a name that fits everything collects everything; name the package after its subject")
	}
	vars := p.packageVars()
	for _, f := range p.files {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if fn.Recv == nil && fn.Name.Name == "init" {
				out = append(out, p.at(fn)+": rule 8: init runs unseen and in an order nobody chose; call it from where it is needed")
			}
			out = append(out, p.writes(fn, vars)...)
		}
	}
	return out
}

func (p *goPackage) at(n ast.Node) string {
	pos := p.fset.Position(n.Pos())
	return fmt.Sprintf("%s:%d", filepath.Base(pos.Filename), pos.Line)
}

// packageVars returns the names of the package's variables.
func (p *goPackage) packageVars() map[string]bool {
	vars := make(map[string]bool)
	for _, f := range p.files {
		for _, d := range f.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
				for _, s := range g.Specs {
					for _, n := range s.(*ast.ValueSpec).Names {
						vars[n.Name] = n.Name != "_"
					}
				}
			}
		}
	}
	return vars
}

// writes returns the assignments of a function to variables of its package.
// The parser has bound names to locals; what it bound to nothing, or to a
// declaration at the top of the file, is the package's.
func (p *goPackage) writes(fn *ast.FuncDecl, vars map[string]bool) []string {
	var out []string
	check := func(x ast.Expr) {
		for {
			if i, ok := x.(*ast.IndexExpr); ok {
				x = i.X
				continue
			}
			break
		}
		id, ok := x.(*ast.Ident)
		if !ok || !vars[id.Name] {
			return
		}
		if id.Obj == nil || slices.ContainsFunc(p.files, func(f *ast.File) bool { return f.Scope.Lookup(id.Name) == id.Obj }) {
			out = append(out, p.at(id)+": rule 8: "+id.Name+" is a variable of the package and written after start; hidden state couples what looks separate")
		}
	}
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, x := range n.Lhs {
					check(x)
				}
			}
		case *ast.IncDecStmt:
			check(n.X)
		}
		return true
	})
	return out
}

// newPackage parses files as one package.
func newPackage(t *testing.T, folder string, files ...string) *goPackage {
	t.Helper()
	p := &goPackage{folder: folder, fset: token.NewFileSet()}
	for _, f := range files {
		if err := p.read(f); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
