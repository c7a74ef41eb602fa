package config

import (
	"encoding"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// kind is how a type is written in YAML.
type kind int

const (
	scalar kind = iota
	list
	mapping
)

func kindOf(t reflect.Type) kind {
	switch {
	case t == reflect.TypeFor[Secret](), t == reflect.TypeFor[Prefix]():
		return scalar
	case t.Kind() == reflect.Slice:
		return list
	case t.Kind() == reflect.Struct, t.Kind() == reflect.Map:
		return mapping
	}
	return scalar
}

// scalar decodes one value. What is interpolated is read as v's own type, so
// that a number may come from a variable too.
func (d *decoder) scalar(n ast.Node, v reflect.Value, path string) {
	text, isText, ok := scalarText(n)
	if !ok {
		d.fail(n, path, "expected %s; got %s", expected(v), describe(n))
		return
	}
	used := false
	if isText {
		raw := text
		var err error
		if text, used, err = d.x.expand(raw); err != nil {
			d.fail(n, path, "%s", err)
			return
		}
		if used {
			d.remember(n, v, path, raw)
		}
	}
	if err := set(v, written{text, isText, used, describe(n)}); err != nil {
		d.fail(n, path, "expected %s", err)
	}
}

// remember keeps what was written in place of a variable's value. Around a
// reference in a secret there may be secrets too.
func (d *decoder) remember(n ast.Node, v reflect.Value, path, raw string) {
	if _, secret := v.Interface().(Secret); secret && !isReference(raw) {
		raw = redacted
	}
	p := d.origin[path]
	if p.line == 0 {
		d.note(n, path)
		p = d.origin[path]
	}
	p.raw = raw
	d.origin[path] = p
}

// scalarText returns a scalar as it was written; isText is false for what
// YAML reads as a number or a truth value.
func scalarText(n ast.Node) (s string, isText, ok bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true, true
	case *ast.LiteralNode:
		return n.Value.Value, true, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, false, true
	}
	return "", false, false
}

// written is a scalar after expansion.
type written struct {
	text   string
	isText bool   // not a number or truth value in YAML's eyes
	used   bool   // holds what came from a variable: never to be shown
	what   string // for errors
}

// got describes what was found, by its value if that may be shown.
func (w written) got() string {
	switch {
	case w.used:
		return "what the variable holds"
	case w.isText:
		return strconv.Quote(clip(w.text))
	}
	return w.what + ", " + clip(w.text)
}

// set parses w into v.
func set(v reflect.Value, w written) error {
	switch p := v.Addr().Interface().(type) {
	case *Secret:
		s := strings.TrimRight(w.text, "\r\n")
		if s == redacted {
			return fmt.Errorf("a value; %s is what Gantry prints in its place. Write ${NAME} and set the variable", redacted)
		}
		*p = NewSecret(s)
		return nil
	case encoding.TextUnmarshaler:
		if err := p.UnmarshalText([]byte(w.text)); err != nil {
			return fmt.Errorf("%w; got %s", err, w.got())
		}
		return nil
	}
	return setBasic(v, w)
}

func setBasic(v reflect.Value, w written) error {
	wrong := func() error { return fmt.Errorf("%s; got %s", expected(v), w.got()) }
	number := !w.isText || w.used
	switch v.Kind() {
	case reflect.String:
		if !w.isText {
			return fmt.Errorf("text; got %s: put it in quotes", w.what)
		}
		v.SetString(w.text)
	case reflect.Bool:
		b, err := strconv.ParseBool(w.text)
		if !number || err != nil || w.text != strconv.FormatBool(b) {
			return wrong()
		}
		v.SetBool(b)
	case reflect.Int, reflect.Int64:
		i, err := strconv.ParseInt(strings.ReplaceAll(w.text, "_", ""), 10, 64)
		if !number || err != nil {
			return wrong()
		}
		v.SetInt(i)
	default:
		panic("config: no decoder for " + v.Type().String()) // a field of a new type; every test finds it
	}
	return nil
}

// expected names v's type for an error.
func expected(v reflect.Value) string {
	switch p := v.Addr().Interface().(type) {
	case *Secret:
		return "text"
	case encoding.TextUnmarshaler:
		return p.UnmarshalText(nil).Error()
	}
	switch v.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	}
	return "text"
}

func readAtMost(r io.Reader, n int64) ([]byte, error) { return io.ReadAll(io.LimitReader(r, n)) }
