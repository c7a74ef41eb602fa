package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Publish writes a signed checkpoint to dir as "<size>.checkpoint" and as
// "latest". The directory should be out of reach of whoever can write the
// store: a mounted share, a bucket, a synchronised folder. It is what a
// later verification takes as Options.Since.
//
// Each file appears whole or not at all, and a second call with the same
// checkpoint does nothing. A checkpoint that contradicts what the directory
// already holds (another root for the same size, or fewer entries than the
// latest) is refused: the log was rolled back or rewritten, and what was
// published must not be covered over.
//
// It lives here and not in the store because it needs the os package alone
// and must work on what any reader of the log can fetch.
func Publish(dir string, signed []byte) error {
	c, err := unverified(signed)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("audit: publish: %w", err)
	}
	latest := filepath.Join(dir, "latest")
	old, err := os.ReadFile(latest)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("audit: publish: %w", err)
	}
	if err == nil {
		was, err := unverified(old)
		if err != nil {
			return fmt.Errorf("audit: publish: %s is damaged; restore or remove it: %w", latest, err)
		}
		if was.Origin != c.Origin {
			return fmt.Errorf("audit: publish: %s belongs to log %q, this is %q: use an own directory for each log", dir, was.Origin, c.Origin)
		}
		if was.Size > c.Size {
			return &ContradictionError{Dir: dir, Published: was, Current: c}
		}
	}
	path := filepath.Join(dir, fmt.Sprintf("%d.checkpoint", c.Size))
	same, err := publishedAs(path, c)
	if err != nil {
		return err
	}
	if !same {
		if err := writeFile(path, signed); err != nil {
			return err
		}
	}
	if bytes.Equal(old, signed) {
		return nil
	}
	return writeFile(latest, signed)
}

// ContradictionError says that the log no longer extends what it published:
// it was rolled back or rewritten.
type ContradictionError struct {
	Dir                string
	Published, Current Checkpoint
}

func (e *ContradictionError) Error() string {
	what := "rewritten"
	if e.Published.Size > e.Current.Size {
		what = "rolled back"
	}
	return fmt.Sprintf("audit: the log was %s: %s holds a checkpoint of %d entries with root %s, the log now signs %d with root %s; verify it with --since",
		what, e.Dir, e.Published.Size, e.Published.Root, e.Current.Size, e.Current.Root)
}

// publishedAs reports whether path already holds checkpoint c.
func publishedAs(path string, c Checkpoint) (bool, error) {
	old, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("audit: publish: %w", err)
	}
	was, err := unverified(old)
	if err != nil {
		return false, fmt.Errorf("audit: publish: %s is damaged; restore or remove it: %w", path, err)
	}
	if was != c {
		return false, &ContradictionError{Dir: filepath.Dir(path), Published: was, Current: c}
	}
	return true, nil
}

// writeFile makes path hold data, durably, or leaves it as it was.
func writeFile(path string, data []byte) error {
	dir := filepath.Dir(path)
	tmp, err := writeTemp(dir, data)
	if err != nil {
		return fmt.Errorf("audit: publish: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return errors.Join(fmt.Errorf("audit: publish: %w", err), os.Remove(tmp))
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("audit: publish: %w", err)
	}
	// Without this a crash may bring the old name back.
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("audit: publish: %w", err)
	}
	return nil
}

// writeTemp writes data to a new file in dir, to the disk, and returns its
// path; on failure there is no file.
func writeTemp(dir string, data []byte) (string, error) {
	f, err := os.CreateTemp(dir, ".checkpoint-*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(0o644) // checkpoints are public
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}
