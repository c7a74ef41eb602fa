package health

import (
	"context"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/signal"
)

// JobPlan is a job as the configuration names it.
type JobPlan struct{ Job, Plan string }

// JobStore keeps what jobs reported. Each method is atomic.
type JobStore interface {
	// RegisterJobs notes since when each plan is waited for: at, if the job is
	// new or had another plan. It may be repeated.
	RegisterJobs(ctx context.Context, plans []JobPlan, at time.Time) error
	// UpdateJob lets decide change the record of a job, the zero record if
	// there is none, and stores it if decide says so. Of updates at once, each
	// sees the one before. decide may be called again and has no effect of its
	// own; an error of it is returned and changes nothing.
	UpdateJob(ctx context.Context, job string, decide func(*JobRecord) (save bool, err error)) error
	// JobRecords returns all records, by name.
	JobRecords(ctx context.Context) ([]JobRecord, error)
}

// HeartbeatOptions are what Heartbeats stand on.
type HeartbeatOptions struct {
	Jobs    []Job
	Store   JobStore
	Signals signal.Sink
	Now     func() time.Time
}

// Heartbeats take the reports of background jobs and say which failed, hang,
// or did not run. Any node takes a ping; one node calls Check, from one
// goroutine. Else it is safe for concurrent use.
type Heartbeats struct {
	o      HeartbeatOptions
	jobs   []Job
	by     map[string]Job
	levels *levels
	last   atomic.Pointer[Seen[JobView]]
}

// Seen is what was read last, and when.
type Seen[V any] struct {
	Views []V
	At    time.Time // zero: never
}

// NewHeartbeats checks the configuration.
func NewHeartbeats(o HeartbeatOptions) (*Heartbeats, error) {
	jobs, err := Jobs(o.Jobs)
	if err != nil {
		return nil, err
	}
	h := &Heartbeats{o: o, jobs: jobs, by: make(map[string]Job, len(jobs)), levels: newLevels(o.Signals)}
	for _, j := range jobs {
		h.by[j.Name] = j
	}
	return h, nil
}

// Register notes since when each job is waited for. Call it at the start; Check
// does, too.
func (h *Heartbeats) Register(ctx context.Context) error {
	plans := make([]JobPlan, len(h.jobs))
	for i, j := range h.jobs {
		plans[i] = JobPlan{j.Name, j.Plan()}
	}
	return h.o.Store.RegisterJobs(ctx, plans, h.o.Now())
}

const opPing = "health.Ping"

// Ping takes one report; At is now. NOT_FOUND for a job that is not
// configured. It may be repeated after any error, safely if it has a run id.
func (h *Heartbeats) Ping(ctx context.Context, p Ping) (JobView, error) {
	j, ok := h.by[p.Job]
	if !ok {
		return JobView{}, &fault.Error{Code: fault.NotFound, Op: opPing, Detail: fault.Field{Field: "job", Problem: "unknown", Actual: short(p.Job)},
			Msg: "there is no job of this name: add it to health.jobs in the configuration, with a schedule or a period, and reload"}
	}
	if err := p.check(); err != nil {
		return JobView{}, err
	}
	p.At = h.o.Now().UTC().Truncate(time.Microsecond)
	var r JobRecord
	err := h.o.Store.UpdateJob(ctx, p.Job, func(was *JobRecord) (bool, error) {
		if was.PlanSince.IsZero() {
			was.Plan, was.PlanSince = j.Plan(), p.At
		}
		next, changed, err := was.Apply(p)
		r = next
		*was = next
		return changed, err
	})
	if err != nil {
		return JobView{}, err
	}
	return JobState(j, r, p.At), nil
}

func (p Ping) check() error {
	switch p.Kind {
	case PingStart, PingSuccess, PingFail:
	default:
		return fault.Invalid(opPing, fault.Field{Field: "kind", Limit: "start, success, fail", Actual: short(string(p.Kind))}, "a ping is start, success or fail")
	}
	switch {
	case len(p.RunID) > MaxRunID || !printable(p.RunID):
		return fault.Invalid(opPing, fault.Field{Field: "runId", Limit: MaxRunID, Actual: len(p.RunID)}, "a run id has at most %d bytes of printable text; it has %d", MaxRunID, len(p.RunID))
	case p.ExitCode != nil && p.Kind == PingStart:
		return fault.Invalid(opPing, fault.Field{Field: "exitCode", Actual: *p.ExitCode}, "a start has no exit code")
	case p.ExitCode != nil && *p.ExitCode != 0 && p.Kind == PingSuccess:
		return fault.Invalid(opPing, fault.Field{Field: "exitCode", Limit: 0, Actual: *p.ExitCode}, "a success has exit code 0, not %d: report it as fail", *p.ExitCode)
	case p.Duration < 0 || p.Duration > MaxGrace:
		return fault.Invalid(opPing, fault.Field{Field: "duration", Limit: MaxGrace.String(), Actual: p.Duration.String()}, "a duration is from 0 to %s", MaxGrace)
	}
	return nil
}

func printable(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// Jobs says how every configured job is now, in the order of the
// configuration.
func (h *Heartbeats) Jobs(ctx context.Context) ([]JobView, error) {
	views, _, err := h.read(ctx)
	return views, err
}

// Refresh reads how every job is, for Last.
func (h *Heartbeats) Refresh(ctx context.Context) error {
	views, err := h.Jobs(ctx)
	if err == nil {
		h.last.Store(&Seen[JobView]{views, h.o.Now()})
	}
	return err
}

// Last is what Refresh read last: from memory, and shared, so read only.
func (h *Heartbeats) Last() Seen[JobView] {
	if s := h.last.Load(); s != nil {
		return *s
	}
	return Seen[JobView]{}
}

// read returns the configured jobs, and the names of records of none.
func (h *Heartbeats) read(ctx context.Context) (views []JobView, gone []string, err error) {
	records, err := h.o.Store.JobRecords(ctx)
	if err != nil {
		return nil, nil, err
	}
	by := make(map[string]JobRecord, len(records))
	for _, r := range records {
		if by[r.Job] = r; h.by[r.Job].Name == "" {
			gone = append(gone, r.Job)
		}
	}
	now := h.o.Now()
	for _, j := range h.jobs {
		r, ok := by[j.Name]
		if !ok || r.Plan != j.Plan() {
			r.PlanSince = now // not registered yet
		}
		views = append(views, JobState(j, r, now))
	}
	return views, gone, nil
}

// Check raises and clears the facts about jobs, from the store as it is now.
func (h *Heartbeats) Check(ctx context.Context) error {
	if err := h.Register(ctx); err != nil {
		return err
	}
	views, gone, err := h.read(ctx)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	h.levels.tell(jobFacts(views, gone), h.o.Now())
	return nil
}

// jobFacts: a job fails until a run succeeds, whatever else is with it.
func jobFacts(views []JobView, gone []string) []signal.Fact {
	out := make([]signal.Fact, 0, 2*len(views))
	for _, v := range views {
		out = append(out,
			signal.Fact{Rule: RuleJobFailed, Object: v.Name, Failing: v.LastRunStatus == JobFailure, Value: v.value()},
			signal.Fact{Rule: RuleJobOverdue, Object: v.Name, Failing: v.Word == JobOverdue || v.Word == JobOverrun, Value: v.value()})
	}
	for _, name := range gone {
		for _, rule := range []string{RuleJobFailed, RuleJobOverdue} {
			out = append(out, signal.Fact{Rule: rule, Object: name, Value: "no longer configured"})
		}
	}
	return out
}
