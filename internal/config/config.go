// Package config is Gantry's configuration: one documented struct, its
// defaults, a strict reader that says what is wrong and where, and the rules
// that every value obeys.
//
// The doc comments of the exported structs and their tags are the source of
// docs/CONFIG.md and docs/gantry.schema.json: "reload" says whether a running
// node takes a change over (live) or must be restarted (the default), "enum"
// and "range" bound a value, "example" shows one.
package config

//go:generate go run ./gen

// Config is everything an operator may choose. The zero value is not usable;
// start from [Default]. It is a value: nothing changes it after Decode.
type Config struct {
	// Where Gantry listens, and what it believes of a request.
	Server Server `yaml:"server"`
	// Directory for what this node keeps on disk: the SQLite store, counter
	// snapshots, keys made at first start. Created with mode 0700. A relative
	// path starts at the working directory.
	DataDir string `yaml:"data_dir" example:"/var/lib/gantry"`
	// The durable store: policies, keys, the audit log.
	Store Store `yaml:"store"`
	// Rate limit counters.
	Counters Counters `yaml:"counters"`
	// What the process writes to standard error.
	Log Log `yaml:"log"`
	// Keys that are not for signing.
	Secrets Secrets `yaml:"secrets"`
	// The tamper-evident log of administrative events.
	Audit Audit `yaml:"audit"`
	// Who may call Gantry.
	Access Access `yaml:"access"`
	// Rate limiting.
	RateLimit RateLimit `yaml:"ratelimit"`
	// Replay of requests that carry an Idempotency-Key.
	Idempotency Idempotency `yaml:"idempotency"`
	// Who may sign up. Mode, phases, blocked countries and time zone are not
	// here: they are changed live, by the API or "gantry mode".
	Launch Launch `yaml:"launch"`

	// Uploads.
	Media Media `yaml:"media"`
	// What is watched.
	Health Health `yaml:"health"`
	// What the counts that the host reports mean, and Gantry's own.
	Signals Signals `yaml:"signals"`
	// Who hears of trouble.
	Incidents Incidents `yaml:"incidents"`

	origin origin // where values were written; no part of the configuration
}

// Server is the HTTP server.
type Server struct {
	// Address to listen on, host:port. The default answers this machine only;
	// ":8640" answers every interface. Port 0 takes a free one.
	Listen string `yaml:"listen" example:":8640"`
	// Networks of the reverse proxies in front of Gantry. Only a request that
	// comes from one of them is believed about the client's address
	// (X-Forwarded-For); without any, the client is whoever connects.
	TrustedProxies []Prefix `yaml:"trusted_proxies" reload:"live" example:"[10.0.0.0/8, 2001:db8::/32]"`
	// Web origins whose pages may call the callable and OFREP endpoints from a
	// browser.
	// "*" alone allows every origin: credentials are never cookies.
	CORSOrigins []string `yaml:"cors_origins" reload:"live" example:"[https://app.example.com]"`
	// Largest request body that is read.
	MaxBody ByteSize `yaml:"max_body" range:"1KiB..64MiB" example:"256KiB"`
	// How long requests in flight may take to finish when the process stops.
	ShutdownGrace Duration `yaml:"shutdown_grace" range:"0s..5m" example:"30s"`
}

// Store is the durable store.
type Store struct {
	// "sqlite:PATH" or a PostgreSQL URL. Empty: SQLite in data_dir/gantry.db,
	// which serves one node. Nodes that share a PostgreSQL store also share
	// secrets.hash_key and audit.key, so both must be set then. The URL may
	// hold a password and is never printed.
	URL Secret `yaml:"url" example:"${DATABASE_URL}"`
	// Connections that this node opens to PostgreSQL at most. SQLite ignores
	// it.
	MaxConns int `yaml:"max_conns" range:"1..1000" example:"32"`
}

// Counters is this node's memory of who did how much.
type Counters struct {
	// Counters kept at most, about 45 bytes each. When all of them are live,
	// new subjects share one counter per limit, so that no limited subject is
	// forgotten; gantry_counters_overflow_total counts those decisions.
	MaxKeys int `yaml:"max_keys" range:"1000..1000000000" example:"1000000"`
	// How often counters are written to data_dir. A crash forgets at most
	// this much; an orderly stop forgets nothing.
	SnapshotInterval Duration `yaml:"snapshot_interval" range:"1s..1h" example:"1s"`
}

// Log is the process log.
type Log struct {
	// Least severe messages that are written.
	Level string `yaml:"level" reload:"live" enum:"debug,info,warn,error" example:"debug"`
	// Form of a line: text for people, json for collectors, auto for text on
	// a terminal and json elsewhere.
	Format string `yaml:"format" enum:"auto,text,json" example:"json"`
}

// Secrets are keys that are not for signing.
type Secrets struct {
	// Key of the hashes under which addresses and devices are stored and
	// counted; at least 32 characters ("openssl rand -base64 32"). Every node
	// needs the same one; another key forgets counts and history of addresses
	// and devices. Empty: made at first start in data_dir/hash.key.
	HashKey Secret `yaml:"hash_key" example:"${GANTRY_HASH_KEY}"`
	// File that holds hash_key, for orchestrators that mount secrets. Not
	// together with hash_key.
	HashKeyFile string `yaml:"hash_key_file" example:"/run/secrets/gantry-hash-key"`
}

// Audit is the tamper-evident log.
type Audit struct {
	// Name of this installation's log, as it stands in every checkpoint. It
	// looks like a host name with an optional path and must never change:
	// another origin is another log.
	Origin string `yaml:"origin" example:"gantry.example.com/audit"`
	// Signing key of the checkpoints ("gantry audit keygen"). Every node
	// needs the same one. Empty: made at first start in data_dir/audit.key.
	Key Secret `yaml:"key" example:"${GANTRY_AUDIT_KEY}"`
	// File that holds key, for orchestrators that mount secrets. Not together
	// with key.
	KeyFile string `yaml:"key_file" example:"/run/secrets/gantry-audit-key"`
	// Directory where checkpoints are also written, so that a store that was
	// rolled back or rewritten is found out: put it on another disk or a
	// write-once mount. Empty: data_dir/checkpoints.
	CheckpointDir string `yaml:"checkpoint_dir" example:"/mnt/worm/gantry"`
	// How often a checkpoint is written there, if the log has grown.
	CheckpointInterval Duration `yaml:"checkpoint_interval" range:"1s..24h" example:"1m"`
}

// Access says whose tokens are believed, beside Gantry's own API keys.
type Access struct {
	// OpenID Connect issuers whose tokens are accepted (Firebase is one).
	// None: API keys only.
	Issuers []Issuer `yaml:"issuers" reload:"live"`
	// Failed authentications that one address may cause, before further ones
	// are refused with RATE_LIMITED. A valid API key is never refused for
	// them.
	AuthFailures AuthFailures `yaml:"auth_failures" reload:"live"`
	// How long the last known API keys serve while the store is down.
	KeysStaleAfter Duration `yaml:"keys_stale_after" range:"1m..24h" example:"5m"`
}

// Issuer is one OpenID Connect issuer.
type Issuer struct {
	// The token's "iss", an https URL; also where its keys are discovered.
	Issuer string `yaml:"issuer" example:"https://securetoken.google.com/my-project"`
	// The token's "aud": your client or project id.
	Audience string `yaml:"audience" example:"my-project"`
	// Where the signing keys are, if the issuer offers no discovery document.
	JWKSURL string `yaml:"jwks_url" example:"https://id.example.com/keys"`
	// Claim that holds the role: a string or a list of strings. Dots step
	// into objects.
	RoleClaim string `yaml:"role_claim" example:"realm_access.roles"`
	// Role for each value of role_claim: app, moderator or admin. With
	// several values the highest counts. Other values have default_role.
	Roles map[string]string `yaml:"roles" example:"{gantry-admins: admin, support: moderator}"`
	// Role of a token that role_claim gives none. Empty: the token is
	// refused.
	DefaultRole string `yaml:"default_role" enum:",app,moderator,admin" example:"moderator"`
}

// AuthFailures is a limit per address.
type AuthFailures struct {
	// Failures that pass in one window.
	Limit int64 `yaml:"limit" range:"1..1000000000" example:"10"`
	// Length of the window.
	Window Duration `yaml:"window" range:"1s..366d" example:"15m"`
}

// RateLimit is what the rate limiter knows at start. Policies set by the API
// or the console take precedence over it until they are reset.
type RateLimit struct {
	// Policies by action (A–Z, 0–9 and _). The built-in ones are in force
	// unless named here. An entry that states numbers (algorithm, window,
	// limit, burst or rules) replaces a built-in policy as a whole; an entry
	// with switches only (on_failure, shadow, disabled, block) keeps the
	// built-in numbers, so that "LOGIN: {shadow: true}" does what it says.
	Policies map[string]Policy `yaml:"policies" reload:"live"`
	// How long refusals are kept for queries.
	ViolationsRetention Duration `yaml:"violations_retention" reload:"live" range:"1h..3660d" example:"30d"`
}

// Policy limits one action. Its limit is one rule for each user; rules adds
// others, and all of them must pass.
type Policy struct {
	// How requests are counted. Empty: window_credit for a rule with a burst,
	// else sliding_window.
	Algorithm string `yaml:"algorithm" enum:",sliding_window,window_credit,gcra" example:"gcra"`
	// Length of the window of every rule.
	Window Duration `yaml:"window" range:"1s..366d" example:"1h"`
	// Units that each user may spend in one window. 0: no rule for the user
	// alone.
	Limit int64 `yaml:"limit" range:"0..1000000000" example:"100"`
	// For window_credit: what a user may spend in one window who spared it in
	// the window before; at least limit. For gcra: size of the bucket. 0:
	// none.
	Burst int64 `yaml:"burst" range:"0..1000000000" example:"120"`
	// Further rules in the same window, decided together with limit.
	Rules []Rule `yaml:"rules" example:"[{scope: ip, limit: 30}]"`
	// Answer while the counters cannot be reached: open allows (within this
	// node's own memory), closed refuses with SERVICE_DEGRADED.
	OnFailure string `yaml:"on_failure" enum:"open,closed" example:"closed"`
	// Count and record, but never refuse.
	Shadow bool `yaml:"shadow" example:"true"`
	// Allow everything, and count nothing.
	Disabled bool `yaml:"disabled" example:"true"`
	// Penalty for those who keep trying. None if absent.
	Block *Block `yaml:"block" example:"{after: 3, for: 15m}"`
}

// Rule is one limit of a policy.
type Rule struct {
	// Who is counted: user, ip, device, or several joined by +, which counts
	// each combination. IPv6 addresses count by /64.
	Scope string `yaml:"scope" enum:"user,ip,device,user+ip,user+device,ip+device,user+ip+device" example:"user+ip"`
	// Units in one window.
	Limit int64 `yaml:"limit" range:"1..1000000000" example:"30"`
	// As in the policy.
	Burst int64 `yaml:"burst" range:"0..1000000000" example:"40"`
}

// Block is a penalty.
type Block struct {
	// Refusals in one window that bring the penalty.
	After int `yaml:"after" range:"1..1000000" example:"3"`
	// How long everything is refused then.
	For Duration `yaml:"for" range:"1s..30d" example:"15m"`
}

// Idempotency is the memory of answers to requests with an Idempotency-Key.
type Idempotency struct {
	// How long an answer is replayed.
	TTL Duration `yaml:"ttl" range:"1m..30d" example:"48h"`
}

// Launch is what launch control needs beside its state in the store.
type Launch struct {
	// MaxMind-format database of the countries of addresses (GeoLite2-Country
	// or DB-IP Lite, .mmdb). A file that is replaced is read again within a
	// minute. Empty: the country is as the host states it.
	IPCountryDatabase string `yaml:"ip_country_database" example:"/var/lib/GeoIP/GeoLite2-Country.mmdb"`
	// Integrations that need no code in the host. Each is off until it is
	// configured.
	Hooks Hooks `yaml:"hooks"`
}

// Hooks are calls of an authentication provider before and after a signup.
type Hooks struct {
	// Supabase Auth: /hooks/supabase/before-user-created and
	// /hooks/supabase/after-user-created.
	Supabase SupabaseHook `yaml:"supabase"`
	// Firebase blocking functions: /hooks/firebase/before-create and
	// /hooks/firebase/before-sign-in.
	Firebase FirebaseHook `yaml:"firebase"`
	// Anything that signs by Standard Webhooks: /hooks/signup.
	Webhook WebhookHook `yaml:"webhook"`
}

// SupabaseHook is the Supabase Auth hook.
type SupabaseHook struct {
	// Signing secrets as Supabase shows them ("v1,whsec_…"; several are joined
	// by | while one replaces another). Empty: the hook is off.
	Secrets Secret `yaml:"secrets" example:"${SUPABASE_HOOK_SECRETS}"`
	// Where the signup's user_metadata holds the country.
	CountryField string `yaml:"country_field" example:"country_code"`
	// Where it holds the invite code.
	InviteField string `yaml:"invite_field" example:"invite"`
}

// FirebaseHook are the Firebase blocking functions.
type FirebaseHook struct {
	// Project id: tokens of https://securetoken.google.com/PROJECT are
	// accepted. Empty: the hooks are off.
	Project string `yaml:"project" example:"my-project"`
	// The "aud" of beforeCreate's tokens: the URL that Firebase calls for it.
	// Required with a project. The project id is refused: the ID tokens of all
	// its users have that audience.
	BeforeCreateAudience string `yaml:"before_create_audience" example:"https://gantry.example.com/hooks/firebase/before-create"`
	// The same for beforeSignIn. Empty: that hook is off, and the host confirms.
	BeforeSignInAudience string `yaml:"before_sign_in_audience" example:"https://gantry.example.com/hooks/firebase/before-sign-in"`
	// Where the signing keys are.
	JWKSURL string `yaml:"jwks_url" example:"https://id.example.com/keys"`
}

// WebhookHook is the generic signed webhook.
type WebhookHook struct {
	// Signing secrets ("whsec_…"; several are joined by |). Empty: the hook is
	// off.
	Secrets Secret `yaml:"secrets" example:"${GANTRY_WEBHOOK_SECRETS}"`
}

// Media is what uploads need.
type Media struct {
	// Bucket for content, as a URL: file:///PATH, s3://NAME?region=…, gs://NAME
	// or azblob://NAME (parameters as of gocloud.dev). Empty: data_dir/media.
	Bucket string `yaml:"bucket" example:"s3://avalo-media?region=eu-central-1"`
	// Largest file of each class.
	MaxSize MediaSizes `yaml:"max_size" reload:"live"`
	// Types that are not accepted, of those that "gantry media types" lists.
	RefusedTypes []string `yaml:"refused_types" reload:"live" example:"[image/gif, video/webm]"`
	// Whether images lose their metadata (GPS and other), losslessly.
	// Orientation and colour profile stay.
	Sanitise bool `yaml:"sanitise" reload:"live" example:"true"`
	// ClamAV's daemon, which looks for malware in what is uploaded: unix:PATH
	// or tcp:HOST:PORT. Set "AlertExceedsMax yes" and a StreamMaxLength of 100M
	// in its clamd.conf: without the first, it calls files clean that it did not
	// scan whole. Empty: nothing is scanned.
	Clamd string `yaml:"clamd" example:"unix:/run/clamav/clamd.ctl"`
	// What becomes of a file that clamd did not scan, because it is down, takes
	// too long (30 s), or the file is over its limits: accept stores it, marked
	// as unscanned; refuse answers SERVICE_DEGRADED.
	Unscanned string `yaml:"unscanned" reload:"live" enum:"accept,refuse" example:"refuse"`
}

// MediaSizes are the largest files that are accepted.
type MediaSizes struct {
	// JPEG, PNG, GIF, WebP, HEIC.
	Image ByteSize `yaml:"image" range:"1KiB..1GiB" example:"15MiB"`
	// MP4, QuickTime, WebM.
	Video ByteSize `yaml:"video" range:"1KiB..1GiB" example:"250MiB"`
	// MP3, WAV, OGG, AAC, M4A.
	Audio ByteSize `yaml:"audio" range:"1KiB..1GiB" example:"50MiB"`
}
