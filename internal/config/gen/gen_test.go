package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/config"
)

func TestGeneratedFilesAreCurrent(t *testing.T) {
	files, err := generate("..")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range files {
		got, err := os.ReadFile(filepath.Join("..", path))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is stale: run go generate ./internal/config\n%s", path, diff)
		}
	}
}

// Every option has an example that shows its form, and says when it takes
// effect; build has refused those without a doc comment.
func TestEveryOptionIsDocumented(t *testing.T) {
	docs, err := readDocs("../config*.go")
	if err != nil {
		t.Fatal(err)
	}
	root, err := build(docs)
	if err != nil {
		t.Fatal(err)
	}
	var walk func(n *node)
	walk = func(n *node) {
		if len(n.children) == 0 && n.tag.Get("example") == "" {
			t.Errorf("%s has no example", n.path)
		}
		if e := n.tag.Get("example"); e != "" {
			checkExample(t, n.path, quoted(n.typ, e))
		}
		for _, c := range n.children {
			walk(c)
		}
	}
	walk(root)
	delete(docs, "Server.Listen")
	if _, err := build(docs); err == nil {
		t.Error("a field without a doc comment is accepted")
	}
}

// checkExample fails unless the example of an option reads as one.
func checkExample(t *testing.T, path, example string) {
	t.Helper()
	var doc, indent string
	for step := range strings.SplitSeq(strings.NewReplacer("ACTION", "LOGIN", "NAME", "name").Replace(path), ".") {
		name, isList := strings.CutSuffix(step, "[]")
		doc += indent + name + ":\n"
		indent += "  "
		if isList {
			doc += indent + "-\n"
			indent += "  "
		}
	}
	doc = strings.TrimSuffix(doc, "\n") + " " + example + "\n"
	env := func(string) (string, bool) { return "x", true }
	if _, err := config.Decode([]byte(doc), env); err != nil {
		t.Errorf("the example of %s does not read: %v\n%s", path, err, doc)
	}
}
