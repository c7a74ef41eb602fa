package health

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"avalo.app/gantry/internal/fault"
)

// Job is background work of the host that reports its runs.
type Job struct {
	Name string
	// Schedule is a cron expression of five fields, in TimeZone ("": UTC); or
	// Period is how long after one run the next begins at the latest.
	Schedule string
	TimeZone string
	Period   time.Duration
	// Grace is how late a run may begin; 0: 5 min.
	Grace      time.Duration
	MaxRuntime time.Duration // 0: until its next run is overdue

	times *schedule
}

// The ranges of a job.
const (
	MinPeriod    = 10 * time.Second
	MaxPeriod    = 366 * 24 * time.Hour
	MaxGrace     = 31 * 24 * time.Hour
	MaxRunID     = 128
	defaultGrace = 5 * time.Minute
	maxEarly     = time.Minute // by which clocks may differ
)

const opJobs = "health.Jobs"

// Jobs checks a configuration and fills in its defaults.
func Jobs(js []Job) ([]Job, error) {
	out := make([]Job, 0, len(js))
	for _, j := range js {
		j.Grace, j.TimeZone = cmp.Or(j.Grace, defaultGrace), cmp.Or(j.TimeZone, "UTC")
		if err := j.check(); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(out, func(o Job) bool { return o.Name == j.Name }) {
			return nil, j.invalid("name", nil, j.Name, "two jobs have this name: rename one")
		}
		if j.Schedule != "" {
			var err error
			if j.times, err = parseSchedule(j.Schedule, j.TimeZone); err != nil {
				return nil, j.invalid("schedule", "a cron expression of five fields", j.Schedule, err.Error())
			}
		}
		out = append(out, j)
	}
	return out, nil
}

func (j Job) invalid(field string, limit, actual any, problem string) error {
	return fault.Invalid(opJobs, fault.Field{Field: "jobs." + j.Name + "." + field, Problem: problem, Limit: limit, Actual: actual}, "job %q, %s: %s", j.Name, field, problem)
}

func (j Job) check() error {
	if !namePattern.MatchString(j.Name) {
		return j.invalid("name", namePattern.String(), j.Name, "a name has 1 to 64 of a-z, 0-9, '_', '.', '-' and starts with a letter or digit")
	}
	if (j.Schedule == "") == (j.Period == 0) {
		return j.invalid("schedule", nil, nil, "give either a schedule or a period")
	}
	for _, d := range [...]struct {
		field            string
		low, high, value time.Duration
	}{{"period", MinPeriod, MaxPeriod, cmp.Or(j.Period, MinPeriod)}, {"grace", 0, MaxGrace, j.Grace}, {"maxRuntime", 0, MaxGrace, j.MaxRuntime}} {
		if d.value < d.low || d.value > d.high {
			return j.invalid(d.field, d.low.String()+".."+d.high.String(), d.value.String(), "it must be from "+d.low.String()+" to "+d.high.String()+"; it is "+d.value.String())
		}
	}
	return nil
}

// Plan names when the job runs: another plan starts its waiting anew.
func (j Job) Plan() string { return j.Schedule + "|" + j.TimeZone + "|" + j.Period.String() }

// expected is when the run after base begins. A run that began a little early
// is the one of the time that follows it, not an extra one.
func (j Job) expected(base time.Time, ran bool) time.Time {
	if j.times == nil {
		return base.Add(j.Period)
	}
	next := j.times.next(base)
	if !ran || next.IsZero() {
		return next
	}
	after := j.times.next(next)
	if next.Sub(base) <= min(maxEarly, j.Grace, after.Sub(next)/10) {
		return after
	}
	return next
}

// PingKind is what a job reports.
type PingKind string

// The kinds of pings.
const (
	PingStart   PingKind = "start"
	PingSuccess PingKind = "success"
	PingFail    PingKind = "fail"
)

// Ping is one report of a job. Pings that repeat kind and run id of a recent
// one change nothing.
type Ping struct {
	Job      string
	Kind     PingKind
	RunID    string        // "": the ping stands for itself
	ExitCode *int          // of a success or a fail
	Duration time.Duration // of the run; 0: since its start, if that was reported
	At       time.Time
}

// JobRecord is what is known of one job.
type JobRecord struct {
	Job       string    `json:"-"`
	Plan      string    `json:"-"` // see Job.Plan
	PlanSince time.Time `json:"-"` // it is waited for since

	RanAt     time.Time     `json:"ranAt"` // when the newest run began
	Running   bool          `json:"running,omitempty"`
	StartedAt time.Time     `json:"startedAt"` // by a start ping
	StartedID string        `json:"startedId,omitempty"`
	EndedAt   time.Time     `json:"endedAt"`
	EndedOK   bool          `json:"endedOk,omitempty"`
	SuccessAt time.Time     `json:"successAt"` // when the last run ended that succeeded
	ExitCode  *int          `json:"exitCode,omitempty"`
	Duration  time.Duration `json:"duration,omitempty"`
	Recent    []string      `json:"recent,omitempty"` // "kind:id" of pings
}

// recentPings bounds how many pings a record remembers.
const recentPings = 64

// Apply adds a ping to a record; changed is false for a repetition. CONFLICT
// when the run ended otherwise before.
func (r JobRecord) Apply(p Ping) (next JobRecord, changed bool, err error) {
	ended := func(kind PingKind) bool { return p.RunID != "" && slices.Contains(r.Recent, string(kind)+":"+p.RunID) }
	if ended(p.Kind) {
		return r, false, nil
	}
	over := ended(PingSuccess) || ended(PingFail)
	if over && p.Kind != PingStart {
		return r, false, fault.New(fault.Conflict, "health.Ping", "run %q of job %q ended already, the other way: give every run an id of its own", p.RunID, r.Job)
	}
	if p.RunID != "" {
		recent := append(slices.Clone(r.Recent), string(p.Kind)+":"+p.RunID)
		r.Recent = recent[max(0, len(recent)-recentPings):]
	}
	switch {
	case p.Kind == PingStart && over: // it was overtaken by the run's end
	case p.Kind == PingStart:
		r.Running, r.StartedAt, r.StartedID, r.RanAt = true, p.At, p.RunID, p.At
	default:
		r.end(p)
	}
	return r, true, nil
}

func (r *JobRecord) end(p Ping) {
	own := r.Running && (r.StartedID == p.RunID || r.StartedID == "" || p.RunID == "")
	if own {
		r.Running = false
		p.Duration = cmp.Or(p.Duration, p.At.Sub(r.StartedAt))
	} else if began := p.At.Add(-p.Duration); began.After(r.RanAt) {
		r.RanAt = began
	}
	r.EndedAt, r.EndedOK, r.ExitCode, r.Duration = p.At, p.Kind == PingSuccess, p.ExitCode, max(0, p.Duration)
	if r.EndedOK {
		r.SuccessAt = p.At
	}
}

// JobWord is how a job is.
type JobWord string

// The words for jobs.
const (
	JobWaiting JobWord = "WAITING" // it has never run, and need not have
	JobRunning JobWord = "RUNNING"
	JobSuccess JobWord = "SUCCESS"
	JobFailure JobWord = "FAILURE"
	JobOverdue JobWord = "OVERDUE" // a run did not begin in time
	JobOverrun JobWord = "OVERRUN" // a run does not end in time
)

// JobView is a job at a moment.
type JobView struct {
	Name           string        `json:"jobName"`
	Word           JobWord       `json:"status"`
	LastRunAt      time.Time     `json:"lastRunAt,omitzero"`
	LastRunStatus  JobWord       `json:"lastRunStatus,omitempty"` // SUCCESS or FAILURE; "" before the first end
	LastEndedAt    time.Time     `json:"lastEndedAt,omitzero"`
	LastSuccessAt  time.Time     `json:"lastSuccessAt,omitzero"`
	ExitCode       *int          `json:"exitCode,omitempty"`
	Duration       time.Duration `json:"-"`
	NextRun        time.Time     `json:"nextScheduledRun,omitzero"` // when the next is expected; past if it is late
	OverdueFrom    time.Time     `json:"overdueFrom,omitzero"`      // NextRun and the grace
	RunningSince   time.Time     `json:"runningSince,omitzero"`
	WaitingForPing bool          `json:"waitingForPing,omitempty"` // no ping ever came
}

// JobState says how a job is at a moment, from what it reported. It is pure.
func JobState(j Job, r JobRecord, now time.Time) JobView {
	v := JobView{Name: j.Name, LastRunAt: r.RanAt, LastEndedAt: r.EndedAt, LastSuccessAt: r.SuccessAt, ExitCode: r.ExitCode, Duration: r.Duration, WaitingForPing: r.RanAt.IsZero()}
	switch {
	case r.EndedAt.IsZero():
	case r.EndedOK:
		v.LastRunStatus = JobSuccess
	default:
		v.LastRunStatus = JobFailure
	}
	base, ran := r.PlanSince, false
	if r.RanAt.After(base) {
		base, ran = r.RanAt, true
	}
	v.NextRun = j.expected(base, ran)
	v.OverdueFrom = v.NextRun.Add(j.Grace)
	if r.Running {
		v.RunningSince = r.StartedAt
	}
	switch {
	case r.Running && j.MaxRuntime > 0 && now.Sub(r.StartedAt) > j.MaxRuntime:
		v.Word = JobOverrun
	case now.After(v.OverdueFrom):
		v.Word = JobOverdue
	case r.Running:
		v.Word = JobRunning
	case v.LastRunStatus == "":
		v.Word = JobWaiting
	default:
		v.Word = v.LastRunStatus
	}
	return v
}

// value is the text of a fact about the job.
func (v JobView) value() string {
	s := string(v.Word)
	switch v.Word {
	case JobOverrun:
		s += ": runs since " + v.RunningSince.UTC().Format(time.RFC3339)
	case JobOverdue:
		s += ": expected at " + v.NextRun.UTC().Format(time.RFC3339)
	}
	if v.LastRunStatus == JobFailure {
		s += "; the last run failed at " + v.LastEndedAt.UTC().Format(time.RFC3339)
		if v.ExitCode != nil {
			s += " with exit code " + strconv.Itoa(*v.ExitCode)
		}
	}
	return s
}
