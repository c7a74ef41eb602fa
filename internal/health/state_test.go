package health_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"avalo.app/gantry/internal/health"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// tester is what testing.T and rapid.T have in common.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func component(t tester, c health.Component) health.Component {
	t.Helper()
	if c.Name == "" {
		c.Name = "db"
	}
	cs, err := health.Components([]health.Component{c})
	if err != nil {
		t.Fatal(err)
	}
	return cs[0]
}

// run steps a state by one letter for each measurement: f failed, t timed out,
// s slow, d degraded by the reading, + fine; and returns one letter for each
// status: H, D (DOWN), g (degraded), ? (unknown).
func run(c health.Component, s health.State, letters string) (health.State, string) {
	var got []byte
	at := start
	if !s.Since.IsZero() {
		at = s.Since.Add(time.Hour)
	}
	for i, l := range []byte(letters) {
		now := at.Add(time.Duration(i) * c.Interval)
		o := health.Observation{At: now, Outcome: health.Answered, Took: time.Millisecond}
		switch l {
		case 'f':
			o.Outcome = health.Failed
		case 't':
			o.Outcome = health.TimedOut
		case 's':
			o.Took = c.DegradedAbove + 1
		case 'd':
			o.Degraded = true
		}
		s = health.Step(s, c, o, now)
		got = append(got, map[health.Status]byte{health.Healthy: 'H', health.Down: 'D', health.Degraded: 'g', health.Unknown: '?'}[s.Status])
	}
	return s, string(got)
}

func TestStep(t *testing.T) {
	c := component(t, health.Component{DegradedAbove: time.Second})
	one := component(t, health.Component{DegradedAbove: time.Second, FailureThreshold: 1, SuccessThreshold: 1})
	for name, tt := range map[string]struct {
		c        health.Component
		in, want string
	}{
		"a first success is believed":    {c, "+", "H"},
		"a first failure is not":         {c, "ff+", "??H"},
		"down from the start":            {c, "fff", "??D"},
		"timeouts are failures":          {c, "+tft", "HHHD"},
		"too few in a row":               {c, "+ff+ff+", "HHHHHHH"},
		"back by two":                    {c, "+fff++", "HHHDDH"},
		"a recovery is broken off":       {c, "+fff+f++", "HHHDDDDH"},
		"back, but slow":                 {c, "+fff+s", "HHHDDg"},
		"a first slow answer":            {c, "s", "g"},
		"slow three times":               {c, "+sss", "HHHg"},
		"slow now and then":              {c, "+ss+ss+", "HHHHHHH"},
		"fine again":                     {c, "+sss++", "HHHggH"},
		"fine and slow":                  {c, "+sss+s++", "HHHggggH"},
		"it says so itself":              {c, "+d", "Hg"},
		"it says so, then not":           {c, "+d+d++", "HggggH"},
		"degraded, then down":            {c, "+dfff", "HgggD"},
		"failures, never three in a row": {c, "+ff+ff+f++++++++++", "HHHHHHHgggggggggHH"},
		"an outage is no instability":    {c, "+ffffffffff+++++", "HHHDDDDDDDDDHHHH"},
		"thresholds of one":              {one, "+f+f++", "HDHDDH"},
		"slow with thresholds of one":    {one, "+s+", "HgH"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, got := run(tt.c, health.State{}, tt.in); got != tt.want {
				t.Errorf("%s gives\n%s, want\n%s", tt.in, got, tt.want)
			}
		})
	}
}

// downs counts the transitions into DOWN.
func downs(statuses string) (n int) {
	was := byte('?')
	for i := range len(statuses) {
		if statuses[i] == 'D' && was != 'D' {
			n++
		}
		was = statuses[i]
	}
	return n
}

// Up, down, up, down is DOWN once until it is stable.
func TestFlappingIsOneDown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := component(t, health.Component{FailureThreshold: rapid.IntRange(1, 5).Draw(t, "failures"), SuccessThreshold: rapid.IntRange(2, 5).Draw(t, "successes")})
		in := "+"
		for range c.FailureThreshold {
			in += "f"
		}
		for range rapid.IntRange(1, 60).Draw(t, "times") { // up for too short each time
			for range rapid.IntRange(1, c.SuccessThreshold-1).Draw(t, "up") {
				in += "+"
			}
			for range rapid.IntRange(1, 4).Draw(t, "down") {
				in += "f"
			}
		}
		s, got := run(c, health.State{}, in)
		if downs(got) != 1 || s.Status != health.Down {
			t.Fatalf("%s gives %s", in, got)
		}
	})
}

// Whatever is measured, each relapse doubles the recovery, so that DOWN comes
// a few times in hundreds of measurements, not at every swing.
func TestRelapsesTakeLonger(t *testing.T) {
	c := component(t, health.Component{FailureThreshold: 1, SuccessThreshold: 2, Interval: 10 * time.Second})
	in := ""
	for range 150 { // exactly the threshold, each time
		in += "++f"
	}
	if _, got := run(c, health.State{}, in); downs(got) != 2 { // the second needs four in a row, which never come
		t.Errorf("%d times DOWN: %s", downs(got), got)
	}
	// A recovery that is broken off when it had lasted the plain threshold is a
	// relapse, too: four are not enough any more.
	if _, got := run(c, health.State{}, "f++f+++f+++++++"); got != "DDHDDDDDDDDDDDD" {
		t.Errorf("broken off: %s", got)
	}
	// Up for an hour, and the past is forgotten.
	s, _ := run(c, health.State{}, "f++f++++")
	if s.Relapses == 0 {
		t.Fatal("no relapse")
	}
	s, got := run(c, s, "f++")
	if got != "DDH" || s.Relapses != 0 {
		t.Errorf("%s, %d relapses", got, s.Relapses)
	}
}

func TestStepProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := component(t, health.Component{DegradedAbove: time.Second, FailureThreshold: rapid.IntRange(1, 6).Draw(t, "failures"), SuccessThreshold: rapid.IntRange(1, 6).Draw(t, "successes")})
		in := rapid.StringOfN(rapid.SampledFrom([]rune("+++fftsd")), 1, 200, -1).Draw(t, "in")
		var s health.State
		fails, oks := 0, 0
		for i := range len(in) {
			was := s
			now := start.Add(time.Duration(i) * c.Interval)
			o := health.Observation{At: now, Outcome: health.Answered, Degraded: in[i] == 'd'}
			if in[i] == 's' {
				o.Took = time.Hour
			}
			if fails, oks = 0, oks+1; in[i] == 'f' || in[i] == 't' {
				o.Outcome, fails, oks = health.Failed, was.Fails+1, 0
			}
			s = health.Step(was, c, o, now)
			switch {
			case s.Status == health.Down && was.Status != health.Down && fails < c.FailureThreshold:
				t.Fatalf("%s: DOWN after %d failures", in[:i+1], fails)
			case s.Status != health.Down && fails >= c.FailureThreshold:
				t.Fatalf("%s: %s after %d failures", in[:i+1], s.Status, fails)
			case was.Status == health.Down && s.Status != health.Down && oks < c.SuccessThreshold:
				t.Fatalf("%s: %s after %d successes", in[:i+1], s.Status, oks)
			case in[i] != '+' && s.Status == health.Healthy && was.Status != health.Healthy:
				t.Fatalf("%s: HEALTHY by what was not", in[:i+1])
			case (in[i] != '+') != s.LastBad.Equal(now), (fails > 0) != s.LastFailure.Equal(now):
				t.Fatalf("%s: bad at %s, failed at %s", in[:i+1], s.LastBad, s.LastFailure)
			case s.Status == was.Status && s.Since != was.Since, s.Status != was.Status && s.Since != now:
				t.Fatalf("%s: since %s", in[:i+1], s.Since)
			}
		}
		// However bad it was, it recovers.
		if s, got := run(c, s, string(make([]byte, 16*c.SuccessThreshold+24))); s.Status != health.Healthy {
			t.Fatalf("%s, then all is well: %s", in, got)
		}
	})
}
