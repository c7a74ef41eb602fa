package main

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"

	"avalo.app/gantry/internal/config"
)

type object = map[string]any

// Patterns of values that are text in YAML.
const (
	referencePattern = `^\$\{[A-Za-z_][A-Za-z0-9_]*\}$`
	durationPattern  = `^([0-9]+d|([0-9]+d)?([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+)$`
	sizePattern      = `^[0-9]+ *([KMG]iB|[kMG]?B)?$`
	actionPattern    = `^[A-Z][A-Z0-9_]{0,63}$`
)

// jsonSchema renders the JSON Schema, draft 2020-12.
func jsonSchema(root *node) ([]byte, error) {
	s := root.section()
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "Gantry configuration"
	s["$defs"] = object{"reference": object{
		"description": "The value of an environment variable.", "type": "string", "pattern": referencePattern,
	}}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(s)
	return b.Bytes(), err
}

func (n *node) section() object {
	properties := object{}
	for _, c := range n.children {
		properties[c.name] = c.schema()
	}
	return object{"type": []string{"object", "null"}, "properties": properties, "additionalProperties": false}
}

func (n *node) schema() object {
	s := n.shape()
	s["description"] = n.doc
	if d, ok := n.defaultJSON(); ok {
		s["default"] = d
	}
	return s
}

// shape is the schema of a value without its description.
func (n *node) shape() object {
	enum := n.tag.Get("enum")
	switch {
	case enum != "":
		return orReference(object{"enum": strings.Split(enum, ",")})
	case n.typ == reflect.TypeFor[config.Duration]():
		return orReference(object{"type": "string", "pattern": durationPattern})
	case n.typ == reflect.TypeFor[config.ByteSize]():
		return object{"anyOf": []object{{"type": "integer"}, {"type": "string", "pattern": sizePattern}, reference()}}
	case n.typ == reflect.TypeFor[config.Secret]():
		return object{"type": "string"}
	case n.isGroup():
		return n.section()
	}
	return n.plainShape()
}

func (n *node) plainShape() object {
	item := object{"type": "string"}
	if len(n.children) > 0 {
		item = n.section()
	}
	switch n.typ.Kind() {
	case reflect.Slice:
		return object{"type": []string{"array", "null"}, "items": item}
	case reflect.Map:
		s := object{"type": []string{"object", "null"}, "additionalProperties": item}
		if len(n.children) > 0 {
			item["type"] = "object"
			s["propertyNames"] = object{"pattern": actionPattern}
		}
		return s
	case reflect.Pointer:
		return item
	case reflect.Bool:
		return orReference(object{"type": "boolean"})
	case reflect.Int, reflect.Int64:
		return orReference(n.bounds(object{"type": "integer"}))
	}
	return item
}

func (n *node) bounds(s object) object {
	low, high, _ := strings.Cut(n.tag.Get("range"), "..")
	if v, err := strconv.ParseInt(low, 10, 64); err == nil {
		s["minimum"] = v
	}
	if v, err := strconv.ParseInt(high, 10, 64); err == nil {
		s["maximum"] = v
	}
	return s
}

func reference() object { return object{"$ref": "#/$defs/reference"} }

func orReference(s object) object { return object{"anyOf": []object{s, reference()}} }

// defaultJSON returns the default of an option that is a single value.
func (n *node) defaultJSON() (any, bool) {
	if !n.value.IsValid() || n.isGroup() || len(n.children) > 0 {
		return nil, false
	}
	switch n.typ.Kind() {
	case reflect.Slice:
		return []string{}, true
	case reflect.Map, reflect.Pointer:
		return nil, false
	}
	return n.value.Interface(), true
}
