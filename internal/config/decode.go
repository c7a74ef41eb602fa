package config

import (
	"fmt"
	"os"
	"reflect"
	"slices"

	"github.com/goccy/go-yaml/ast"
)

// Load returns the validated configuration in the file at path, or Default
// if path is empty. lookupEnv is os.LookupEnv outside of tests. The error is
// [Problems], or says why the file cannot be read.
func Load(path string, lookupEnv func(string) (string, bool)) (Config, error) {
	if path == "" {
		return Default(), nil
	}
	data, err := readFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("config: %w", err)
	}
	c, ps := decode(data, lookupEnv)
	if len(ps) == 0 {
		ps = c.problems()
	}
	for i := range ps {
		ps[i].File = path
	}
	return c, ps.err()
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read
	return readAtMost(f, maxSize+1)
}

// Decode reads a YAML document over the defaults. It accepts no key it does
// not know, no key twice, no value of another type, and reports everything
// it finds at once, as [Problems]. ${NAME} in a value is replaced by the
// variable that lookupEnv returns; $${ stands for ${. Whether the values make
// sense is for Validate to say.
func Decode(data []byte, lookupEnv func(string) (string, bool)) (Config, error) {
	c, ps := decode(data, lookupEnv)
	return c, ps.err()
}

func decode(data []byte, lookupEnv func(string) (string, bool)) (Config, Problems) {
	c := Default()
	root, ps := parse(data)
	if len(ps) > 0 {
		return c, ps
	}
	c.origin = make(origin)
	d := decoder{x: expander{lookup: lookupEnv}, origin: c.origin}
	if root != nil {
		d.value(root, reflect.ValueOf(&c).Elem(), "")
	}
	slices.SortStableFunc(d.problems, byPlace)
	return c, d.problems
}

func byPlace(a, b Problem) int {
	if a.Line != b.Line {
		return a.Line - b.Line
	}
	return a.Column - b.Column
}

// decoder writes nodes into the struct and notes where they stood.
type decoder struct {
	x        expander
	origin   origin
	problems Problems
}

func (d *decoder) fail(n ast.Node, path, format string, args ...any) {
	p := problemAt(firstToken(n), path, fmt.Sprintf(format, args...))
	if key, ok := d.origin[path]; ok && n.Type() == ast.NullType {
		p.Line, p.Column = key.line, key.column
	}
	d.problems = append(d.problems, p)
}

// value decodes n into v. Sections and lists that are written without any
// content are as good as absent.
func (d *decoder) value(n ast.Node, v reflect.Value, path string) {
	if v.Kind() == reflect.Pointer {
		p := reflect.New(v.Type().Elem())
		d.value(n, p.Elem(), path)
		v.Set(p)
		return
	}
	_, null := n.(*ast.NullNode)
	switch kind := kindOf(v.Type()); {
	case kind == scalar:
		d.scalar(n, v, path)
	case null && v.Type() == reflect.TypeFor[Policy]():
		d.fail(n, path, "the policy is empty; state window and limit, or remove it (a built-in policy is turned off by disabled: true)")
	case null:
	case kind == list:
		d.list(n, v, path)
	default:
		d.mapping(n, v, path)
	}
}

func (d *decoder) list(n ast.Node, v reflect.Value, path string) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		d.fail(n, path, "expected a list, such as [a, b]; got %s", describe(n))
		return
	}
	if len(seq.Values) == 0 {
		v.SetZero()
		return
	}
	out := reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values))
	for i, item := range seq.Values {
		at := fmt.Sprintf("%s[%d]", path, i)
		d.note(item, at)
		out.Index(i).Set(blank(v.Type().Elem()))
		d.value(item, out.Index(i), at)
	}
	v.Set(out)
}

func (d *decoder) note(n ast.Node, path string) {
	if t := firstToken(n); t != nil && t.Position != nil {
		d.origin[path] = place{line: t.Position.Line, column: t.Position.Column}
	}
}

// mapping decodes into a struct or a map with text keys.
func (d *decoder) mapping(n ast.Node, v reflect.Value, path string) {
	pairs, ok := entries(n)
	if !ok {
		d.fail(n, path, "expected a mapping of options; got %s", describe(n))
		return
	}
	seen := make(map[string]int, len(pairs))
	for _, pair := range pairs {
		key, ok := pair.Key.(*ast.StringNode)
		if !ok {
			d.fail(pair.Key, path, "a key is a word; got %s", describe(pair.Key))
			continue
		}
		if line, twice := seen[key.Value]; twice {
			d.fail(key, path, "the key %q stands twice, first in line %d; keep one", clip(key.Value), line)
			continue
		}
		seen[key.Value] = key.Token.Position.Line
		if v.Kind() == reflect.Struct {
			d.field(key, pair.Value, v, path)
			continue
		}
		at := join(path, key.Value)
		d.note(key, at)
		item := reflect.New(v.Type().Elem()).Elem()
		item.Set(d.start(item.Type(), key.Value, pair.Value, at))
		d.value(pair.Value, item, at)
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
		v.SetMapIndex(reflect.ValueOf(key.Value), item)
	}
}

func (d *decoder) field(key *ast.StringNode, n ast.Node, v reflect.Value, path string) {
	var names []string
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name := f.Tag.Get("yaml")
		if name == "" {
			continue
		}
		if name == key.Value {
			at := join(path, name)
			d.note(key, at)
			d.value(n, v.Field(i), at)
			return
		}
		names = append(names, name)
	}
	d.fail(key, path, "unknown key %q%s", clip(key.Value), suggest(key.Value, names))
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
