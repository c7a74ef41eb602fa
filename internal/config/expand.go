package config

import (
	"fmt"
	"strings"
)

// Bounds of what variables add to a configuration.
const (
	maxVariable = 64 << 10 // bytes of one value after expansion
	maxExpanded = 4 << 20  // bytes of all
)

// expander replaces ${NAME} by the value of a variable. No error of its
// names a value.
type expander struct {
	lookup func(string) (string, bool)
	total  int
}

// expand returns s with its references replaced, $${ standing for ${ itself;
// used tells whether there was any reference.
func (x *expander) expand(s string) (out string, used bool, err error) {
	if !strings.Contains(s, "${") {
		return s, false, nil
	}
	var b strings.Builder
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			b.WriteString(s)
			return b.String(), used, nil
		}
		if i > 0 && s[i-1] == '$' {
			b.WriteString(s[:i-1] + "${")
			s = s[i+2:]
			continue
		}
		b.WriteString(s[:i])
		name, rest, ok := strings.Cut(s[i+2:], "}")
		if !ok || !isVariable(name) {
			return "", true, fmt.Errorf("a reference looks like ${NAME}, with a name of letters, digits and _ and no default; write $${ for ${ itself")
		}
		v, err := x.value(name)
		if err != nil {
			return "", true, err
		}
		if x.total += len(v); b.Len()+len(v) > maxVariable || x.total > maxExpanded {
			return "", true, fmt.Errorf("the variables make this longer than %d KiB; use a file", maxVariable>>10)
		}
		b.WriteString(v)
		s, used = rest, true
	}
}

func (x *expander) value(name string) (string, error) {
	v, ok := x.lookup(name)
	switch {
	case !ok:
		return "", fmt.Errorf("the environment has no variable %s; set it, or remove the option", name)
	case v == "":
		// An empty key or URL would silently mean "the default".
		return "", fmt.Errorf("the variable %s is empty; set it, or remove the option", name)
	}
	return v, nil
}

func isVariable(s string) bool {
	if s == "" || len(s) > 128 || '0' <= s[0] && s[0] <= '9' {
		return false
	}
	for _, c := range []byte(s) {
		if c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// isReference reports whether s is one reference and nothing else.
func isReference(s string) bool {
	name, ok := strings.CutPrefix(s, "${")
	if !ok {
		return false
	}
	name, ok = strings.CutSuffix(name, "}")
	return ok && isVariable(name)
}
