package app_test

import (
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"avalo.app/gantry/internal/app"
	"avalo.app/gantry/internal/config"
)

// TestStopEndsStreams: an open event stream does not hold up the stop, and is
// ended rather than cut.
func TestStopEndsStreams(t *testing.T) {
	cfg := config.Default()
	cfg.DataDir, cfg.Server.Listen = t.TempDir(), "127.0.0.1:0"
	a, err := app.New(t.Context(), cfg, app.Options{Version: "test", Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	res, err := http.Get("http://" + a.Addr() + "/ofrep/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	begin := time.Now()
	if err := a.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > time.Duration(cfg.Server.ShutdownGrace)/2 {
		t.Errorf("the stop took %s", took)
	}
	if _, err := io.ReadAll(res.Body); err != nil {
		t.Errorf("the stream was cut: %v", err)
	}
}
