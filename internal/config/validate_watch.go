package config

import (
	"errors"
	"maps"
	"net"
	"net/mail"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/health"
)

// health checks what is watched by the rules of package health.
func (v *validator) health() {
	h := v.c.Health
	for _, name := range slices.Sorted(maps.Keys(h.Components)) {
		v.oneKind("health.components."+name, reflect.ValueOf(h.Components[name]))
	}
	if _, err := health.Components(h.Watched()); err != nil {
		v.featureFault("health", err)
	}
	if _, err := health.Jobs(h.Expected()); err != nil {
		v.featureFault("health", err)
	}
	queries := len(h.Diagnostics.Queries) > 0
	for _, name := range slices.Sorted(maps.Keys(h.Freshness)) {
		path, f := "health.freshness."+name, h.Freshness[name]
		queries = queries || f.Query != ""
		switch {
		case (f.Query == "") == f.URL.IsZero():
			v.fail(path, "must have a query or a url, and not both")
		case f.Query != "" && f.Field != "":
			v.fail(path+".field", "is for a url: a query answers with one column")
		case f.Query == "" && f.Field == "":
			v.fail(path+".field", "must say where in the answer of the url the moment stands, such as index.updatedAt")
		}
	}
	if queries && h.HostDatabase.IsZero() {
		v.fail("health.host_database", "must be set: there are queries of it")
	}
}

// oneKind checks that exactly one of the kinds of a struct is set.
func (v *validator) oneKind(path string, of reflect.Value) {
	var all []string
	for i := range of.NumField() {
		if of.Field(i).Kind() == reflect.Pointer {
			all = append(all, of.Type().Field(i).Tag.Get("yaml"))
		}
	}
	switch set := kinds(of); {
	case len(set) == 0:
		v.fail(path, "has no kind: set one of %s", strings.Join(all, ", "))
	case len(set) > 1:
		v.fail(path, "has %d kinds (%s): keep one", len(set), strings.Join(set, ", "))
	}
}

// featureFault reports what a feature refuses, at its place in the section.
func (v *validator) featureFault(section string, err error) {
	path, text := section, err.Error()
	var e *fault.Error
	if errors.As(err, &e) {
		text = e.Msg
		if f, ok := e.Detail.(fault.Field); ok && f.Field != "" {
			path = section + "." + snake(f.Field)
		}
	}
	v.fail(path, "%s", text)
}

// snake spells a path as configurations do.
func snake(path string) string {
	var b strings.Builder
	for _, r := range path {
		if 'A' <= r && r <= 'Z' {
			b.WriteByte('_')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// incidents checks who is told by the rules of package incident.
func (v *validator) incidents() {
	in := v.c.Incidents
	for _, name := range slices.Sorted(maps.Keys(in.Receivers)) {
		path, r := "incidents.receivers."+name, in.Receivers[name]
		v.oneKind(path, reflect.ValueOf(r))
		if len(r.Channels) == 0 && r.Heartbeat == 0 {
			v.fail(path+".channels", "must name at least one of pager, chat and email, or the receiver is told nothing")
		}
		v.receiver(path, r)
	}
	cfg, err := v.c.Routing()
	if err != nil {
		path, text, _ := strings.Cut(err.Error(), ": ")
		v.fail(path, "%s", text)
		return
	}
	cfg.Installation = "gantry"
	if err := cfg.Validate(); err != nil {
		v.featureFault("incidents", err)
	}
}

// receiver checks where a receiver is: nothing is sent before it is needed.
func (v *validator) receiver(path string, r Receiver) {
	if c := r.PagerDuty; c != nil {
		v.optionalURL(path+".pagerduty.url", c.URL)
		v.required(path+".pagerduty.routing_key", c.RoutingKey)
	}
	if c := r.Opsgenie; c != nil {
		v.optionalURL(path+".opsgenie.url", c.URL)
		v.required(path+".opsgenie.api_key", c.APIKey)
	}
	if c := r.Slack; c != nil {
		v.secretURL(path+".slack.webhook_url", c.WebhookURL)
	}
	if c := r.Alertmanager; c != nil {
		v.plainURL(path+".alertmanager.url", c.URL)
	}
	if c := r.Webhook; c != nil {
		v.plainURL(path+".webhook.url", c.URL)
		v.required(path+".webhook.secrets", c.Secrets)
		v.signing(path+".webhook.secrets", c.Secrets)
	}
	if c := r.Ping; c != nil {
		v.secretURL(path+".ping.url", c.URL)
	}
	if c := r.Email; c != nil {
		v.email(path+".email", *c)
	}
}

func (v *validator) email(path string, c EmailReceiver) {
	if _, port, err := net.SplitHostPort(c.Server); err != nil || !isPort(port) {
		v.fail(path+".server", "must be HOST:PORT, such as smtp.example.com:587; it is %s", v.shown(path+".server", c.Server))
	}
	if (c.Username == "") != c.Password.IsZero() {
		v.fail(path+".password", "and username go together: set both, or neither for a server that asks for none")
	}
	if _, err := mail.ParseAddress(c.From); err != nil {
		v.fail(path+".from", "must be an e-mail address")
	}
	if len(c.To) == 0 {
		v.fail(path+".to", "must name at least one recipient")
	}
	for i, to := range c.To {
		if _, err := mail.ParseAddress(to); err != nil {
			v.fail(item(path+".to", i), "must be an e-mail address")
		}
	}
}

func (v *validator) required(path string, s Secret) {
	if s.IsZero() {
		v.fail(path, "must be set")
	}
}

func (v *validator) optionalURL(path, s string) {
	if s != "" {
		v.plainURL(path, s)
	}
}

func (v *validator) plainURL(path, s string) {
	if !isURL(s) {
		v.fail(path, "must be an http or https URL with a host; it is %s", v.shown(path, s))
	}
}

func (v *validator) secretURL(path string, s Secret) {
	if !isURL(s.Reveal()) {
		v.fail(path, "must be an http or https URL with a host; its value is a secret and not shown")
	}
}

func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http")
}
