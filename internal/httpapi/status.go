package httpapi

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page, its style and its script
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"sync"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/health"
)

// statusAge is how long a rendered page serves while nothing changes.
const statusAge = 5 * time.Second

//go:embed status.html
var statusHTML string

//go:embed status.css
var statusCSS string

//go:embed status.js
var statusJS string

// statusPage is the page as rendered last: whoever asks for it again and again
// costs a copy.
type statusPage struct {
	mu   sync.Mutex
	t    *template.Template
	id   string // of the state that it shows
	at   time.Time
	body []byte
	etag string
}

// statusPolicy allows exactly the style and the script of the page.
func statusPolicy() string {
	hash := func(s string) string {
		sum := sha256.Sum256([]byte(s))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; style-src " + hash(statusCSS) + "; script-src " + hash(statusJS) +
		"; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

// publicWindows are the running maintenance windows of what is published, and
// those of everything.
func (s *Server) publicWindows(p health.Public) []api.PublicHealthWindow {
	out := []api.PublicHealthWindow{}
	now := s.d.Now()
	for _, w := range s.d.Monitor.Windows() {
		named := []string{}
		for _, c := range p.Components {
			if slices.Contains(w.Components, c.Name) {
				named = append(named, c.Name)
			}
		}
		if w.From.After(now) || len(w.Components) > 0 && len(named) == 0 {
			continue
		}
		out = append(out, api.PublicHealthWindow{Components: named, Until: w.Until.UTC()})
	}
	return out
}

// publicState is what the public stream tells, and what the page is rendered
// from.
func (s *Server) publicState() (id, data string) {
	_, out := s.publicStatus()
	at := out.At
	out.At = time.Time{}
	fingerprint, _ := json.Marshal(out) // plain strings and times
	out.At = at
	text, _ := json.Marshal(out)
	return stateID(string(fingerprint)), string(text)
}

func (s *Server) publicStatus() (health.Public, api.PublicStatus) {
	p := s.known().Public(s.d.Version)
	return p, api.PublicStatus{Health: string(p.Status), At: p.At.UTC().Truncate(time.Second), Maintenance: s.publicWindows(p),
		Components: mapped(p.Components, func(c health.PublicComponent) api.PublicComponent {
			return api.PublicComponent{Name: c.Name, Health: string(c.Status)}
		})}
}

func (s *Server) statusEvents(w http.ResponseWriter, r *http.Request) {
	s.stream(w, r, s.public, "poll GET /healthz instead", func() bool { return true })
}

// statusPage is the public page. It reads memory only.
func (s *Server) statusPage(w http.ResponseWriter, r *http.Request) {
	body, etag, err := s.renderStatus()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", statusPolicy())
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "public, max-age=5")
	h.Set("ETag", etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

func (s *Server) renderStatus() (body []byte, etag string, err error) {
	s.page.mu.Lock()
	defer s.page.mu.Unlock()
	id, _ := s.publicState()
	if age := s.d.Now().Sub(s.page.at); s.page.body != nil && id == s.page.id && age >= 0 && age < statusAge {
		return s.page.body, s.page.etag, nil
	}
	if s.page.t == nil {
		s.page.t = template.Must(template.New("status").Parse(statusHTML))
	}
	var b bytes.Buffer
	if err := s.page.t.Execute(&b, s.statusView()); err != nil {
		return nil, "", fmt.Errorf("httpapi: status page: %w", err)
	}
	sum := sha256.Sum256(b.Bytes())
	s.page.id, s.page.at, s.page.body, s.page.etag = id, s.d.Now(), b.Bytes(), `"`+hex.EncodeToString(sum[:12])+`"`
	return s.page.body, s.page.etag, nil
}

// statusView is what the page shows.
type statusView struct {
	Style                      template.CSS
	Script                     template.JS
	Version, Word, Text, Class string
	OwnOnly                    bool
	At                         string
	Days                       int
	UptimeKnown                bool
	Parts                      []statusPart
	Windows                    []statusWindow
	SignupsClosedUntil         string
}

type statusWindow struct {
	What  string
	Until string
}

type statusPart struct {
	Name, Word, Class, Measured, Maintenance string
	Uptime, Summary                          string
	Bars                                     []statusBar
}

// statusBar is one day. It is drawn at X.
type statusBar struct {
	X, Y, Height int
	Class, Text  string
}

func (s *Server) statusView() statusView {
	p, public := s.publicStatus()
	seen := s.d.Monitor.LastUptime()
	v := statusView{Style: template.CSS(statusCSS), Script: template.JS(statusJS), Version: p.Version, OwnOnly: p.OwnOnly, At: minute(p.At), Days: health.UptimeDays,
		UptimeKnown: !seen.At.IsZero()}
	v.Word, v.Class = statusWord(p.Status)
	switch p.Status {
	case health.Healthy:
		v.Text = "Everything works"
		if v.OwnOnly {
			v.Text = "The launch control works"
		}
	case health.Down:
		v.Text = "The service is down"
	default:
		v.Text = "The service is impaired"
	}
	days := map[string]map[string]health.Day{}
	for _, d := range seen.Views {
		if days[d.Component] == nil {
			days[d.Component] = map[string]health.Day{}
		}
		days[d.Component][d.Day] = d
	}
	for _, c := range p.Components {
		part := statusPart{Name: c.Name, Measured: minute(c.MeasuredAt), Maintenance: minute(c.MaintenanceUntil)}
		part.Word, part.Class = statusWord(c.Status)
		part.history(days[c.Name], p.At)
		v.Parts = append(v.Parts, part)
	}
	for _, w := range public.Maintenance {
		what := "all parts"
		if len(w.Components) > 0 {
			what = list(w.Components)
		}
		v.Windows = append(v.Windows, statusWindow{What: what, Until: minute(w.Until)})
	}
	if s.d.Launch != nil {
		if l, _ := s.d.Launch.View(); l.Maintenance.On(s.d.Now()) {
			v.SignupsClosedUntil = minute(l.Maintenance.Until)
		}
	}
	return v
}

// statusWord is a status for the public, and its class of style.
func statusWord(st health.Status) (word, class string) {
	switch st {
	case health.Healthy:
		return "Healthy", "good"
	case health.Degraded:
		return "Degraded", "fair"
	case health.Down:
		return "Down", "bad"
	}
	return "Not known", "none"
}

// minute is a moment for people, "" if there is none.
func minute(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2 January 2006, 15:04:05 UTC")
}

func list(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	out := ""
	for i, n := range names {
		switch {
		case i == len(names)-1:
			out += " and "
		case i > 0:
			out += ", "
		}
		out += n
	}
	return out
}
