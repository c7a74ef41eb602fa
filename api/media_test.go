package api_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"encoding/base64"

	"avalo.app/gantry/api"
)

// TestMediaAwayKey: a key is three plain components, each short enough for a
// file system, whatever owner and name are.
func TestMediaAwayKey(t *testing.T) {
	if got := api.MediaAwayKey("alice", "abcdefghijklmnop", "a.jpg"); got != "quarantine/away/YWxpY2U/abcdefghijklmnop/YS5qcGc" {
		t.Error(got)
	}
	for _, name := range []string{"", "../../etc/passwd", strings.Repeat("ż", 5000) + ".jpg", strings.Repeat("\xff", 300)} {
		key := api.MediaAwayKey(strings.Repeat("\u20ac/", 32), "abcdefghijklmnop", name)
		parts := strings.Split(strings.TrimPrefix(key, api.MediaAwayPrefix), "/")
		if len(parts) != 3 {
			t.Fatalf("%q: %s", name, key)
		}
		for _, p := range parts {
			if p == "" || len(p) > 250 || strings.ContainsAny(p, `./\`) {
				t.Errorf("%q: component %q", name, p)
			}
		}
		b, err := base64.RawURLEncoding.DecodeString(parts[2])
		if err != nil || utf8.ValidString(name) && !utf8.Valid(b) || name != "" && !strings.HasSuffix(name, string(b)) {
			t.Errorf("%q became %q, %v", name, b, err)
		}
	}
}
