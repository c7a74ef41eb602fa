package blob

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"gocloud.dev/blob"
)

// partSize is what a driver holds of an object on its way, in bytes. Its
// defaults of 8 to 48 MB are too much where fifty arrive at once.
const partSize = 2 << 20

// Put implements media.Bucket.
func (b *Bucket) Put(ctx context.Context, key, mime string, r io.ReadSeeker) error {
	var client *s3.Client
	switch {
	case b.dir != "":
		return coded("blob.Put", key, b.putLocal(ctx, key, r))
	case b.b.As(&client):
		return coded("blob.Put", key, b.putS3(ctx, client, key, mime, r))
	}
	o := &blob.WriterOptions{ContentType: mime, BufferSize: partSize, MaxConcurrency: 1}
	if b.url.Scheme == "azblob" {
		// Its writer may panic when it is closed after its context ended: the
		// driver (gocloud.dev v0.47) clears a pipe that Close still uses. Upload
		// has no pipe, and commits no block of a reader that failed.
		return coded("blob.Put", key, b.b.Upload(ctx, key, r, o))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := b.b.NewWriter(ctx, key, o)
	if err != nil {
		return coded("blob.Put", key, err)
	}
	if _, err := io.Copy(w, r); err != nil {
		cancel() // closing then gives the object up
		return coded("blob.Put", key, errors.Join(err, w.Close()))
	}
	return coded("blob.Put", key, w.Close())
}

// putS3 sends the object in one request, from the file: gocloud.dev's writer
// holds 48 MB of it, and leaves parts behind when its process dies.
func (b *Bucket) putS3(ctx context.Context, client *s3.Client, key, mime string, r io.ReadSeeker) error {
	bucket, key := b.s3Name(key)
	in := &s3.PutObjectInput{Bucket: &bucket, Key: &key, ContentType: &mime, Body: r}
	q := b.url.Query()
	in.ServerSideEncryption = types.ServerSideEncryption(q.Get("ssetype"))
	if id := q.Get("kmskeyid"); id != "" {
		in.SSEKMSKeyId = &id
	}
	_, err := client.PutObject(ctx, in)
	return err
}

// partsDir holds objects that are being written. No key begins with a dot.
const partsDir = ".parts"

// partAge is how old a part is when its process has surely gone.
const partAge = time.Hour

// putLocal writes the object beside the others, and gives it its name when it
// is on the disk: gocloud.dev's driver does not flush, and leaves what a kill
// cut off among the objects.
func (b *Bucket) putLocal(ctx context.Context, key string, r io.Reader) error {
	parts := filepath.Join(b.dir, partsDir)
	if err := os.MkdirAll(parts, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(parts, "put-*")
	if err != nil {
		return err
	}
	err = fill(ctx, f, r)
	dest := filepath.Join(b.dir, filepath.FromSlash(key))
	if err == nil {
		err = os.MkdirAll(filepath.Dir(dest), 0o755) //nolint:gosec // the bucket's own folder is closed; whoever opens it opens all
	}
	if err == nil {
		err = os.Rename(f.Name(), dest)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return b.flushNames(dest)
}

// fill writes a file through to the disk, unless ctx ends first, and closes
// it.
func fill(ctx context.Context, f *os.File, r io.Reader) error {
	_, err := io.Copy(f, reader(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(p)
	}))
	if err == nil {
		err = errors.Join(f.Chmod(0o644), f.Sync())
	}
	return errors.Join(err, f.Close())
}

type reader func([]byte) (int, error)

func (r reader) Read(p []byte) (int, error) { return r(p) }

// flushNames makes the names on the way to a file durable.
func (b *Bucket) flushNames(path string) error {
	for p := filepath.Dir(path); len(p) >= len(b.dir); p = filepath.Dir(p) {
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// Sweep removes from a local bucket what a kill left half written before
// now. A bucket elsewhere shows no such thing.
func (b *Bucket) Sweep(now time.Time) error {
	if b.dir == "" {
		return nil
	}
	parts, err := filepath.Glob(filepath.Join(b.dir, partsDir, "put-*"))
	errs := []error{err}
	for _, p := range parts {
		if i, err := os.Stat(p); err == nil && now.Sub(i.ModTime()) > partAge {
			errs = append(errs, os.Remove(p))
		}
	}
	return errors.Join(errs...)
}
