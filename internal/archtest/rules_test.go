package archtest_test

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

const module = "avalo.app/gantry/"

// edge is one import: the importing package by its folder ("internal/audit"),
// what it imports, and whether a _test.go file does it.
type edge struct {
	from, to string
	test     bool
}

// row is one import rule.
type row struct {
	name    string
	reason  string
	forbids func(from, to string) bool
}

// features hold rules; each may import the pure libraries made for its
// subject.
var features = map[string][]string{
	"audit":       {"golang.org/x/mod/sumdb/"},
	"ratelimit":   {"github.com/dchest/siphash"},
	"access":      {"golang.org/x/text/"},
	"hostsignal":  nil,
	"idempotency": nil,
	"lease":       nil,
	"launch":      {"golang.org/x/text/", "github.com/biter777/countries"},
	"media":       {"github.com/gabriel-vasile/mimetype", "golang.org/x/text/"},
	"media/walk":  {"github.com/gabriel-vasile/mimetype"},
	"health":      {"github.com/robfig/cron/v3"},
	"incident":    nil,
	"recovery":    nil,
	"readiness":   nil,
	"countdown":   nil,
}

// families are the drivers. Below counters, probe, notify and source each
// folder is a driver of its own.
var families = []string{"internal/store", "internal/counters", "internal/oidc", "internal/geoip", "internal/hostdb", "internal/blob", "internal/clamd", "internal/resumable", "internal/probe", "internal/notify", "internal/source"}

var transports = []string{"internal/httpapi", "internal/grpcapi", "internal/console", "internal/cli"}

// rows are the import rules, numbered as in docs/ARCHITECTURE.md.
var rows = []row{
	{name: "1 leaves", reason: "fault, api and signal are understood and imported by all, so they need nothing but the standard library",
		forbids: func(from, to string) bool {
			return slices.Contains([]string{"internal/fault", "api", "internal/signal"}, from) && !isStd(to)
		}},
	{name: "2 features", reason: "a feature's rules are read and tested without I/O and without another feature; what features tell each other goes through signal, or through functions that app wires",
		forbids: forbidsFeature},
	{name: "3 drivers", reason: "a driver is replaced or removed without touching another; it knows the feature that it serves, and no caller",
		forbids: func(from, to string) bool {
			d, other := driver(from), driver(local(to))
			return d != "" && (other != "" && other != d && !within(other, d) && !within(d, other) || isAny(to, transports) || isAny(to, []string{"internal/app", "internal/config"}))
		}},
	{name: "3 egress", reason: "egress guards outbound requests for every driver, so it knows none of them",
		forbids: func(from, to string) bool {
			return within(from, "internal/egress") && local(to) != "" && !isAny(to, []string{"internal/egress", "internal/fault", "internal/signal"})
		}},
	{name: "4 transports", reason: "a transport translates requests into calls of services; how things are stored or counted, and what other transports do, is not its business",
		forbids: func(from, to string) bool {
			t := slices.IndexFunc(transports, func(t string) bool { return within(from, t) })
			return t >= 0 && (driver(local(to)) != "" || slices.ContainsFunc(transports, func(o string) bool { return o != transports[t] && isAny(to, []string{o}) }))
		}},
	{name: "5 wiring: drivers", reason: "which driver serves is decided in one place",
		forbids: func(from, to string) bool {
			return driver(local(to)) != "" && driver(from) == "" && from != "internal/app"
		}},
	{name: "5 wiring: app", reason: "the program is a value; the command line is the one that runs it",
		forbids: func(from, to string) bool { return local(to) == "internal/app" && from != "internal/cli" }},
	{name: "5 wiring: cli", reason: "the command line is called by main and nobody else",
		forbids: func(from, to string) bool { return local(to) == "internal/cli" && from != "cmd/gantry" }},
	{name: "5 wiring: config", reason: "app turns the configuration into the options of each part, so that no part depends on how Gantry is configured",
		forbids: func(from, to string) bool {
			return local(to) == "internal/config" && !slices.Contains([]string{"internal/app", "internal/cli", "internal/config/gen"}, from)
		}},
	{name: "6 public packages", reason: "what users compile against must not change because something internal does; api, client and guard carry nobody's dependencies",
		forbids: func(from, to string) bool {
			public := map[string][]string{"api": nil, "client": {"api"}, "guard": {"api", "client"}}
			top, _, _ := strings.Cut(from, "/")
			allowed, ok := public[top]
			return ok && !isStd(to) && local(to) != top && !slices.Contains(allowed, local(to)) && !strings.HasPrefix(local(to), top+"/")
		}},
	{name: "7 test packages", reason: "conformance suites and fakes must not end up in the binary",
		forbids: func(from, to string) bool { return isTestPackage(local(to)) && !isTestPackage(from) }},
	{name: "7 testing", reason: "package testing registers flags and belongs in no binary",
		forbids: func(from, to string) bool {
			return (to == "testing" || strings.HasPrefix(to, "testing/")) && !isTestPackage(from)
		}},
	{name: "test clock", reason: "a clock that moves from outside is for tests: only the command line picks it, in a file under the build tag testclock",
		forbids: func(from, to string) bool { return local(to) == "internal/testclock" && from != "internal/cli" }},
}

func forbidsFeature(from, to string) bool {
	name := strings.TrimPrefix(from, "internal/")
	pure, ok := features[name]
	if !ok || from == name {
		return false
	}
	switch {
	case isStd(to):
		return slices.Contains([]string{"database/sql", "database/sql/driver", "net/http", "net", "os/exec"}, to)
	case local(to) == "":
		return !slices.ContainsFunc(pure, func(p string) bool { return to == p || strings.HasSuffix(p, "/") && strings.HasPrefix(to, p) })
	}
	if strings.HasPrefix(local(to), "internal/"+name+"/") && !isTestPackage(local(to)) {
		return false // its own parts
	}
	_, feature := features[strings.TrimPrefix(local(to), "internal/")]
	if name == "readiness" && feature {
		return false // it reports other features' results
	}
	return !slices.Contains([]string{"api", "internal/fault", "internal/audit", "internal/signal"}, local(to))
}

// violations returns the rules that an import breaks, each with its reason.
// What is only linked into tests may import as it needs.
func violations(e edge) []string {
	if e.test || isTestPackage(e.from) {
		return nil
	}
	var out []string
	for _, r := range rows {
		if r.forbids(e.from, e.to) {
			out = append(out, fmt.Sprintf("%s imports %s: rule %s: %s", e.from, e.to, r.name, r.reason))
		}
	}
	return out
}

// isStd reports whether an import is of the standard library.
func isStd(to string) bool {
	first, _, _ := strings.Cut(to, "/")
	return !strings.Contains(first, ".")
}

// local returns the folder of a package of this module, "" for any other.
func local(to string) string {
	s, ok := strings.CutPrefix(to, module)
	if !ok {
		return ""
	}
	return s
}

func within(folder, root string) bool { return folder == root || strings.HasPrefix(folder, root+"/") }

func isAny(to string, roots []string) bool {
	return slices.ContainsFunc(roots, func(r string) bool { return within(local(to), r) })
}

// driver returns the driver that a folder belongs to: "internal/store",
// "internal/counters/memory"; "" for what is none.
func driver(folder string) string {
	for _, f := range families {
		rest, ok := strings.CutPrefix(folder, f+"/")
		switch {
		case folder == f, ok && slices.Contains([]string{"internal/store", "internal/oidc", "internal/geoip", "internal/blob", "internal/clamd"}, f):
			return f
		case ok:
			first, _, _ := strings.Cut(rest, "/")
			return f + "/" + first
		}
	}
	return ""
}

// isTestPackage reports whether a package exists for tests: storetest,
// ratelimittest, gantrytest, archtest.
func isTestPackage(folder string) bool {
	base := path.Base(folder)
	return strings.HasSuffix(base, "test") && base != "test"
}
