package httpapi_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/httpapi"
)

// FuzzDecodeCheck holds the written-out decoder against encoding/json:
// whatever it accepts, encoding/json accepts strictly and with the same
// values.
func FuzzDecodeCheck(f *testing.F) {
	for _, s := range []string{
		`{"action":"LOGIN","user":"alice","ip":"::1","device":"d","cost":3}`, `{}`, ` { "user" : null } `, `{"user":"\u00e9\n\"\\"}`,
		`{"cost":-0}`, `{"cost":01}`, `{"cost":1e3}`, `{"cost":1.0}`, `{"cost":99999999999999999999}`, `{"Action":"x"}`, `{"action":"a","action":"b"}`,
		`{"user":"\ud800"}`, `{"user":"`, "{\"user\":\"\x00\"}", `{"user":"a"}x`, `[]`, `"x"`, `{"user":"a",}`, "{\"user\":\"\xff\"}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var got, want api.CheckRequest
		if httpapi.DecodeCheck(b, &got) != nil {
			return
		}
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		if err := d.Decode(&want); err != nil {
			t.Fatalf("%q is accepted, encoding/json says %v", b, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q: %s", b, diff)
		}
	})
}

func TestDecodeCheckRefuses(t *testing.T) {
	for _, s := range []string{
		``, ` `, `null`, `[]`, `{`, `{"action"}`, `{"action":}`, `{"action":"a"`, `{"action":"a",}`, `{"action":"a"} x`, `{"Action":"a"}`,
		`{"nope":1}`, `{"user":"a","user":"b"}`, `{"user":1}`, `{"cost":"1"}`, `{"cost":1.5}`, `{"cost":1e2}`, `{"cost":01}`, `{"cost":-}`,
		`{"cost":9223372036854775808}`, "{\"user\":\"a\nb\"}", "{\"user\":\"\xff\"}", `{"user":"\x"}`, `{"user":nul}`,
	} {
		var r api.CheckRequest
		if err := httpapi.DecodeCheck([]byte(s), &r); err == nil {
			t.Errorf("%s is accepted as %+v", s, r)
		}
	}
}

// FuzzClientIP: whatever X-Forwarded-For says, the client is a valid address;
// from a peer that is no proxy it is the peer, whatever is said.
func FuzzClientIP(f *testing.F) {
	f.Add("203.0.113.9, 10.0.0.2", "10.0.0.1:5")
	f.Add("unknown, [2001:db8::1]:443", "10.0.0.1:5")
	f.Add("10.0.0.1", "198.51.100.7:5")
	f.Add(strings.Repeat("10.0.0.1,", 1000), "10.0.0.1:5")
	proxies, err := httpapi.NewProxies([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, forwarded, peer string) {
		got := proxies.ClientIP(&http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": {forwarded}}})
		addr, err := netip.ParseAddrPort(peer)
		if err != nil {
			if got != "" {
				t.Fatalf("peer %q: %q", peer, got)
			}
			return
		}
		if _, err := netip.ParseAddr(got); err != nil {
			t.Fatalf("%q is no address", got)
		}
		plain := addr.Addr().Unmap().WithZone("")
		if !netip.MustParsePrefix("10.0.0.0/8").Contains(plain) && got != plain.String() {
			t.Fatalf("a header from %s is believed: %s", plain, got)
		}
	})
}

func TestClientIP(t *testing.T) {
	proxies, err := httpapi.NewProxies([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		peer, want string
		forwarded  []string
	}{
		{"198.51.100.7:1", "198.51.100.7", []string{"1.2.3.4"}},                       // not a proxy
		{"10.0.0.1:1", "203.0.113.9", []string{"203.0.113.9"}},                        // one proxy
		{"10.0.0.1:1", "203.0.113.9", []string{"6.6.6.6, 203.0.113.9, 10.9.9.9"}},     // the client's own lie is left of it
		{"10.0.0.1:1", "203.0.113.9", []string{"6.6.6.6", "203.0.113.9", "10.9.9.9"}}, // several lines
		{"[fd00::1]:1", "2001:db8::7", []string{"2001:db8::7"}},                       // IPv6
		{"10.0.0.1:1", "10.0.0.1", nil},                                               // nothing forwarded
		{"10.0.0.1:1", "10.0.0.1", []string{"10.2.2.2"}},                              // only proxies
		{"[::ffff:198.51.100.7]:1", "198.51.100.7", []string{"1.2.3.4"}},              // mapped
		{"10.0.0.1:1", "10.0.0.1", []string{"203.0.113.9, garbage"}},                  // what a proxy cannot have said
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		for _, v := range c.forwarded {
			r.Header.Add("X-Forwarded-For", v)
		}
		if got := proxies.ClientIP(r); got != c.want {
			t.Errorf("%s %q: %s, want %s", c.peer, c.forwarded, got, c.want)
		}
	}
}
