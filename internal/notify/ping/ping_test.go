package ping_test

import (
	"errors"
	"net/http"
	"net/url"
	"testing"

	"avalo.app/gantry/internal/incident"
	"avalo.app/gantry/internal/incident/incidenttest"
	"avalo.app/gantry/internal/notify/ping"
)

func service() incidenttest.Service {
	return incidenttest.Service{
		Open: func(_ *testing.T, server *url.URL) incident.Receiver {
			return ping.New(ping.Options{URL: server.JoinPath("/ping/s3cr3t-uuid")})
		},
		Read: func(r *http.Request, body []byte) (incidenttest.Heard, error) {
			if r.Method != http.MethodPost || r.URL.Path != "/ping/s3cr3t-uuid" || len(body) > 0 {
				return incidenttest.Heard{}, errors.New("not a ping")
			}
			return incidenttest.Heard{Action: incident.Heartbeat}, nil
		},
		OK:      func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) },
		Actions: []incident.Action{incident.Heartbeat},
		Secrets: []string{"s3cr3t-uuid"},
	}
}

func TestReceiver(t *testing.T) { incidenttest.RunReceiver(t, service()) }

// TestHeartbeatsOnly: an incident sent here would be taken for a sign of life.
func TestHeartbeatsOnly(t *testing.T) {
	_, err := incidenttest.Once(t, service(), incidenttest.Sample(incident.Trigger))
	var d *incident.DeliveryError
	if !errors.As(err, &d) || !d.Permanent {
		t.Errorf("%v", err)
	}
}
