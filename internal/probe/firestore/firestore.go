// Package firestore measures whether Cloud Firestore answers: by a document
// that is read, or by one that is written, read and deleted.
package firestore

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/url"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"avalo.app/gantry/internal/egress"
	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/probe"
)

// Google's own addresses.
const (
	DefaultEndpoint = "firestore.googleapis.com:443"
	DefaultDatabase = "(default)"
	tokenURL        = "https://oauth2.googleapis.com/token"
)

// Config says which database and what is done with it: exactly one of
// Document and Canary.
type Config struct {
	Project  string
	Database string // empty: DefaultDatabase
	Document string // COLLECTION/DOCUMENT[/…] that is there and is read
	// Canary is a document that is written, read and deleted, by one
	// measurement at a time and one node. A measurement that is ended early
	// leaves it for the next.
	Canary string
	// Credentials are a service account's JSON. Without them the environment's
	// serve (Application Default Credentials).
	Credentials []byte
	// Emulator is the HOST:PORT of an emulator, which takes no credentials.
	// Empty: FIRESTORE_EMULATOR_HOST.
	Emulator string
	Endpoint string // HOST:PORT; empty: DefaultEndpoint
	// Private lets a public host name lead inside the network.
	Private bool
	// Roots are the trusted authorities; nil: the system's.
	Roots *x509.CertPool
}

type prober struct {
	db     database
	canary bool
	addr   string
	dialer *egress.Dialer
	login  *login      // nil for an emulator
	tls    *tls.Config // nil for an emulator
	turn   probe.Turn
}

// New returns a prober. It makes no connection and looks for no credentials.
func New(cfg Config) (health.Prober, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	p := &prober{canary: cfg.Canary != "", addr: DefaultEndpoint, turn: probe.NewTurn()}
	if cfg.Database == "" {
		cfg.Database = DefaultDatabase
	}
	p.db = database{project: cfg.Project, id: cfg.Database, document: cfg.Document + cfg.Canary}
	emulator := cfg.Emulator
	if emulator == "" {
		emulator = strings.TrimPrefix(os.Getenv("FIRESTORE_EMULATOR_HOST"), "http://")
	}
	switch {
	case emulator != "":
		p.addr = emulator
	case cfg.Endpoint != "":
		p.addr = cfg.Endpoint
	}
	if err := probe.Address("firestore", "endpoint", p.addr); err != nil {
		return nil, err
	}
	p.dialer = egress.NewDialer(egress.Options{Private: cfg.Private}, p.addr)
	if emulator == "" {
		host, _, _ := net.SplitHostPort(p.addr)
		p.tls = &tls.Config{ServerName: host, RootCAs: cfg.Roots, MinVersion: tls.VersionTLS12}
		var err error
		if p.login, err = newLogin(cfg); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (c Config) check() error {
	const kind = "firestore"
	switch {
	case c.Project == "" || strings.ContainsAny(c.Project+c.Database, "/ \r\n"):
		return probe.Invalid(kind, "project", "must be the id of a project, and database that of one of its databases")
	case (c.Document == "") == (c.Canary == ""):
		return probe.Invalid(kind, "document", "give either a document that is read or a canary that is written")
	}
	parts := strings.Split(c.Document+c.Canary, "/")
	for _, s := range parts {
		if s == "" || s == "." || s == ".." || len(parts)%2 != 0 || len(c.Document+c.Canary) > 6<<10 {
			return probe.Invalid(kind, "document", "must be a path such as COLLECTION/DOCUMENT, with an even number of parts; this one has %d", len(parts))
		}
	}
	return nil
}

// Probe implements health.Prober.
func (p *prober) Probe(ctx context.Context) (health.Reading, error) {
	if p.canary {
		done, err := p.turn.Take(ctx)
		if err != nil {
			return health.Reading{}, err
		}
		defer done()
	}
	var dialled failure
	conn, err := grpc.NewClient("passthrough:///"+p.addr, p.options(ctx, &dialled)...)
	if err != nil {
		return health.Reading{}, probe.Fail(ctx, "connect", err)
	}
	defer conn.Close()
	if !p.canary {
		if _, err := p.db.read(ctx, conn); err != nil {
			return health.Reading{}, fail(ctx, "read the document", err, &dialled)
		}
		return health.Reading{Message: "the document can be read"}, nil
	}
	song := rand.Text() // another each time: an old document must not pass
	if err := p.db.write(ctx, conn, song); err != nil {
		return health.Reading{}, fail(ctx, "write the canary", err, &dialled)
	}
	got, err := p.db.read(ctx, conn)
	if err != nil {
		return health.Reading{}, fail(ctx, "read the canary", err, &dialled)
	}
	if got != song {
		return health.Reading{}, probe.Failf("read the canary: what was written is not what is read: another node writes it too")
	}
	if err := p.db.remove(ctx, conn); err != nil {
		return health.Reading{}, fail(ctx, "delete the canary", err, &dialled)
	}
	return health.Reading{Message: "can be written, read and deleted from"}, nil
}

// maxMessage bounds an answer: a document has at most 1 MiB.
const maxMessage = 2 << 20

func (p *prober) options(ctx context.Context, dialled *failure) []grpc.DialOption {
	dial := probe.Dial(ctx, p.dialer)
	out := []grpc.DialOption{
		grpc.WithContextDialer(func(dctx context.Context, addr string) (net.Conn, error) {
			c, err := dial(dctx, "tcp", addr)
			dialled.set(err)
			return c, err
		}),
		grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(), grpc.WithNoProxy(), grpc.WithUserAgent("gantry-probe"),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
	}
	if p.login == nil {
		return append(out, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithPerRPCCredentials(owner{}))
	}
	return append(out, grpc.WithTransportCredentials(credentials.NewTLS(p.tls)), grpc.WithPerRPCCredentials(p.login))
}

// fail tells a failure by its code: the message quotes names, addresses and
// answers.
func fail(ctx context.Context, what string, err error, dialled *failure) error {
	if cause := dialled.get(); cause != nil && ctx.Err() == nil {
		return probe.Fail(ctx, "connect", cause)
	}
	s, ok := status.FromError(err)
	if ctx.Err() != nil || !ok {
		return probe.Fail(ctx, what, err)
	}
	means := map[codes.Code]string{
		codes.NotFound:          "there is no such document or database",
		codes.PermissionDenied:  "permission denied; give the service account the role roles/datastore.viewer, or roles/datastore.user for a canary",
		codes.Unauthenticated:   "the credentials are not accepted, or no token could be had for them",
		codes.ResourceExhausted: "a quota is used up",
		codes.Unavailable:       "the service is not available",
		codes.DeadlineExceeded:  "the service took too long",
	}[s.Code()]
	if means == "" {
		means = "the service answers with an error"
	}
	return probe.Failf("%s: %s (gRPC %s)", what, means, s.Code())
}

// named returns the URLs at which a token may be had.
func named(account []byte) ([]*url.URL, error) {
	raw := []string{tokenURL, "http://169.254.169.254"} // the second is a cloud's metadata
	if len(account) > 0 {
		var doc struct {
			Type     string `json:"type"`
			TokenURI string `json:"token_uri"`
			Key      string `json:"private_key"`
		}
		if json.Unmarshal(account, &doc) != nil || doc.Type != "service_account" || doc.Key == "" {
			return nil, probe.Invalid("firestore", "credentials", "must be the JSON of a service account's key")
		}
		raw = []string{tokenURL}
		if doc.TokenURI != "" {
			raw[0] = doc.TokenURI
		}
	}
	var out []*url.URL
	for _, s := range raw {
		u, err := probe.URL("firestore", "credentials", s, "https", "http")
		if err != nil {
			return nil, err
		}
		out = append(out, u)
	}
	return out, nil
}

func newLogin(cfg Config) (*login, error) {
	at, err := named(cfg.Credentials)
	if err != nil {
		return nil, err
	}
	return &login{account: cfg.Credentials, client: probe.Client(egress.Options{Private: cfg.Private}, at...)}, nil
}
