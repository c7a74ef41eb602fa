package guard

import (
	"net/http"
	"net/netip"
	"strings"
)

// RemoteIP returns a function that names a request's client by address.
//
// It is the peer's own address, unless the peer is a trusted proxy: then it
// is the rightmost address of X-Forwarded-For, over all lines of the header,
// that is not a trusted proxy's. What stands left of that, and every header
// of an untrusted peer, was written by the client and is not looked at. An
// entry that is no address ends the walk: the last good one counts, as does
// the leftmost when all are trusted. Ports, brackets and zones are dropped,
// and an IPv4-mapped address is its IPv4 address.
//
// Trust the proxies' own networks only. The result is empty when the peer's
// address is not known, such as on a Unix socket.
func RemoteIP(trusted ...netip.Prefix) func(*http.Request) string {
	nets := make([]netip.Prefix, 0, len(trusted))
	for _, p := range trusted {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		nets = append(nets, p.Masked())
	}
	return func(r *http.Request) string {
		addr, ok := parseAddr(r.RemoteAddr)
		if !ok {
			return ""
		}
		lines := r.Header["X-Forwarded-For"]
		for i := len(lines) - 1; i >= 0; i-- {
			for line, more := lines[i], true; more; {
				if !contains(nets, addr) {
					return addr.String()
				}
				comma := strings.LastIndexByte(line, ',')
				next, ok := parseAddr(line[comma+1:])
				if !ok {
					return addr.String()
				}
				addr, more = next, comma >= 0
				line = line[:max(comma, 0)]
			}
		}
		return addr.String()
	}
}

func contains(nets []netip.Prefix, a netip.Addr) bool {
	for _, p := range nets {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// parseAddr reads 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1] and
// [2001:db8::1]:80.
func parseAddr(s string) (netip.Addr, bool) {
	s = strings.TrimSpace(s)
	if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(inner, "]") {
		s = inner[:len(inner)-1]
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		ap, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		a = ap.Addr()
	}
	a = a.Unmap().WithZone("")
	return a, !a.IsUnspecified()
}
