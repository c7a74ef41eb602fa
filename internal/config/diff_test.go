package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/config"
)

func TestDiff(t *testing.T) {
	old := mustDecode(t, "audit: {key: '${KEY}'}\nratelimit: {policies: {EXPORT: {window: 1m, limit: 1}}}")
	for _, tt := range []struct {
		doc           string
		live, restart []string
	}{
		{"audit: {key: kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk}\nratelimit: {policies: {EXPORT: {window: 60s, limit: 1}}}", nil, nil},
		{"ratelimit: {policies: {LOGIN: {shadow: true}}, violations_retention: 1d}",
			[]string{"ratelimit.policies.EXPORT", "ratelimit.policies.LOGIN", "ratelimit.violations_retention"}, []string{"audit.key"}},
		{"server: {listen: ':1', trusted_proxies: [10.0.0.1]}\nlog: {level: debug, format: json}\nstore: {url: 'sqlite:x'}\n" +
			"access: {issuers: [{issuer: 'https://a'}], auth_failures: {limit: 1}}\naudit: {key: '${KEY}'}\nratelimit: {policies: {EXPORT: {window: 1m, limit: 1}}}",
			[]string{"server.trusted_proxies", "log.level", "access.issuers", "access.auth_failures.limit"},
			[]string{"server.listen", "store.url", "log.format"}},
	} {
		live, restart := config.Diff(old, mustDecode(t, tt.doc))
		if diff := cmp.Diff([][]string{tt.live, tt.restart}, [][]string{live, restart}); diff != "" {
			t.Errorf("%s:\n%s", tt.doc, diff)
		}
	}
}
