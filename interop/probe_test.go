package interop_test

import (
	"bufio"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	store "avalo.app/gantry/internal/blob"
	"avalo.app/gantry/internal/probe/blob"
	"avalo.app/gantry/internal/probe/firestore"
	"avalo.app/gantry/internal/probe/probetest"
	"avalo.app/gantry/internal/probe/stripe"
)

// freeAddr is an address at which a process can be started.
func freeAddr(t *testing.T) (addr, port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	addr = l.Addr().String()
	_, port, _ = net.SplitHostPort(addr)
	return addr, port
}

// TestStripeProbe measures stripe-mock, Stripe's own imitation of its API.
func TestStripeProbe(t *testing.T) {
	addr, _ := freeAddr(t)
	run(t, addr, nil, stripeMock, "-http-addr", addr)
	line := probetest.NewLine(t, "tcp", addr)
	p, err := stripe.New(stripe.Config{Key: "sk_test_123", BaseURL: "http://" + line.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	probetest.Run(t, probetest.Kind{Prober: p, Dependency: line})
	// It takes keys of the form sk_test_… only, as Stripe takes its own only.
	p, err = stripe.New(stripe.Config{Key: "rk_live_" + probetest.Secret, BaseURL: "http://" + line.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "does not know the key (401)") || strings.Contains(err.Error(), probetest.Secret) {
		t.Errorf("a live key: %v", err)
	}
}

// TestFirestoreProbe measures a Firestore emulator.
func TestFirestoreProbe(t *testing.T) {
	addr, port := freeAddr(t)
	cmd := exec.Command("node", "firestore.mjs", port)
	cmd.Dir, cmd.SysProcAttr = "js", &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	for lines := bufio.NewScanner(out); ; {
		if !lines.Scan() {
			t.Fatal("the emulator does not start (make deps installs the npm modules)")
		}
		if lines.Text() == "ready" {
			break
		}
	}
	line := probetest.NewLine(t, "tcp", addr)
	t.Setenv("FIRESTORE_EMULATOR_HOST", line.Addr())
	p, err := firestore.New(firestore.Config{Project: "demo", Canary: "gantry/canary"})
	if err != nil {
		t.Fatal(err)
	}
	probetest.Run(t, probetest.Kind{Prober: p, Dependency: line})
	p, err = firestore.New(firestore.Config{Project: "demo", Document: "gantry/canary"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "no such document") {
		t.Errorf("the canary, after it was deleted: %v", err)
	}
}

// TestBucketProbe measures an S3 server that fails.
func TestBucketProbe(t *testing.T) {
	s3 := startS3(t)
	for k, v := range s3.env {
		t.Setenv(k, v)
	}
	_, addr, _ := strings.Cut(s3.url, "endpoint=http://")
	line := probetest.NewLine(t, "tcp", addr)
	b, err := store.Open(t.Context(), strings.Replace(s3.url, addr, line.Addr(), 1))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	p, err := blob.New(blob.Config{Bucket: b, Canary: "gantry/canary"})
	if err != nil {
		t.Fatal(err)
	}
	probetest.Run(t, probetest.Kind{Prober: p, Dependency: line, Shared: true})
	if left := s3.keys(t, ""); len(left) != 0 {
		t.Errorf("objects left: %q", left)
	}
	missing, err := store.Open(t.Context(), strings.Replace(s3.url, "s3://uploads", "s3://missing", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer missing.Close()
	if p, err = blob.New(blob.Config{Bucket: missing}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Probe(t.Context()); err == nil || err.Error() != "list: there is no such bucket or object" {
		t.Errorf("a bucket that is not there: %v", err)
	}
}
