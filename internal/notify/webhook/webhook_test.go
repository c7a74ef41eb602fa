package webhook_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"avalo.app/gantry/internal/incident"
	"avalo.app/gantry/internal/incident/incidenttest"
	"avalo.app/gantry/internal/notify/webhook"
)

const (
	secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	older  = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
)

// reader checks a request with the reference library, by one of the secrets.
func reader(secret string) func(*http.Request, []byte) (incidenttest.Heard, error) {
	return func(r *http.Request, body []byte) (h incidenttest.Heard, err error) {
		k, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			return h, err
		}
		if err := k.Verify(body, r.Header); err != nil {
			return h, err
		}
		var b struct {
			Type      string    `json:"type"`
			Timestamp time.Time `json:"timestamp"`
			Data      struct {
				Incident, DedupKey, Class, State, Cause, Object, Summary, Source, Link string
				Rules                                                                  []string
				OpenedAt                                                               time.Time
			} `json:"data"`
		}
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		if err := d.Decode(&b); err != nil {
			return h, err
		}
		action, ok := strings.CutPrefix(b.Type, "incident.")
		if r.Method != http.MethodPost || r.URL.Path != "/hook" || !ok || b.Timestamp.IsZero() || b.Data.Source != "test" || r.Header.Get("webhook-id") == "" {
			return h, fmt.Errorf("%+v", b)
		}
		return incidenttest.Heard{Key: b.Data.DedupKey, Action: incident.Action(action)}, nil
	}
}

func service(read func(*http.Request, []byte) (incidenttest.Heard, error)) incidenttest.Service {
	return incidenttest.Service{
		Open: func(t *testing.T, server *url.URL) incident.Receiver {
			u := server.JoinPath("/hook")
			u.RawQuery = "token=qu3rys3cret"
			r, err := webhook.New(webhook.Options{URL: u, Secrets: secret + " | v1," + older})
			if err != nil {
				t.Fatal(err)
			}
			return r
		},
		Read:    read,
		OK:      func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) },
		Actions: []incident.Action{incident.Trigger, incident.UpdateAlert, incident.Acknowledge, incident.Resolve, incident.Repeat, incident.Heartbeat},
		Secrets: []string{"qu3rys3cret", secret, older, secret[6:]},
	}
}

func TestReceiver(t *testing.T) {
	t.Run("by the new secret", func(t *testing.T) { incidenttest.RunReceiver(t, service(reader(secret))) })
	t.Run("by the old one", func(t *testing.T) { incidenttest.RunReceiver(t, service(reader(older))) })
}

// TestIDIsTheDelivery: attempts at one delivery have one id, so that whoever
// drops repeats by it does.
func TestIDIsTheDelivery(t *testing.T) {
	var ids []string
	read := func(r *http.Request, _ []byte) (incidenttest.Heard, error) {
		ids = append(ids, r.Header.Get("webhook-id"))
		return incidenttest.Heard{}, nil
	}
	m := incidenttest.Sample(incident.Trigger)
	for range 2 {
		if _, err := incidenttest.Once(t, service(read), m); err != nil {
			t.Fatal(err)
		}
	}
	if len(ids) != 2 || ids[0] != m.Delivery || ids[1] != m.Delivery {
		t.Errorf("ids %v", ids)
	}
}

func TestSecretsThatCannotSign(t *testing.T) {
	for _, s := range []string{"", "whsec_", "whsec_c2hvcnQ=", "not base64!", secret + "|"} {
		_, err := webhook.New(webhook.Options{URL: &url.URL{Scheme: "https", Host: "x.example"}, Secrets: s})
		if err == nil || s != "" && len(s) > 7 && strings.Contains(err.Error(), s) {
			t.Errorf("%q: %v", s, err)
		}
	}
}
