package egress

import (
	"net/netip"
	"strings"
)

// mayDial reports whether a request for host, named by the configuration or
// not, may connect to addr.
func mayDial(host string, named bool, addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	if public(addr) {
		return true
	}
	if !named {
		return false
	}
	if lit, err := netip.ParseAddr(host); err == nil {
		return lit.Unmap().WithZone("") == addr
	}
	switch {
	case host == "localhost", strings.HasSuffix(host, ".localhost"):
		return addr.IsLoopback()
	case privateName(host):
		// Never link-local: that is where clouds keep an instance's
		// credentials. Whoever means it names the address.
		return inside(addr)
	}
	return false
}

// inside reports whether addr is one that an own network gives its hosts.
func inside(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return addr.IsPrivate() || addr.IsLoopback() || sharedSpace().Contains(addr)
}

// privateName reports whether a name can only be one of the own network:
// without a dot, or under a suffix that is reserved for it (RFC 6762 .local,
// RFC 8375 .home.arpa, ICANN's .internal).
func privateName(host string) bool {
	if !strings.Contains(host, ".") {
		return true
	}
	for _, suffix := range [...]string{".local", ".internal", ".home.arpa"} {
		if strings.HasSuffix(host, suffix) {
			return true
		}
	}
	return false
}

// public reports whether addr is a unicast address of the Internet: none of
// those that the IANA registries of special-purpose addresses (RFC 6890)
// keep inside a network, and none that carries an IPv4 address of which the
// same may not hold.
func public(addr netip.Addr) bool {
	if !addr.IsGlobalUnicast() || addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() {
		return false
	}
	for _, p := range special() {
		if p.Contains(addr) {
			return false
		}
	}
	return true
}

func sharedSpace() netip.Prefix { return v4(100, 64, 0, 0, 10) } // RFC 6598, carrier-grade NAT

func special() [11]netip.Prefix {
	return [...]netip.Prefix{
		sharedSpace(),
		v4(0, 0, 0, 0, 8),         // this network
		v4(192, 0, 0, 0, 24),      // protocol assignments
		v4(198, 18, 0, 0, 15),     // benchmarks
		v4(240, 0, 0, 0, 4),       // reserved, and broadcast
		v6(0x0064, 0xff9b, 0, 96), // NAT64: an IPv4 address inside
		v6(0x0064, 0xff9b, 1, 48), // local-use NAT64
		v6(0x2002, 0, 0, 16),      // 6to4: an IPv4 address inside
		v6(0x2001, 0, 0, 32),      // Teredo: an IPv4 address inside
		v6(0xfec0, 0, 0, 10),      // site-local, of old
		netip.PrefixFrom(netip.AddrFrom16([16]byte{}), 96), // IPv4-compatible, of old
	}
}

func v4(a, b, c, d byte, bits int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{a, b, c, d}), bits)
}

func v6(a, b, c uint16, bits int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{byte(a >> 8), byte(a), byte(b >> 8), byte(b), byte(c >> 8), byte(c)}), bits)
}
