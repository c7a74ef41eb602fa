package ratelimit_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/ratelimit"
)

func TestPolicyProblems(t *testing.T) {
	good := func() ratelimit.Policy {
		return ratelimit.Policy{Action: "LOGIN", Window: time.Minute, OnFailure: ratelimit.FailOpen,
			Rules: []ratelimit.Rule{{Scope: ratelimit.User, Limit: 10, Burst: 12}, {Scope: ratelimit.User | ratelimit.IP, Limit: 5}}}
	}
	for _, tt := range []struct {
		name   string
		change func(*ratelimit.Policy)
		want   []string // the fields at fault
	}{
		{"good", func(*ratelimit.Policy) {}, nil},
		{"at the bounds", func(p *ratelimit.Policy) {
			p.Action, p.Window = "A"+strings.Repeat("_", 63), ratelimit.MaxWindow
			p.Rules = []ratelimit.Rule{{Scope: ratelimit.Device, Limit: ratelimit.MaxLimit, Burst: ratelimit.MaxLimit}}
			p.Block = &ratelimit.Block{After: ratelimit.MaxBlockAfter, For: ratelimit.MaxBlock}
		}, nil},
		{"gcra without a burst", func(p *ratelimit.Policy) { p.Algorithm = ratelimit.GCRA }, nil},
		{"no action", func(p *ratelimit.Policy) { p.Action = "" }, []string{"action"}},
		{"long action", func(p *ratelimit.Policy) { p.Action = strings.Repeat("A", 65) }, []string{"action"}},
		{"digit first", func(p *ratelimit.Policy) { p.Action = "1A" }, []string{"action"}},
		{"short window", func(p *ratelimit.Policy) { p.Window = time.Second - 1 }, []string{"window", "window"}},
		{"long window", func(p *ratelimit.Policy) { p.Window = ratelimit.MaxWindow + time.Second }, []string{"window"}},
		{"nanoseconds", func(p *ratelimit.Policy) { p.Window++ }, []string{"window"}},
		{"no rules", func(p *ratelimit.Policy) { p.Rules = nil }, []string{"rules"}},
		{"scope", func(p *ratelimit.Policy) { p.Rules[0].Scope = 0; p.Rules[1].Scope = 8 }, []string{"rules[0].scope", "rules[1].scope"}},
		{"scope twice", func(p *ratelimit.Policy) { p.Rules[1].Scope = ratelimit.User }, []string{"rules[1].scope"}},
		{"limits", func(p *ratelimit.Policy) { p.Rules[0].Limit = 1e9 + 1; p.Rules[1].Limit = 0 }, []string{"rules[0].limit", "rules[0].burst", "rules[1].limit"}},
		{"negative burst", func(p *ratelimit.Policy) { p.Rules[1].Burst = -1 }, []string{"rules[1].burst"}},
		{"burst below limit", func(p *ratelimit.Policy) { p.Rules[0].Burst = 9 }, []string{"rules[0].burst"}},
		{"burst of sliding_window", func(p *ratelimit.Policy) { p.Algorithm = ratelimit.SlidingWindow }, []string{"rules[0].burst"}},
		{"window_credit without burst", func(p *ratelimit.Policy) { p.Algorithm = ratelimit.WindowCredit }, []string{"rules[1].burst"}},
		{"algorithm and mode", func(p *ratelimit.Policy) { p.Algorithm, p.OnFailure = 9, "" }, []string{"algorithm", "onFailure"}},
		{"block", func(p *ratelimit.Policy) { p.Block = &ratelimit.Block{} }, []string{"block.after", "block.for"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := good()
			tt.change(&p)
			var got []string
			for _, e := range p.Problems() {
				f, ok := e.Detail.(fault.Field)
				if !ok || e.Code != fault.InvalidArgument || e.Msg == "" {
					t.Errorf("not an INVALID_ARGUMENT about a field: %v", e)
				}
				got = append(got, f.Field)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			err := p.Validate()
			if (err == nil) != (len(tt.want) == 0) || err != nil && !errors.Is(err, &fault.Error{Code: fault.InvalidArgument}) {
				t.Errorf("Validate: %v", err)
			}
		})
	}
}
