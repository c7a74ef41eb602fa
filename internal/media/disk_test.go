package media_test

import (
	"bytes"
	"syscall"
	"testing"

	"avalo.app/gantry/internal/fault"
)

// TestSpoolFull: a disk that takes no more says nothing about a file.
func TestSpoolFull(t *testing.T) {
	r := newRig(t)
	p := r.presigned(t, picture)
	full := func(fn func() error) error {
		t.Helper()
		var was syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 300, Max: was.Max}); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
				t.Fatal(err)
			}
		}()
		return fn()
	}
	for what, fn := range map[string]func() error{
		"upload": func() error {
			_, err := r.Receive(t.Context(), "ann", "upload", declared, bytes.NewReader(picture))
			return err
		},
		"verify": func() error { _, err := r.Verify(t.Context(), p.ID); return err },
	} {
		if err := full(fn); fault.CodeOf(err) != fault.ServiceDegraded {
			t.Errorf("%s: %v", what, err)
		}
	}
	if len(r.refusals(t)) != 0 {
		t.Errorf("the verdict log holds %+v", r.refusals(t))
	}
	if _, err := r.Verify(t.Context(), p.ID); err != nil {
		t.Error(err)
	}
	if _, err := r.upload(t); err != nil {
		t.Error(err)
	}
	r.whole(t)
}
