package archtest_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Each row is shown an import that it must refuse and its nearest neighbour
// that it must let pass.
func TestRowsCanFail(t *testing.T) {
	const m = module + "internal/"
	tests := []struct {
		from, to string
		want     string // the rules that refuse it, joined by ", "
	}{
		{"internal/fault", "fmt", ""},
		{"internal/fault", "golang.org/x/text/language", "1 leaves"},
		{"internal/signal", m + "fault", "1 leaves"},
		{"api", "golang.org/x/text/language", "1 leaves, 6 public packages"},
		{"internal/audit", "golang.org/x/mod/sumdb/tlog", ""},
		{"internal/audit", "golang.org/x/mod/semver", "2 features"},
		{"internal/audit", "net/http", "2 features"},
		{"internal/audit", "net/url", ""},
		{"internal/ratelimit", "golang.org/x/mod/sumdb/tlog", "2 features"},
		{"internal/ratelimit", "github.com/dchest/siphash", ""},
		{"internal/ratelimit", "database/sql", "2 features"},
		{"internal/ratelimit", m + "audit", ""},
		{"internal/ratelimit", m + "signal", ""},
		{"internal/ratelimit", m + "access", "2 features"},
		{"internal/ratelimit", m + "config", "2 features, 5 wiring: config"},
		{"internal/ratelimit", m + "store", "2 features, 5 wiring: drivers"},
		{"internal/ratelimit", m + "httpapi", "2 features"},
		{"internal/readiness", m + "recovery", ""},
		{"internal/readiness", m + "store", "2 features, 5 wiring: drivers"},
		{"internal/store", m + "ratelimit", ""},
		{"internal/store", "modernc.org/sqlite", ""},
		{"internal/store", m + "store/migrations", ""},
		{"internal/store", m + "counters/memory", "3 drivers"},
		{"internal/store", m + "httpapi", "3 drivers"},
		{"internal/store", m + "config", "3 drivers, 5 wiring: config"},
		{"internal/counters/redis", m + "counters/memory", "3 drivers"},
		{"internal/notify/slack", m + "egress", ""},
		{"internal/notify/slack", m + "notify", ""},
		{"internal/probe/redis", m + "probe", ""},
		{"internal/probe/redis", m + "egress", ""},
		{"internal/probe/redis", m + "health", ""},
		{"internal/probe/blob", m + "blob", "3 drivers"},
		{"internal/probe/oidc", m + "probe/firebaseauth", "3 drivers"},
		{"internal/egress", m + "fault", ""},
		{"internal/egress", m + "health", "3 egress"},
		{"internal/httpapi", m + "ratelimit", ""},
		{"internal/httpapi", m + "store", "4 transports, 5 wiring: drivers"},
		{"internal/grpcapi", m + "httpapi", "4 transports"},
		{"internal/cli", m + "httpapi", "4 transports"},
		{"internal/app", m + "store", ""},
		{"internal/app", m + "counters/memory", ""},
		{"internal/config/gen", m + "store", "5 wiring: drivers"},
		{"internal/cli", m + "app", ""},
		{"internal/httpapi", m + "app", "5 wiring: app"},
		{"cmd/gantry", m + "cli", ""},
		{"cmd/other", m + "cli", "5 wiring: cli"},
		{"internal/cli", m + "config", ""},
		{"internal/httpapi", m + "config", "5 wiring: config"},
		{"client", module + "api", ""},
		{"client", m + "fault", "6 public packages"},
		{"client", module + "guard", "6 public packages"},
		{"guard", module + "client", ""},
		{"guard", "github.com/google/uuid", "6 public packages"},
		{"internal/app", m + "ratelimit/ratelimittest", "7 test packages"},
		{"internal/store/storetest", m + "store", ""},
		{"internal/store/storetest", "testing", ""},
		{"internal/app", "testing", "7 testing"},
		{"internal/app", "testing/fstest", "7 testing"},
		{"internal/cli", m + "testclock", ""},
		{"internal/app", m + "testclock", "test clock"},
	}
	refused := make(map[string]bool)
	for _, tt := range tests {
		var got []string
		for _, r := range rows {
			if len(violations(edge{from: tt.from, to: tt.to})) > 0 && r.forbids(tt.from, tt.to) {
				got = append(got, r.name)
				refused[r.name] = true
			}
		}
		if s := strings.Join(got, ", "); s != tt.want {
			t.Errorf("%s importing %s breaks %q, want %q", tt.from, tt.to, s, tt.want)
		}
		if len(violations(edge{from: tt.from, to: tt.to, test: true})) > 0 {
			t.Errorf("%s importing %s in a test is refused", tt.from, tt.to)
		}
	}
	for _, r := range rows {
		if !refused[r.name] {
			t.Errorf("no case shows that rule %s can fail", r.name)
		}
		if len(r.reason) < 20 {
			t.Errorf("rule %s gives no reason", r.name)
		}
	}
}

func TestDeclarationsCanFail(t *testing.T) {
	file := t.TempDir() + "/x.go"
	write(t, file, `package helper

var state, other int
var table = map[string]int{}

func init() {}

func f(other int) {
	state = 1
	state++
	table["a"] = 2
	other = 3
	state := 4
	state = 5
	_ = state
}
`)
	p := newPackage(t, "internal/helper", file)
	want := []string{
		"rule 8: no package comment", "rule 8: a name that fits everything",
		"x.go:6: rule 8: init", "x.go:9: rule 8: state", "x.go:10: rule 8: state", "x.go:11: rule 8: table",
	}
	got := p.declarations()
	if len(got) != len(want) {
		t.Fatalf("got %q", got)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("got %q, want %q", got[i], want[i])
		}
	}
}

func TestDocumentChecksCanFail(t *testing.T) {
	got := unexplained("require a.example/x v1.0.0\nrequire (\n\tb.example/y v2.0.0\n\tc.example/z v1.0.0 // indirect\n)\n", "`a.example/x`")
	if diff := cmp.Diff([]string{"b.example/y"}, got); diff != "" {
		t.Error(diff)
	}
	got = paths("see `internal/audit`, `docs/CONFIG.md`, `go test ./...`, `internal/...`, `api/x y`, `cmd/gantry/` and `GET /v1/x`")
	if diff := cmp.Diff([]string{"internal/audit", "docs/CONFIG.md", "internal", "cmd/gantry"}, got); diff != "" {
		t.Error(diff)
	}
}
