package probe

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/go-jose/go-jose/v4"
)

// minRSABits is what RFC 7518 section 3.3 demands of a signing key.
const minRSABits = 2048

// SigningKeys fetches a JWK set and counts the public keys in it that can
// verify a token (RS256, ES256, EdDSA). None is a failure.
func SigningKeys(ctx context.Context, c *http.Client, at *url.URL) (int, error) {
	const what = "fetch the signing keys"
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := FetchJSON(ctx, c, what, at, &set); err != nil {
		return 0, err
	}
	n := 0
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &key) == nil && (key.Use == "" || key.Use == "sig") && usable(key.Key) {
			n++
		}
	}
	if n == 0 {
		return 0, Failf("%s: none of the %d keys can verify a token; a public key for RS256 (2048 bits or more), ES256 or EdDSA is needed", what, len(set.Keys))
	}
	return n, nil
}

func usable(key any) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= minRSABits
	case *ecdsa.PublicKey:
		return k.Curve.Params().BitSize == 256
	case ed25519.PublicKey:
		return true
	}
	return false
}
