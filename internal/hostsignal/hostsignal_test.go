package hostsignal_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/hostsignal"
	"avalo.app/gantry/internal/signal"
)

var (
	noon  = time.Date(2026, 11, 24, 12, 0, 30, 0, time.UTC)
	rules = hostsignal.Rules{Window: 5 * time.Minute, ErrorPercent: 5, MinRequests: 20, Quiet: 10 * time.Minute}
)

// memory is a store of counts.
type memory struct {
	buckets []hostsignal.Bucket
	err     error
}

func (m *memory) AddSignals(_ context.Context, at time.Time, cs []hostsignal.Count) error {
	if m.err != nil {
		return m.err
	}
	for _, c := range cs {
		m.buckets = append(m.buckets, hostsignal.Bucket{Minute: at.Truncate(time.Minute), Count: c})
	}
	return nil
}

func (m *memory) Signals(_ context.Context, since time.Time) (out []hostsignal.Bucket, err error) {
	for _, b := range m.buckets {
		if !b.Minute.Before(since.Truncate(time.Minute)) {
			out = append(out, b)
		}
	}
	return out, m.err
}

func failing(fs []signal.Fact) (out []string) {
	for _, f := range fs {
		if f.Failing {
			out = append(out, f.Rule+" "+f.Object)
		}
	}
	return out
}

func TestJudge(t *testing.T) {
	count := func(ago time.Duration, k hostsignal.Kind, object string, n int64) hostsignal.Bucket {
		return hostsignal.Bucket{Minute: noon.Add(-ago).Truncate(time.Minute), Count: hostsignal.Count{Kind: k, Object: object, N: n}}
	}
	for _, c := range []struct {
		what    string
		buckets []hostsignal.Bucket
		was     bool
		want    []string
	}{
		{"nothing", nil, false, nil},
		{"exactly the limit", []hostsignal.Bucket{count(0, hostsignal.Requests, "api", 100), count(0, hostsignal.Errors, "api", 5)}, false, nil},
		{"over it", []hostsignal.Bucket{count(0, hostsignal.Requests, "api", 100), count(0, hostsignal.Errors, "api", 6)}, false, []string{"error_rate api"}},
		{"over it in sum", []hostsignal.Bucket{count(0, hostsignal.Requests, "api", 50), count(4*time.Minute, hostsignal.Requests, "api", 50), count(4*time.Minute, hostsignal.Errors, "api", 6)}, false, []string{"error_rate api"}},
		{"too few to tell", []hostsignal.Bucket{count(0, hostsignal.Requests, "api", 19), count(0, hostsignal.Errors, "api", 19)}, false, nil},
		{"each part on its own", []hostsignal.Bucket{count(0, hostsignal.Requests, "api", 1000), count(0, hostsignal.Errors, "api", 1), count(0, hostsignal.Requests, "chat", 20), count(0, hostsignal.Errors, "chat", 20)}, false, []string{"error_rate chat"}},
		{"errors without requests", []hostsignal.Bucket{count(0, hostsignal.Errors, "api", 20)}, false, []string{"error_rate api"}},
		{"more errors than requests", []hostsignal.Bucket{count(0, hostsignal.Requests, "api", 1), count(0, hostsignal.Errors, "api", 20)}, false, nil},
		{"out of the window", []hostsignal.Bucket{count(7*time.Minute, hostsignal.Requests, "api", 100), count(7*time.Minute, hostsignal.Errors, "api", 100)}, false, nil},
		{"still near the limit", []hostsignal.Bucket{count(0, hostsignal.Requests, "api", 1000), count(0, hostsignal.Errors, "api", 45)}, true, []string{"error_rate api"}},
		{"well below it", []hostsignal.Bucket{count(0, hostsignal.Requests, "api", 1000), count(0, hostsignal.Errors, "api", 40)}, true, nil},
		{"too few to tell that it is over", []hostsignal.Bucket{count(0, hostsignal.Requests, "api", 3), count(0, hostsignal.Errors, "api", 1)}, true, []string{"error_rate api"}},
		{"few, and none fails", []hostsignal.Bucket{count(0, hostsignal.Requests, "api", 3)}, true, nil},
		{"one payment", []hostsignal.Bucket{count(9*time.Minute, hostsignal.PaymentFailed, "stripe", 1)}, false, []string{"payment_failed stripe"}},
		{"a payment of long ago", []hostsignal.Bucket{count(12*time.Minute, hostsignal.PaymentFailed, "stripe", 1)}, false, nil},
		{"a query and an event", []hostsignal.Bucket{count(0, hostsignal.SecurityEvent, "login", 3), count(0, hostsignal.QueryError, "profiles", 2)}, false, []string{"query_error profiles", "security_event login"}},
	} {
		got := failing(hostsignal.Judge(c.buckets, rules, func(string, string) bool { return c.was }, noon))
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.what, diff)
		}
	}
}

// conditions are what facts left failing, as the table of incidents keeps
// them: it outlives each node.
type conditions map[[2]string]bool

func (c conditions) sink(f signal.Fact) {
	if k := [2]string{f.Rule, f.Object}; f.Failing {
		c[k] = true
	} else {
		delete(c, k)
	}
}

func (c conditions) raised(context.Context) (out []signal.Fact, err error) {
	for k := range c {
		out = append(out, signal.Fact{Rule: k[0], Object: k[1], Failing: true})
	}
	return out, nil
}

// TestWhatWasRaisedIsCleared: every fact that was raised is cleared once, also
// when no count of it is left and by another node; what others raised is left
// alone.
func TestWhatWasRaisedIsCleared(t *testing.T) {
	for _, takeover := range []bool{false, true} {
		var told []signal.Fact
		m, now, table := &memory{}, noon, conditions{{"disk_low", "data_dir"}: true}
		node := func() *hostsignal.Service {
			return hostsignal.New(hostsignal.Options{Store: m, Raised: table.raised, Rules: func() hostsignal.Rules { return rules }, Now: func() time.Time { return now },
				Sink: func(f signal.Fact) { told = append(told, f); table.sink(f) }})
		}
		s := node()
		judge := func() []signal.Fact {
			t.Helper()
			told = nil
			if err := s.Judge(t.Context()); err != nil {
				t.Fatal(err)
			}
			return told
		}
		if err := s.Report(t.Context(), []hostsignal.Count{{Kind: hostsignal.PaymentFailed, Object: "stripe", N: 2}, {Kind: hostsignal.Errors, N: 30}}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"error_rate host", "payment_failed stripe"}, failing(judge())); diff != "" {
			t.Error(diff)
		}
		m.err = errors.New("away")
		if s.Judge(t.Context()) == nil || len(told) != 2 {
			t.Errorf("without a store: told %v", told)
		}
		m.err, now = nil, now.Add(12*time.Minute)
		if takeover {
			s = node()
		}
		got := judge()
		slices.SortFunc(got, func(a, b signal.Fact) int { return strings.Compare(a.Rule, b.Rule) })
		if len(got) != 2 || got[0].Rule != "error_rate" || got[1].Rule != "payment_failed" || failing(got) != nil {
			t.Errorf("takeover %t, at the end: %v", takeover, got)
		}
		if got := judge(); len(got) != 0 {
			t.Errorf("and again: %v", got)
		}
	}
}

func TestReportRefuses(t *testing.T) {
	m := &memory{}
	s := hostsignal.New(hostsignal.Options{Store: m, Sink: signal.Discard, Now: func() time.Time { return noon }})
	ok := hostsignal.Count{Kind: hostsignal.Requests, N: 1}
	for _, cs := range [][]hostsignal.Count{
		nil,
		slices.Repeat([]hostsignal.Count{ok}, hostsignal.MaxCounts+1),
		{ok, {Kind: "request", N: 1}},
		{ok, {Kind: hostsignal.Errors, N: 0}},
		{ok, {Kind: hostsignal.Errors, N: -1}},
		{ok, {Kind: hostsignal.Errors, N: hostsignal.MaxN + 1}},
		{ok, {Kind: hostsignal.SecurityEvent, Object: "alice@example.com", N: 1}},
		{ok, {Kind: hostsignal.SecurityEvent, Object: strings.Repeat("a", 65), N: 1}},
		{ok, {Kind: hostsignal.SecurityEvent, Object: "zażółć", N: 1}},
	} {
		if err := s.Report(t.Context(), cs); fault.CodeOf(err) != fault.InvalidArgument {
			t.Errorf("%v: %v", cs, err)
		}
	}
	if len(m.buckets) != 0 {
		t.Errorf("counted: %v", m.buckets)
	}
	if err := s.Report(t.Context(), slices.Repeat([]hostsignal.Count{ok}, hostsignal.MaxCounts)); err != nil || len(m.buckets) != 1 || m.buckets[0].N != hostsignal.MaxCounts {
		t.Errorf("one count of all: %v %v", m.buckets, err)
	}
}
