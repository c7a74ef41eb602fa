package ratelimit

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/signal"
)

// MaxSubject bounds each subject value, in bytes.
const MaxSubject = 256

// maxRules bounds the rules of one policy, so that a check fits its scratch.
const maxRules = 16

// Mode says how a verdict came about.
type Mode string

// The modes of a verdict.
const (
	Enforced  Mode = "enforced"  // decided by the counters
	Shadowed  Mode = "shadow"    // the policy is in shadow: never refused
	Degraded  Mode = "degraded"  // the counters failed: decided by this node's own memory
	Exempted  Mode = "exempt"    // an override exempts the subject
	Blocked   Mode = "blocked"   // an override or a penalty refuses the subject
	Unlimited Mode = "unlimited" // the policy is disabled
)

// Request asks whether Subject may do Action now. Cost 0 means 1.
type Request struct {
	Action  string
	Subject Subject
	Cost    int64
}

// Verdict is the answer to a request: the tightest of the policy's rules.
// Times are Unix microseconds.
type Verdict struct {
	Allowed   bool
	Limit     int64 // of the tightest rule, after overrides
	Remaining int64 // units of that rule left after this decision
	ResetAt   int64 // refused: the moment the same request passes; else when that rule's window ends
	DecidedAt int64
	Window    time.Duration
	Policy    string
	Scope     Scope
	Mode      Mode

	// PolicyField and LimitName are the IETF RateLimit-Policy value and the
	// quoted name for RateLimit.
	PolicyField string
	LimitName   string
}

// RetryAfter is the wait until the same request passes, in whole seconds
// rounded up; 0 when it was allowed.
func (v Verdict) RetryAfter() int64 {
	if v.Allowed {
		return 0
	}
	return max(1, v.secondsTo(v.ResetAt))
}

// ResetSeconds is the time to ResetAt in whole seconds, rounded up.
func (v Verdict) ResetSeconds() int64 { return v.secondsTo(v.ResetAt) }

// Name is LimitName without its quotes.
func (v Verdict) Name() string { return strings.Trim(v.LimitName, `"`) }

func (v Verdict) secondsTo(at int64) int64 {
	d := at - v.DecidedAt
	if d <= 0 {
		return 0
	}
	return (d + 999_999) / 1_000_000
}

// Options are what a Service is made of.
type Options struct {
	Counters Counters
	// Fallback limits while Counters fail; nil allows everything then.
	Fallback   Counters
	Hasher     *Hasher
	Policies   PolicyStore
	Violations ViolationStore
	Signals    signal.Sink
	Now        func() time.Time
	Node       string // names this process in violation batches
}

// Service decides requests. It is safe for concurrent use, and its Check
// touches no SQL.
type Service struct {
	o     Options
	table atomic.Pointer[table]
	log   *violationLog
	pool  sync.Pool // *scratch

	reload sync.Mutex // serialises what swaps table
	base   map[string]Active

	degraded     atomic.Int64 // checks decided without the counters, ever
	degradedNow  atomic.Bool
	lastFailover atomic.Int64 // Unix µs of the last change into degraded mode
}

// New returns a service with the configured policies in force. Stored
// policies and overrides join with the first Refresh.
func New(o Options, base []Active) *Service {
	if o.Signals == nil {
		o.Signals = signal.Discard
	}
	s := &Service{o: o, log: newViolationLog(o.Node)}
	s.pool.New = func() any { return new(scratch) }
	s.base = byAction(base)
	s.table.Store(compile(s.base, nil, nil))
	return s
}

func byAction(base []Active) map[string]Active {
	m := make(map[string]Active, len(base))
	for _, a := range base {
		m[a.Action] = a
	}
	return m
}

// Configure puts other configured policies in force, keeping all counts.
func (s *Service) Configure(ctx context.Context, base []Active) error {
	s.reload.Lock()
	defer s.reload.Unlock()
	return s.load(ctx, byAction(base))
}

// Refresh reads the stored policies and overrides and puts them in force.
// After an error the table in force stays.
func (s *Service) Refresh(ctx context.Context) error {
	s.reload.Lock()
	defer s.reload.Unlock()
	return s.load(ctx, s.base)
}

// load puts base in force with what is stored; an error changes nothing.
func (s *Service) load(ctx context.Context, base map[string]Active) error {
	stored, err := s.o.Policies.Policies(ctx)
	if err != nil {
		return err
	}
	overrides, err := s.o.Policies.Overrides(ctx, s.o.Now())
	if err != nil {
		return err
	}
	s.base = base
	s.table.Store(compile(base, stored, overrides))
	return nil
}

// scratch is the working memory of one decision.
type scratch struct {
	demands [maxRules]Demand
	out     [maxRules]Outcome
	rules   [maxRules]*compiledRule
	n       int
}

// Check decides the request and charges it if it passes. Errors are
// INVALID_ARGUMENT, or SERVICE_DEGRADED when the counters fail and the
// policy fails closed.
func (s *Service) Check(ctx context.Context, r Request) (Verdict, error) {
	return s.decide(ctx, r, true)
}

// Peek answers as Check would, and changes and records nothing.
func (s *Service) Peek(ctx context.Context, r Request) (Verdict, error) {
	return s.decide(ctx, r, false)
}

func (s *Service) decide(ctx context.Context, r Request, take bool) (Verdict, error) {
	now, t := s.o.Now(), s.table.Load()
	p, sub, err := t.prepare(&r)
	if err != nil {
		return Verdict{}, err
	}
	v := Verdict{Policy: p.Action, DecidedAt: now.UnixMicro(), Window: p.Window, PolicyField: p.policyField, Mode: Enforced}
	sc := s.pool.Get().(*scratch)
	defer s.pool.Put(sc)
	if err := s.demands(t, p, &r, sub, sc, now); err != nil {
		return Verdict{}, err
	}
	switch {
	case p.Disabled:
		v.Mode = Unlimited
		return v.passing(sc), nil
	case p.Shadow:
		v.Mode = Shadowed
	}
	if o, ok := s.override(t, sub, p.Action, now); ok {
		if o.Exempt {
			v.Mode = Exempted
			return v.passing(sc), nil
		}
		v.refuse(sc, o)
		v.ResetAt = s.afterBlock(ctx, t, p, &r, sub, sc, time.UnixMicro(v.ResetAt))
	} else if err := s.count(ctx, p, sc, &v, take); err != nil {
		return Verdict{}, err
	}
	if !v.Allowed && take {
		s.log.record(p, sub, v, now)
	}
	if p.Shadow {
		v.Allowed = true
	}
	return v, nil
}

// prepare finds the policy and checks and normalises the request.
func (t *table) prepare(r *Request) (*compiled, Subject, error) {
	p := t.policies[r.Action]
	if p == nil {
		return nil, Subject{}, t.unknownAction(r.Action)
	}
	if r.Cost == 0 {
		r.Cost = 1
	}
	sub, err := normalize(r.Subject)
	return p, sub, err
}

// demands fills sc with the rules that apply to the subject, scaled by its
// overrides.
func (s *Service) demands(t *table, p *compiled, r *Request, sub Subject, sc *scratch, now time.Time) error {
	sc.n = 0
	have := present(sub)
	for i := range p.rules {
		rule := &p.rules[i]
		if rule.scope&have != rule.scope {
			continue
		}
		params := rule.params
		if len(t.overrides) > 0 {
			s.scale(t, rule.scope, sub, p.Action, &params, now)
		}
		if most := params.MaxCost(); r.Cost < 1 || r.Cost > most {
			return fault.Invalid("ratelimit.Check", fault.Field{Field: "cost", Limit: most, Actual: r.Cost},
				"cost must be between 1 and %d, the limit of %s for scope %s; it is %d", most, p.Action, rule.scope, r.Cost)
		}
		sc.demands[sc.n] = Demand{Key: s.o.Hasher.Key(p.Action, rule.scope, sub), Params: params, Cost: r.Cost}
		sc.rules[sc.n] = rule
		sc.n++
	}
	if sc.n == 0 {
		return noScope(p, have)
	}
	return nil
}

// count asks the counters, or on failure what the policy says instead.
func (s *Service) count(ctx context.Context, p *compiled, sc *scratch, v *Verdict, take bool) error {
	if err := v.ask(ctx, s.o.Counters, sc, take); err != nil {
		return s.degrade(ctx, p, sc, v, take, err)
	}
	if s.degradedNow.Load() && s.degradedNow.CompareAndSwap(true, false) {
		s.o.Signals(signal.Fact{Rule: "ratelimit_degraded", Object: "counters", Value: "the counter store answers again"})
	}
	return nil
}

// ask has c decide; an error leaves the verdict as it was.
func (v *Verdict) ask(ctx context.Context, c Counters, sc *scratch, take bool) error {
	ask := c.Peek
	if take {
		ask = c.Take
	}
	allowed, err := ask(ctx, v.DecidedAt, sc.demands[:sc.n], sc.out[:sc.n])
	if err != nil {
		return err
	}
	v.Allowed = allowed
	v.tightest(sc)
	return nil
}

func (s *Service) degrade(ctx context.Context, p *compiled, sc *scratch, v *Verdict, take bool, cause error) error {
	s.degraded.Add(1)
	if s.degradedNow.CompareAndSwap(false, true) {
		s.lastFailover.Store(v.DecidedAt)
		s.o.Signals(signal.Fact{Rule: "ratelimit_degraded", Object: "counters", Failing: true, Value: "the counter store does not answer"})
	}
	if p.OnFailure == FailClosed {
		return &fault.Error{Code: fault.ServiceDegraded, Op: "ratelimit.Check", Err: cause,
			Msg: "the counter store does not answer and the policy fails closed; retry later"}
	}
	v.Mode = Degraded
	// The node's own memory does not fail, but if it does: open.
	if s.o.Fallback == nil || v.ask(ctx, s.o.Fallback, sc, take) != nil {
		*v = v.passing(sc)
	}
	return nil
}

// Refund gives the request's cost back, as far as its window still holds it.
func (s *Service) Refund(ctx context.Context, r Request) error {
	now, t := s.o.Now(), s.table.Load()
	p, sub, err := t.prepare(&r)
	if err != nil {
		return err
	}
	sc := s.pool.Get().(*scratch)
	defer s.pool.Put(sc)
	if err := s.demands(t, p, &r, sub, sc, now); err != nil {
		return err
	}
	if err := s.o.Counters.Refund(ctx, now.UnixMicro(), sc.demands[:sc.n]); err != nil {
		return &fault.Error{Code: fault.ServiceDegraded, Op: "ratelimit.Refund", Err: err,
			Msg: "the counter store does not answer; nothing was given back"}
	}
	return nil
}

// Degraded returns whether checks are decided without the counters now, how
// many ever were, and when that last began (zero: never).
func (s *Service) Degraded() (now bool, total int64, last time.Time) {
	if us := s.lastFailover.Load(); us != 0 {
		last = time.UnixMicro(us)
	}
	return s.degradedNow.Load(), s.degraded.Load(), last
}
