// Package httpcheck measures whether an HTTP server answers as expected: by
// its status, and by a condition on its JSON.
package httpcheck

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"avalo.app/gantry/internal/egress"
	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/probe"
)

// Config says what is asked and what is expected.
type Config struct {
	URL    string            // http or https; a user and password in it are sent
	Method string            // GET (also if empty) or HEAD
	Header map[string]string // sent
	Status []int             // expected; empty: 200 to 299
	// Condition is a CEL expression over body, the answer's JSON, and status:
	// body.status == "ok". Empty: the body does not matter.
	Condition string
	// Private lets a public host name lead inside the network.
	Private bool
}

type prober struct {
	cfg       Config
	url       *url.URL
	client    *http.Client
	condition *condition // nil: none
}

// New returns a prober. It makes no request.
func New(cfg Config) (health.Prober, error) {
	u, err := probe.URL("http", "url", cfg.URL, "http", "https")
	if err != nil {
		return nil, err
	}
	if cfg.Method == "" {
		cfg.Method = http.MethodGet
	}
	p := &prober{cfg: cfg, url: u, client: probe.Client(egress.Options{Private: cfg.Private}, u)}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Condition != "" {
		if p.condition, err = compile(cfg.Condition); err != nil {
			return nil, err
		}
	}
	if slices.ContainsFunc(cfg.Status, func(s int) bool { return s/100 == 3 }) {
		p.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return p, nil
}

func (c Config) check() error {
	switch {
	case c.Method != http.MethodGet && c.Method != http.MethodHead:
		return probe.Invalid("http", "method", "must be GET or HEAD: a probe changes nothing")
	case c.Method == http.MethodHead && c.Condition != "":
		return probe.Invalid("http", "condition", "needs the method GET: an answer to HEAD has no body")
	}
	for _, s := range c.Status {
		if s < 200 || s > 599 {
			return probe.Invalid("http", "status", "is %d; give statuses from 200 to 599", s)
		}
	}
	for name, value := range c.Header {
		if name == "" || strings.ContainsAny(name, " \t\r\n:") || strings.ContainsAny(value, "\r\n\x00") {
			return probe.Invalid("http", "header", "one of the %d has a name or value that HTTP does not allow", len(c.Header))
		}
	}
	return nil
}

// Probe implements health.Prober.
func (p *prober) Probe(ctx context.Context) (health.Reading, error) {
	r, err := http.NewRequest(p.cfg.Method, p.url.String(), nil)
	if err != nil {
		return health.Reading{}, probe.Failf("the request cannot be made; check the URL")
	}
	r.Header.Set("User-Agent", "gantry-probe")
	for name, value := range p.cfg.Header {
		r.Header.Set(name, value)
		if strings.EqualFold(name, "Host") {
			r.Host = value
		}
	}
	status, body, err := probe.Fetch(ctx, p.client, "request", r)
	if err != nil {
		return health.Reading{}, err
	}
	if !p.expected(status) {
		return health.Reading{}, probe.Failf("the server answers %d, want %s", status, p.wanted())
	}
	if p.condition != nil {
		if err := p.hold(ctx, status, body); err != nil {
			return health.Reading{}, err
		}
	}
	return health.Reading{Message: "answers as expected", Details: map[string]any{"status": status, "bodyBytes": len(body)}}, nil
}

func (p *prober) expected(status int) bool {
	if len(p.cfg.Status) == 0 {
		return status/100 == 2
	}
	return slices.Contains(p.cfg.Status, status)
}

func (p *prober) wanted() string {
	if len(p.cfg.Status) == 0 {
		return "200 to 299"
	}
	b, err := json.Marshal(p.cfg.Status)
	if err != nil {
		return "another"
	}
	return "one of " + string(b)
}

// hold checks the condition.
func (p *prober) hold(ctx context.Context, status int, body []byte) error {
	var doc any
	if err := json.Unmarshal(body, &doc); err != nil {
		return probe.Failf("the answer of %d bytes is no JSON, which the condition needs", len(body))
	}
	return p.condition.hold(ctx, status, doc)
}
