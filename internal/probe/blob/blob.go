// Package blob measures whether a bucket can be read, or written to, read and
// emptied again.
package blob

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"strings"

	"gocloud.dev/gcerrors"

	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/media"
	"avalo.app/gantry/internal/probe"
)

// Bucket is what of a bucket is measured; the blob package's own has it.
type Bucket interface {
	Put(ctx context.Context, key, mime string, r io.ReadSeeker) error
	Open(ctx context.Context, key string) (io.ReadCloser, media.Blob, error)
	Delete(ctx context.Context, key string) error
	List(ctx context.Context, prefix string, fn func(media.Blob) error) error
}

// Config says what is done with which bucket. Without Object and Canary, the
// first object is listed; that there is none is fine.
type Config struct {
	Bucket Bucket
	Object string // the key of an object that must be there
	// Canary is a key that is written, read and deleted, by one measurement
	// at a time and one node. What lies there is overwritten. A measurement
	// that is ended early leaves it for the next. In a bucket with versions
	// each measurement leaves one: give it a rule that expires them.
	Canary string
}

const maxKey = 1024 // of S3, Google and Azure

type prober struct {
	cfg   Config
	calls probe.Blocking // a local directory may hang
	turn  probe.Turn
}

// New returns a prober. It makes no request.
func New(cfg Config) (health.Prober, error) {
	switch {
	case cfg.Bucket == nil:
		return nil, probe.Invalid("blob", "bucket", "is missing")
	case cfg.Object != "" && cfg.Canary != "":
		return nil, probe.Invalid("blob", "canary", "excludes object: the canary is read too")
	case len(cfg.Object) > maxKey, len(cfg.Canary) > maxKey:
		return nil, probe.Invalid("blob", "canary", "has more than %d bytes, or object has", maxKey)
	case strings.HasSuffix(cfg.Canary, "/"), strings.HasPrefix(cfg.Canary, "/"):
		return nil, probe.Invalid("blob", "canary", "must be the key of one object, such as gantry/canary")
	}
	return &prober{cfg: cfg, turn: probe.NewTurn()}, nil
}

// Probe implements health.Prober.
func (p *prober) Probe(ctx context.Context) (health.Reading, error) {
	measure, what, good := p.list, "list", "can be listed"
	switch {
	case p.cfg.Canary != "":
		done, err := p.turn.Take(ctx)
		if err != nil {
			return health.Reading{}, err
		}
		defer done()
		measure, what, good = p.canary, "write, read and delete the canary", "can be written, read and deleted from"
	case p.cfg.Object != "":
		measure, what, good = p.object, "open the object", "the object is there"
	}
	if err := p.calls.Do(ctx, measure); err != nil {
		return health.Reading{}, fail(ctx, what, err)
	}
	return health.Reading{Message: good}, nil
}

var errFound = errors.New("found")

func (p *prober) list(ctx context.Context) error {
	err := p.cfg.Bucket.List(ctx, "", func(media.Blob) error { return errFound })
	if errors.Is(err, errFound) {
		return nil
	}
	return err
}

func (p *prober) object(ctx context.Context) error {
	r, _, err := p.cfg.Bucket.Open(ctx, p.cfg.Object)
	if err != nil {
		return err
	}
	return r.Close()
}

func (p *prober) canary(ctx context.Context) error {
	song := []byte(rand.Text()) // another each time: an old object must not pass
	if err := p.cfg.Bucket.Put(ctx, p.cfg.Canary, "text/plain", bytes.NewReader(song)); err != nil {
		return step(ctx, "write the canary", err)
	}
	r, _, err := p.cfg.Bucket.Open(ctx, p.cfg.Canary)
	if err != nil {
		return step(ctx, "read the canary", err)
	}
	got, err := io.ReadAll(io.LimitReader(r, int64(len(song))+1))
	if err = errors.Join(err, r.Close()); err != nil {
		return step(ctx, "read the canary", err)
	}
	if !bytes.Equal(got, song) {
		return probe.Failf("read the canary: what was written is not what is read: another node writes it too, or the bucket serves old objects")
	}
	if err := p.cfg.Bucket.Delete(ctx, p.cfg.Canary); err != nil {
		return step(ctx, "delete the canary", err)
	}
	return nil
}

// step names the step that failed. The end of ctx is told by Probe.
func step(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return fail(ctx, what, err)
}

func fail(ctx context.Context, what string, err error) error {
	var f *probe.Failure
	if ctx.Err() != nil || errors.As(err, &f) {
		return probe.Fail(ctx, what, err)
	}
	switch gcerrors.Code(err) {
	case gcerrors.NotFound:
		return probe.Failf("%s: there is no such bucket or object", what)
	case gcerrors.PermissionDenied:
		return probe.Failf("%s: permission denied; check the credentials and the bucket's policy", what)
	case gcerrors.ResourceExhausted:
		return probe.Failf("%s: the provider limits requests, or a quota is used up", what)
	}
	return probe.Fail(ctx, what, err)
}
