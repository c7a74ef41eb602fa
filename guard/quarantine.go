package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// Quarantine takes uploads while Gantry is away. It must write to Gantry's
// bucket (media.bucket), where Gantry looks for them when it is back, and what
// it holds must not be public.
type Quarantine interface {
	// Put stores what r yields until io.EOF under the key, a path of plain
	// components with slashes. When it returns nil all of it is durable. On any
	// error, of r's too, nothing is left under the key. It may be called at once
	// from many goroutines, never twice with one key.
	Put(ctx context.Context, key string, r io.Reader) error
}

// QuarantineDir is the quarantine of a Gantry on the same machine, whose
// bucket is a local directory: dir is that directory, by default media in
// Gantry's data_dir. Both must run as users who may write there.
func QuarantineDir(dir string) Quarantine { return quarantineDir(dir) }

type quarantineDir string

// Put implements Quarantine: the file gets its name when it is on the disk.
func (d quarantineDir) Put(ctx context.Context, key string, r io.Reader) error {
	if !fs.ValidPath(key) || key == "." {
		return fmt.Errorf("guard: %q is no key for a quarantine", key)
	}
	dest := filepath.Join(string(d), filepath.FromSlash(key))
	if err := os.MkdirAll(filepath.Dir(dest), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(dest), ".put-*")
	if err != nil {
		return err
	}
	_, err = io.Copy(f, reader(func(b []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(b)
	}))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), dest)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	// The name is durable once its folder is, and so on up.
	for k := path.Dir(key); ; k = path.Dir(k) {
		if err := syncDir(filepath.Join(string(d), filepath.FromSlash(k))); err != nil {
			return errors.Join(err, os.Remove(dest))
		}
		if k == "." {
			return nil
		}
	}
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
