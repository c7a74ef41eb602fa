// Package redis measures whether a Redis server answers a PING.
package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"avalo.app/gantry/internal/egress"
	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/probe"
)

// Config says which server.
type Config struct {
	URL string // redis://USER:PASSWORD@HOST:PORT/DATABASE, or rediss:// for TLS
	// Private lets a public host name lead inside the network.
	Private bool
	// TLS is of a rediss:// URL; nil: the system's authorities, the URL's host.
	TLS *tls.Config
}

type prober struct {
	option rueidis.ClientOption
	dialer *egress.Dialer
}

// New returns a prober. It makes no connection, and starts nothing: rueidis
// dials when a client is made, so each measurement makes one.
func New(cfg Config) (health.Prober, error) {
	u, err := probe.URL("redis", "url", cfg.URL, "redis", "rediss")
	if err != nil {
		return nil, err
	}
	db := 0
	if path := strings.Trim(u.Path, "/"); path != "" {
		if db, err = strconv.Atoi(path); err != nil || db < 0 {
			return nil, probe.Invalid("redis", "url", "its path must be the number of a database, such as /0")
		}
	}
	addr := probe.Port(u, "6379")
	p := &prober{dialer: egress.NewDialer(egress.Options{Private: cfg.Private}, addr)}
	password, _ := u.User.Password()
	p.option = rueidis.ClientOption{
		InitAddress: []string{addr}, Username: u.User.Username(), Password: password, SelectDB: db, TLSConfig: tlsOf(u, cfg.TLS),
		ForceSingleClient: true, DisableRetry: true, DisableCache: true, PipelineMultiplex: -1,
		ClientName: "gantry-probe", ClientSetInfo: rueidis.DisableClientSetInfo,
		// One PING needs none of the megabytes that a busy client does.
		RingScaleEachConn: 1, ReadBufferEachConn: 4 << 10, WriteBufferEachConn: 4 << 10,
	}
	return p, nil
}

func tlsOf(u *url.URL, c *tls.Config) *tls.Config {
	if u.Scheme != "rediss" {
		return nil
	}
	if c == nil {
		return &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.Hostname()}
	}
	c = c.Clone()
	if c.ServerName == "" {
		c.ServerName = u.Hostname()
	}
	return c
}

// Probe implements health.Prober.
func (p *prober) Probe(ctx context.Context) (health.Reading, error) {
	o := p.option
	dial := probe.Dial(ctx, p.dialer)
	o.DialCtxFn = func(dctx context.Context, addr string, _ *net.Dialer, conf *tls.Config) (net.Conn, error) {
		c, err := dial(dctx, "tcp", addr)
		if err != nil || conf == nil {
			return c, err
		}
		return tls.Client(c, conf), nil
	}
	client, err := rueidis.NewClient(o)
	if err != nil {
		return health.Reading{}, fail(ctx, "connect", err)
	}
	defer client.Close()
	answer, err := client.Do(ctx, client.B().Ping().Build()).ToString()
	if err != nil {
		return health.Reading{}, fail(ctx, "PING", err)
	}
	if answer != "PONG" {
		return health.Reading{}, probe.Failf("PING: the answer is not PONG: this is not a Redis server")
	}
	return health.Reading{Message: "answers PING"}, nil
}

// fail tells a server's refusal by its first word: the rest quotes names.
func fail(ctx context.Context, what string, err error) error {
	e, ok := errors.AsType[*rueidis.RedisError](err)
	if ctx.Err() != nil || !ok {
		return probe.Fail(ctx, what, err)
	}
	word, _, _ := strings.Cut(e.Error(), " ")
	means := map[string]string{
		"NOAUTH":     "a password is needed; give it in the URL",
		"WRONGPASS":  "the user or password is wrong, or the user is disabled",
		"NOPERM":     "the user may not PING; grant it +ping",
		"LOADING":    "the server is loading its data",
		"BUSY":       "the server is held up by a script",
		"MASTERDOWN": "the replica has lost its primary",
		"MISCONF":    "the server cannot persist, and refuses commands",
		"DENIED":     "the server runs in protected mode",
		"ERR":        "the server refuses the command",
	}[word]
	if means == "" {
		means = "the server refuses"
	}
	return probe.Failf("%s: %s", what, means)
}
