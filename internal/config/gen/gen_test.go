package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
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
	docs, err := readDocs("../config.go")
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
