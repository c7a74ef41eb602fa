package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// quote writes an argument as a POSIX shell reads it back.
func quote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@+,=") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// stamp is a moment for people, "-" if there is none.
func stamp(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// or is a value for people, or what stands for its absence.
func or(s, absent string) string {
	if s == "" {
		return absent
	}
	return s
}

// places writes open countries as answers carry them: a list, or "ALL".
func places(v any) string {
	list, ok := v.([]any)
	if !ok {
		return fmt.Sprint(v)
	}
	if len(list) == 0 {
		return "none"
	}
	words := make([]string, len(list))
	for i, c := range list {
		words[i] = fmt.Sprint(c)
	}
	return strings.Join(words, " ")
}

// bound writes a cap.
func bound(n *int64) string {
	if n == nil {
		return "unlimited"
	}
	return strconv.FormatInt(*n, 10)
}

// words is a list for people.
func words(list []string) string { return or(strings.Join(list, " "), "none") }
