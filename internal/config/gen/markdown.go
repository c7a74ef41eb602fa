package main

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"avalo.app/gantry/internal/config"
)

const intro = `<!-- Generated from internal/config/config.go by go generate; do not edit. -->

# Configuration

Gantry reads one YAML file: ` + "`gantry serve --config gantry.yaml`" + `. Without one, every option has the default given
here. ` + "`gantry config check`" + ` says what is wrong with a file, ` + "`gantry config print`" + ` shows what is in force, and
` + "`gantry config schema`" + ` writes a JSON Schema for editors.

- An unknown key, a key given twice and a value of another type are refused, with line and column.
- ` + "`${NAME}`" + ` in a value is replaced by the environment variable NAME, which must be set and not empty; ` + "`$${`" + ` stands for
  ` + "`${`" + `. Secrets and what came from variables are never printed.
- Durations have a unit: ` + "`30s`, `5m`, `24h`, `90d`" + `. Sizes have one too: ` + "`512KiB`, `1MiB`" + `.
- Anchors, aliases, merge keys and tags are not supported. A file has at most 1 MiB and 10,000 keys.
- **live** options change when the configuration is reloaded; the others need a **restart**.
`

// markdown renders the reference.
func markdown(root *node) []byte {
	var b bytes.Buffer
	b.WriteString(intro)
	for _, n := range root.children {
		n.markdown(&b)
	}
	return b.Bytes()
}

func (n *node) markdown(b *bytes.Buffer) {
	level := "###"
	if !strings.Contains(n.path, ".") {
		level = "##"
	}
	fmt.Fprintf(b, "\n%s `%s`\n\n", level, n.path)
	if !n.isGroup() {
		b.WriteString(n.facts() + "\n\n")
	}
	b.WriteString(n.doc + "\n")
	if e := n.tag.Get("example"); e != "" {
		fmt.Fprintf(b, "\nExample: `%s: %s`\n", n.name, quoted(n.typ, e))
	}
	if n.typ == reflect.TypeFor[map[string]config.Policy]() {
		builtin(b)
	}
	for _, c := range n.children {
		c.markdown(b)
	}
}

// quoted writes an example as YAML wants it: text that starts like another
// thing stands in quotes.
func quoted(t reflect.Type, example string) string {
	if t.Kind() == reflect.String && strings.ContainsAny(example[:1], ":*[{") {
		return `"` + example + `"`
	}
	return example
}

// facts is the line under an option's name.
func (n *node) facts() string {
	facts := []string{n.label()}
	if r := n.tag.Get("range"); r != "" {
		facts[0] += ", " + strings.Replace(r, "..", " to ", 1)
	}
	if n.value.IsValid() {
		facts = append(facts, "default "+n.defaultText())
	}
	if n.live {
		return strings.Join(append(facts, "live"), " · ")
	}
	return strings.Join(append(facts, "restart"), " · ")
}

// label names the option's type.
func (n *node) label() string {
	if e := n.tag.Get("enum"); e != "" {
		return "one of `" + strings.Join(strings.Split(strings.TrimPrefix(e, ","), ","), "`, `") + "`"
	}
	switch n.typ {
	case reflect.TypeFor[config.Secret]():
		return "secret"
	case reflect.TypeFor[config.Duration]():
		return "duration"
	case reflect.TypeFor[config.ByteSize]():
		return "size"
	}
	switch n.typ.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "whole number"
	case reflect.Slice:
		return "list"
	case reflect.Map, reflect.Pointer:
		return "mapping"
	}
	return "text"
}

func (n *node) defaultText() string {
	switch {
	case n.typ == reflect.TypeFor[map[string]config.Policy]():
		return "the built-in policies below"
	case n.value.IsZero() && n.typ.Kind() != reflect.Bool && n.typ.Kind() != reflect.Int:
		return "empty"
	}
	return fmt.Sprintf("`%v`", n.value.Interface())
}

// builtin writes the table of the built-in policies.
func builtin(b *bytes.Buffer) {
	policies := config.Default().RateLimit.Policies
	b.WriteString("\n| action | window | per user | burst | also, in the same window |\n|---|---|---|---|---|\n")
	for _, action := range slices.Sorted(maps.Keys(policies)) {
		p := policies[action]
		var also []string
		for _, r := range p.Rules {
			also = append(also, fmt.Sprintf("%d per %s", r.Limit, r.Scope))
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", action, p.Window, count(p.Limit), count(p.Burst), strings.Join(also, ", "))
	}
}

func count(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}
