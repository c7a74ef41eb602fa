package httpapi

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"avalo.app/gantry/internal/health"
)

// verdicts are the series of health. A scrape reads memory only: it reaches
// neither the store nor a component. What is not known has no series, and no
// label holds a message.
type verdicts struct{ s *Server }

// forgetViews is the age from which what was read of jobs and sources is not
// known any more.
const forgetViews = 30 * time.Second

// desc is the description of a series; labels are its variable labels.
func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// Describe implements prometheus.Collector: without descriptions it is
// unchecked, as what it collects depends on the configuration.
func (verdicts) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (v verdicts) Collect(to chan<- prometheus.Metric) {
	if v.s.d.Monitor == nil {
		return
	}
	rep := v.s.known()
	oneOf(to, desc("gantry_health_status", "1 for the health word.", "status"), rep.Status, []health.Status{health.Healthy, health.Degraded, health.Down})
	status := desc("gantry_component_status", "1 for the status of a component.", "component", "status")
	took := desc("gantry_component_response_seconds", "Time that the last measurement took.", "component")
	at := desc("gantry_component_measured_timestamp_seconds", "When a component was measured last.", "component")
	for _, e := range rep.Components {
		oneOf(to, status, e.Status, []health.Status{health.Healthy, health.Degraded, health.Down, health.NotConfigured, health.Unknown}, e.Component)
		if ms := responseTime(e); ms != nil {
			gauge(to, took, float64(*ms)/1000, e.Component)
			stamped(to, at, e.MeasuredAt, e.Component)
		}
	}
	started, givenUp, stuck := v.s.d.Monitor.Probes()
	count := func(name, help string, n int64) {
		to <- prometheus.MustNewConstMetric(desc(name, help), prometheus.CounterValue, float64(n))
	}
	count("gantry_probes_started_total", "Probes that this node started.", started)
	count("gantry_probes_given_up_total", "Probes of this node that did not return after their time.", givenUp)
	gauge(to, desc("gantry_probes_stuck", "Probes of this node that were given up and have not returned."), float64(stuck))
	v.jobs(to)
	v.sources(to)
}

func (v verdicts) jobs(to chan<- prometheus.Metric) {
	seen := v.s.d.Heartbeats.Last()
	if v.s.d.Now().Sub(seen.At) > forgetViews {
		return
	}
	status := desc("gantry_job_status", "1 for the status of a background job.", "job", "status")
	run := desc("gantry_job_last_run_timestamp_seconds", "When the last run of a job began.", "job")
	success := desc("gantry_job_last_success_timestamp_seconds", "When the last run of a job ended that succeeded.", "job")
	took := desc("gantry_job_last_duration_seconds", "How long the last run of a job took that ended.", "job")
	for _, j := range seen.Views {
		oneOf(to, status, j.Word, []health.JobWord{health.JobWaiting, health.JobRunning, health.JobSuccess, health.JobFailure, health.JobOverdue, health.JobOverrun}, j.Name)
		stamped(to, run, j.LastRunAt, j.Name)
		stamped(to, success, j.LastSuccessAt, j.Name)
		if !j.LastEndedAt.IsZero() {
			gauge(to, took, j.Duration.Seconds(), j.Name)
		}
	}
}

func (v verdicts) sources(to chan<- prometheus.Metric) {
	seen := v.s.d.Sources.Last()
	if v.s.d.Now().Sub(seen.At) > forgetViews {
		return
	}
	word := desc("gantry_freshness", "1 for the freshness of a source.", "source", "freshness")
	at := desc("gantry_freshness_updated_timestamp_seconds", "The time to which a source is up to date.", "source")
	for _, src := range seen.Views {
		oneOf(to, word, src.Freshness, []health.Freshness{health.Fresh, health.Stale, health.Unclear}, src.Name)
		stamped(to, at, src.UpdatedAt, src.Name)
	}
}

// oneOf is 1 for the word that holds and 0 for the others. labels come before
// the word.
func oneOf[W ~string](to chan<- prometheus.Metric, d *prometheus.Desc, is W, words []W, labels ...string) {
	for _, w := range words {
		value := 0.0
		if w == is {
			value = 1
		}
		gauge(to, d, value, append(labels[:len(labels):len(labels)], string(w))...)
	}
}

func gauge(to chan<- prometheus.Metric, d *prometheus.Desc, value float64, labels ...string) {
	to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

// stamped is a time in seconds; none has no series.
func stamped(to chan<- prometheus.Metric, d *prometheus.Desc, t time.Time, labels ...string) {
	if !t.IsZero() {
		gauge(to, d, float64(t.UnixMilli())/1000, labels...)
	}
}
