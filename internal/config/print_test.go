package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/config"
)

// checkRoundTrip fails unless Print(c) reads back to a configuration that
// differs in nothing and prints the same.
func checkRoundTrip(t *testing.T, c config.Config) {
	t.Helper()
	text := config.Print(c)
	again, err := config.Decode([]byte(text), env)
	if err != nil {
		t.Fatalf("what Print wrote is refused: %v\n%s", err, text)
	}
	if live, restart := config.Diff(c, again); len(live)+len(restart) > 0 {
		t.Fatalf("the round trip changes %v %v:\n%s", live, restart, text)
	}
	if diff := cmp.Diff(text, config.Print(again)); diff != "" {
		t.Fatal(diff)
	}
}

const full = `
server: {listen: ":1", trusted_proxies: [10.0.0.0/8, "::1"], cors_origins: ["*"], max_body: 1500000, shutdown_grace: "${GRACE}"}
data_dir: "a: b # ${HIDDEN} $${X}"
store: {url: "${HIDDEN}", max_conns: "${CONNS}"}
audit: {key: "${KEY}"}
access:
  issuers:
    - {issuer: "https://id", audience: "123", role_claim: "", roles: {"yes": app, "a: b": "${KEY}"}, default_role: app}
    - {issuer: "https://id2", audience: x, default_role: admin}
ratelimit:
  policies:
    LOGIN: {shadow: "${ON}", on_failure: closed, block: {after: 3, for: 15m}}
    "A b": {limit: 1, burst: 2, algorithm: gcra, rules: [{scope: ip, limit: 4, burst: 5}], disabled: true}
  violations_retention: 36h
`

func TestPrintRoundTrip(t *testing.T) {
	for _, doc := range []string{"", full, "log: {level: 'null'}\ndata_dir: \"\\u0000\\x7f\\n żółć\"\naudit: {origin: '12'}"} {
		checkRoundTrip(t, mustDecode(t, doc))
	}
}

func TestPrint(t *testing.T) {
	text := config.Print(mustDecode(t, full))
	for _, want := range []string{
		"server:\n  # Address to listen on, host:port.\n  listen: \":1\"\n",
		"  shutdown_grace: \"${GRACE}\"\n", "  url: \"${HIDDEN}\"\n",
		"    LOGIN:\n      window: 5m\n      limit: 50\n      rules:\n        - {scope: user+ip, limit: 10}\n",
		"      block: {after: 3, for: 15m}\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
	if strings.Contains(text, hidden) {
		t.Error("a value of a variable is printed")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte(config.Print(config.Default())))
	for _, doc := range []string{"", "a: b", "- x", "server: {listen: '${HIDDEN}'}", "data_dir: |\n  x\n", "ratelimit: {policies: {LOGIN: {disabled: true}}}",
		"a: b: c: d: e", "? x\n: y", "[[[{", "&a [*a]", "!!x y", "\t", "---\n---\n", "a: >-\n b\n\n c", "{a: {b: {c: ['", "audit: {key: abc}", "server: {max_body: 1e3}"} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.Decode(data, env)
		if err != nil {
			if strings.Contains(err.Error(), hidden) && !strings.Contains(string(data), hidden) {
				t.Fatal("the error shows the value of a variable")
			}
			return
		}
		if err := c.Validate(); err == nil {
			c.Policies()
		}
		text := config.Print(c)
		if strings.Contains(text, hidden) && !strings.Contains(string(data), hidden) {
			t.Fatal("Print shows the value of a variable")
		}
		if !strings.Contains(text, "[secret]") { // what is redacted cannot read back
			checkRoundTrip(t, c)
		}
	})
}
