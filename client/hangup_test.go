package client_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/client"
)

// TestHangUp: a Gantry that reads a check and hangs up may have counted it,
// so it is not sent again, by net/http neither: on a reused connection that
// repeats what it takes for safe.
func TestHangUp(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if arrived.Add(1) == 1 { // the connection is then reused
			_, _ = io.WriteString(w, `{"allowed":true,"limit":5,"remaining":4,"policy":"LOGIN","mode":"enforced"}`)
			return
		}
		panic(http.ErrAbortHandler)
	}))
	defer srv.Close()
	c, err := client.New(srv.URL, client.WithTimeout(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	check := api.CheckRequest{Action: "LOGIN", User: "alice"}
	for n, mode := range []string{api.ModeEnforced, api.ModeDegraded} {
		v, err := c.Check(t.Context(), check)
		if err != nil || v.Mode != mode || int(arrived.Load()) != n+1 {
			t.Errorf("check %d = %+v, %v after %d requests; want mode %s and one request each", n+1, v, err, arrived.Load(), mode)
		}
	}
	if _, err := c.IdempotencyBegin(t.Context(), api.IdempotencyBeginRequest{Key: "k"}); err == nil || arrived.Load() != 3 {
		t.Errorf("begin: %v after %d requests, want an error after one more", err, arrived.Load())
	}
}
