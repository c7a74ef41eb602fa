package client_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/client"
)

func TestParsePolicies(t *testing.T) {
	t.Parallel()
	hour := client.Quota{Name: "login", Limit: 100, Window: time.Hour}
	tests := []struct {
		field string
		want  []client.Quota
	}{
		{`"login";q=100;w=3600`, []client.Quota{hour}},
		{` "login"; q=100; w=3600 `, []client.Quota{hour}},
		{`"login";w=3600;q=100;qu="requests";pk=:YQ==:;flag`, nil}, // byte sequences are not Gantry's
		{`"login";w=3600;q=100;qu="a;b,c";flag`, []client.Quota{hour}},
		{`login;q=100;w=3600`, []client.Quota{hour}},
		{`"a\"b\\";q=1;w=2, "login";q=100;w=3600`, []client.Quota{{Name: `a"b\`, Limit: 1, Window: 2 * time.Second}, hour}},
		{`"x";q=1, "login";q=100;w=3600`, []client.Quota{hour}},
		{`"x";q=-1;w=1, "y";q=1;w=0, "z";q=1;w=99999999999, "v";q=9223372036854775808;w=1`, nil},
		{"", nil}, {",", nil}, {`"login";q=100;w=3600,`, nil}, {`"login`, nil}, {`"login\`, nil}, {`"log\in";q=1;w=1`, nil},
		{`"login";q=100;w=3600 "b"`, nil}, {`"login";=1`, nil}, {`"login";q=`, nil}, {"\"\x00\";q=1;w=1", nil},
		{`"` + strings.Repeat("x", 9000) + `";q=1;w=1`, nil},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, client.ParsePolicies(tt.field)); diff != "" {
			t.Errorf("ParsePolicies(%.60q) (-want +got):\n%s", tt.field, diff)
		}
	}
}

// FuzzParsePolicies: what is read makes sense, and reads the same when it is
// written again.
func FuzzParsePolicies(f *testing.F) {
	f.Add(`"login.user";q=50;w=300, "login.ip";q=30;w=300`)
	f.Add(`"a\"b\\";q=1;w=2;x="y,z"`)
	f.Add(`a;q=1;w=1,`)
	f.Fuzz(func(t *testing.T, field string) {
		got := client.ParsePolicies(field)
		var again []string
		for _, q := range got {
			if q.Limit < 1 || q.Window < time.Second || q.Window > 366*24*time.Hour {
				t.Fatalf("%q: %+v", field, q)
			}
			name := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(q.Name)
			if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' }) {
				return // a token is read more kindly than it may be written
			}
			again = append(again, fmt.Sprintf(`"%s";q=%d;w=%d`, name, q.Limit, q.Window/time.Second))
		}
		written := strings.Join(again, ", ")
		if len(written) > 8<<10 {
			return
		}
		if diff := cmp.Diff(got, client.ParsePolicies(written)); diff != "" {
			t.Errorf("%q, written %q (-first +second):\n%s", field, written, diff)
		}
	})
}
