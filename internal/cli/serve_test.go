package cli_test

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"

	"avalo.app/gantry/internal/cli"
)

// TestWait: a server that dies ends the program with its error, a signal to
// stop without one.
func TestWait(t *testing.T) {
	hup, dead := make(chan os.Signal), make(chan error, 1)
	lost := errors.New("the socket is gone")
	reloads := 0
	go func() {
		hup <- syscall.SIGHUP
		dead <- lost
	}()
	if err := cli.Wait(t.Context(), hup, dead, func() { reloads++ }); !errors.Is(err, lost) || reloads != 1 {
		t.Errorf("%v after %d reloads", err, reloads)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := cli.Wait(ctx, hup, dead, nil); err != nil {
		t.Error(err)
	}
}
