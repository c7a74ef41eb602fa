package interop_test

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/incident"
	"avalo.app/gantry/internal/incident/incidenttest"
	"avalo.app/gantry/internal/notify/alertmanager"
)

// startAlertmanager runs Debian's Alertmanager and returns its URL.
func startAlertmanager(t *testing.T) *url.URL {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	dir := t.TempDir()
	conf := filepath.Join(dir, "alertmanager.yml")
	if err := os.WriteFile(conf, []byte("route: {receiver: none}\nreceivers: [{name: none}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("prometheus-alertmanager", "--config.file="+conf, "--storage.path="+dir, "--web.listen-address="+addr, "--cluster.listen-address=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("Alertmanager is needed for this test (apt-get install prometheus-alertmanager): %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	u := &url.URL{Scheme: "http", Host: addr}
	for deadline := time.Now().Add(30 * time.Second); ; {
		resp, err := http.Get(u.JoinPath("/-/ready").String())
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return u
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("Alertmanager does not start: %v", err)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// firing returns the severities of the alerts that fire, by object.
func firing(t *testing.T, u *url.URL) []string {
	t.Helper()
	resp, err := http.Get(u.JoinPath("/api/v2/alerts").String())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var as []struct {
		Labels map[string]string
		EndsAt time.Time
	}
	if err := json.NewDecoder(resp.Body).Decode(&as); err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, a := range as {
		if a.EndsAt.After(time.Now()) {
			out = append(out, a.Labels["object"]+" "+a.Labels["severity"])
		}
	}
	slices.Sort(out)
	return out
}

// TestAlertmanager: a real one shows what fires, at its severity, and no more.
func TestAlertmanager(t *testing.T) {
	u := startAlertmanager(t)
	r := alertmanager.New(alertmanager.Options{URL: u})
	deliver := func(a incident.Action, object string, c incident.Class, want ...string) {
		t.Helper()
		m := incidenttest.Sample(a)
		m.Object, m.DedupKey, m.Class = object, object, c
		m.OpenedAt = time.Now().Add(-time.Minute)
		if _, err := r.Deliver(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(append([]string{}, want...), firing(t, u)); d != "" {
			t.Errorf("after %s of %s (-want +got): %s", a, object, d)
		}
	}
	deliver(incident.Trigger, "db", incident.P2, "db warning")
	deliver(incident.Trigger, "web", incident.P1, "db warning", "web error")
	deliver(incident.UpdateAlert, "db", incident.P0, "db critical", "web error")
	deliver(incident.Acknowledge, "db", incident.P0, "db critical", "web error")
	deliver(incident.Repeat, "db", incident.P0, "db critical", "web error")
	deliver(incident.Resolve, "db", incident.P0, "web error")
	deliver(incident.Resolve, "db", incident.P0, "web error") // again
	deliver(incident.Resolve, "web", incident.P1)
}
