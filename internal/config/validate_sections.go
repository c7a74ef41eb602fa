package config

import (
	"encoding/base64"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const minHashKey = 32 // characters: 24 random bytes in base64

var originForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(/[A-Za-z0-9._~-]+)*$`)

func (v *validator) server() {
	s := v.c.Server
	if _, port, err := net.SplitHostPort(s.Listen); err != nil || !isPort(port) {
		v.fail("server.listen", "must be host:port, such as 127.0.0.1:8640 or :8640; it is %s", v.shown("server.listen", s.Listen))
	}
	for i, p := range s.TrustedProxies {
		if path := item("server.trusted_proxies", i); p.Bits() <= 0 {
			v.fail(path, "trusts every address there is, and so believes any client about its address; name the networks of your proxies")
		}
	}
	for i, o := range s.CORSOrigins {
		path := item("server.cors_origins", i)
		if o == "*" && len(s.CORSOrigins) == 1 {
			continue
		}
		if !isOrigin(o) {
			v.fail(path, `must be an origin such as https://app.example.com, without a path, or "*" alone; it is %s`, v.shown(path, o))
		}
	}
}

func item(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && strconv.FormatUint(n, 10) == s
}

func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.Scheme+"://"+u.Host == s
}

func (v *validator) storeAndKeys() {
	c := v.c
	if c.DataDir == "" {
		v.fail("data_dir", "must name a directory; it is empty. Remove the line for ./gantry-data")
	}
	if !originForm.MatchString(c.Audit.Origin) || len(c.Audit.Origin) > 200 {
		v.fail("audit.origin", "must look like gantry.example.com/audit: a lower-case host name and an optional path, at most 200 characters; it is %s",
			v.shown("audit.origin", c.Audit.Origin))
	}
	if n := len(c.Secrets.HashKey.Reveal()); n > 0 && n < minHashKey {
		v.fail("secrets.hash_key", "must have at least %d characters; it has %d. Make one with: openssl rand -base64 32", minHashKey, n)
	}
	if !c.Secrets.HashKey.IsZero() && c.Secrets.HashKeyFile != "" {
		v.fail("secrets.hash_key_file", "hash_key is set as well; keep one of the two")
	}
	if !c.Audit.Key.IsZero() && c.Audit.KeyFile != "" {
		v.fail("audit.key_file", "audit.key is set as well; keep one of the two")
	}
	v.store()
}

func (v *validator) store() {
	c, u := v.c, v.c.Store.URL.Reveal()
	postgres := c.Store.Postgres()
	if path, ok := strings.CutPrefix(u, "sqlite:"); u != "" && !postgres && (!ok || path == "") {
		v.fail("store.url", `must start with "sqlite:" and a path, or with "postgres://"; its value is a secret and not shown`)
	}
	if !postgres {
		return
	}
	const why = "must be set, because every node on a PostgreSQL store needs the same key; "
	if c.Secrets.HashKey.IsZero() && c.Secrets.HashKeyFile == "" {
		v.fail("secrets.hash_key", why+"make one with openssl rand -base64 32, and give it as ${NAME} or in hash_key_file")
	}
	if c.Audit.Key.IsZero() && c.Audit.KeyFile == "" {
		v.fail("audit.key", why+"make one with gantry audit keygen, and give it as ${NAME} or in key_file")
	}
}

// Postgres reports whether the store is PostgreSQL, which nodes may share.
func (s Store) Postgres() bool {
	u := s.URL.Reveal()
	return strings.HasPrefix(u, "postgres://") || strings.HasPrefix(u, "postgresql://")
}

func (v *validator) access() {
	seen := make(map[[2]string]bool)
	for i, s := range v.c.Access.Issuers {
		path := item("access.issuers", i)
		v.endpoint(path+".issuer", s.Issuer)
		if s.JWKSURL != "" {
			v.endpoint(path+".jwks_url", s.JWKSURL)
		}
		if s.Audience == "" {
			v.fail(path+".audience", "must be set: without it, tokens made for any other app would be accepted")
		}
		if key := [2]string{s.Issuer, s.Audience}; seen[key] {
			v.fail(path, "this issuer and audience stand twice; keep one")
		} else {
			seen[key] = true
		}
		if len(s.Roles) == 0 && s.DefaultRole == "" {
			v.fail(path+".roles", "no token of this issuer would have a role; map values of role_claim in roles, or set default_role")
		}
		if s.RoleClaim == "" && len(s.Roles) > 0 {
			v.fail(path+".role_claim", "must name the claim that roles are read from")
		}
		for _, value := range slices.Sorted(maps.Keys(s.Roles)) {
			v.oneOf(join(path+".roles", value), s.Roles[value], []string{"app", "moderator", "admin"})
		}
	}
}

func (v *validator) launch() {
	h := v.c.Launch.Hooks
	v.signing("launch.hooks.supabase.secrets", h.Supabase.Secrets)
	v.signing("launch.hooks.webhook.secrets", h.Webhook.Secrets)
	v.firebase(h.Firebase)
}

// MediaTypes are the types of files that media.refused_types may name.
func MediaTypes() []string {
	return []string{"image/jpeg", "image/png", "image/gif", "image/webp", "image/heic", "video/mp4", "video/quicktime", "video/webm",
		"audio/mpeg", "audio/wav", "audio/ogg", "audio/aac", "audio/mp4"}
}

func (v *validator) media() {
	m := v.c.Media
	for i, t := range m.RefusedTypes {
		v.oneOf(item("media.refused_types", i), t, MediaTypes())
	}
	if network, at, _ := strings.Cut(m.Clamd, ":"); m.Clamd != "" {
		_, port, err := net.SplitHostPort(at)
		if !(network == "unix" && strings.HasPrefix(at, "/") || network == "tcp" && err == nil && isPort(port)) {
			v.fail("media.clamd", "must be unix:/PATH or tcp:HOST:PORT, such as unix:/run/clamav/clamd.ctl (LocalSocket in clamd.conf) or tcp:127.0.0.1:3310; it is %s",
				v.shown("media.clamd", m.Clamd))
		}
	}
	if m.Clamd == "" && m.Unscanned == "refuse" {
		v.fail("media.unscanned", "refuse needs a scanner: set media.clamd, or remove the line to accept files that nobody scanned")
	}
}

func (v *validator) firebase(f FirebaseHook) {
	if f.Project == "" && f.BeforeCreateAudience == "" && f.BeforeSignInAudience == "" {
		return
	}
	const path = "launch.hooks.firebase"
	v.endpoint(path+".jwks_url", f.JWKSURL)
	if f.Project == "" {
		v.fail(path+".project", "must be set with an audience: it says whose tokens are accepted")
	}
	if f.BeforeCreateAudience == "" {
		v.fail(path+".before_create_audience", "must be set: the URL that Firebase calls for beforeCreate, which its tokens name as their audience")
	}
	for _, a := range [...]struct{ option, value string }{{".before_create_audience", f.BeforeCreateAudience}, {".before_sign_in_audience", f.BeforeSignInAudience}} {
		if a.value != "" && a.value == f.Project {
			v.fail(path+a.option, "must not be the project id: the ID tokens of all users have that audience; it is the URL that Firebase calls")
		}
	}
}

// signing checks the secrets of a signed hook. They are never shown.
func (v *validator) signing(path string, s Secret) {
	if s.IsZero() {
		return
	}
	for i, one := range strings.Split(s.Reveal(), "|") {
		text, ok := strings.CutPrefix(strings.TrimPrefix(strings.TrimSpace(one), "v1,"), "whsec_")
		key, err := base64.StdEncoding.DecodeString(text)
		if !ok || err != nil || len(key) < minSigningKey {
			v.fail(path, "secret %d of %d must be whsec_ and the base64 of at least %d bytes, as the provider shows it; its value is not shown", i+1, strings.Count(s.Reveal(), "|")+1, minSigningKey)
		}
	}
}

// minSigningKey is the least that Standard Webhooks allow, in bytes.
const minSigningKey = 24

// endpoint checks a URL that keys are fetched from: https, or http on this
// machine, for tests.
func (v *validator) endpoint(path, s string) {
	u, err := url.Parse(s)
	ok := err == nil && u.Host != "" && u.User == nil && u.Fragment == "" && (u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()))
	if !ok {
		v.fail(path, "must be an https URL (http only on this machine); it is %s", v.shown(path, s))
	}
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
