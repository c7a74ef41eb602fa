// Command gen writes the reference of the configuration and its JSON Schema
// from the structs of package config: their doc comments, tags and defaults.
// Run it by go generate ./internal/config.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	files, err := generate(".")
	if err == nil {
		err = write(files)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// generate returns the files to write, by path from dir, the folder of
// package config.
func generate(dir string) (map[string][]byte, error) {
	docs, err := readDocs(filepath.Join(dir, "config*.go"))
	if err != nil {
		return nil, err
	}
	root, err := build(docs)
	if err != nil {
		return nil, err
	}
	reference := markdown(root)
	schema, err := jsonSchema(root)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		"reference.md":                  reference,
		"schema.json":                   schema,
		"../../docs/CONFIG.md":          reference,
		"../../docs/gantry.schema.json": schema,
	}, nil
}

func write(files map[string][]byte) error {
	for path, data := range files {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
