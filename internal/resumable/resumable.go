// Package resumable keeps uploads that arrive in pieces as files of this
// node, until they are whole and stored elsewhere.
package resumable

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tus/tusd/v2/pkg/filestore"
	"github.com/tus/tusd/v2/pkg/handler"
)

const (
	// TTL is how long an upload waits for its next byte, and how long it is
	// known after its last.
	TTL = 24 * time.Hour
	// slack is how much longer its files stay: whoever found it in time is done
	// with it by then.
	slack = time.Hour
)

// Dir is a directory of uploads: for each a file of its bytes, whose size is
// the offset, and one that says what it is. The bytes of an upload that was
// finished are gone, and what it is stays. Killing the process loses nothing
// that WriteChunk acknowledged, nor does cutting the power.
//
// It implements tusd's DataStore and TerminaterDataStore. Calls for one upload
// are the caller's to serialise.
type Dir struct {
	files filestore.FileStore
	now   func() time.Time
}

// Open returns the directory, which it makes if it is not there.
func Open(path string, now func() time.Time) (*Dir, error) {
	path, err := filepath.Abs(path) // tusd keeps the paths of files, and the next start may be elsewhere
	if err == nil {
		err = os.MkdirAll(path, 0o700)
	}
	if err != nil {
		return nil, err
	}
	d := &Dir{files: filestore.New(path), now: now}
	d.files.DirModePerm, d.files.FileModePerm = 0o700, 0o600
	return d, nil
}

// NewUpload begins an upload under the id that info gives it: lower case
// letters and digits.
func (d *Dir) NewUpload(ctx context.Context, info handler.FileInfo) (handler.Upload, error) {
	if !valid(info.ID) {
		return nil, errors.New("resumable: an upload needs an id of lower case letters and digits")
	}
	u, err := d.files.NewUpload(ctx, info)
	if err != nil {
		return nil, err
	}
	for _, path := range []string{d.info(info.ID), d.files.Path} {
		if err := flush(path); err != nil {
			return nil, err
		}
	}
	return &upload{Upload: u, bytes: d.bytes(info.ID)}, nil
}

// GetUpload finds an upload; handler.ErrNotFound if there is none, or none
// any more.
func (d *Dir) GetUpload(ctx context.Context, id string) (handler.Upload, error) {
	if !valid(id) || d.now().Sub(d.touched(id)) > TTL {
		return nil, handler.ErrNotFound
	}
	u, err := d.files.GetUpload(ctx, id)
	if errors.Is(err, handler.ErrNotFound) {
		return d.finished(id)
	}
	if err != nil {
		return nil, err
	}
	return &upload{Upload: u, bytes: d.bytes(id)}, nil
}

// AsTerminatableUpload implements handler.TerminaterDataStore.
func (d *Dir) AsTerminatableUpload(u handler.Upload) handler.TerminatableUpload {
	if u, ok := u.(*upload); ok {
		return d.files.AsTerminatableUpload(u.Upload)
	}
	return u.(*finished)
}

// Finish drops the bytes of an upload. It may be repeated.
func (d *Dir) Finish(id string) error {
	now := d.now()
	if err := os.Chtimes(d.info(id), now, now); err != nil {
		return err
	}
	if err := os.Remove(d.bytes(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Collect removes the files of uploads whose time is over.
func (d *Dir) Collect(ctx context.Context) error {
	entries, err := os.ReadDir(d.files.Path)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		id := strings.TrimSuffix(e.Name(), ".info")
		if ctx.Err() != nil || !valid(id) || d.now().Sub(d.touched(id)) <= TTL+slack {
			continue
		}
		for _, path := range []string{d.bytes(id), d.info(id)} {
			if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(append(errs, ctx.Err())...)
}

func (d *Dir) bytes(id string) string { return filepath.Join(d.files.Path, id) }
func (d *Dir) info(id string) string  { return filepath.Join(d.files.Path, id+".info") }

// touched is when something last happened to an upload.
func (d *Dir) touched(id string) (at time.Time) {
	for _, path := range []string{d.bytes(id), d.info(id)} {
		if i, err := os.Stat(path); err == nil && i.ModTime().After(at) {
			at = i.ModTime()
		}
	}
	return at
}

// valid reports whether an id names a file of the directory and nothing else.
func valid(id string) bool {
	return id != "" && len(id) <= 64 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// flush writes a file or directory through to the disk.
func flush(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// upload is one whose bytes are here.
type upload struct {
	handler.Upload
	bytes string
}

// WriteChunk appends src, durably before it returns.
func (u *upload) WriteChunk(ctx context.Context, offset int64, src io.Reader) (int64, error) {
	n, err := u.Upload.WriteChunk(ctx, offset, src)
	return n, errors.Join(err, flush(u.bytes))
}

// finished is an upload whose bytes are stored elsewhere.
type finished struct {
	about handler.FileInfo
	path  string
}

func (d *Dir) finished(id string) (handler.Upload, error) {
	b, err := os.ReadFile(d.info(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, handler.ErrNotFound
	}
	f := &finished{path: d.info(id)}
	if err == nil {
		err = json.Unmarshal(b, &f.about)
	}
	f.about.Offset = f.about.Size
	return f, err
}

func (f *finished) GetInfo(context.Context) (handler.FileInfo, error) { return f.about, nil }

// GetReader fails with fs.ErrNotExist.
func (f *finished) GetReader(context.Context) (io.ReadCloser, error) { return nil, fs.ErrNotExist }

func (f *finished) WriteChunk(context.Context, int64, io.Reader) (int64, error) {
	return 0, handler.ErrMismatchOffset
}

func (f *finished) FinishUpload(context.Context) error { return nil }

func (f *finished) Terminate(context.Context) error { return os.Remove(f.path) }
