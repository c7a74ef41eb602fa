package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/config"
)

// env is an environment of a test. HIDDEN must never be seen again.
func env(name string) (string, bool) {
	v, ok := map[string]string{
		"HIDDEN": hidden, "GRACE": "20s", "CONNS": "12", "ON": "true", "EMPTY": "", "KEY": strings.Repeat("k", 40),
	}[name]
	return v, ok
}

const hidden = "s3cr3t-value-of-a-variable"

func mustDecode(t *testing.T, doc string) config.Config {
	t.Helper()
	c, err := config.Decode([]byte(doc), env)
	if err != nil {
		t.Fatalf("Decode: %v", err)
	}
	return c
}

func TestDecodeErrors(t *testing.T) {
	for _, tt := range []struct{ name, doc, want string }{
		{"unknown key", "server:\n  listn: x", `line 2, column 3: server: unknown key "listn"; did you mean "listen"?`},
		{"unknown key in a policy", "ratelimit:\n  policies:\n    LOGIN:\n      algoritm: gcra\n      window: 1m\n      limit: 1",
			`line 4, column 7: ratelimit.policies.LOGIN: unknown key "algoritm"; did you mean "algorithm"?`},
		{"unknown key like nothing", "store: {zzzzzzzz: 1}", `line 1, column 9: store: unknown key "zzzzzzzz"; known here: url, max_conns`},
		{"twice", "data_dir: a\nlog: {level: info}\ndata_dir: b", `line 3, column 1: the key "data_dir" stands twice, first in line 1; keep one`},
		{"policy twice", "ratelimit: {policies: {A: {limit: 1}, A: {limit: 2}}}", `line 1, column 39: ratelimit.policies: the key "A" stands twice, first in line 1; keep one`},
		{"scalar for a section", "server: 8640", "line 1, column 9: server: expected a mapping of options; got a number"},
		{"secret for a section", "store: postgres://u:" + hidden + "@h/db", "line 1, column 8: store: expected a mapping of options; got text"},
		{"section for a scalar", "data_dir: {a: b}", "line 1, column 11: data_dir: expected text; got a mapping"},
		{"nothing for a scalar", "data_dir:", "line 1, column 1: data_dir: expected text; got nothing"},
		{"number for text", "data_dir: 5", "line 1, column 11: data_dir: expected text; got a number: put it in quotes"},
		{"text for a number", "store: {max_conns: many}", `line 1, column 20: store.max_conns: expected a whole number; got "many"`},
		{"quoted number", `store: {max_conns: "8"}`, `line 1, column 20: store.max_conns: expected a whole number; got "8"`},
		{"fraction", "store: {max_conns: 1.5}", "line 1, column 20: store.max_conns: expected a whole number; got a number, 1.5"},
		{"duration without unit", "idempotency: {ttl: 5}", "line 1, column 20: idempotency.ttl: expected a duration with its unit, such as 30s, 5m, 24h or 90d; got a number, 5"},
		{"negative duration", "idempotency: {ttl: -5m}", `line 1, column 20: idempotency.ttl: expected a duration with its unit, such as 30s, 5m, 24h or 90d; got "-5m"`},
		{"size", "server: {max_body: 1XB}", `line 1, column 20: server.max_body: expected a size such as 512KiB, 1MiB or 1048576; got "1XB"`},
		{"network", "server: {trusted_proxies: [proxy.local]}", `line 1, column 28: server.trusted_proxies[0]: expected a network such as 10.0.0.0/8, or an address; got "proxy.local"`},
		{"truth", "ratelimit: {policies: {LOGIN: {shadow: yes}}}", `line 1, column 40: ratelimit.policies.LOGIN.shadow: expected true or false; got "yes"`},
		{"scalar for a list", "access: {issuers: x}", "line 1, column 19: access.issuers: expected a list, such as [a, b]; got text"},
		{"empty policy", "ratelimit:\n  policies:\n    LOGIN:\n",
			"line 3, column 5: ratelimit.policies.LOGIN: the policy is empty; state window and limit, or remove it (a built-in policy is turned off by disabled: true)"},
		{"switch of no policy", "ratelimit: {policies: {LOGN: {disabled: true}}}",
			`line 1, column 30: ratelimit.policies.LOGN: there is no built-in policy of this name to adjust; state window and limit; did you mean "LOGIN"?`},
		{"missing variable", "data_dir: a${NOPE}", "line 1, column 11: data_dir: the environment has no variable NOPE; set it, or remove the option"},
		{"empty variable", "data_dir: ${EMPTY}", "line 1, column 11: data_dir: the variable EMPTY is empty; set it, or remove the option"},
		{"variable with a default", "data_dir: ${NOPE:-x}", "line 1, column 11: data_dir: a reference looks like ${NAME}, with a name of letters, digits and _ and no default; write $${ for ${ itself"},
		{"variable of another type", "idempotency: {ttl: '${HIDDEN}'}", "line 1, column 20: idempotency.ttl: expected a duration with its unit, such as 30s, 5m, 24h or 90d; got what the variable holds"},
		{"variable of another type, block", "idempotency:\n  ttl: |\n    ${HIDDEN}", "line 2, column 8: idempotency.ttl: expected a duration with its unit, such as 30s, 5m, 24h or 90d; got what the variable holds"},
		{"variable for a number", "store: {max_conns: '${HIDDEN}'}", "line 1, column 20: store.max_conns: expected a whole number; got what the variable holds"},
		{"redacted", `audit: {key: "[secret]"}`, "line 1, column 14: audit.key: expected a value; [secret] is what Gantry prints in its place. Write ${NAME} and set the variable"},
		{"anchor", "data_dir: &a x", "line 1, column 11: anchors, aliases and merge keys are not supported; write the value out"},
		{"merge", "<<: {a: b}", "line 1, column 1: anchors, aliases and merge keys are not supported; write the value out"},
		{"tag", "data_dir: !!str 5", `line 1, column 11: "!!str" is YAML that a configuration does not need; leave it out`},
		{"two documents", "data_dir: a\n---\ndata_dir: b", "line 3, column 9: a second document starts here; a configuration is one document"},
		{"deep", strings.Repeat("[", 17) + strings.Repeat("]", 17), "line 1, column 17: the document is nested too deep"},
		{"deep by dashes", strings.Repeat("- ", 100_000), "line 1, column 81: the document is nested too deep"},
		{"syntax", "server: [", "line 1, column 9: not valid YAML: sequence end token ']' not found"},
		{"list at the top", "- a", "line 1, column 1: expected a mapping of options; got a list"},
		{"not text", "\xff", "the file is not UTF-8 text"},
		{"large", strings.Repeat("#", 1<<20+1), "the file has 1048577 bytes; a configuration has at most 1048576"},
		{"several", "a: 1\nlog: {level: 5}\nb: 2", "line 1, column 1: unknown key \"a\"; known here: server, data_dir, store, counters, log, secrets, audit, access, ratelimit, idempotency, launch, media, health, signals, incidents\n" +
			"line 2, column 14: log.level: expected text; got a number: put it in quotes\n" +
			"line 3, column 1: unknown key \"b\"; known here: server, data_dir, store, counters, log, secrets, audit, access, ratelimit, idempotency, launch, media, health, signals, incidents"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := config.Decode([]byte(tt.doc), env)
			if err == nil {
				t.Fatal("accepted")
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Error(diff)
			}
			if strings.Contains(err.Error(), hidden) {
				t.Error("the error shows a value that it must not")
			}
		})
	}
}

func TestDecodeNothingIsTheDefault(t *testing.T) {
	for _, doc := range []string{"", "# nothing\n", "---\n", "server:\nratelimit:\n  policies:\naccess:\n  issuers:\n"} {
		got := mustDecode(t, doc)
		if live, restart := config.Diff(config.Default(), got); len(live)+len(restart) != 0 {
			t.Errorf("%q changes %v %v", doc, live, restart)
		}
	}
}

func TestDecodeValues(t *testing.T) {
	c := mustDecode(t, `
server:
  listen: ":1"
  trusted_proxies: [10.1.2.3/8, "2001:db8::1"]
  shutdown_grace: ${GRACE}
  max_body: 2MiB
store: {url: "postgres://u:${HIDDEN}@h/db", max_conns: "${CONNS}"}
secrets:
  hash_key: |
    ${KEY}
data_dir: /x/$${Y}
ratelimit:
  policies:
    LOGIN: {shadow: "${ON}"}
  violations_retention: 1d12h
access:
  issuers:
    - {issuer: "https://id", audience: "123", roles: {ops: moderator}}
`)
	type values struct {
		Listen, DataDir, Proxies, URL, Key string
		Grace                              time.Duration
		Body                               config.ByteSize
		Conns                              int
		Shadow                             bool
		Retention                          string
		Issuer                             config.Issuer
	}
	got := values{
		c.Server.Listen, c.DataDir, c.Server.TrustedProxies[0].String() + " " + c.Server.TrustedProxies[1].String(),
		c.Store.URL.Reveal(), c.Secrets.HashKey.Reveal(), time.Duration(c.Server.ShutdownGrace), c.Server.MaxBody,
		c.Store.MaxConns, c.RateLimit.Policies["LOGIN"].Shadow, c.RateLimit.ViolationsRetention.String(), c.Access.Issuers[0],
	}
	want := values{
		":1", "/x/${Y}", "10.0.0.0/8 2001:db8::1/128",
		"postgres://u:" + hidden + "@h/db", strings.Repeat("k", 40), 20 * time.Second, 2 << 20,
		12, true, "36h",
		config.Issuer{Issuer: "https://id", Audience: "123", RoleClaim: "role", Roles: map[string]string{"ops": "moderator"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLoad(t *testing.T) {
	if _, err := config.Load("", env); err != nil {
		t.Error("no file:", err)
	}
	if _, err := config.Load(filepath.Join(t.TempDir(), "none.yaml"), env); !errors.Is(err, os.ErrNotExist) {
		t.Error("missing file:", err)
	}
	path := filepath.Join(t.TempDir(), "gantry.yaml")
	if err := os.WriteFile(path, []byte("log:\n  level: loud\nstore: {max_conns: 0}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := config.Load(path, env)
	want := path + `:2:3: log.level: must be one of debug, info, warn, error; it is "loud"` + "\n" +
		path + `:3:9: store.max_conns: must be between 1 and 1000; it is 0`
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestVariablesAreBounded(t *testing.T) {
	big := func(string) (string, bool) { return strings.Repeat("x", 60<<10), true }
	for _, doc := range []string{"data_dir: ${A}${A}", "server: {cors_origins: [" + strings.Repeat("'${A}',", 100) + "]}"} {
		if _, err := config.Decode([]byte(doc), big); err == nil || !strings.Contains(err.Error(), "use a file") {
			t.Errorf("%.40s: %.200v", doc, err)
		}
	}
}
