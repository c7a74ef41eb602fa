package interop_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"avalo.app/gantry/internal/gantrytest"
)

// runAlertmanager runs Debian's Alertmanager, which tells nobody.
func runAlertmanager(t *testing.T) (address string) {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "alertmanager.yml")
	if err := os.WriteFile(config, []byte("route: {receiver: none}\nreceivers: [{name: none}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	address = freeAddress(t)
	background(t, "http://"+address+"/-/ready", "prometheus-alertmanager", "--config.file="+config, "--storage.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--cluster.listen-address=")
	return address
}

type amAlert struct {
	Labels, Annotations map[string]string
	StartsAt, EndsAt    time.Time
}

// alertsOf asks Alertmanager by its own tool for the alerts of an object that
// fire.
func alertsOf(t *testing.T, address, object string) (out []amAlert) {
	t.Helper()
	b, err := exec.Command("amtool", "--alertmanager.url=http://"+address, "--output=json", "alert", "query", "object="+object).Output()
	if err != nil {
		t.Fatalf("amtool: %v", err)
	}
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return out
}

// TestAlertsReachAlertmanager: a real Alertmanager hears of a component that is down,
// with labels to route by, and of its return; and of a test, which leaves
// nothing.
func TestAlertsReachAlertmanager(t *testing.T) {
	address := runAlertmanager(t)
	var down atomic.Bool
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer app.Close()
	p := gantrytest.Start(t, gantrytest.Options{Binary: binary, Config: fmt.Sprintf(`
health:
  components:
    api: {critical: true, interval: 1s, failure_threshold: 1, success_threshold: 1, http: {url: %q}}
incidents:
  receivers:
    alertmanager: {channels: [pager, chat], heartbeat: 10s, alertmanager: {url: "http://%s"}}
`, app.URL, address)})
	a := p.Do(t, "POST", "/v1/alerts/test", map[string]any{"receiver": "alertmanager"})
	var tested struct {
		Receivers []struct {
			OK    bool
			Steps []struct{ Action, Answer string }
		}
	}
	a.Decode(t, &tested)
	if len(tested.Receivers) != 1 || !tested.Receivers[0].OK || len(tested.Receivers[0].Steps) != 3 {
		t.Errorf("test: %+v", tested)
	}
	if left := alertsOf(t, address, "alertmanager"); len(left) != 0 {
		t.Errorf("the test fires on: %+v", left)
	}
	down.Store(true)
	got := awaitFiring(t, address, "api", 1)[0]
	for label, want := range map[string]string{"alertname": "Gantry_component", "object": "api", "severity": "critical", "class": "P0"} {
		if got.Labels[label] != want {
			t.Errorf("label %s is %q, want %q", label, got.Labels[label], want)
		}
	}
	if left := time.Until(got.EndsAt); left < time.Minute || got.Annotations["summary"] == "" {
		t.Errorf("the alert lasts %v: %+v", left, got)
	}
	down.Store(false)
	awaitFiring(t, address, "api", 0)
}

func awaitFiring(t *testing.T, address, object string, n int) []amAlert {
	t.Helper()
	var got []amAlert
	for range 400 {
		if got = alertsOf(t, address, object); len(got) == n {
			return got
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("%d alerts of %s fire, want %d: %+v", len(got), object, n, got)
	return nil
}
