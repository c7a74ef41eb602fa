package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"avalo.app/gantry/internal/blob"
	"avalo.app/gantry/internal/clamd"
	"avalo.app/gantry/internal/config"
	"avalo.app/gantry/internal/health"
	probeblob "avalo.app/gantry/internal/probe/blob"
	probeclamd "avalo.app/gantry/internal/probe/clamd"
	"avalo.app/gantry/internal/probe/disk"
	"avalo.app/gantry/internal/probe/dns"
	"avalo.app/gantry/internal/probe/firebaseauth"
	"avalo.app/gantry/internal/probe/firestore"
	"avalo.app/gantry/internal/probe/httpcheck"
	"avalo.app/gantry/internal/probe/oidc"
	"avalo.app/gantry/internal/probe/postgres"
	"avalo.app/gantry/internal/probe/redis"
	"avalo.app/gantry/internal/probe/sqlite"
	"avalo.app/gantry/internal/probe/stripe"
	"avalo.app/gantry/internal/probe/tcp"
	"avalo.app/gantry/internal/probe/tlscert"
)

// prober builds the driver of one component: one case for each kind.
func (a *App) prober(ctx context.Context, c config.Component) (health.Prober, error) {
	switch {
	case c.Postgres != nil:
		return postgres.New(postgres.Config{URL: c.Postgres.URL.Reveal(), Primary: c.Postgres.Primary, Private: c.Private})
	case c.SQLite != nil:
		return sqlite.New(sqlite.Config{Path: c.SQLite.Path})
	case c.Redis != nil:
		return redis.New(redis.Config{URL: c.Redis.URL.Reveal(), Private: c.Private})
	case c.HTTP != nil:
		h := httpcheck.Config{URL: c.HTTP.URL.Reveal(), Method: c.HTTP.Method, Header: map[string]string{}, Status: c.HTTP.Status, Condition: c.HTTP.Condition, Private: c.Private}
		for name, value := range c.HTTP.Headers {
			h.Header[name] = value.Reveal()
		}
		return httpcheck.New(h)
	case c.TCP != nil:
		return tcp.New(tcp.Config{Address: c.TCP.Address, Banner: c.TCP.Banner, Private: c.Private})
	case c.TLS != nil:
		return tlscert.New(tlscert.Config{Address: c.TLS.Address, ServerName: c.TLS.ServerName, DegradedBelow: c.TLS.DegradedBelow, Private: c.Private, Now: a.o.Now})
	case c.DNS != nil:
		return dns.New(dns.Config{Name: c.DNS.Name, Type: c.DNS.Type, Want: c.DNS.Want, Server: c.DNS.Server, Private: c.Private})
	case c.Blob != nil:
		return a.bucketProber(ctx, *c.Blob)
	case c.OIDC != nil:
		return oidc.New(oidc.Config{Issuer: c.OIDC.Issuer, Private: c.Private})
	case c.FirebaseAuth != nil:
		return firebaseauth.New(firebaseauth.Config{APIKey: c.FirebaseAuth.APIKey.Reveal(), Emulator: c.FirebaseAuth.Emulator, Private: c.Private})
	case c.Stripe != nil:
		return stripe.New(stripe.Config{Key: c.Stripe.APIKey.Reveal(), BaseURL: c.Stripe.URL, Private: c.Private})
	case c.Firestore != nil:
		f := c.Firestore
		return firestore.New(firestore.Config{Project: f.Project, Database: f.Database, Document: f.Document, Canary: f.Canary, Private: c.Private})
	case c.Disk != nil:
		level := func(percent int) disk.Level { return disk.Level{Percent: float64(percent)} }
		return disk.New(disk.Config{Path: c.Disk.Path, Degraded: level(c.Disk.DegradedBelow), Failing: level(c.Disk.DownBelow)})
	case c.Clamd != nil:
		return a.clamdProber(c.Clamd.Address)
	}
	return nil, errors.New("it has no kind")
}

func (a *App) bucketProber(ctx context.Context, c config.BlobProbe) (health.Prober, error) {
	url := c.Bucket
	if url == "" {
		var err error
		if url, err = a.bucketURL(); err != nil {
			return nil, err
		}
	}
	b, err := blob.Open(ctx, url)
	if err != nil {
		return nil, err
	}
	a.onStop("probed bucket", func(context.Context) error { return b.Close() })
	return probeblob.New(probeblob.Config{Bucket: b, Canary: c.Canary})
}

func (a *App) clamdProber(address string) (health.Prober, error) {
	if address == "" {
		address = a.config().Media.Clamd
	}
	if address == "" {
		return nil, errors.New("clamd.address must be set, or media.clamd")
	}
	s, err := clamd.New(address, clamd.DefaultTimeout)
	if err != nil {
		return nil, err
	}
	return probeclamd.New(probeclamd.Config{Daemon: s, Now: a.o.Now})
}

// ownProber measures what this node is itself: its process, disk, store and
// background work.
type ownProber struct {
	a       *App
	process health.Prober
	disk    health.Prober
}

// Probe implements health.Prober.
func (p ownProber) Probe(ctx context.Context) (health.Reading, error) {
	r, err := p.process.Probe(ctx)
	if err != nil {
		return r, err
	}
	failing := p.a.failing.Load()
	r.Details["backgroundFailing"], r.Details["counters"] = failing, p.a.counters.Stats().Keys
	if d, err := p.disk.Probe(ctx); err != nil {
		return health.Reading{}, fmt.Errorf("disk of data_dir: %w", err)
	} else {
		for k, v := range d.Details {
			r.Details["disk."+k] = v
		}
		if d.Degraded && !r.Degraded {
			r.Degraded, r.Message = true, "disk of data_dir: "+d.Message
		}
	}
	switch degraded, _, _ := p.a.limits.Degraded(); {
	case p.a.lastStoreErr() != nil:
		return health.Reading{}, errors.New("the node's own store does not answer")
	case degraded:
		r.Degraded, r.Message = true, "limits are decided without the counter store"
	case failing > 0:
		r.Degraded, r.Message = true, fmt.Sprintf("%d background works fail: see the log", failing)
	}
	return r, nil
}

// selfEvery is how often a node measures itself.
const selfEvery = 5 * time.Second
