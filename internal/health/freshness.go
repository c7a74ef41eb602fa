package health

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/signal"
)

// Source is something that must not be old, such as a search index.
type Source struct {
	Name     string
	MaxAge   time.Duration
	Interval time.Duration // between readings; 0: 1 min
	Timeout  time.Duration // of one; 0: 10 s
}

// Reader yields the time to which a source is up to date. It stops when ctx
// ends; an error's text is for moderators.
type Reader func(ctx context.Context) (time.Time, error)

// The ranges and defaults of a source.
const (
	MinAge               = time.Second
	MaxAge               = 366 * 24 * time.Hour
	defaultSourceEvery   = time.Minute
	defaultSourceTimeout = 10 * time.Second
	maxAhead             = 5 * time.Minute // by which a source's clock may differ
)

// SourceRecord is what was read of one source.
type SourceRecord struct {
	Source    string
	UpdatedAt time.Time // the newest time that was ever read; zero: none
	CheckedAt time.Time // of the last reading
	Problem   string    // of the last reading, "" if it went well
}

// Freshness is the word for a source.
type Freshness string

// The words for sources.
const (
	Fresh   Freshness = "FRESH"
	Stale   Freshness = "STALE"
	Unclear Freshness = "UNKNOWN" // it could not be read, or not lately
)

// SourceView is a source at a moment.
type SourceView struct {
	Name      string        `json:"name"`
	Freshness Freshness     `json:"freshness"`
	UpdatedAt time.Time     `json:"updatedAt,omitzero"`
	CheckedAt time.Time     `json:"checkedAt,omitzero"`
	MaxAge    time.Duration `json:"-"`
	Message   string        `json:"message,omitempty"` // for moderators
}

// SourceState says how fresh a source is at a moment. It is pure.
func SourceState(s Source, r SourceRecord, now time.Time) SourceView {
	v := SourceView{Name: s.Name, UpdatedAt: r.UpdatedAt, CheckedAt: r.CheckedAt, MaxAge: s.MaxAge, Freshness: Unclear, Message: r.Problem}
	switch {
	case r.CheckedAt.IsZero():
		v.Message = "not read yet"
	case r.Problem != "":
	case now.Sub(r.CheckedAt) > 3*s.Interval+s.Timeout:
		v.Message = "not read since " + r.CheckedAt.UTC().Format(time.RFC3339)
	case now.Sub(r.UpdatedAt) > s.MaxAge:
		v.Freshness = Stale
	default:
		v.Freshness = Fresh
	}
	return v
}

// SourceStore keeps what was read of sources.
type SourceStore interface {
	// SaveSources stores records in one write; CONFLICT if the lease was lost.
	// It may be repeated.
	SaveSources(ctx context.Context, f Fence, rs []SourceRecord) error
	// SourceRecords returns all records, by name.
	SourceRecords(ctx context.Context) ([]SourceRecord, error)
}

// SourceOptions are what Sources stand on.
type SourceOptions struct {
	Sources []Source
	Readers map[string]Reader // one for each source, by its name
	Store   SourceStore
	Signals signal.Sink
	Now     func() time.Time
}

// Sources read how fresh things are. One node calls Check, from one
// goroutine; any node answers.
type Sources struct {
	o      SourceOptions
	list   []Source
	levels *levels
	last   atomic.Pointer[Seen[SourceView]]
}

// NewSources checks the configuration.
func NewSources(o SourceOptions) (*Sources, error) {
	const op = "health.NewSources"
	s := &Sources{o: o, levels: newLevels(o.Signals)}
	for _, src := range o.Sources {
		src.Interval, src.Timeout = cmp.Or(src.Interval, defaultSourceEvery), cmp.Or(src.Timeout, defaultSourceTimeout)
		field := fault.Field{Field: "freshness." + src.Name, Actual: src.Name}
		switch {
		case !namePattern.MatchString(src.Name):
			return nil, fault.Invalid(op, field, "source %q: a name has 1 to 64 of a-z, 0-9, '_', '.', '-'", src.Name)
		case slices.ContainsFunc(s.list, func(other Source) bool { return other.Name == src.Name }):
			return nil, fault.Invalid(op, field, "two sources have the name %q: rename one", src.Name)
		case src.MaxAge < MinAge || src.MaxAge > MaxAge:
			return nil, fault.Invalid(op, fault.Field{Field: field.Field + ".maxAge", Limit: MinAge.String() + ".." + MaxAge.String(), Actual: src.MaxAge.String()},
				"source %q: maxAge is from %s to %s, not %s", src.Name, MinAge, MaxAge, src.MaxAge)
		case src.Interval < MinInterval || src.Interval > MaxInterval || src.Timeout < MinTimeout || src.Timeout > MaxTimeout:
			return nil, fault.Invalid(op, field, "source %q: interval is from %s to %s, timeout from %s to %s", src.Name, MinInterval, MaxInterval, MinTimeout, MaxTimeout)
		case o.Readers[src.Name] == nil:
			return nil, fault.Invalid(op, field, "source %q has neither a query nor a URL", src.Name)
		}
		s.list = append(s.list, src)
	}
	return s, nil
}

// Freshness says how every source is now, in the order of the configuration.
func (s *Sources) Freshness(ctx context.Context) ([]SourceView, error) {
	by, err := s.records(ctx)
	if err != nil {
		return nil, err
	}
	views := make([]SourceView, len(s.list))
	for i, src := range s.list {
		views[i] = SourceState(src, by[src.Name], s.o.Now())
	}
	return views, nil
}

// Refresh reads how every source is, for Last.
func (s *Sources) Refresh(ctx context.Context) error {
	views, err := s.Freshness(ctx)
	if err == nil {
		s.last.Store(&Seen[SourceView]{views, s.o.Now()})
	}
	return err
}

// Last is what Refresh read last: from memory, and shared, so read only.
func (s *Sources) Last() Seen[SourceView] {
	if seen := s.last.Load(); seen != nil {
		return *seen
	}
	return Seen[SourceView]{}
}

func (s *Sources) records(ctx context.Context) (map[string]SourceRecord, error) {
	rs, err := s.o.Store.SourceRecords(ctx)
	if err != nil {
		return nil, err
	}
	by := make(map[string]SourceRecord, len(rs))
	for _, r := range rs {
		by[r.Source] = r
	}
	return by, nil
}

// Check reads the sources that are due, at once, stores what they say under
// the lease, and raises and clears facts. Call it every few seconds.
func (s *Sources) Check(ctx context.Context, f Fence) error {
	by, err := s.records(ctx)
	if err != nil {
		return err
	}
	now := s.o.Now()
	var due []Source
	for _, src := range s.list {
		if r := by[src.Name]; now.Sub(r.CheckedAt) >= src.Interval || now.Before(r.CheckedAt) {
			due = append(due, src)
		}
	}
	read := make([]SourceRecord, len(due))
	var wg sync.WaitGroup
	for i, src := range due {
		wg.Go(func() { read[i] = s.read(ctx, src, by[src.Name]) })
	}
	wg.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if len(read) > 0 {
		if err := s.o.Store.SaveSources(ctx, f, read); err != nil {
			return err
		}
	}
	for _, r := range read {
		by[r.Source] = r
	}
	s.levels.tell(s.facts(by, s.o.Now()), s.o.Now())
	return nil
}

func (s *Sources) read(ctx context.Context, src Source, was SourceRecord) SourceRecord {
	once, cancel := context.WithTimeout(ctx, src.Timeout)
	defer cancel()
	at, err := s.o.Readers[src.Name](once)
	r := SourceRecord{Source: src.Name, UpdatedAt: was.UpdatedAt, CheckedAt: s.o.Now().UTC().Truncate(time.Microsecond)}
	switch {
	case once.Err() != nil:
		r.Problem = "timed out"
	case err != nil:
		r.Problem = short(err.Error())
	case at.IsZero():
		r.Problem = "it has no time"
	case at.Sub(r.CheckedAt) > maxAhead:
		r.Problem = "its time lies ahead: " + at.UTC().Format(time.RFC3339)
	default:
		r.UpdatedAt = at.UTC().Truncate(time.Microsecond)
	}
	return r
}

// facts: a source that cannot be read is stale once what was read last is too
// old, or if nothing ever was.
func (s *Sources) facts(by map[string]SourceRecord, now time.Time) []signal.Fact {
	out := make([]signal.Fact, 0, len(s.list))
	for _, src := range s.list {
		r := by[src.Name]
		v := SourceState(src, r, now)
		old := now.Sub(r.UpdatedAt) > src.MaxAge
		if v.Freshness == Unclear && (!old || r.CheckedAt.IsZero()) {
			continue // neither shown fresh nor stale
		}
		value := string(v.Freshness) + ": no time was ever read"
		if !r.UpdatedAt.IsZero() {
			value = string(v.Freshness) + ": up to date to " + r.UpdatedAt.UTC().Format(time.RFC3339) + ", may be " + src.MaxAge.String() + " old"
		}
		if v.Message != "" {
			value += "; " + v.Message
		}
		out = append(out, signal.Fact{Rule: RuleFreshnessStale, Object: src.Name, Failing: v.Freshness != Fresh, Value: value})
	}
	for name := range by {
		if !slices.ContainsFunc(s.list, func(src Source) bool { return src.Name == name }) {
			out = append(out, signal.Fact{Rule: RuleFreshnessStale, Object: name, Value: "no longer configured"})
		}
	}
	return out
}
