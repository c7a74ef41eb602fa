package client

import (
	"net/netip"
	"strings"

	"avalo.app/gantry/api"
)

// dims is a set of a subject's dimensions.
type dims uint8

const (
	user dims = 1 << iota
	ip
	device
)

// String joins the dimensions with "+", as Gantry's scopes do.
func (d dims) String() string {
	parts := make([]string, 0, 3)
	for i, name := range [...]string{"user", "ip", "device"} {
		if d&(1<<i) != 0 {
			parts = append(parts, name)
		}
	}
	return strings.Join(parts, "+")
}

// parseDims reads what String writes; 0 for anything else.
func parseDims(s string) dims {
	for d := user; d <= user|ip|device; d++ {
		if d.String() == s {
			return d
		}
	}
	return 0
}

// scopeOfName is the scope at the end of a rule's name, as in
// "login.user+ip"; 0 when there is none.
func scopeOfName(name string) dims {
	return parseDims(name[strings.LastIndexByte(name, '.')+1:])
}

// given are the dimensions that a request gives.
func given(r api.CheckRequest) dims {
	var d dims
	if r.User != "" {
		d |= user
	}
	if r.IP != "" {
		d |= ip
	}
	if r.Device != "" {
		d |= device
	}
	return d
}

// address is what an address counts as: IPv6 by /64, as at Gantry.
func address(s string) string {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return s
	}
	a = a.Unmap().WithZone("")
	if a.Is6() {
		p, _ := a.Prefix(64) // 64 bits fit
		a = p.Addr()
	}
	return a.String()
}
