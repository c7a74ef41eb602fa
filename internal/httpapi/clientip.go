package httpapi

import (
	"fmt"
	"net/http"
	"net/netip"

	"github.com/realclientip/realclientip-go"
)

// Proxies is the chain of reverse proxies whose X-Forwarded-For is believed.
type Proxies struct {
	prefixes []netip.Prefix
	strategy realclientip.RightmostTrustedRangeStrategy
}

// NewProxies returns a chain of the given networks; none means that every
// client is its own peer.
func NewProxies(prefixes []netip.Prefix) (*Proxies, error) {
	names := make([]string, len(prefixes))
	for i, p := range prefixes {
		names[i] = p.Masked().String()
	}
	nets, err := realclientip.AddressesAndRangesToIPNets(names...)
	if err != nil {
		return nil, fmt.Errorf("trusted proxies: %w", err)
	}
	strategy, err := realclientip.NewRightmostTrustedRangeStrategy("X-Forwarded-For", nets)
	if err != nil {
		return nil, fmt.Errorf("trusted proxies: %w", err)
	}
	return &Proxies{prefixes: prefixes, strategy: strategy}, nil
}

// ClientIP is the address of the client: the peer's own, or, if the peer is
// a configured proxy, the rightmost address of X-Forwarded-For that is not
// one. A header from anyone else is not looked at, and one without a usable
// address leaves the peer's.
func (p *Proxies) ClientIP(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	addr := peer.Addr().Unmap().WithZone("")
	for _, trusted := range p.prefixes {
		if !trusted.Contains(addr) {
			continue
		}
		if ip := p.strategy.ClientIP(r.Header, ""); ip != "" {
			return ip
		}
		break
	}
	return addr.String()
}
