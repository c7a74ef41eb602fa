package config

import (
	_ "embed" // the reference and the schema
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

//go:embed reference.md
var reference string

//go:embed schema.json
var schema []byte

// Reference returns the manual of all options, in Markdown: docs/CONFIG.md.
func Reference() string { return reference }

// Schema returns the JSON Schema (draft 2020-12) of a configuration file, for
// editors: docs/gantry.schema.json.
func Schema() []byte { return append([]byte(nil), schema...) }

// Print returns c as a commented YAML document. What came from the
// environment stands there as it was written (${NAME}), and a secret that was
// written out as "[secret]". Decode reads the rest back to an equal
// configuration.
func Print(c Config) string {
	p := printer{origin: c.origin}
	p.b.WriteString("# Gantry's effective configuration. Every option: gantry config docs\n")
	var docs description
	if err := json.Unmarshal(schema, &docs); err != nil {
		panic("config: embedded schema: " + err.Error()) // a test parses it
	}
	p.section(reflect.ValueOf(c), "", "", docs)
	return p.b.String()
}

// description is the part of the schema that Print needs.
type description struct {
	Description string                 `json:"description"`
	Properties  map[string]description `json:"properties"`
}

// sentence returns the first sentence of a description.
func (d description) sentence() string {
	s, _, cut := strings.Cut(d.Description, ". ")
	if cut {
		s += "."
	}
	return s
}

type printer struct {
	b      strings.Builder
	origin origin
}

// section writes the options of a struct.
func (p *printer) section(v reflect.Value, path, indent string, docs description) {
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("yaml")
		if name == "" {
			continue
		}
		doc := docs.Properties[name]
		if indent == "" {
			p.b.WriteString("\n")
		}
		if s := doc.sentence(); s != "" {
			p.b.WriteString(indent + "# " + s + "\n")
		}
		p.entry(name, v.Field(i), join(path, name), indent, doc)
	}
}

// entry writes "name: value".
func (p *printer) entry(name string, v reflect.Value, path, indent string, docs description) {
	p.b.WriteString(indent + name + ":")
	switch {
	case v.Type() == reflect.TypeFor[map[string]Policy]() && v.Len() > 0:
		p.b.WriteString("\n")
		for _, k := range sortedKeys(v) {
			at := join(path, k)
			p.b.WriteString(indent + "  " + p.text(k) + ":\n")
			p.item(v.MapIndex(reflect.ValueOf(k)), at, indent+"    ")
		}
	case v.Type() == reflect.TypeFor[[]Rule](), v.Type() == reflect.TypeFor[[]Issuer]():
		if v.Len() == 0 {
			p.b.WriteString(" []\n")
			return
		}
		p.b.WriteString("\n")
		for i := range v.Len() {
			p.b.WriteString(indent + "  - " + p.flow(v.Index(i), item(path, i)) + "\n")
		}
	case v.Kind() == reflect.Struct && kindOf(v.Type()) == mapping:
		p.b.WriteString("\n")
		p.section(v, path, indent+"  ", docs)
	default:
		p.b.WriteString(" " + p.flow(v, path) + "\n")
	}
}

// item writes the fields of a policy that say something; the window always,
// so that it reads back as a policy of its own.
func (p *printer) item(v reflect.Value, path, indent string) {
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("yaml")
		if name == "window" || !v.Field(i).IsZero() && !isEmpty(v.Field(i)) {
			p.entry(name, v.Field(i), join(path, name), indent, description{})
		}
	}
}

func isEmpty(v reflect.Value) bool {
	return (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0
}

// flow returns a value on one line.
func (p *printer) flow(v reflect.Value, path string) string {
	if raw := p.origin[path].raw; raw != "" {
		return strconv.Quote(raw)
	}
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	var parts []string
	switch {
	case kindOf(v.Type()) == list:
		for i := range v.Len() {
			parts = append(parts, p.flow(v.Index(i), item(path, i)))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case v.Kind() == reflect.Map:
		for _, k := range sortedKeys(v) {
			parts = append(parts, p.text(k)+": "+p.flow(v.MapIndex(reflect.ValueOf(k)), join(path, k)))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case kindOf(v.Type()) == mapping:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Tag.Get("yaml"); !v.Field(i).IsZero() || name == "role_claim" {
				parts = append(parts, name+": "+p.flow(v.Field(i), join(path, name)))
			}
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return p.scalar(v)
}

func (p *printer) scalar(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case Duration:
		return x.String()
	case encoding.TextMarshaler:
		b, err := x.MarshalText()
		if err != nil {
			panic("config: " + err.Error()) // none of our types fails
		}
		return p.value(string(b))
	case string:
		return p.value(x)
	}
	return fmt.Sprint(v.Interface())
}

// value writes text in which ${ is no reference.
func (p *printer) value(s string) string { return p.text(strings.ReplaceAll(s, "${", "$${")) }

// plain matches what YAML reads as text without quotes, wherever it stands.
var plain = regexp.MustCompile(`^(\./)?[A-Za-z_/][A-Za-z0-9_+./-]*$`)

func (p *printer) text(s string) string {
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		return strconv.Quote(s)
	}
	if plain.MatchString(s) {
		return s
	}
	return strconv.Quote(s)
}
