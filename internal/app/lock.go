package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// lockDir makes this process the only server on a data directory: two would
// overwrite each other's counters. The lock ends with the process, however
// it ends.
func lockDir(dir string) (release func() error, err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(notLocked(f.Name(), err), f.Close())
	}
	if err := errors.Join(f.Truncate(0), writeAt(f, strconv.Itoa(os.Getpid())+"\n")); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}

// notLocked explains why the lock at path was not given.
func notLocked(path string, err error) error {
	dir := filepath.Dir(path)
	if !errors.Is(err, syscall.EWOULDBLOCK) { // a file system without locks, or out of them
		return fmt.Errorf("data_dir: %s cannot be locked: %w; put it on a local file system", dir, err)
	}
	holder, _ := os.ReadFile(path)
	return fmt.Errorf("%s is in use by another gantry (pid %s): stop it, or give this one another data_dir",
		dir, strings.TrimSpace(string(holder)))
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}
