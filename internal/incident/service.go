package incident

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/signal"
)

// Options are what a Service stands on.
type Options struct {
	Store interface {
		Store
		SilenceStore
		Reader
	}
	Node   string // names this node for as long as it runs
	Config Config
	Now    func() time.Time // nil means time.Now
}

// Service is incidents on one node. It is safe for concurrent use.
type Service struct {
	o        Options
	buffer   *Buffer
	routing  atomic.Pointer[Routing]
	dropped  atomic.Int64
	flushing sync.Mutex // one flush at a time, so that an older level never replaces a newer one
}

// New returns a service; INVALID_ARGUMENT if the configuration is wrong.
func New(o Options) (*Service, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Service{o: o}
	if err := s.Configure(o.Config); err != nil {
		return nil, err
	}
	s.buffer = NewBuffer(o.Node, s.routing.Load().Table, o.Now)
	return s, nil
}

// Configure replaces the configuration, or says what is wrong with it and
// changes nothing.
func (s *Service) Configure(c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	t, err := NewTable(c.Rules)
	if err != nil {
		return err
	}
	s.routing.Store(&Routing{Config: &c, Table: t})
	if s.buffer != nil {
		s.buffer.use(t)
	}
	return nil
}

// Routing returns what is in force.
func (s *Service) Routing() Routing { return *s.routing.Load() }

// Sink takes a fact into memory; it is the signal.Sink of every feature.
func (s *Service) Sink(f signal.Fact) { s.buffer.Take(f) }

// Flush writes what Sink took. Call it twice a second, on every node. What
// could not be written is written by the next one.
func (s *Service) Flush(ctx context.Context) error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	w := s.buffer.take()
	if len(w.raised)+len(w.cleared) > 0 {
		if err := s.o.Store.SaveConditions(ctx, w.raised, w.cleared); err != nil {
			return err
		}
	}
	s.buffer.done(w)
	if w.dropped > 0 {
		s.dropped.Add(w.dropped)
		return fault.New(fault.Internal, "incident.Flush", "%d facts were dropped: more than %d rules and objects changed between two writes; look for a source that reports an object for every request", w.dropped, maxLevels)
	}
	return nil
}

// Dropped counts the facts that were dropped since the start, as far as they
// were reported by Flush.
func (s *Service) Dropped() int64 { return s.dropped.Load() }

// Evaluate opens, raises, reopens, escalates and resolves incidents, and puts
// what is due into the outbox. Call it every second or so, on the one node
// that holds the lease.
func (s *Service) Evaluate(ctx context.Context, f Fence) error {
	r := s.Routing()
	return s.o.Store.EvaluateIncidents(ctx, f, func(b *Books, now time.Time) { b.Evaluate(r, now) })
}

// Acknowledge ends the escalation of an open incident; CONFLICT if it is not
// open.
func (s *Service) Acknowledge(ctx context.Context, id, by, note string) (Incident, error) {
	return s.change(ctx, audit.IncidentAcknowledged, id, by, note, (*Books).acknowledge)
}

// Resolve ends an incident by hand; CONFLICT if it is resolved. While its
// cause fails, the next evaluation reopens it.
func (s *Service) Resolve(ctx context.Context, id, by, note string) (Incident, error) {
	return s.change(ctx, audit.IncidentResolved, id, by, note, (*Books).end)
}

func (s *Service) change(ctx context.Context, kind audit.Kind, id, by, note string, do func(*Books, *Incident, string, string, Routing, time.Time) error) (Incident, error) {
	if len(note) > maxReason {
		return Incident{}, fault.Invalid("incident.Change", fault.Field{Field: "note", Problem: "length", Limit: maxReason, Actual: len(note)},
			"a note has at most %d bytes, not %d: shorten it", maxReason, len(note))
	}
	r := s.Routing()
	return s.o.Store.ChangeIncident(ctx, id, func(b *Books, i *Incident, now time.Time) error { return do(b, i, by, note, r, now) },
		audit.Entry{Kind: kind, Actor: by, Object: "incident:" + id, Reason: note})
}

// maxSilence bounds a silence.
const maxSilence = 30 * 24 * time.Hour

// Silence keeps matching incidents from being sent until it ends. It needs a
// matcher, a reason and an end within 30 days.
func (s *Service) Silence(ctx context.Context, n Silence) (Silence, error) {
	now := s.o.Now().UTC().Truncate(time.Microsecond)
	n.EndsAt = n.EndsAt.UTC().Truncate(time.Microsecond)
	bad := func(field, problem string, limit, actual any, msg string) (Silence, error) {
		return Silence{}, fault.Invalid("incident.Silence", fault.Field{Field: field, Problem: problem, Limit: limit, Actual: actual}, "%s", msg)
	}
	switch {
	case n.Rule == "" && n.Object == "" && n.Class == "":
		return bad("rule", "missing", nil, nil, "a silence of everything is none: name a rule, an object or a class")
	case n.Rule != "" && !s.Routing().Table.Known(n.Rule):
		return bad("rule", "unknown", nil, n.Rule, "there is no such rule: name one of the rule table")
	case n.Class != "" && !n.Class.known():
		return bad("class", "unknown", Classes(), n.Class, "the class must be P0, P1, P2 or P3")
	case len(n.Object) > maxName:
		return bad("object", "length", maxName, len(n.Object), "an object has at most 200 bytes")
	case strings.TrimSpace(n.Reason) == "" || len(n.Reason) > maxReason:
		return bad("reason", "length", maxReason, len(n.Reason), "say why, in 1 to 500 bytes")
	case !n.EndsAt.After(now) || n.EndsAt.Sub(now) > maxSilence:
		return bad("endsAt", "range", now.Add(maxSilence), n.EndsAt, "a silence must end in the future and within 30 days")
	}
	n.ID, n.CreatedAt = "sil-"+strings.ToLower(rand.Text()[:16]), now
	return n, s.o.Store.CreateSilence(ctx, n, audit.Entry{Kind: audit.SilenceCreated, Actor: n.By, Object: "silence:" + n.ID, Reason: n.Reason,
		After: map[string]any{"rule": n.Rule, "object": n.Object, "class": n.Class, "endsAt": n.EndsAt}})
}

// EndSilence ends a silence now. What still fails is sent at the next
// evaluation.
func (s *Service) EndSilence(ctx context.Context, id, by, reason string) error {
	return s.o.Store.EndSilence(ctx, id, audit.Entry{Kind: audit.SilenceEnded, Actor: by, Object: "silence:" + id, Reason: cut(reason, maxReason)})
}

// Silences returns those that have not ended.
func (s *Service) Silences(ctx context.Context) ([]Silence, error) { return s.o.Store.Silences(ctx) }

// Incidents returns those that the filter selects, the last opened first.
func (s *Service) Incidents(ctx context.Context, f Filter) ([]Incident, error) {
	switch {
	case f.Limit == 0:
		f.Limit = 100
	case f.Limit < 0 || f.Limit > 1000:
		return nil, fault.Invalid("incident.Incidents", fault.Field{Field: "limit", Problem: "range", Limit: 1000, Actual: f.Limit}, "limit must be 1 to 1000, not %d", f.Limit)
	}
	return s.o.Store.Incidents(ctx, f)
}

// Incident returns one with its timeline and deliveries.
func (s *Service) Incident(ctx context.Context, id string) (Detail, error) {
	return s.o.Store.Incident(ctx, id)
}

// Conditions returns all that fails, whether it is an incident yet or not.
func (s *Service) Conditions(ctx context.Context) ([]Condition, error) {
	return s.o.Store.Conditions(ctx)
}

// DeliveryStats counts the outbox by receiver.
func (s *Service) DeliveryStats(ctx context.Context) (map[string]Stats, error) {
	return s.o.Store.DeliveryStats(ctx)
}
