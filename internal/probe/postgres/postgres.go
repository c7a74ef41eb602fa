// Package postgres measures whether a PostgreSQL server takes a connection
// and answers a read.
package postgres

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"avalo.app/gantry/internal/egress"
	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/probe"
)

// Config says which server.
type Config struct {
	URL string // postgres://USER:PASSWORD@HOST:PORT/DATABASE, with pgx's parameters
	// Private lets a public host name lead inside the network.
	Private bool
	// Primary demands a server that takes writes: a standby fails.
	Primary bool
}

// query reads without leaving anything, in one round trip, also through a
// pooler of transactions.
const query = "START TRANSACTION READ ONLY; SELECT CASE WHEN pg_is_in_recovery() THEN 1 ELSE 0 END; ROLLBACK"

type prober struct {
	cfg     Config
	conf    *pgx.ConnConfig
	dialer  *egress.Dialer
	sockets bool // the host is a folder of Unix sockets
}

// New returns a prober. It makes no connection.
func New(cfg Config) (health.Prober, error) {
	if _, err := probe.URL("postgres", "url", cfg.URL, "postgres", "postgresql"); err != nil && !strings.Contains(cfg.URL, "host=") {
		return nil, err
	}
	conf, err := pgx.ParseConfig(cfg.URL)
	if err != nil { // which quotes the URL
		return nil, probe.Invalid("postgres", "url", "is not one that pgx understands: check sslmode and the other parameters, and that files it names can be read")
	}
	p := &prober{cfg: cfg, conf: conf, sockets: strings.HasPrefix(conf.Host, "/")}
	addrs := []string{address(conf.Host, conf.Port)}
	for _, f := range conf.Fallbacks {
		addrs = append(addrs, address(f.Host, f.Port))
	}
	p.dialer = egress.NewDialer(egress.Options{Private: cfg.Private}, addrs...)
	if conf.RuntimeParams["application_name"] == "" {
		conf.RuntimeParams["application_name"] = "gantry probe"
	}
	// The dialer resolves, so that it sees the name that was configured.
	conf.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	return p, nil
}

func address(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// Probe implements health.Prober.
func (p *prober) Probe(ctx context.Context) (health.Reading, error) {
	conf := p.conf.Copy()
	dial := probe.Dial(ctx, p.dialer)
	conf.DialFunc = func(dctx context.Context, network, addr string) (net.Conn, error) {
		if network == "unix" && p.sockets {
			c, err := new(net.Dialer).DialContext(dctx, network, addr)
			if err != nil {
				return nil, err
			}
			return probe.Bind(ctx, c), nil
		}
		return dial(dctx, network, addr)
	}
	conn, err := pgx.ConnectConfig(ctx, conf)
	if err != nil {
		return health.Reading{}, fail(ctx, "connect", err)
	}
	defer func() {
		_ = conn.Close(ctx)
		<-conn.PgConn().CleanupDone() // at once: the connection is closed
	}()
	results, err := conn.PgConn().Exec(ctx, query).ReadAll()
	if err != nil {
		return health.Reading{}, fail(ctx, "read", err)
	}
	if len(results) != 3 || len(results[1].Rows) != 1 {
		return health.Reading{}, probe.Failf("read: %d results, want 3: this is not a PostgreSQL server that is understood", len(results))
	}
	standby := string(results[1].Rows[0][0]) == "1"
	if standby && p.cfg.Primary {
		return health.Reading{}, probe.Failf("the server is a standby, which takes no writes: promote it, or point the URL at the primary")
	}
	r := health.Reading{Message: "answers a read", Details: map[string]any{"standby": 0}}
	if standby {
		r.Message, r.Details["standby"] = "a standby answers a read", 1
	}
	return r, nil
}

// fail tells a server's refusal by its SQLSTATE: the message quotes names.
func fail(ctx context.Context, what string, err error) error {
	var e *pgconn.PgError
	switch {
	case ctx.Err() == nil && errors.As(err, &e):
	case ctx.Err() == nil && strings.Contains(err.Error(), "server refused TLS connection"): // pgconn has no value for it
		return probe.Failf("%s: the server speaks no TLS, which sslmode demands", what)
	default:
		return probe.Fail(ctx, what, err)
	}
	means := map[string]string{
		"28P01": "the user or password is wrong",
		"28000": "the user may not connect from here (pg_hba.conf)",
		"3D000": "there is no such database",
		"53300": "the server has no connection left",
		"57P01": "the server is shutting down",
		"57P02": "the server has crashed",
		"57P03": "the server is starting up or shutting down",
		"42501": "the user may not read",
	}[e.Code]
	switch {
	case means != "":
		return probe.Failf("%s: %s (SQLSTATE %s)", what, means, e.Code)
	case sqlstate(e.Code):
		return probe.Failf("%s: the server refuses with SQLSTATE %s", what, e.Code)
	}
	return probe.Failf("%s: the server refuses", what)
}

// sqlstate reports whether a code is one, and so short that it tells nothing
// else.
func sqlstate(s string) bool {
	return len(s) == 5 && strings.Trim(s, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}
