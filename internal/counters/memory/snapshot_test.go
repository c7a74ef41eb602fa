package memory_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/iotest"

	"avalo.app/gantry/internal/counters/memory"
	"avalo.app/gantry/internal/ratelimit"
)

// rules has one rule of each algorithm, the first with a penalty.
func rules() []ratelimit.Params {
	p := sliding(3)
	p.BlockAfter, p.BlockFor = 1, 5*hour
	return []ratelimit.Params{
		p,
		{Algorithm: ratelimit.WindowCredit, Window: 2 * hour, Limit: 3, Burst: 5},
		{Algorithm: ratelimit.GCRA, Window: hour, Limit: 3},
	}
}

// filled has keys 0..n-1 in several states, some blocked.
func filled(t testing.TB, n int) *memory.Counters {
	t.Helper()
	c := memory.New(memory.Options{Fingerprint: hasher.Fingerprint()})
	for i := range n {
		p := rules()[i%3]
		for range i % 6 {
			take(t, c, t0+int64(i), key(i), p, 1)
		}
		take(t, c, t0+hour/2, key(i), p, 1)
	}
	return c
}

func saved(t testing.TB, c *memory.Counters) []byte {
	t.Helper()
	var b bytes.Buffer
	stats, err := c.Save(&b)
	if err != nil {
		t.Fatal(err)
	}
	if stats.Keys != c.Stats().Keys || stats.Bytes != int64(b.Len()) {
		t.Fatalf("%d bytes of %d keys saved, stats say %+v", b.Len(), c.Stats().Keys, stats)
	}
	return b.Bytes()
}

// same compares the answers of two counters for keys 0..n-1, and uses them up.
func same(t *testing.T, a, b *memory.Counters, n int, now int64) {
	t.Helper()
	for i := range n {
		p := rules()[i%3]
		if x, y := take(t, a, now, key(i), p, 1), take(t, b, now, key(i), p, 1); x != y {
			t.Fatalf("key %d: %+v before, %+v after", i, x, y)
		}
	}
}

func TestSnapshot(t *testing.T) {
	const n = 3000
	c, d := filled(t, n), memory.New(memory.Options{Fingerprint: hasher.Fingerprint()})
	take(t, d, t0, key(0), sliding(1), 1) // gone after Load
	stats, err := d.Load(iotest.HalfReader(bytes.NewReader(saved(t, c))), t0+hour/2)
	if err != nil || stats.Keys != n || stats.Expired != 0 {
		t.Fatalf("%+v, %v", stats, err)
	}
	if got, want := d.Stats(), c.Stats(); got.Keys != want.Keys || got.Penalties != want.Penalties || want.Penalties == 0 {
		t.Fatalf("%+v before, %+v after", want, got)
	}
	same(t, c, d, n, t0+hour/2)
	same(t, c, d, n, t0+hour)

	e := memory.New(memory.Options{Fingerprint: hasher.Fingerprint()})
	stats, err = e.Load(bytes.NewReader(saved(t, c)), t0+100*hour)
	if s := e.Stats(); err != nil || stats.Keys != 0 || stats.Expired != n || s.Keys != 0 || s.Penalties != 0 {
		t.Fatalf("all expired: %+v, %+v, %v", stats, s, err)
	}
}

func TestSnapshotDamaged(t *testing.T) {
	good := saved(t, filled(t, 30))
	// refuses wants an error, and counters as empty and usable as before.
	refuses := func(t *testing.T, data []byte, want error) {
		t.Helper()
		c := memory.New(memory.Options{Fingerprint: hasher.Fingerprint()})
		if _, err := c.Load(bytes.NewReader(data), t0); !errors.Is(err, want) {
			t.Fatalf("error %v, want %v", err, want)
		}
		if s := c.Stats(); s.Keys != 0 || s.Penalties != 0 {
			t.Fatalf("something was loaded: %+v", s)
		}
		if !take(t, c, t0, key(0), sliding(1), 1).Allowed {
			t.Fatal("the counters cannot be used")
		}
	}
	t.Run("truncated", func(t *testing.T) {
		for i := range good {
			refuses(t, good[:i], memory.ErrCorrupt)
		}
	})
	t.Run("one bit", func(t *testing.T) {
		for i := 24; i < len(good); i++ {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << (i % 8)
			refuses(t, bad, memory.ErrCorrupt)
		}
	})
	t.Run("longer", func(t *testing.T) { refuses(t, append(bytes.Clone(good), 0), memory.ErrCorrupt) })
	t.Run("not a snapshot", func(t *testing.T) { refuses(t, []byte("#!/bin/sh\nexit 1\n"), memory.ErrCorrupt) })
	t.Run("another version", func(t *testing.T) {
		bad := bytes.Clone(good)
		bad[7] = 9
		_, err := memory.New(memory.Options{}).Load(bytes.NewReader(bad), t0)
		if err == nil || errors.Is(err, memory.ErrCorrupt) || !bytes.Contains([]byte(err.Error()), []byte("version 9")) {
			t.Errorf("error %v does not tell the version", err)
		}
	})
	t.Run("another secret", func(t *testing.T) {
		c := memory.New(memory.Options{Fingerprint: ratelimit.NewHasher([16]byte{2}).Fingerprint()})
		if _, err := c.Load(bytes.NewReader(good), t0); !errors.Is(err, memory.ErrFingerprint) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a reader that fails", func(t *testing.T) {
		_, err := memory.New(memory.Options{Fingerprint: hasher.Fingerprint()}).Load(iotest.TimeoutReader(iotest.OneByteReader(bytes.NewReader(good))), t0)
		if !errors.Is(err, iotest.ErrTimeout) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a writer that fails", func(t *testing.T) {
		if _, err := filled(t, 30).Save(failingWriter{}); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("error %v", err)
		}
	})
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, fs.ErrClosed }

func TestSnapshotFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "counters.snapshot")
	c := filled(t, 300)
	d := memory.New(memory.Options{Fingerprint: hasher.Fingerprint()})
	if stats, err := d.LoadFile(path, t0); err != nil || stats.Keys != 0 {
		t.Fatalf("no file yet: %+v, %v", stats, err)
	}
	for range 2 { // the second replaces the first
		if stats, err := c.SaveFile(path); err != nil || stats.Keys != 300 {
			t.Fatalf("%+v, %v", stats, err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v; want 0600", info.Mode(), err)
	}
	if stats, err := d.LoadFile(path, t0+hour/2); err != nil || stats.Keys != 300 {
		t.Fatalf("%+v, %v", stats, err)
	}
	same(t, c, d, 300, t0+hour/2)
	entries, _ := os.ReadDir(filepath.Dir(path))
	if len(entries) != 1 {
		t.Errorf("%d files left, want the snapshot alone", len(entries))
	}
	if _, err := c.SaveFile(filepath.Join(path, "no directory")); err == nil {
		t.Error("saved below a file")
	}
	if err := os.Truncate(path, info.Size()/2); err != nil {
		t.Fatal(err)
	}
	if _, err := d.LoadFile(path, t0); !errors.Is(err, memory.ErrCorrupt) || !bytes.Contains([]byte(err.Error()), []byte(path)) {
		t.Errorf("error %v must say that %s is corrupt", err, path)
	}
}

// Saving does not stop the checks, and what it saves is whole.
func TestSnapshotWhileTaking(t *testing.T) {
	c := filled(t, 500)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for w := range 2 {
		wg.Go(func() {
			ds, out := make([]ratelimit.Demand, 2), make([]ratelimit.Outcome, 2)
			for i := w; ; i += 2 {
				select {
				case <-stop:
					return
				default:
				}
				ds[0] = ratelimit.Demand{Key: key(i % 700), Params: rules()[i%700%3], Cost: 1}
				ds[1] = ratelimit.Demand{Key: key(10_000 + i), Params: sliding(1), Cost: 1}
				_, _ = c.Take(t.Context(), t0+hour/2, ds, out)
			}
		})
	}
	for range 10 {
		var b bytes.Buffer
		if _, err := c.Save(&b); err != nil {
			t.Error(err)
		}
		d := memory.New(memory.Options{Fingerprint: hasher.Fingerprint()})
		if stats, err := d.Load(&b, t0); err != nil || stats.Keys < 500 {
			t.Errorf("%+v, %v", stats, err)
		}
		c.Sweep(t0 + hour/2)
	}
	close(stop)
	wg.Wait()
}

// FuzzLoad mends the checksum, so that what lies behind it is tested: whatever
// loads can be used, and saved again.
func FuzzLoad(f *testing.F) {
	good := saved(f, filled(f, 12))
	f.Add(good[:len(good)-sha256.Size])
	f.Add(good[:40])
	f.Add(saved(f, memory.New(memory.Options{}))[:25])
	f.Fuzz(func(t *testing.T, data []byte) {
		sum := sha256.Sum256(data)
		c := memory.New(memory.Options{Fingerprint: hasher.Fingerprint()})
		if _, err := c.Load(bytes.NewReader(append(bytes.Clone(data), sum[:]...)), t0); err != nil {
			if s := c.Stats(); s.Keys != 0 {
				t.Fatalf("failed with %v and %d keys", err, s.Keys)
			}
			return
		}
		for i := range 12 {
			for _, p := range rules() {
				take(t, c, t0+hour/2, key(i), p, 1)
			}
		}
		c.Sweep(t0 + 10*hour)
		d := memory.New(memory.Options{Fingerprint: hasher.Fingerprint()})
		if _, err := d.Load(bytes.NewReader(saved(t, c)), t0); err != nil {
			t.Fatalf("cannot load what was saved: %v", err)
		}
	})
}
