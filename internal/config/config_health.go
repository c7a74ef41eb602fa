package config

// Health is what is watched, and how. What it finds becomes incidents.
type Health struct {
	// What is measured, by name (a-z, 0-9, _, . and -). None: health covers
	// Gantry itself only, and the default slots are NOT_CONFIGURED.
	Components map[string]Component `yaml:"components"`
	// Background jobs of the host, by name. They report by
	// POST /v1/heartbeats/NAME or "gantry heartbeat NAME -- COMMAND".
	Jobs map[string]Job `yaml:"jobs"`
	// What must have been renewed lately, by name, such as a search index.
	Freshness map[string]Freshness `yaml:"freshness"`
	// Counts for GET /v1/diagnostics.
	Diagnostics Diagnostics `yaml:"diagnostics"`
	// The host's database, postgres://… or sqlite:PATH, for the queries of
	// freshness and diagnostics. It is read only: give a user that can do no
	// more.
	HostDatabase Secret `yaml:"host_database" example:"${HOST_DATABASE_URL}"`
	// Share of the disk of data_dir below which it is low, and an incident, in
	// percent.
	DiskFree int `yaml:"disk_free" range:"1..90" example:"15"`
}

// Component is one dependency. Exactly one of the kinds (postgres … clamd) says
// how it is measured.
type Component struct {
	// Which of the default slots it fills. Empty: the one of its name, or none.
	Slot string `yaml:"slot" enum:",database,functions,storage,auth,payments" example:"database"`
	// Whether the app is DOWN when it is.
	Critical bool `yaml:"critical" example:"true"`
	// Components without which it cannot work: while one of them is DOWN, only
	// that one is alerted.
	DependsOn []string `yaml:"depends_on" example:"[database]"`
	// An answer that takes longer is DEGRADED. 0: 2s.
	DegradedAbove Duration `yaml:"degraded_above" range:"0s..1m" example:"2s"`
	// Time for one measurement. 0: 5s, or the interval if that is less.
	Timeout Duration `yaml:"timeout" range:"0s..1m" example:"5s"`
	// Time between measurements. 0: 10s.
	Interval Duration `yaml:"interval" range:"0s..24h" example:"30s"`
	// Failures in a row that make it DOWN. 0: 3.
	FailureThreshold int `yaml:"failure_threshold" range:"0..20" example:"2"`
	// Successes in a row that bring it back. 0: 2.
	SuccessThreshold int `yaml:"success_threshold" range:"0..20" example:"3"`
	// Whether its name and status stand on the public status page.
	Published bool `yaml:"published" example:"true"`
	// Whether every node measures its own, instead of one for all.
	PerNode bool `yaml:"per_node" example:"true"`
	// Whether a public host name may lead to an address inside the network.
	Private bool `yaml:"private" example:"true"`

	// PostgreSQL: connect and SELECT 1.
	Postgres *PostgresProbe `yaml:"postgres"`
	// A SQLite file: a read.
	SQLite *SQLiteProbe `yaml:"sqlite"`
	// Redis or Valkey: PING.
	Redis *RedisProbe `yaml:"redis"`
	// An HTTP endpoint.
	HTTP *HTTPProbe `yaml:"http"`
	// A TCP port.
	TCP *TCPProbe `yaml:"tcp"`
	// The certificate of a TLS server.
	TLS *TLSProbe `yaml:"tls"`
	// A name in the DNS.
	DNS *DNSProbe `yaml:"dns"`
	// A bucket.
	Blob *BlobProbe `yaml:"blob"`
	// An OpenID Connect issuer: its discovery document and keys.
	OIDC *OIDCProbe `yaml:"oidc"`
	// Firebase Authentication: its keys and token endpoint.
	FirebaseAuth *FirebaseAuthProbe `yaml:"firebase_auth"`
	// Stripe: an authenticated read.
	Stripe *StripeProbe `yaml:"stripe"`
	// Firestore: a read, or a canary that is written, read and deleted.
	Firestore *FirestoreProbe `yaml:"firestore"`
	// The free space of a disk.
	Disk *DiskProbe `yaml:"disk"`
	// ClamAV's daemon.
	Clamd *ClamdProbe `yaml:"clamd"`
}

// PostgresProbe connects to a database.
type PostgresProbe struct {
	// postgres://USER:PASSWORD@HOST:PORT/DATABASE
	URL Secret `yaml:"url" example:"${DATABASE_URL}"`
	// Whether it must take writes: a standby fails.
	Primary bool `yaml:"primary" example:"true"`
}

// SQLiteProbe reads a file.
type SQLiteProbe struct {
	// Absolute path of the database.
	Path string `yaml:"path" example:"/srv/app/app.db"`
}

// RedisProbe pings a server.
type RedisProbe struct {
	// redis://USER:PASSWORD@HOST:PORT/DATABASE, or rediss:// for TLS.
	URL Secret `yaml:"url" example:"${REDIS_URL}"`
}

// HTTPProbe requests a page.
type HTTPProbe struct {
	// http or https. A user and password in it are sent.
	URL Secret `yaml:"url" example:"https://api.example.com/health"`
	// GET or HEAD.
	Method string `yaml:"method" enum:",GET,HEAD" example:"HEAD"`
	// Headers that are sent, by name.
	Headers map[string]Secret `yaml:"headers" example:"{X-Probe: '${PROBE_TOKEN}'}"`
	// Status codes that are expected. None: 200 to 299.
	Status []int `yaml:"status" example:"[200, 204]"`
	// CEL expression over body (the answer's JSON) and status. Empty: the body
	// does not matter.
	Condition string `yaml:"condition" example:"body.status == \"ok\""`
}

// TCPProbe connects to a port.
type TCPProbe struct {
	// HOST:PORT
	Address string `yaml:"address" example:"mail.example.com:25"`
	// How the server must begin, unasked. Empty: a connection suffices.
	Banner string `yaml:"banner" example:"SSH-2.0"`
}

// TLSProbe reads a certificate.
type TLSProbe struct {
	// HOST:PORT
	Address string `yaml:"address" example:"api.example.com:443"`
	// Name that the certificate must be for. Empty: the host.
	ServerName string `yaml:"server_name" example:"api.example.com"`
	// Days left below which it is DEGRADED. 0: 14.
	DegradedBelow int `yaml:"degraded_below" range:"0..365" example:"21"`
}

// DNSProbe resolves a name.
type DNSProbe struct {
	// The name, absolute.
	Name string `yaml:"name" example:"api.example.com"`
	// A, AAAA, CNAME, MX, NS or TXT. Empty: A.
	Type string `yaml:"type" enum:",A,AAAA,CNAME,MX,NS,TXT" example:"CNAME"`
	// Records that must be there. None: any will do.
	Want []string `yaml:"want" example:"[192.0.2.10]"`
	// HOST:PORT of the server that is asked. Empty: the system's.
	Server string `yaml:"server" example:"9.9.9.9:53"`
}

// BlobProbe looks into a bucket.
type BlobProbe struct {
	// As media.bucket. Empty: the bucket of uploads.
	Bucket string `yaml:"bucket" example:"s3://avalo-media?region=eu-central-1"`
	// Key of an object that is written, read and deleted. Empty: the bucket is
	// only listed.
	Canary string `yaml:"canary" example:"gantry-probe"`
}

// OIDCProbe asks an issuer.
type OIDCProbe struct {
	// The issuer, exactly as its tokens name it.
	Issuer string `yaml:"issuer" example:"https://id.example.com"`
}

// FirebaseAuthProbe asks Firebase Authentication.
type FirebaseAuthProbe struct {
	// The project's web API key. Empty: the token endpoint shows only that it
	// answers.
	APIKey Secret `yaml:"api_key" example:"${FIREBASE_API_KEY}"`
	// HOST:PORT of the Auth emulator, in place of Google's servers.
	Emulator string `yaml:"emulator" example:"127.0.0.1:9099"`
}

// StripeProbe reads the account's balance.
type StripeProbe struct {
	// A restricted key that may read the balance.
	APIKey Secret `yaml:"api_key" example:"${STRIPE_PROBE_KEY}"`
	// Base URL of the API. Empty: Stripe's.
	URL string `yaml:"url" example:"http://127.0.0.1:12111"`
}

// FirestoreProbe reads a document.
type FirestoreProbe struct {
	// Project id. FIRESTORE_EMULATOR_HOST in the environment is honoured.
	Project string `yaml:"project" example:"my-project"`
	// Database. Empty: (default).
	Database string `yaml:"database" example:"prod"`
	// Path of a document that is read; it need not exist.
	Document string `yaml:"document" example:"health/probe"`
	// Path of a document that is written, read and deleted instead. Empty:
	// nothing is written.
	Canary string `yaml:"canary" example:"gantry/canary"`
}

// DiskProbe looks at a file system.
type DiskProbe struct {
	// A directory on it.
	Path string `yaml:"path" example:"/var/lib/postgresql"`
	// Free space below which it is DEGRADED, in percent. 0: 15.
	DegradedBelow int `yaml:"degraded_below" range:"0..100" example:"20"`
	// Free space below which it is DOWN, in percent. 0: 5.
	DownBelow int `yaml:"down_below" range:"0..100" example:"10"`
}

// ClamdProbe asks clamd.
type ClamdProbe struct {
	// As media.clamd. Empty: media.clamd.
	Address string `yaml:"address" example:"unix:/run/clamav/clamd.ctl"`
}

// Job is expected to run again and again. It has a schedule or a period.
type Job struct {
	// When it starts, as a cron expression of five fields.
	Schedule string `yaml:"schedule" example:"0 3 * * *"`
	// Time zone of the schedule. Empty: UTC.
	TimeZone string `yaml:"time_zone" example:"Europe/Warsaw"`
	// How often it succeeds, without a schedule.
	Period Duration `yaml:"period" range:"0s..366d" example:"15m"`
	// How late it may be before it is overdue. 0: 5m.
	Grace Duration `yaml:"grace" range:"0s..30d" example:"30m"`
	// How long a run may take. 0: as long as it wants.
	MaxRuntime Duration `yaml:"max_runtime" range:"0s..30d" example:"2h"`
}

// Freshness is a moment that must not be long ago: the answer of a query of
// host_database, or of a URL.
type Freshness struct {
	// Age above which it is STALE.
	MaxAge Duration `yaml:"max_age" range:"1s..366d" example:"15m"`
	// How often it is read. 0: 1m.
	Every Duration `yaml:"every" range:"0s..24h" example:"5m"`
	// One row with one column: a time, an RFC 3339 text, or Unix seconds or
	// milliseconds.
	Query string `yaml:"query" example:"SELECT max(indexed_at) FROM discovery_index"`
	// A URL whose JSON holds the moment.
	URL Secret `yaml:"url" example:"https://api.example.com/index/status"`
	// Where it stands in that JSON. Dots step into objects.
	Field string `yaml:"field" example:"index.updatedAt"`
	// Whether it is the discovery index of pack100_getSystemHealth.
	Discovery bool `yaml:"discovery" example:"true"`
}

// Diagnostics are counts, each a query of host_database with one number.
type Diagnostics struct {
	// Queries by what they count: users.total, sessions.active,
	// payouts.pending, disputes.open, kyc.pending, discovery.total,
	// discovery.active. What is not declared is null in answers.
	Queries map[string]string `yaml:"queries" example:"{payouts.pending: SELECT count(*) FROM payout_requests WHERE status = 'pending'}"`
}
