package media_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"avalo.app/gantry/internal/blob"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/media"
	"avalo.app/gantry/internal/media/mediatest"
	"avalo.app/gantry/internal/media/walk"
	"avalo.app/gantry/internal/store"
)

// mode says how a call fails, once.
type mode string

const (
	fails     mode = "failed"
	persisted mode = "failed but persisted"
)

var errFault = &fault.Error{Code: fault.ServiceDegraded, Op: "test", Msg: "injected"}

// faults fail one call of an operation, or let something happen before one.
type faults struct {
	mu     sync.Mutex
	next   map[string]mode
	before map[string]func()
}

// meanwhile runs fn before the next call of the operation.
func (f *faults) meanwhile(op string, fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = map[string]func(){op: fn}
}

func (f *faults) set(op string, m mode) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = map[string]mode{op: m}
}

func (f *faults) take(op string) mode {
	f.mu.Lock()
	m, fn := f.next[op], f.before[op]
	delete(f.next, op)
	delete(f.before, op)
	f.mu.Unlock()
	if fn != nil {
		fn()
	}
	return m
}

func (f *faults) around(op string, do func() error) error {
	switch f.take(op) {
	case fails:
		return errFault
	case persisted:
		_ = do()
		return errFault
	}
	return do()
}

// faultyStore is the real store, whose calls fail as told. It remembers the
// ids of uploads.
type faultyStore struct {
	*store.DB
	f   *faults
	ids map[string]bool
}

func (s faultyStore) BeginObject(ctx context.Context, o media.Object) (got media.Object, live bool, err error) {
	err = s.f.around("BeginObject", func() (err error) { got, live, err = s.DB.BeginObject(ctx, o); return err })
	return got, live, err
}

func (s faultyStore) FinishObject(ctx context.Context, id string, u media.Upload) (got media.Upload, err error) {
	s.ids[u.ID] = true
	err = s.f.around("FinishObject", func() (err error) { got, err = s.DB.FinishObject(ctx, id, u); return err })
	return got, err
}

func (s faultyStore) Quarantine(ctx context.Context, u media.Upload) (got media.Upload, err error) {
	err = s.f.around("Quarantine", func() (err error) { got, err = s.DB.Quarantine(ctx, u); return err })
	s.ids[got.ID] = true
	return got, err
}

func (s faultyStore) MediaUpload(ctx context.Context, id string) (got media.Upload, err error) {
	err = s.f.around("MediaUpload", func() (err error) { got, err = s.DB.MediaUpload(ctx, id); return err })
	return got, err
}

func (s faultyStore) DropUpload(ctx context.Context, id string, state media.UploadState, r *media.Refusal) (o media.Object, err error) {
	err = s.f.around("DropUpload", func() (err error) { o, err = s.DB.DropUpload(ctx, id, state, r); return err })
	return o, err
}

func (s faultyStore) ForgetObject(ctx context.Context, id string) error {
	return s.f.around("ForgetObject", func() error { return s.DB.ForgetObject(ctx, id) })
}

// faultyBucket is a local directory, likewise. Anybody may PUT into it.
type faultyBucket struct {
	*blob.Bucket
	f *faults
}

func (b faultyBucket) Put(ctx context.Context, key, mime string, r io.ReadSeeker) error {
	return b.f.around("Put", func() error { return b.Bucket.Put(ctx, key, mime, r) })
}

func (b faultyBucket) Delete(ctx context.Context, key string) error {
	return b.f.around("Delete", func() error { return b.Bucket.Delete(ctx, key) })
}

func (b faultyBucket) List(ctx context.Context, prefix string, fn func(media.Blob) error) error {
	return b.f.around("List", func() error { return b.Bucket.List(ctx, prefix, fn) })
}

func (b faultyBucket) Open(ctx context.Context, key string) (io.ReadCloser, media.Blob, error) {
	switch b.f.take("Open") {
	case fails:
		return nil, media.Blob{}, errFault
	case persisted: // it breaks off
		r, o, err := b.Bucket.Open(ctx, key)
		if err != nil {
			return nil, o, err
		}
		defer r.Close()
		return io.NopCloser(io.MultiReader(io.LimitReader(bytes.NewReader(picture), 500), iotest.ErrReader(errors.New("connection reset")))), o, nil
	}
	return b.Bucket.Open(ctx, key)
}

func (b faultyBucket) Presign(_ context.Context, key, _ string, _ int64, _ time.Duration) (string, map[string]string, error) {
	return "https://bucket.example/" + key, nil, nil
}

// scanner says what it is told.
type scanner struct {
	says   media.Scan
	during func() // what happens meanwhile; nil: nothing
	asked  int
}

func (s *scanner) Scan(context.Context, io.Reader, int64) (media.Scan, string) {
	if s.asked++; s.during != nil {
		s.during()
	}
	return s.says, "as told"
}

var (
	picture = mediatest.JPEG(mediatest.Picture(32, 24))
	other   = mediatest.JPEG(mediatest.Picture(48, 24))
	program = append([]byte("MZ\x90\x00"), make([]byte, 600)...)
)

// rig is a service on a store and a bucket that fail as told.
type rig struct {
	*media.Service
	*faults
	store  faultyStore
	bucket *blob.Bucket
	scan   *scanner
	ahead  *time.Duration
}

func newRig(t *testing.T) rig {
	t.Helper()
	r := rig{faults: &faults{}, scan: &scanner{says: media.Clean}, ahead: new(time.Duration)}
	db, err := store.Open(t.Context(), store.Options{URL: "sqlite:" + t.TempDir() + "/gantry.db"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	url, err := blob.Dir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if r.bucket, err = blob.Open(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.bucket.Close() })
	r.store = faultyStore{db, r.faults, map[string]bool{}}
	r.Service = media.New(media.Options{
		Inspector: &media.Inspector{Walk: walk.DefaultLimits(), Policy: func() media.Policy { p := media.DefaultPolicy(); p.Sanitise = false; return p }},
		Bucket:    faultyBucket{r.bucket, r.faults}, Store: r.store, Scanner: r.scan, Scans: func(media.Scan) {}, AcceptUnscanned: func() bool { return false },
		Take: func(context.Context, string) error { return nil }, Key: []byte("key"), Spool: t.TempDir(), Refused: func(string, fault.Code) {},
		Now: func() time.Time { return time.Now().Add(*r.ahead) },
	})
	return r
}

func (r rig) later(d time.Duration) { *r.ahead += d }

// lands puts bytes into the bucket as somebody else does.
func (r rig) lands(t *testing.T, key string, data []byte) {
	t.Helper()
	if err := r.bucket.Put(t.Context(), key, "", bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
}

func (r rig) keys(t *testing.T, prefix string) []string {
	t.Helper()
	var out []string
	if err := r.bucket.List(t.Context(), prefix, func(b media.Blob) error { out = append(out, b.Key); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func (r rig) refusals(t *testing.T) []media.Refusal {
	t.Helper()
	out, err := r.Refusals(t.Context(), media.RefusalFilter{})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// uploads returns all uploads there are.
func (r rig) uploads(t *testing.T) []media.Upload {
	t.Helper()
	var out []media.Upload
	for id := range r.store.ids {
		u, err := r.store.DB.MediaUpload(t.Context(), id)
		switch {
		case err == nil:
			out = append(out, u)
		case fault.CodeOf(err) != fault.NotFound:
			t.Fatal(err)
		}
	}
	return out
}

// whole demands that each verified upload has its bytes, and that nothing
// else is public.
func (r rig) whole(t *testing.T) {
	t.Helper()
	var want []string
	for _, u := range r.uploads(t) {
		if u.State != media.Verified {
			continue
		}
		if !slices.Contains(want, u.Object.Key) {
			want = append(want, u.Object.Key)
		}
		_, body, err := r.Open(t.Context(), u.ID)
		if err != nil {
			t.Errorf("open %s: %v", u.ID, err)
			continue
		}
		data, err := io.ReadAll(body)
		_ = body.Close()
		if err != nil || !bytes.Equal(data, picture) {
			t.Errorf("%s has %d other bytes, %v", u.ID, len(data), err)
		}
	}
	slices.Sort(want)
	if got := r.keys(t, "media/"); !slices.Equal(got, want) {
		t.Errorf("public are %v, and uploads have %v", got, want)
	}
}

// collect lets the collector finish.
func (r rig) collect(t *testing.T) {
	t.Helper()
	for range 2 {
		if err := r.Collect(t.Context()); err != nil {
			t.Fatalf("collect: %v", err)
		}
	}
}

// eachFault runs fn for each of the operations failing in each way; arm makes
// its next call fail.
func eachFault(t *testing.T, ops string, fn func(t *testing.T, r rig, arm func())) {
	t.Helper()
	for op := range strings.FieldsSeq(ops) {
		for _, m := range []mode{fails, persisted} {
			t.Run(op+" "+string(m), func(t *testing.T) {
				r := newRig(t)
				fn(t, r, func() { r.set(op, m) })
			})
		}
	}
}

var declared = media.Declared{Name: "photo.jpg", MIME: "image/jpeg", Size: int64(len(picture))}

func (r rig) upload(t *testing.T) (media.Upload, error) {
	t.Helper()
	got, err := r.Receive(t.Context(), "ann", "upload", declared, bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	return got.Keep(t.Context(), "")
}

// TestUploadFaults: an upload that failed leaves nothing that stays half
// done, and repeating it succeeds.
func TestUploadFaults(t *testing.T) {
	const ops = "BeginObject Put FinishObject"
	t.Run("repeated", func(t *testing.T) {
		eachFault(t, ops, func(t *testing.T, r rig, arm func()) {
			arm()
			if _, err := r.upload(t); fault.CodeOf(err) != fault.ServiceDegraded {
				t.Fatalf("the fault was not felt: %v", err)
			}
			if u, err := r.upload(t); err != nil || u.State != media.Verified {
				t.Fatal(u, err)
			}
			r.whole(t)
			r.later(7 * time.Hour)
			r.collect(t)
			r.whole(t)
			if len(r.keys(t, "")) != 1 {
				t.Errorf("the bucket holds %v", r.keys(t, ""))
			}
		})
	})
	t.Run("given up", func(t *testing.T) {
		eachFault(t, ops, func(t *testing.T, r rig, arm func()) {
			arm()
			_, _ = r.upload(t)
			r.later(7 * time.Hour)
			r.collect(t)
			r.whole(t)
		})
	})
}

// TestDeleteFaults: what was deleted is gone, at the latest when the
// collector has been.
func TestDeleteFaults(t *testing.T) {
	eachFault(t, "MediaUpload DropUpload Delete", func(t *testing.T, r rig, arm func()) {
		u, err := r.upload(t)
		if err != nil {
			t.Fatal(err)
		}
		arm()
		if err := r.Delete(t.Context(), u.ID); err == nil {
			t.Fatal("the fault was not felt")
		}
		if err := r.Delete(t.Context(), u.ID); err != nil && fault.CodeOf(err) != fault.NotFound {
			t.Fatal(err)
		}
		r.later(7 * time.Hour)
		r.collect(t)
		r.whole(t)
		if got := r.keys(t, ""); len(got) != 0 {
			t.Errorf("the bucket holds %v", got)
		}
	})
}
