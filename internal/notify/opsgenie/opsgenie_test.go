package opsgenie_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"avalo.app/gantry/internal/incident"
	"avalo.app/gantry/internal/incident/incidenttest"
	"avalo.app/gantry/internal/notify/opsgenie"
)

const key = "0p5g3n1e-0000-4000-8000-000000000000"

var priorities = []string{"P1", "P2", "P3", "P4", "P5"}

func decode(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// read is Opsgenie's own check of a request.
func read(r *http.Request, body []byte) (h incidenttest.Heard, err error) {
	if r.Header.Get("Authorization") != "GenieKey "+key || r.Header.Get("Content-Type") != "application/json" {
		return h, errors.New("not authenticated")
	}
	if r.Method == http.MethodPost && r.URL.Path == "/v2/alerts" {
		var a struct {
			Message, Alias, Description, Entity, Source, Priority string
			Details                                               map[string]string
		}
		if err := decode(body, &a); err != nil {
			return h, err
		}
		if a.Message == "" || utf8.RuneCountInString(a.Message) > 130 || a.Alias == "" || len(a.Alias) > 512 || len(a.Description) > 15000 ||
			len(a.Entity) > 512 || utf8.RuneCountInString(a.Source) > 100 || !slices.Contains(priorities, a.Priority) {
			return h, fmt.Errorf("alert %+v", a)
		}
		return incidenttest.Heard{Key: a.Alias, Action: incident.Trigger}, nil
	}
	m := regexp.MustCompile(`^/v2/alerts/([^/]+)/(acknowledge|close|priority)$`).FindStringSubmatch(r.URL.Path)
	if m == nil || r.URL.RawQuery != "identifierType=alias" {
		return h, errors.New("no such endpoint")
	}
	h.Key, h.Action = m[1], map[string]incident.Action{"acknowledge": incident.Acknowledge, "close": incident.Resolve, "priority": incident.UpdateAlert}[m[2]]
	if m[2] == "priority" {
		var p struct{ Priority string }
		if err := decode(body, &p); err != nil || r.Method != http.MethodPut || !slices.Contains(priorities, p.Priority) {
			return h, fmt.Errorf("%s of priority %q: %w", r.Method, p.Priority, err)
		}
		return h, nil
	}
	var a struct{ Source string }
	if err := decode(body, &a); err != nil || r.Method != http.MethodPost || utf8.RuneCountInString(a.Source) > 100 {
		return h, fmt.Errorf("%s of %+v: %w", r.Method, a, err)
	}
	return h, nil
}

func TestReceiver(t *testing.T) {
	incidenttest.RunReceiver(t, service())
}

func service() incidenttest.Service {
	return incidenttest.Service{
		Open: func(_ *testing.T, server *url.URL) incident.Receiver {
			return opsgenie.New(opsgenie.Options{URL: server, APIKey: key})
		},
		Read: read,
		OK: func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, `{"result":"Request will be processed","took":0.1,"requestId":"x"}`)
		},
		Actions: []incident.Action{incident.Trigger, incident.UpdateAlert, incident.Acknowledge, incident.Resolve},
		Secrets: []string{key},
	}
}

// TestPriorities: each class has its own, and the long source is cut.
func TestPriorities(t *testing.T) {
	seen := map[string]incident.Class{}
	for _, class := range incident.Classes() {
		s := service()
		var got string
		s.Read = func(r *http.Request, body []byte) (incidenttest.Heard, error) {
			var a struct{ Priority string }
			if err := json.Unmarshal(body, &a); err != nil {
				return incidenttest.Heard{}, err
			}
			got = a.Priority
			return read(r, body)
		}
		m := incidenttest.Sample(incident.Trigger)
		m.Class, m.Source, m.Object = class, strings.Repeat("s", 200), strings.Repeat("ż", 100)
		if _, err := incidenttest.Once(t, s, m); err != nil {
			t.Error(err)
		}
		if other, ok := seen[got]; ok {
			t.Errorf("%s and %s have priority %s", class, other, got)
		}
		seen[got] = class
	}
}

// TestEnds reminds whoever builds after that day.
func TestEnds(t *testing.T) {
	if _, err := time.Parse(time.DateOnly, opsgenie.Ends); err != nil {
		t.Error(err)
	}
}
