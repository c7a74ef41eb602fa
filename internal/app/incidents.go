package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"avalo.app/gantry/internal/config"
	"avalo.app/gantry/internal/egress"
	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/incident"
	"avalo.app/gantry/internal/lease"
	"avalo.app/gantry/internal/notify/alertmanager"
	"avalo.app/gantry/internal/notify/email"
	"avalo.app/gantry/internal/notify/opsgenie"
	"avalo.app/gantry/internal/notify/pagerduty"
	"avalo.app/gantry/internal/notify/ping"
	"avalo.app/gantry/internal/notify/slack"
	"avalo.app/gantry/internal/notify/webhook"
	"avalo.app/gantry/internal/signal"
)

// The pace of incidents. A lease of ten seconds is taken over in under 15.
const (
	incidentLease     = 10 * time.Second
	incidentFlush     = 500 * time.Millisecond
	incidentEvaluate  = time.Second
	incidentRetention = 366 * 24 * time.Hour
	alertLasts        = 10 * time.Minute // of an alert in Alertmanager that nobody repeats
)

// openIncidents builds what takes every other feature's facts, and so comes
// before them.
func (a *App) openIncidents(context.Context) error {
	cfg, err := a.incidentConfig()
	if err != nil {
		return err
	}
	drivers, err := receivers(a.config().Incidents.Receivers, a.o.Now)
	if err != nil {
		return err
	}
	a.receivers = a.counted(drivers)
	a.incidents, err = incident.New(incident.Options{Store: a.db, Node: a.node, Config: cfg, Now: a.o.Now})
	if err != nil {
		return fmt.Errorf("incidents: %w", err)
	}
	a.noteConfig()
	a.onStop("signals", a.incidents.Flush)
	return nil
}

// incidentConfig is the configuration in the words of the feature, checked.
func (a *App) incidentConfig() (incident.Config, error) {
	c := *a.config()
	in, err := c.Routing()
	if err != nil {
		return in, err
	}
	in.Installation = c.Audit.Origin
	return in, nil
}

// receivers builds the drivers of the configured receivers, by name.
func receivers(cfg map[string]config.Receiver, now func() time.Time) (map[string]incident.Receiver, error) {
	out := make(map[string]incident.Receiver, len(cfg))
	for _, name := range slices.Sorted(maps.Keys(cfg)) {
		r, err := receiver(cfg[name], now)
		if err != nil {
			return nil, fmt.Errorf("incidents.receivers.%s: %w", name, err)
		}
		out[name] = r
	}
	return out, nil
}

// receiver builds one driver: one line for each kind.
func receiver(c config.Receiver, now func() time.Time) (incident.Receiver, error) {
	out := egress.Options{Private: c.Private}
	switch {
	case c.PagerDuty != nil:
		u, err := base(c.PagerDuty.URL, pagerduty.DefaultURL)
		if strings.Trim(u.Path, "/") == "" {
			u = u.JoinPath("/v2/enqueue") // a base URL, as the configuration wants it
		}
		return pagerduty.New(pagerduty.Options{URL: u, RoutingKey: c.PagerDuty.RoutingKey.Reveal(), Egress: out}), err
	case c.Opsgenie != nil:
		u, err := base(c.Opsgenie.URL, opsgenie.DefaultURL)
		return opsgenie.New(opsgenie.Options{URL: u, APIKey: c.Opsgenie.APIKey.Reveal(), Egress: out}), err
	case c.Slack != nil:
		u, err := base(c.Slack.WebhookURL.Reveal(), "")
		return slack.New(slack.Options{URL: u, Egress: out}), err
	case c.Alertmanager != nil:
		u, err := base(c.Alertmanager.URL, "")
		return alertmanager.New(alertmanager.Options{URL: u, Lasts: lasts(c), Token: c.Alertmanager.Token.Reveal(), Egress: out, Now: now}), err
	case c.Email != nil:
		return mailer(*c.Email, out, now)
	case c.Webhook != nil:
		u, err := base(c.Webhook.URL, "")
		if err != nil {
			return nil, err
		}
		return webhook.New(webhook.Options{URL: u, Secrets: c.Webhook.Secrets.Reveal(), Egress: out, Now: now})
	case c.Ping != nil:
		u, err := base(c.Ping.URL.Reveal(), "")
		return ping.New(ping.Options{URL: u, Egress: out}), err
	}
	return nil, errors.New("it has no kind: set one of pagerduty, opsgenie, slack, alertmanager, email, webhook and ping")
}

func mailer(c config.EmailReceiver, out egress.Options, now func() time.Time) (incident.Receiver, error) {
	host, port, err := net.SplitHostPort(c.Server)
	if err != nil {
		return nil, errors.New("email.server: must be HOST:PORT, such as smtp.example.com:587")
	}
	security := email.Security(c.Security)
	if security == "" {
		security = email.StartTLS
	}
	return email.New(email.Options{Host: host, Port: port, Security: security, Username: c.Username, Password: c.Password.Reveal(), From: c.From, To: c.To, Egress: out, Now: now})
}

// lasts is how long an alert fires in Alertmanager without another message:
// two may be lost.
func lasts(c config.Receiver) time.Duration {
	return max(alertLasts, 3*time.Duration(max(c.Repeat, c.Heartbeat)))
}

// base parses a URL, which may be a secret: it is not named in errors.
func base(text, otherwise string) (*url.URL, error) {
	if text == "" {
		text = otherwise
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return &url.URL{}, errors.New("its URL must be http or https, with a host; the value is not shown")
	}
	return u, nil
}

// startIncidents takes facts to the store on every node, decides over them
// and sends on one, and pages without the store on every node.
func (a *App) startIncidents(ctx context.Context) {
	a.every(ctx, incidentFlush, "flush signals", a.incidents.Flush)
	a.every(ctx, countEvery, "count incidents", a.countIncidents)
	a.leased(ctx, "incidents", incidentLease, incidentEvaluate, func(ctx context.Context, h lease.Held) error {
		return a.incidents.Evaluate(ctx, incident.Fence(h))
	})
	sender := &incident.Sender{Store: a.db, Stats: a.db.DeliveryStats, Receivers: a.receivers, Signals: a.signal, Now: a.o.Now}
	a.leased(ctx, "notifications", incidentLease, time.Second, func(ctx context.Context, h lease.Held) error {
		return sender.Run(ctx, incident.Fence(h))
	})
	direct := a.direct()
	a.loops.Go(func() { _ = direct.Run(ctx) }) // it ends with ctx
}

// direct pages while the store cannot be reached. That a page is open is
// remembered in the data directory.
func (a *App) direct() *incident.Direct {
	marker := a.path("store-page-open")
	_, err := os.Stat(marker)
	return &incident.Direct{
		Routing: a.incidents.Routing, Receivers: a.receivers, Now: a.o.Now, Open: err == nil,
		Up: func(ctx context.Context) error {
			_, err := a.db.Revisions(ctx)
			return err
		},
		Mark: func(open bool) error {
			if open {
				return os.WriteFile(marker, nil, 0o600)
			}
			if err := os.Remove(marker); !errors.Is(err, os.ErrNotExist) {
				return err
			}
			return nil
		},
		Report: func(err error) {
			a.o.Log.Error("a page about the store does not get through", "error", err)
		},
	}
}

// signal is the sink of every feature. Facts are levels; the log has their
// edges.
func (a *App) signal(f signal.Fact) {
	if f.Object == selfComponent && (f.Rule == health.RuleComponentDown || f.Rule == health.RuleComponentImpaired) {
		return // what ails a node has rules of its own; that it makes the whole DEGRADED has not
	}
	a.incidents.Sink(f)
	f.Object, f.Value = incident.Clean(f.Object), incident.Clean(f.Value) // logs are as public as alerts
	key := f.Rule + "\x00" + f.Object
	a.edges.Lock()
	was := a.failed[key]
	if f.Failing {
		a.failed[key] = true
	} else {
		delete(a.failed, key)
	}
	a.edges.Unlock()
	switch {
	case f.Failing && !was:
		a.o.Log.Error("signal raised", "rule", f.Rule, "object", f.Object, "value", f.Value)
	case !f.Failing && was:
		a.o.Log.Info("signal cleared", "rule", f.Rule, "object", f.Object, "value", f.Value)
	}
}

// oneWord makes an object of text: what facts name has no blanks.
func oneWord(s string) string { return strings.ReplaceAll(s, " ", "_") }
