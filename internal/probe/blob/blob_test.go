package blob_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	store "avalo.app/gantry/internal/blob"
	"avalo.app/gantry/internal/media"
	"avalo.app/gantry/internal/probe/blob"
	"avalo.app/gantry/internal/probe/probetest"
)

// bucket is a bucket in memory that fails as the suite says. interop holds the
// same prober against an S3 server that hangs.
type bucket struct {
	mu      sync.Mutex
	mode    probetest.Mode
	objects map[string][]byte
	reached chan struct{}
	open    atomic.Int64
}

func newBucket() *bucket {
	return &bucket{mode: probetest.Healthy, objects: make(map[string][]byte), reached: make(chan struct{}, 1)}
}

// Set implements probetest.Dependency.
func (b *bucket) Set(_ testing.TB, m probetest.Mode) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mode = m
	select {
	case <-b.reached:
	default:
	}
}

// Reached implements probetest.Dependency.
func (b *bucket) Reached() <-chan struct{} { return b.reached }

// calls is the number of calls under way.
func (b *bucket) calls() int { return int(b.open.Load()) }

func (b *bucket) call(ctx context.Context) (probetest.Mode, error) {
	b.open.Add(1)
	defer b.open.Add(-1)
	b.mu.Lock()
	m := b.mode
	b.mu.Unlock()
	select {
	case b.reached <- struct{}{}:
	default:
	}
	switch m {
	case probetest.Refusing:
		return m, fmt.Errorf("bucket %s", probetest.Secret)
	case probetest.Hanging:
		<-ctx.Done()
		return m, ctx.Err()
	}
	return m, nil
}

// Put implements blob.Bucket.
func (b *bucket) Put(ctx context.Context, key, _ string, r io.ReadSeeker) error {
	if _, err := b.call(ctx); err != nil {
		return err
	}
	data, err := io.ReadAll(r)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.objects[key] = data
	return err
}

// Open implements blob.Bucket.
func (b *bucket) Open(ctx context.Context, key string) (io.ReadCloser, media.Blob, error) {
	m, err := b.call(ctx)
	if err != nil {
		return nil, media.Blob{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	data, ok := b.objects[key]
	if !ok {
		return nil, media.Blob{}, errors.New("no object " + key)
	}
	if m == probetest.Garbage {
		data = bytes.Repeat([]byte(probetest.Secret), 1<<16)
	}
	return io.NopCloser(bytes.NewReader(data)), media.Blob{}, nil
}

// Delete implements blob.Bucket.
func (b *bucket) Delete(ctx context.Context, key string) error {
	_, err := b.call(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.objects, key)
	return err
}

// List implements blob.Bucket.
func (b *bucket) List(ctx context.Context, _ string, fn func(media.Blob) error) error {
	if _, err := b.call(ctx); err != nil {
		return err
	}
	return fn(media.Blob{Key: probetest.Secret})
}

// dependency is a bucket as the suite sees it.
type dependency struct{ *bucket }

// Open implements probetest.Dependency.
func (d dependency) Open() int { return d.calls() }

func TestConformance(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg   blob.Config
		modes []probetest.Mode
	}{
		"list":   {blob.Config{}, []probetest.Mode{probetest.Refusing, probetest.Hanging}},
		"object": {blob.Config{Object: probetest.Secret}, []probetest.Mode{probetest.Refusing, probetest.Hanging}},
		"canary": {blob.Config{Canary: probetest.Secret + "/canary"}, []probetest.Mode{probetest.Refusing, probetest.Hanging, probetest.Garbage}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBucket()
			b.objects[probetest.Secret] = nil
			tt.cfg.Bucket = b
			p, err := blob.New(tt.cfg)
			if err != nil {
				t.Fatal(err)
			}
			probetest.Run(t, probetest.Kind{Prober: p, Dependency: dependency{b}, Modes: tt.modes})
			if len(b.objects) != 1 {
				t.Errorf("the canary stays: %d objects", len(b.objects))
			}
		})
	}
}

// A canary is used by one measurement at a time: two would read each other's.
func TestOneAtATime(t *testing.T) {
	b := newBucket()
	p, err := blob.New(blob.Config{Bucket: b, Canary: "canary"})
	if err != nil {
		t.Fatal(err)
	}
	b.Set(t, probetest.Hanging)
	first, end := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := p.Probe(first)
		ended <- err
	}()
	<-b.Reached()
	b.Set(t, probetest.Healthy)
	second, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := p.Probe(second); !errors.Is(err, context.DeadlineExceeded) || err.Error() != "wait for the measurement before: timed out" {
		t.Errorf("beside another: %v", err)
	}
	end()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the first: %v", err)
	}
	if _, err := p.Probe(t.Context()); err != nil {
		t.Errorf("after it: %v", err)
	}
}

// The blob package's own bucket fits, with its errors.
func TestDirectory(t *testing.T) {
	url, err := store.Dir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b, err := store.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, tt := range []struct {
		cfg  blob.Config
		want string
	}{
		{blob.Config{}, ""},
		{blob.Config{Object: probetest.Secret}, "open the object: there is no such bucket or object"},
		{blob.Config{Canary: "gantry/canary"}, ""},
	} {
		tt.cfg.Bucket = b
		p, err := blob.New(tt.cfg)
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Probe(t.Context())
		if (err == nil) != (tt.want == "") || err != nil && err.Error() != tt.want {
			t.Errorf("%+v: %v", tt.cfg, err)
		}
	}
}

func TestConfig(t *testing.T) {
	b := newBucket()
	for _, cfg := range []blob.Config{
		{}, {Bucket: b, Object: "a", Canary: "b"}, {Bucket: b, Canary: probetest.Secret + "/"}, {Bucket: b, Canary: "/a"}, {Bucket: b, Object: strings.Repeat("a", 1025)},
	} {
		if _, err := blob.New(cfg); err == nil || strings.Contains(err.Error(), probetest.Secret) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
