package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/config"
)

func TestWithLive(t *testing.T) {
	old := mustDecode(t, "server: {listen: '${KEY}:1', cors_origins: ['${KEY}']}\nstore: {url: 'sqlite:a'}\nlog: {level: '${ON}'}")
	next := mustDecode(t, "server: {listen: ':2', cors_origins: [b, '${HIDDEN}']}\nstore: {url: 'sqlite:b'}\nlog: {level: warn}\n"+
		"access: {issuers: [{issuer: 'https://a', audience: '${HIDDEN}'}]}\nratelimit: {policies: {LOGIN: {shadow: '${ON}'}}}\ndata_dir: '${HIDDEN}'")
	got := old.WithLive(next)
	live, restart := config.Diff(got, next)
	if diff := cmp.Diff([][]string{nil, {"server.listen", "data_dir", "store.url"}}, [][]string{live, restart}); diff != "" {
		t.Error(diff)
	}
	live, restart = config.Diff(old, got)
	if len(restart) > 0 || len(live) != 4 {
		t.Errorf("changed: live %v, restart %v", live, restart)
	}
	text := config.Print(got)
	if strings.Contains(text, hidden) || strings.Contains(text, "kkkk") {
		t.Error("what came from a variable is printed")
	}
	for _, want := range []string{`listen: "${KEY}:1"`, `cors_origins: [b, "${HIDDEN}"]`, "level: warn", `audience: "${HIDDEN}"`, `shadow: "${ON}"`} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if got := config.Default().WithLive(next); got.Log.Level != "warn" || strings.Contains(config.Print(got), hidden) {
		t.Error("live values on the default")
	}
}
