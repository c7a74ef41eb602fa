package cli_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"

	"avalo.app/gantry/internal/cli"
)

// TestSignalBeforeTheCommandStarts: what is sent while Gantry hears of the
// start is for the command, and not lost.
func TestSignalBeforeTheCommandStarts(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusNotFound) // not tried again
	}))
	defer server.Close()
	var out bytes.Buffer
	code := cli.Main(t.Context(), []string{"heartbeat", "--url", server.URL, "nightly", "--", "sh", "-c", "sleep 20; echo finished"},
		func(string) (string, bool) { return "", false }, cli.Stdio{In: strings.NewReader(""), Out: &out, Err: &out})
	if code != 128+int(syscall.SIGTERM) || strings.Contains(out.String(), "finished") {
		t.Errorf("exit code %d, want 143: %s", code, out.String())
	}
}
