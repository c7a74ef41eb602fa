package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Problem is one thing that is wrong with a configuration: where, what, and
// what to do. It never holds a secret or what came from a variable.
type Problem struct {
	File         string // empty: not read from a file
	Line, Column int    // 0: the value was not written anywhere
	Path         string // "ratelimit.policies.LOGIN.window"; empty: the whole document
	Text         string
}

// String returns "file:line:column: path: text", as far as they are known.
func (p Problem) String() string {
	var b strings.Builder
	switch {
	case p.File != "" && p.Line > 0:
		fmt.Fprintf(&b, "%s:%d:%d: ", p.File, p.Line, p.Column)
	case p.File != "":
		b.WriteString(p.File + ": ")
	case p.Line > 0:
		fmt.Fprintf(&b, "line %d, column %d: ", p.Line, p.Column)
	}
	if p.Path != "" {
		b.WriteString(printable(p.Path) + ": ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// Problems is the error of [Decode], [Load] and [Config.Validate]: everything
// that was found, in the order of the file.
type Problems []Problem

// maxShown bounds what Error writes; a file of another kind breaks at every
// line.
const maxShown = 30

// Error lists the problems, one a line.
func (ps Problems) Error() string {
	lines := make([]string, 0, min(len(ps), maxShown)+1)
	for i, p := range ps {
		if i == maxShown {
			lines = append(lines, fmt.Sprintf("and %d more", len(ps)-maxShown))
			break
		}
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n")
}

// err returns ps as an error, nil if there are none.
func (ps Problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// printable keeps the names of a hostile file from breaking lines or filling
// a terminal.
func printable(path string) string {
	const most = 200
	if len(path) > most {
		path = strings.ToValidUTF8(path[:most], "") + "…"
	}
	if q := strconv.Quote(path); q != `"`+path+`"` {
		return q
	}
	return path
}
