package guard_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"avalo.app/gantry/guard"
)

func proxies() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:f::/48"), netip.MustParsePrefix("::ffff:172.16.0.0/108")}
}

func TestRemoteIP(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, peer string
		forwarded  []string // lines
		want       string
	}{
		{"direct", "192.0.2.1:5000", nil, "192.0.2.1"},
		{"untrusted peer", "192.0.2.1:5000", []string{"203.0.113.9"}, "192.0.2.1"},
		{"IPv6 peer", "[2001:db8::1%eth0]:5000", nil, "2001:db8::1"},
		{"mapped peer", "[::ffff:192.0.2.1]:5000", nil, "192.0.2.1"},
		{"no port", "192.0.2.1", nil, "192.0.2.1"},
		{"unix socket", "@", []string{"203.0.113.9"}, ""},
		{"one proxy", "10.0.0.1:1", []string{"203.0.113.9"}, "203.0.113.9"},
		{"mapped proxy", "[::ffff:10.0.0.1]:1", []string{"203.0.113.9"}, "203.0.113.9"},
		{"prefix written as mapped", "172.16.0.1:1", []string{"203.0.113.9"}, "203.0.113.9"},
		{"spoofed left", "10.0.0.1:1", []string{"198.51.100.1, 203.0.113.9"}, "203.0.113.9"},
		{"two proxies", "10.0.0.1:1", []string{"198.51.100.1, 203.0.113.9, 10.0.0.2"}, "203.0.113.9"},
		{"two lines", "10.0.0.1:1", []string{"198.51.100.1", "203.0.113.9, 10.0.0.2"}, "203.0.113.9"},
		{"second line all trusted", "10.0.0.1:1", []string{"198.51.100.1,203.0.113.9", "10.0.0.2"}, "203.0.113.9"},
		{"all trusted", "10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"no header", "10.0.0.1:1", nil, "10.0.0.1"},
		{"empty header", "10.0.0.1:1", []string{""}, "10.0.0.1"},
		{"malformed last", "10.0.0.1:1", []string{"203.0.113.9, unknown"}, "10.0.0.1"},
		{"malformed behind a proxy", "10.0.0.1:1", []string{"203.0.113.9, _hidden, 10.0.0.2"}, "10.0.0.2"},
		{"malformed left of the client", "10.0.0.1:1", []string{"rubbish, 203.0.113.9"}, "203.0.113.9"},
		{"unspecified", "10.0.0.1:1", []string{"0.0.0.0"}, "10.0.0.1"},
		{"port", "10.0.0.1:1", []string{"203.0.113.9:4711"}, "203.0.113.9"},
		{"brackets", "10.0.0.1:1", []string{"[2001:db8::9]"}, "2001:db8::9"},
		{"brackets and port", "10.0.0.1:1", []string{"[2001:db8::9]:443"}, "2001:db8::9"},
		{"IPv6 proxy", "[2001:db8:f::1]:1", []string{"2001:db8::9"}, "2001:db8::9"},
		{"mapped client", "10.0.0.1:1", []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
		{"mapped proxy in the header", "10.0.0.1:1", []string{"203.0.113.9, [::ffff:10.0.0.2]:80"}, "203.0.113.9"},
	}
	ip := guard.RemoteIP(proxies()...)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := &http.Request{RemoteAddr: tt.peer, Header: http.Header{"X-Forwarded-For": tt.forwarded}}
			if got := ip(r); got != tt.want {
				t.Errorf("RemoteIP = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestRemoteIPTrustsNobody(t *testing.T) {
	t.Parallel()
	r := &http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{"X-Forwarded-For": {"203.0.113.9"}}}
	if got := guard.RemoteIP()(r); got != "10.0.0.1" {
		t.Errorf("RemoteIP = %q, want the peer", got)
	}
}

// FuzzRemoteIP: whatever the header says, the result is an address, an
// untrusted peer's is its own, and a client cannot hide behind what it wrote
// left of the address that a trusted proxy added.
func FuzzRemoteIP(f *testing.F) {
	f.Add("192.0.2.1:1", "203.0.113.9", "10.0.0.2")
	f.Add("10.0.0.1:1", "[2001:db8::1]:80, ::ffff:10.0.0.1", ",,")
	f.Add("[::1%a]:1", "fe80::1%,", "[")
	ip := guard.RemoteIP(proxies()...)
	trusted := func(a netip.Addr) bool {
		return proxies()[0].Contains(a) || proxies()[1].Contains(a) || netip.MustParsePrefix("172.16.0.0/12").Contains(a)
	}
	f.Fuzz(func(t *testing.T, peer, one, two string) {
		header := http.Header{"X-Forwarded-For": {one, two}}
		got := ip(&http.Request{RemoteAddr: peer, Header: header})
		alone := ip(&http.Request{RemoteAddr: peer})
		if got == "" {
			if alone != "" {
				t.Fatalf("no address although the peer is %s", alone)
			}
			return
		}
		a, err := netip.ParseAddr(got)
		if err != nil || a.Zone() != "" || a.Is4In6() {
			t.Fatalf("%q is not a plain address (%v)", got, err)
		}
		if p := netip.MustParseAddr(alone); !trusted(p) && got != alone {
			t.Fatalf("peer %s is not trusted, and %s was taken from its header", alone, got)
		}
		if trusted(netip.MustParseAddr(alone)) && !strings.ContainsAny(one+two, "\r\n") {
			header["X-Forwarded-For"] = []string{one, two + ", 203.0.113.9"}
			if got := ip(&http.Request{RemoteAddr: peer, Header: header}); got != "203.0.113.9" {
				t.Fatalf("got %s, want what the proxy added", got)
			}
		}
	})
}
