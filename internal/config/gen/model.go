package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"

	"avalo.app/gantry/internal/config"
)

// node is one option, section or kind of list item.
type node struct {
	name, path string
	doc        string
	typ        reflect.Type
	tag        reflect.StructTag
	live       bool
	value      reflect.Value // the default; invalid within list and map items
	children   []*node       // of a section, or of the items of a list or map
}

// readDocs returns the doc comments of the structs in the Go files of a
// pattern, by "Type" and "Type.Field", each paragraph on one line.
func readDocs(pattern string) (map[string]string, error) {
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return nil, err
	}
	docs := make(map[string]string)
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		addDocs(docs, file)
	}
	return docs, nil
}

func addDocs(docs map[string]string, file *ast.File) {
	for _, d := range file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.TYPE {
			continue
		}
		for _, s := range g.Specs {
			t := s.(*ast.TypeSpec)
			docs[t.Name.Name] = unwrap(g.Doc.Text())
			if st, ok := t.Type.(*ast.StructType); ok {
				for _, f := range st.Fields.List {
					for _, n := range f.Names {
						docs[t.Name.Name+"."+n.Name] = unwrap(f.Doc.Text())
					}
				}
			}
		}
	}
}

func unwrap(s string) string {
	paragraphs := strings.Split(strings.TrimSpace(s), "\n\n")
	for i, p := range paragraphs {
		paragraphs[i] = strings.ReplaceAll(p, "\n", " ")
	}
	return strings.Join(paragraphs, "\n\n")
}

// build joins the structs with their docs. A field without a doc comment is
// an error: it would be an option nobody can look up.
func build(docs map[string]string) (*node, error) {
	root := &node{typ: reflect.TypeFor[config.Config](), value: reflect.ValueOf(config.Default())}
	return root, root.fill(docs)
}

func (n *node) fill(docs map[string]string) error {
	t := elem(n.typ)
	if !isSection(t) {
		return nil
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("yaml")
		if name == "" {
			if f.IsExported() {
				return fmt.Errorf("%s.%s has no yaml tag", t.Name(), f.Name)
			}
			continue
		}
		c := &node{name: name, path: name, typ: f.Type, tag: f.Tag, doc: docs[t.Name()+"."+f.Name]}
		if c.doc == "" {
			return fmt.Errorf("%s.%s has no doc comment", t.Name(), f.Name)
		}
		if n.path != "" {
			c.path = n.path + suffix(n.typ) + "." + name
		}
		c.live = n.live || f.Tag.Get("reload") == "live"
		if n.value.IsValid() && n.typ.Kind() == reflect.Struct {
			c.value = n.value.Field(i)
		}
		if err := c.fill(docs); err != nil {
			return err
		}
		n.children = append(n.children, c)
	}
	return nil
}

// elem returns what a list, map or pointer holds.
func elem(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Map || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// suffix marks a step into an item in a path.
func suffix(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Slice:
		return "[]"
	case reflect.Map:
		if t == reflect.TypeFor[map[string]config.Policy]() {
			return ".ACTION"
		}
		return ".NAME"
	}
	return ""
}

func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != reflect.TypeFor[config.Secret]() && t != reflect.TypeFor[config.Prefix]()
}

// isGroup reports whether the option is only a heading for others.
func (n *node) isGroup() bool { return isSection(n.typ) }
