package config_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"avalo.app/gantry/internal/config"
)

// A hostile file is refused, and within a moment: the work grows with its
// size, the error does not.
func TestHostileFiles(t *testing.T) {
	const size = 1 << 18
	fill := func(s string) string { return strings.Repeat(s, size/len(s)) }
	var keys strings.Builder
	for i := 0; keys.Len() < size-20; i++ {
		fmt.Fprintf(&keys, "k%d: v\n", i)
	}
	for name, doc := range map[string]string{
		"keys": keys.String(), "keys within bounds": keys.String()[:80_000], "same key within bounds": strings.Repeat("a: b\n", 9_999), "same key": fill("a: b\n"), "dashes": fill("- "), "open": fill("["), "maps": fill("{a: "),
		"colons": fill("a: "), "questions": fill("? "), "flat": "[" + fill("a,"), "long key": fill("k") + ": v", "quotes": fill("'"),
		"stairs": stairs(), "items": "access:\n  issuers:\n" + strings.Repeat("    - a\n", 30_000), "spaces": fill(" "), "tabs": fill("\t"),
		"newlines": "a:" + fill("\n"), "comments": fill("# x\n") + "a: b",
	} {
		start := time.Now()
		_, err := config.Decode([]byte(doc), env)
		if took := time.Since(start); took > time.Minute { // far above what it takes on a loaded machine, below the 150 s of an unbounded file
			t.Errorf("%s: took %s", name, took)
		} else {
			t.Logf("%s: %s", name, took)
		}
		if err != nil && len(err.Error()) > 20_000 {
			t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
		}
	}
}

func stairs() string {
	var b strings.Builder
	for i := 0; b.Len() < 1<<18; i++ {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}
