// Package hostsignal takes what the host tells of itself and Gantry cannot
// see (requests and errors, payments and queries that fail, security events)
// and says by the counts of the last minutes what is wrong.
package hostsignal

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/signal"
)

// Kind is what a count is of.
type Kind string

// The kinds.
const (
	Requests      Kind = "requests"
	Errors        Kind = "errors" // of those requests
	PaymentFailed Kind = "payment_failed"
	QueryError    Kind = "query_error"
	SecurityEvent Kind = "security_event"
)

// Kinds lists them.
func Kinds() []Kind { return []Kind{Requests, Errors, PaymentFailed, QueryError, SecurityEvent} }

// Count is that something happened N times to a part of the host.
type Count struct {
	Kind   Kind
	Object string // the part: "api", "stripe"; "" is "host"
	N      int64
}

// Bucket is the count of one minute.
type Bucket struct {
	Minute time.Time
	Count
}

// Store keeps the counts.
type Store interface {
	// AddSignals adds counts to the minute of at: all of them, durably, or
	// none. A caller that did not hear the answer and repeats counts twice.
	AddSignals(ctx context.Context, at time.Time, cs []Count) error
	// Signals returns the buckets of since's minute and later.
	Signals(ctx context.Context, since time.Time) ([]Bucket, error)
}

// Rules say what counts mean. The rate is over a sliding window of whole
// minutes; what should not happen at all raises at its first count, and is
// over when nothing was counted for Quiet.
type Rules struct {
	Window       time.Duration
	ErrorPercent float64 // more than this raises
	MinRequests  int64   // fewer requests in a window say nothing
	Quiet        time.Duration
}

// MaxCounts is how many counts one report may have, MaxN how high one may be.
const (
	MaxCounts = 100
	MaxN      = 1_000_000_000
)

// Service takes reports and judges them. It is safe for concurrent use.
type Service struct{ o Options }

// Options are what a Service stands on.
type Options struct {
	Store Store
	Sink  signal.Sink // is told what is wrong
	// Raised returns what fails by the last word of any node, of these rules and
	// of others: only so can this node end what one that died began.
	Raised func(ctx context.Context) ([]signal.Fact, error)
	Rules  func() Rules
	Now    func() time.Time
}

// New returns a service.
func New(o Options) *Service { return &Service{o} }

var objectForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,63}$`)

const opReport = "hostsignal.Report"

// Report counts what the host tells. It refuses with INVALID_ARGUMENT, and
// then nothing was counted.
func (s *Service) Report(ctx context.Context, cs []Count) error {
	if len(cs) == 0 || len(cs) > MaxCounts {
		return fault.Invalid(opReport, fault.Field{Field: "signals", Problem: "their number", Limit: MaxCounts, Actual: len(cs)}, "a report has 1 to %d signals; this one has %d", MaxCounts, len(cs))
	}
	sums := map[Count]int64{}
	for i, c := range cs {
		c.Object = cmp.Or(c.Object, "host")
		if err := check(i, c); err != nil {
			return err
		}
		sums[Count{Kind: c.Kind, Object: c.Object}] += c.N
	}
	out := make([]Count, 0, len(sums))
	for c, n := range sums {
		c.N = n
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Count) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Object, b.Object)) })
	return s.o.Store.AddSignals(ctx, s.o.Now(), out)
}

func check(i int, c Count) error {
	at := func(name string) string { return fmt.Sprintf("signals[%d].%s", i, name) }
	switch {
	case !slices.Contains(Kinds(), c.Kind):
		return fault.Invalid(opReport, fault.Field{Field: at("type"), Problem: "unknown", Allowed: kindNames()}, "signal %d has no type that is known: it is one of %s", i, strings.Join(kindNames(), ", "))
	case !objectForm.MatchString(c.Object):
		return fault.Invalid(opReport, fault.Field{Field: at("object"), Problem: "not a name of a part", Limit: objectForm.String()},
			"signal %d: object names a part of the host, such as api or stripe, by 1 to 64 of a-z, 0-9, '_', '.' and '-'; never a person, an address or an error text", i)
	case c.N < 1 || c.N > MaxN:
		return fault.Invalid(opReport, fault.Field{Field: at("count"), Problem: "out of range", Limit: int64(MaxN), Actual: c.N}, "signal %d: a count is from 1 to %d; this one is %d", i, MaxN, c.N)
	}
	return nil
}

func kindNames() []string {
	var out []string
	for _, k := range Kinds() {
		out = append(out, string(k))
	}
	return out
}

// Judge tells the sink what the counts of the last minutes mean, and what is
// over. One node calls it, again and again.
func (s *Service) Judge(ctx context.Context) error {
	now, r := s.o.Now(), s.o.Rules()
	buckets, err := s.o.Store.Signals(ctx, now.Add(-max(r.Window, r.Quiet)))
	if err != nil {
		return err
	}
	raised, err := s.o.Raised(ctx)
	if err != nil {
		return err
	}
	was := func(rule, object string) bool {
		return slices.ContainsFunc(raised, func(f signal.Fact) bool { return f.Rule == rule && f.Object == object })
	}
	facts := Judge(buckets, r, was, now)
	for _, f := range facts {
		s.o.Sink(f)
	}
	for _, f := range raised { // nothing is counted of it any more
		if ours(f.Rule) && !slices.ContainsFunc(facts, func(g signal.Fact) bool { return g.Rule == f.Rule && g.Object == f.Object }) {
			s.o.Sink(signal.Fact{Rule: f.Rule, Object: f.Object, Value: "nothing is reported any more"})
		}
	}
	return nil
}
