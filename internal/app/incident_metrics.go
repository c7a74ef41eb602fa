package app

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"avalo.app/gantry/internal/incident"
)

// The pace of counting incidents. What could not be counted for so long is
// not shown: an old count would say that all is well.
const (
	countEvery = 5 * time.Second
	countStale = 30 * time.Second
)

// incidentCounts are the store's, at a moment.
type incidentCounts struct {
	at        time.Time // of the monotonic clock
	incidents map[[2]string]int
	outbox    map[string]incident.Stats
}

// countIncidents reads for scrapes, which touch no SQL.
func (a *App) countIncidents(ctx context.Context) error {
	c := &incidentCounts{at: time.Now(), incidents: map[[2]string]int{}}
	f := incident.Filter{Active: true, Limit: 1000}
	for {
		page, err := a.incidents.Incidents(ctx, f)
		if err != nil {
			return err
		}
		for _, i := range page {
			c.incidents[[2]string{string(i.Class), string(i.State)}]++
			f.Before = i.Seq
		}
		if len(page) < f.Limit {
			break
		}
	}
	var err error
	if c.outbox, err = a.incidents.DeliveryStats(ctx); err != nil {
		return err
	}
	a.counts.Store(c)
	return nil
}

// incidentCollector shows the last counts.
type incidentCollector struct {
	a                                       *App
	incidents, pending, failed, oldest, age *prometheus.Desc
}

func newIncidentCollector(a *App) *incidentCollector {
	by := []string{"receiver"}
	return &incidentCollector{a: a,
		incidents: prometheus.NewDesc("gantry_incidents", "Incidents that are not resolved, by class and state (open, acknowledged).", []string{"class", "state"}, nil),
		pending:   prometheus.NewDesc("gantry_incident_deliveries_pending", "Messages that wait for a receiver.", by, nil),
		failed:    prometheus.NewDesc("gantry_incident_deliveries_failed", "Messages that a receiver refused for good, of those that are kept.", by, nil),
		oldest:    prometheus.NewDesc("gantry_incident_delivery_oldest_seconds", "Age of the oldest message that waits for a receiver, in seconds; 0 if none does.", by, nil),
		age:       prometheus.NewDesc("gantry_incident_counts_age_seconds", "Age of what this node knows of incidents, in seconds. Past 30 it shows none.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *incidentCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.incidents, c.pending, c.failed, c.oldest, c.age} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *incidentCollector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	n := c.a.counts.Load()
	if n == nil {
		return
	}
	age := time.Since(n.at)
	gauge(c.age, age.Seconds())
	if age > countStale {
		return
	}
	for _, class := range incident.Classes() {
		for _, state := range []incident.State{incident.Open, incident.Acknowledged} {
			gauge(c.incidents, float64(n.incidents[[2]string{string(class), string(state)}]), string(class), string(state))
		}
	}
	now := c.a.o.Now()
	for name := range c.a.receivers {
		s := n.outbox[name]
		gauge(c.pending, float64(s.Pending), name)
		gauge(c.failed, float64(s.Failed), name)
		oldest := 0.0
		if !s.OldestPending.IsZero() {
			oldest = max(now.Sub(s.OldestPending).Seconds(), 0)
		}
		gauge(c.oldest, oldest, name)
	}
}

// countedReceiver counts the attempts that this node makes.
type countedReceiver struct {
	incident.Receiver
	accepted, refused, retry prometheus.Counter
}

// counted wraps receivers by a series of their attempts.
func (a *App) counted(rs map[string]incident.Receiver) map[string]incident.Receiver {
	attempts := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gantry_incident_deliveries_total",
		Help: "Attempts to give a message to a receiver, by outcome: accepted, refused (for good) or retry."}, []string{"receiver", "outcome"})
	a.registry.MustRegister(attempts, newIncidentCollector(a), prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "gantry_signals_dropped_total",
		Help: "Facts for incidents that were dropped because too many changed at once."}, func() float64 { return float64(a.incidents.Dropped()) }))
	out := make(map[string]incident.Receiver, len(rs))
	for name, r := range rs {
		out[name] = &countedReceiver{r, attempts.WithLabelValues(name, "accepted"), attempts.WithLabelValues(name, "refused"), attempts.WithLabelValues(name, "retry")}
	}
	return out
}

// Deliver implements incident.Receiver.
func (r *countedReceiver) Deliver(ctx context.Context, m incident.Message) (incident.Answer, error) {
	answer, err := r.Receiver.Deliver(ctx, m)
	var d *incident.DeliveryError
	switch {
	case err == nil:
		r.accepted.Inc()
	case errors.As(err, &d) && d.Permanent:
		r.refused.Inc()
	default:
		r.retry.Inc()
	}
	return answer, err
}
