package incident

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of texts, in bytes.
const (
	maxSummary = 1000 // PagerDuty takes 1024 characters
	maxValue   = 500
	maxName    = 200 // of rules and objects
	maxReason  = 500
)

// secrets finds what looks like a credential in a text.
var secrets = regexp.MustCompile(`(?i)` +
	`(?:[a-z][a-z0-9+.-]*://)[^\s/@]*@` + // the user part of a URL
	`|\b(?:bearer|geniekey)\s+[a-z0-9._~+/=-]{6,}|\bbasic\s+[a-z0-9+/=]{16,}` +
	`|\b(?:gk|whsec|sk|rk|xox[a-z]|ghp)[_-][a-z0-9_./+=-]{6,}` + // keys of Gantry, webhooks, Stripe, Slack, GitHub
	`|\beyJ[a-z0-9_-]+\.[a-z0-9_-]+\.[a-z0-9_-]*` + // JWTs
	`|\b[a-z_-]*(?:password|passwd|secret|token|api_?key|routing_key)["']?\s*[=:]\s*["']?[^\s"',;&]+` +
	`|hooks\.slack\.com/[^\s"']+` +
	`|[a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{2,}`) // e-mail addresses

// Clean makes a text from a source fit to be shown, stored and sent: without
// what looks like a credential or an e-mail address, without control
// characters, valid, and not longer than a screen. It is the second line of
// defence: the first is that sources put neither in.
func Clean(s string) string { return clean(s, maxValue) }

func clean(s string, limit int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, s)
	return cut(secrets.ReplaceAllString(s, "[removed]"), limit)
}

// cut shortens s to at most n bytes, between characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	n -= len("…")
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
