package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"avalo.app/gantry/internal/httpapi"
	"avalo.app/gantry/internal/incident"
)

// years are incidents of an hour each; every third is resolved. The store
// selects by Active and Before only.
type years struct {
	incident.Store
	incident.SilenceStore
	incident.Reader
	n     int64
	asked int
}

func hour(seq int64) time.Time { return time.Date(2026, 1, 1, int(seq), 0, 0, 0, time.UTC) }

// Incidents implements incident.Reader.
func (y *years) Incidents(_ context.Context, f incident.Filter) (out []incident.Incident, err error) {
	y.asked++
	for seq := y.n; seq > 0 && len(out) < f.Limit; seq-- {
		i := incident.Incident{ID: fmt.Sprintf("inc-%d", seq), Seq: seq, Class: incident.P2, OpenedAt: hour(seq),
			State: []incident.State{incident.Resolved, incident.Open, incident.Acknowledged}[seq%3]}
		if (f.Before == 0 || seq < f.Before) && (!f.Active || i.Active()) {
			out = append(out, i)
		}
	}
	return out, nil
}

// TestListIncidents: state and since select across the store's pages, and
// before goes on where a page ended.
func TestListIncidents(t *testing.T) {
	t.Parallel()
	y := &years{n: 1000}
	cfg := incident.DefaultConfig()
	cfg.Installation = "test"
	f := newFixture(t, func(d *httpapi.Deps) {
		var err error
		if d.Incidents, err = incident.New(incident.Options{Store: y, Node: "n", Config: cfg}); err != nil {
			t.Fatal(err)
		}
	})
	list := func(query string) (ids []string) {
		t.Helper()
		w := f.do("GET", "/v1/incidents?"+query, "")
		var out struct{ Incidents []struct{ ID, State string } }
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", query, w.Code, w.Body)
		}
		for _, i := range out.Incidents {
			ids = append(ids, strings.TrimPrefix(i.ID, "inc-")+i.State[:1])
		}
		return ids
	}
	for query, want := range map[string]string{
		"limit=4":                            "[1000o 998a 997o 995a]",
		"limit=4&state=all":                  "[1000o 999r 998a 997o]",
		"limit=3&state=resolved":             "[999r 996r 993r]",
		"limit=2&state=open&before=inc-1000": "[997o 994o]",
		"limit=2&state=acknowledged":         "[998a 995a]",
		"state=resolved&since=" + hour(995).Format(time.RFC3339):          "[999r 996r]",
		"state=all&since=" + hour(998).Format(time.RFC3339):               "[1000o 999r 998a]",
		"state=resolved&before=inc-4":                                     "[3r]",
		"limit=9&state=resolved&since=" + hour(2000).Format(time.RFC3339): "[]",
	} {
		if got := fmt.Sprint(list(query)); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if n := len(list("limit=1000&state=resolved")); n != 333 {
		t.Errorf("%d resolved", n)
	}
	for _, bad := range []string{"state=closed", "class=P9", "limit=0", "limit=1001", "before=x", "before=inc-0"} {
		problemOf(t, f.do("GET", "/v1/incidents?"+bad, ""), http.StatusBadRequest, "INVALID_ARGUMENT")
	}
}

// TestSilenceNeedsAnEnd: one end, and only one.
func TestSilenceNeedsAnEnd(t *testing.T) {
	t.Parallel()
	cfg := incident.DefaultConfig()
	cfg.Installation = "test"
	f := newFixture(t, func(d *httpapi.Deps) {
		var err error
		if d.Incidents, err = incident.New(incident.Options{Store: &years{}, Node: "n", Config: cfg}); err != nil {
			t.Fatal(err)
		}
	})
	for body, says := range map[string]string{
		`{"object":"api","reason":"why"}`:                                            "say when it ends",
		`{"object":"api","reason":"why","for":"2h","endsAt":"2027-01-01T00:00:00Z"}`: "not both",
		`{"object":"api","reason":"why","for":"tomorrow"}`:                           "for must be a duration",
		`{"object":"api","reason":"why","for":"-1h"}`:                                "for must be a duration",
		`{"object":"api","reason":"why","for":"800h"}`:                               "within 30 days",
		`{"object":"api","reason":"why","endsAt":"2020-01-01T00:00:00Z"}`:            "in the future",
		`{"reason":"why","for":"2h"}`:                                                "a silence of everything is none",
		`{"rule":"no_such","reason":"why","for":"2h"}`:                               "no such rule",
		`{"class":"P7","reason":"why","for":"2h"}`:                                   "P0, P1, P2 or P3",
		`{"object":"api","reason":"  ","for":"2h"}`:                                  "say why",
		`{"object":"api","reason":"` + strings.Repeat("x", 501) + `","for":"2h"}`:    "1 to 500 bytes",
		`{"object":"` + strings.Repeat("x", 201) + `","reason":"why","for":"2h"}`:    "200 bytes",
	} {
		p := problemOf(t, f.do("POST", "/v1/silences", body), http.StatusBadRequest, "INVALID_ARGUMENT")
		if !strings.Contains(p.Detail, says) {
			t.Errorf("%s: %q does not say %q", body, p.Detail, says)
		}
	}
}
