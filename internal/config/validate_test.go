package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/config"
)

func TestDefaultIsValid(t *testing.T) {
	if err := config.Default().Validate(); err != nil {
		t.Error(err)
	}
}

func TestValidate(t *testing.T) {
	const policy = "ratelimit: {policies: {X: "
	for _, tt := range []struct{ name, doc, want string }{
		{"listen", "server: {listen: localhost}", `line 1, column 10: server.listen: must be host:port, such as 127.0.0.1:8640 or :8640; it is "localhost"`},
		{"all trusted", "server: {trusted_proxies: [0.0.0.0/0]}", "line 1, column 28: server.trusted_proxies[0]: trusts every address there is, and so believes any client about its address; name the networks of your proxies"},
		{"origin", "server: {cors_origins: [https://a.example/x]}", `line 1, column 25: server.cors_origins[0]: must be an origin such as https://app.example.com, without a path, or "*" alone; it is "https://a.example/x"`},
		{"range", "server: {max_body: 1B}\ncounters: {snapshot_interval: 2h}", "line 1, column 10: server.max_body: must be between 1KiB and 64MiB; it is 1B\n" +
			"line 2, column 12: counters.snapshot_interval: must be between 1s and 1h; it is 2h"},
		{"enum", "log: {level: warning}", `line 1, column 7: log.level: must be one of debug, info, warn, error; it is "warning"; did you mean "warn"?`},
		{"enum from a variable", "log: {level: '${HIDDEN}'}", `line 1, column 7: log.level: must be one of debug, info, warn, error; it is the value of "${HIDDEN}"`},
		{"data_dir", "data_dir: ''", "line 1, column 1: data_dir: must name a directory; it is empty. Remove the line for ./gantry-data"},
		{"store", "store: {url: mysql://x:" + hidden + "@h}", `line 1, column 9: store.url: must start with "sqlite:" and a path, or with "postgres://"; its value is a secret and not shown`},
		{"postgres needs keys", "store: {url: postgres://h}\naudit: {}", "secrets.hash_key: must be set, because every node on a PostgreSQL store needs the same key; make one with openssl rand -base64 32, and give it as ${NAME} or in hash_key_file\n" +
			"line 2, column 1: audit.key: must be set, because every node on a PostgreSQL store needs the same key; make one with gantry audit keygen, and give it as ${NAME} or in key_file"},
		{"short key", "secrets: {hash_key: abc, hash_key_file: f}", "line 1, column 11: secrets.hash_key: must have at least 32 characters; it has 3. Make one with: openssl rand -base64 32\n" +
			"line 1, column 26: secrets.hash_key_file: hash_key is set as well; keep one of the two"},
		{"audit", "audit: {origin: A b, key: k, key_file: f}", `line 1, column 9: audit.origin: must look like gantry.example.com/audit: a lower-case host name and an optional path, at most 200 characters; it is "A b"` + "\n" +
			"line 1, column 30: audit.key_file: audit.key is set as well; keep one of the two"},
		{"issuer", "access:\n  issuers:\n    - issuer: http://id.example.com\n", `line 3, column 7: access.issuers[0].issuer: must be an https URL (http only on this machine); it is "http://id.example.com"` + "\n" +
			"line 3, column 7: access.issuers[0].audience: must be set: without it, tokens made for any other app would be accepted\n" +
			"line 3, column 7: access.issuers[0].roles: no token of this issuer would have a role; map values of role_claim in roles, or set default_role"},
		{"role", "access: {issuers: [{issuer: 'http://127.0.0.1:1', audience: a, roles: {x: admn}, role_claim: ''}]}",
			`line 1, column 72: access.issuers[0].roles.x: must be one of app, moderator, admin; it is "admn"; did you mean "admin"?` + "\n" +
				`line 1, column 82: access.issuers[0].role_claim: must name the claim that roles are read from`},
		{"issuer twice", "access: {issuers: [{issuer: 'https://a', audience: a, default_role: app}, {issuer: 'https://a', audience: a, default_role: app}]}",
			"line 1, column 75: access.issuers[1]: this issuer and audience stand twice; keep one"},
		{"Firebase's audience", "launch: {hooks: {firebase: {project: demo, before_sign_in_audience: demo}}}",
			"line 1, column 18: launch.hooks.firebase.before_create_audience: must be set: the URL that Firebase calls for beforeCreate, which its tokens name as their audience\n" +
				"line 1, column 44: launch.hooks.firebase.before_sign_in_audience: must not be the project id: the ID tokens of all users have that audience; it is the URL that Firebase calls"},
		{"Firebase's project", "launch: {hooks: {firebase: {before_create_audience: 'https://g.example/'}}}",
			"line 1, column 18: launch.hooks.firebase.project: must be set with an audience: it says whose tokens are accepted"},
		{"clamd", "media: {clamd: /run/clamav/clamd.ctl}", `line 1, column 9: media.clamd: must be unix:/PATH or tcp:HOST:PORT, such as unix:/run/clamav/clamd.ctl (LocalSocket in clamd.conf) or tcp:127.0.0.1:3310; it is "/run/clamav/clamd.ctl"`},
		{"clamd's port", "media: {clamd: 'tcp:127.0.0.1'}", `line 1, column 9: media.clamd: must be unix:/PATH or tcp:HOST:PORT, such as unix:/run/clamav/clamd.ctl (LocalSocket in clamd.conf) or tcp:127.0.0.1:3310; it is "tcp:127.0.0.1"`},
		{"unscanned", "media: {unscanned: keep, clamd: 'tcp:h:1'}", `line 1, column 9: media.unscanned: must be one of accept, refuse; it is "keep"`},
		{"a type of media", "media: {refused_types: [image/jpg]}", `line 1, column 25: media.refused_types[0]: must be one of image/jpeg, image/png, image/gif, image/webp, image/heic, video/mp4, video/quicktime, video/webm, audio/mpeg, audio/wav, audio/ogg, audio/aac, audio/mp4; it is "image/jpg"; did you mean "image/jpeg"?`},
		{"a size of media", "media: {max_size: {image: 2GiB}}", "line 1, column 20: media.max_size.image: must be between 1KiB and 1GiB; it is 2GiB"},
		{"refuse without a scanner", "media: {unscanned: refuse}", "line 1, column 9: media.unscanned: refuse needs a scanner: set media.clamd, or remove the line to accept files that nobody scanned"},
		{"no window", policy + "{limit: 5}}}", "line 1, column 24: ratelimit.policies.X.window: must be between 1s and 366 days; it is 0s"},
		{"no limit", policy + "{window: 1m}}}", "line 1, column 24: ratelimit.policies.X.rules: a policy has 1 to 16 rules; this one has 0. Give it a limit, or disable it"},
		{"negative limit", policy + "{window: 1m, limit: -1}}}", "line 1, column 40: ratelimit.policies.X.limit: must be between 1 and 1000000000; it is -1"},
		{"burst without limit", policy + "{window: 1m, burst: 5}}}", "line 1, column 24: ratelimit.policies.X.limit: must be between 1 and 1000000000; it is 0"},
		{"rules", policy + "{window: 1m, limit: 5, rules: [{scope: ip, limit: 0}, {scope: user, limit: 2}, {scope: usr, limit: 1}]}}}",
			"line 1, column 70: ratelimit.policies.X.rules[0].limit: must be between 1 and 1000000000; it is 0\n" +
				"line 1, column 82: ratelimit.policies.X.rules[1].scope: a policy has one rule per scope, and user stands twice; keep one\n" +
				`line 1, column 107: ratelimit.policies.X.rules[2].scope: must be one of user, ip, device, user+ip, user+device, ip+device, user+ip+device; it is "usr"; did you mean "user"?`},
		{"burst", policy + "{window: 1m, limit: 5, burst: 3}}}", "line 1, column 50: ratelimit.policies.X.burst: must be at least the limit 5 for window_credit; it is 3"},
		{"burst of sliding_window", policy + "{window: 1m, limit: 5, burst: 9, algorithm: sliding_window}}}",
			"line 1, column 50: ratelimit.policies.X.burst: sliding_window has no burst; leave it out, or use window_credit or gcra"},
		{"algorithm and mode", policy + "{window: 1m, limit: 5, algorithm: gcr, on_failure: closd}}}",
			`line 1, column 50: ratelimit.policies.X.algorithm: must be one of sliding_window, window_credit, gcra, or empty; it is "gcr"; did you mean "gcra"?` + "\n" +
				`line 1, column 66: ratelimit.policies.X.on_failure: must be one of open, closed; it is "closd"; did you mean "closed"?`},
		{"block", policy + "{window: 1m, limit: 5, block: {after: 0, for: 31d}}}}",
			"line 1, column 58: ratelimit.policies.X.block.after: must be between 1 and 1000000 refusals; it is 0\n" +
				"line 1, column 68: ratelimit.policies.X.block.for: must be between 1s and 30 days; it is 744h0m0s"},
		{"action", "ratelimit: {policies: {log-in: {window: 1m, limit: 5}}}",
			"line 1, column 24: ratelimit.policies.log-in: an action is named by 1 to 64 capital letters, digits and underscores, a letter first"},
		{"numbers from variables", policy + "{window: 1m, limit: '${CONNS}', burst: 3}}}",
			"line 1, column 59: ratelimit.policies.X.burst: breaks a bound of policies, see docs/CONFIG.md; numbers of this policy come from variables"},
		{"reserved", "ratelimit: {policies: {AUTH_FAILURE: {shadow: true}}}", "line 1, column 24: ratelimit.policies.AUTH_FAILURE: this policy is set by access.auth_failures; remove it here"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := mustDecode(t, tt.doc).Validate()
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

func TestValidateAcceptsASharedStore(t *testing.T) {
	c := mustDecode(t, "store: {url: postgres://h}\nsecrets: {hash_key: '${KEY}'}\naudit: {key_file: f}")
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}
