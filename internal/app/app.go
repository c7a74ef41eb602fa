// Package app is the composition root: it builds the program from its
// configuration, starts it, reloads it and stops it. It is the only importer
// of drivers.
package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"avalo.app/gantry/internal/access"
	"avalo.app/gantry/internal/config"
	"avalo.app/gantry/internal/counters/memory"
	"avalo.app/gantry/internal/geoip"
	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/hostsignal"
	"avalo.app/gantry/internal/httpapi"
	"avalo.app/gantry/internal/idempotency"
	"avalo.app/gantry/internal/incident"
	"avalo.app/gantry/internal/launch"
	"avalo.app/gantry/internal/media"
	"avalo.app/gantry/internal/ratelimit"
	"avalo.app/gantry/internal/resumable"
	"avalo.app/gantry/internal/store"
)

// Options are what the program is given beside its configuration.
type Options struct {
	Version string
	Log     *slog.Logger
	// Level is the log's level, moved by a reload. Optional.
	Level *slog.LevelVar
	Now   func() time.Time
	// Load reads the configuration again for a reload.
	Load func() (config.Config, error)
}

// App is the program.
type App struct {
	o   Options
	cfg atomic.Pointer[config.Config]

	db     *store.DB
	hasher *ratelimit.Hasher

	launchHasher *launch.Hasher
	mediaKey     []byte
	counters     *memory.Counters
	limits       *ratelimit.Service
	access       *access.Service
	idem         *idempotency.Service
	control      *launch.Control
	signups      *launch.Signups
	guests       *launch.Guests
	media        *media.Service
	parts        func(now time.Time) error // removes what a kill left half written in a local bucket
	tus          *resumable.Dir
	refusals     *prometheus.CounterVec
	geo          *geoip.Database // nil: none is configured
	proxies      atomic.Pointer[httpapi.Proxies]

	verifiers map[oidcID]access.VerifyFunc // under reloading, after New
	registry  *prometheus.Registry
	node      string

	monitor     *health.Monitor
	heartbeats  *health.Heartbeats
	sources     *health.Sources
	diagnostics *health.Diagnostics
	hostSignals *hostsignal.Service
	incidents   *incident.Service
	receivers   map[string]incident.Receiver
	counts      atomic.Pointer[incidentCounts]
	saved       atomic.Pointer[time.Time] // the last counter snapshot, or the start
	statfs      func(path string, st *syscall.Statfs_t) error
	diskLow     bool      // under diskSignal
	auditDue    time.Time // when this node verifies the audit log again; under auditSignal

	edges  sync.Mutex
	failed map[string]bool // facts that fail, by rule and object; under edges

	server   *http.Server
	listener net.Listener
	storeErr atomic.Pointer[error]
	failing  atomic.Int32 // background loops whose last turn failed
	dead     chan error   // see Dead

	bootstrap string // the admin key made at this start, shown once
	reloading sync.Mutex

	cancel  context.CancelFunc
	loops   sync.WaitGroup
	cleanup []cleanup // last in, first out
}

type cleanup struct {
	name string
	fn   func(context.Context) error
}

func (a *App) onStop(name string, fn func(context.Context) error) {
	a.cleanup = append(a.cleanup, cleanup{name, fn})
}

// New builds the program: it takes the data directory, opens the store,
// brings its schema forward and loads what the node keeps. After an error
// everything is released.
func New(ctx context.Context, cfg config.Config, o Options) (*App, error) {
	a := &App{o: o, node: rand.Text()[:12], registry: prometheus.NewRegistry(), statfs: syscall.Statfs, dead: make(chan error, 1), failed: map[string]bool{}}
	a.cfg.Store(&cfg)
	for _, step := range []func(context.Context) error{
		// The first admin key is made last but for what cannot fail on a valid
		// configuration: a start that fails later would take it along unseen.
		a.takeDataDir, a.openStore, a.openIncidents, a.openCounters, a.openLimits, a.listen, a.openAccess, a.openLaunch, a.openMedia, a.openHealth, a.openHTTP,
	} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, a.unwind(ctx))
		}
	}
	return a, nil
}

func (a *App) config() *config.Config { return a.cfg.Load() }

func (a *App) path(name string) string { return filepath.Join(a.config().DataDir, name) }

func (a *App) takeDataDir(context.Context) error {
	dir := a.config().DataDir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	release, err := lockDir(dir)
	if err != nil {
		return err
	}
	a.onStop("data directory", func(context.Context) error { return release() })
	return nil
}

func (a *App) openStore(ctx context.Context) error {
	db, err := OpenStore(ctx, *a.config(), a.o.Now)
	if err != nil {
		return err
	}
	a.db = db
	a.onStop("store", func(context.Context) error { return db.Close() })
	return nil
}

// openCounters loads the last snapshot. A snapshot that cannot be used is
// said aloud and set aside: the node starts with empty counters.
func (a *App) openCounters(ctx context.Context) error {
	cfg := a.config()
	text, _, err := secretFile(cfg.Secrets.HashKey.Reveal(), cfg.Secrets.HashKeyFile, a.path("hash.key"), newHashKey)
	if err != nil {
		return fmt.Errorf("secrets.hash_key: %w", err)
	}
	if len(text) < minHashKey {
		return fmt.Errorf("secrets.hash_key: the key has %d characters and needs at least %d: hashes of addresses under a short key can be guessed", len(text), minHashKey)
	}
	a.hasher, a.launchHasher, a.mediaKey = ratelimit.NewHasher(hashKey(text)), launch.NewHasher(launchHashKey(text)), mediaHashKey(text)
	fingerprint := a.hasher.Fingerprint()
	if err := a.db.PinFact(ctx, "hash_key", hex.EncodeToString(fingerprint[:8])); err != nil {
		return err
	}
	a.counters = memory.New(memory.Options{MaxKeys: cfg.Counters.MaxKeys, Fingerprint: fingerprint})
	a.saved.Store(new(time.Now()))
	path := a.path("counters.snapshot")
	stats, err := a.counters.LoadFile(path, a.o.Now().UnixMicro())
	if err != nil {
		aside := path + ".unusable"
		a.o.Log.Error("the counter snapshot cannot be used; starting with empty counters", "error", err, "kept", aside)
		if err := os.Rename(path, aside); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	} else if stats.Keys > 0 {
		a.o.Log.Info("counters loaded", "keys", stats.Keys)
	}
	a.onStop("counter snapshot", func(context.Context) error { return a.saveCounters() })
	return nil
}

func (a *App) saveCounters() error {
	_, err := a.counters.SaveFile(a.path("counters.snapshot"))
	if err == nil {
		a.saved.Store(new(time.Now()))
	}
	return err
}

func (a *App) openLimits(ctx context.Context) error {
	a.limits = ratelimit.New(ratelimit.Options{
		Counters: a.counters, Hasher: a.hasher, Policies: a.db, Violations: a.db,
		Signals: a.signal, Now: a.o.Now, Node: a.node,
	}, a.config().Policies())
	if err := a.limits.Refresh(ctx); err != nil {
		return err
	}
	a.onStop("violations", a.limits.Flush)
	return nil
}

func (a *App) listen(context.Context) error {
	l, err := net.Listen("tcp", a.config().Server.Listen)
	if err != nil {
		return fmt.Errorf("server.listen: %w", err)
	}
	a.listener = l
	a.onStop("listener", func(context.Context) error {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil // the server closed it
	})
	return nil
}

// Start serves on the listener that New opened.
func (a *App) Start(ctx context.Context) error {
	loops, cancel := context.WithCancel(context.WithoutCancel(ctx))
	a.cancel = cancel
	a.startLoops(loops)
	a.loops.Go(debug.FreeOSMemory) // building the program leaves more garbage than it keeps
	go func() {
		if err := a.server.Serve(a.listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			a.dead <- fmt.Errorf("the HTTP server ended: %w", err)
		}
	}()
	return nil
}

// Dead receives why the HTTP server ended, if it does before Stop. Nothing
// answers from then on: stop, and let whoever watches the process start anew.
func (a *App) Dead() <-chan error { return a.dead }

// Handler is the whole HTTP surface.
func (a *App) Handler() http.Handler { return a.server.Handler }

// Addr is the address that is listened on.
func (a *App) Addr() string { return a.listener.Addr().String() }

// BootstrapKey returns the admin key if this start made it, else "".
func (a *App) BootstrapKey() string { return a.bootstrap }

// Stop ends the program: no new requests, those in flight finish within the
// grace, loops end, and everything that is open is flushed and closed in
// reverse order. All errors are returned.
func (a *App) Stop(ctx context.Context) error {
	var errs []error
	if a.server != nil && a.listener != nil {
		grace, cancel := context.WithTimeout(ctx, time.Duration(a.config().Server.ShutdownGrace))
		defer cancel()
		if err := a.server.Shutdown(grace); err != nil {
			errs = append(errs, fmt.Errorf("requests still in flight were cut: %w", err), a.server.Close())
		}
	}
	if a.cancel != nil {
		a.cancel()
		a.loops.Wait()
	}
	return errors.Join(append(errs, a.unwind(ctx))...)
}

func (a *App) unwind(ctx context.Context) error {
	var errs []error
	for i := len(a.cleanup) - 1; i >= 0; i-- {
		if err := a.cleanup[i].fn(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", a.cleanup[i].name, err))
		}
	}
	a.cleanup = nil
	return errors.Join(errs...)
}
