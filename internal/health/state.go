package health

import (
	"math/bits"
	"time"
)

// Outcome is how a probe ended.
type Outcome string

// The outcomes.
const (
	Answered Outcome = "answered"
	Failed   Outcome = "failed"
	TimedOut Outcome = "timed out"
)

// Observation is one measurement of one component.
type Observation struct {
	At       time.Time      `json:"at"`   // when the probe began
	Took     time.Duration  `json:"took"` // nanoseconds
	Outcome  Outcome        `json:"outcome"`
	Degraded bool           `json:"degraded,omitempty"` // as the reading says
	Message  string         `json:"message,omitempty"`  // the reading's, or the error: for moderators
	Details  map[string]any `json:"details,omitempty"`
}

// Slow reports whether an answer took longer than the component may.
func (o Observation) Slow(c Component) bool {
	return o.Outcome == Answered && c.DegradedAbove > 0 && o.Took > c.DegradedAbove
}

// alone is the status that this one measurement shows, without thresholds.
func (o Observation) alone(c Component) Status {
	switch {
	case o.Outcome != Answered:
		return Down
	case o.Degraded || o.Slow(c):
		return Degraded
	}
	return Healthy
}

// State is what the measurements of a component add up to. The zero State
// knows nothing.
type State struct {
	Status    Status    `json:"status,omitempty"` // "" and UNKNOWN: not known yet
	Since     time.Time `json:"since"`            // of Status
	Fails     int       `json:"fails,omitempty"`  // in a row
	Successes int       `json:"successes,omitempty"`
	Slows     int       `json:"slows,omitempty"` // in a row
	Goods     int       `json:"goods,omitempty"` // neither failed, slow nor degraded, in a row
	// Relapses counts the times it went DOWN again before it had been up for
	// long, and what recoveries were broken off; each makes the next recovery
	// take longer.
	Relapses    int       `json:"relapses,omitempty"`
	RecoveredAt time.Time `json:"recoveredAt"` // when it last left DOWN
	// History has one bit for each of the last 64 measurements, newest lowest:
	// 1 failed.
	History     uint64    `json:"history,omitempty"`
	LastFailure time.Time `json:"lastFailure"` // when the newest measurement began that failed
	LastBad     time.Time `json:"lastBad"`     // ... that failed, was slow or degraded
	LastAnswer  time.Time `json:"lastAnswer"`  // ... that did not fail
	Tally       Tally     `json:"-"`           // of all measurements ever; see Tally
}

const (
	maxRelapses   = 4 // so a recovery takes at most 16 times its threshold
	minFlapMemory = 10 * time.Minute
)

// flapMemory is how long a component must be up until its last failure is
// history.
func (c Component) flapMemory() time.Duration { return max(minFlapMemory, 60*c.Interval) }

// need is the number of successes in a row that end DOWN: twice as many for
// each relapse.
func (s State) need(c Component) int {
	return c.SuccessThreshold << min(s.Relapses, maxRelapses)
}

// Step adds one measurement to a state. It is pure, and the order of the
// measurements is the caller's.
//
// FailureThreshold failures in a row make a component DOWN. Back takes
// SuccessThreshold successes in a row, and twice as many for each relapse, so
// that one that goes up and down is DOWN once until it is stable. One whose
// failures are many but never enough in a row is DEGRADED. A first success is
// believed at once, since there is nothing to contradict; so is a reading that
// calls itself degraded.
func Step(s State, c Component, o Observation, now time.Time) State {
	was := s.Status
	s.History <<= 1
	switch o.alone(c) {
	case Down:
		s.History |= 1
		s.LastFailure, s.LastBad = o.At, o.At
		s.broken(c)
		s.Fails, s.Successes, s.Slows, s.Goods = min(s.Fails+1, 1<<20), 0, 0, 0
	case Degraded:
		s.LastBad, s.LastAnswer = o.At, o.At
		s.Fails, s.Successes, s.Slows, s.Goods = 0, min(s.Successes+1, 1<<20), min(s.Slows+1, 1<<20), 0
	default:
		s.LastAnswer = o.At
		s.Fails, s.Successes, s.Slows, s.Goods = 0, min(s.Successes+1, 1<<20), 0, min(s.Goods+1, 1<<20)
	}
	s.Status = s.next(c, o)
	if s.Status == was {
		return s
	}
	s.Since = now
	switch {
	case s.Status == Down && !s.RecoveredAt.IsZero() && now.Sub(s.RecoveredAt) < c.flapMemory():
		s.Relapses = min(s.Relapses+1, maxRelapses)
	case s.Status == Down:
		s.Relapses = 0
	case was == Down:
		s.RecoveredAt, s.History = now, 0
	}
	return s
}

// broken counts a recovery that a failure breaks off.
func (s *State) broken(c Component) {
	if s.Status == Down && s.Successes >= c.SuccessThreshold {
		s.Relapses = min(s.Relapses+1, maxRelapses)
	}
}

// unsettled reports whether the last measurement contradicts the status.
func (s State) unsettled() bool {
	if s.Status == Down {
		return s.Successes > 0
	}
	return s.Fails > 0 || s.Status == Healthy && s.Slows > 0
}

// next is the status after the counts are up to date.
func (s State) next(c Component, o Observation) Status {
	failed := o.Outcome != Answered
	switch s.Status {
	case Down:
		if s.Successes < s.need(c) {
			return Down
		}
		return o.alone(c)
	case Healthy, Degraded:
		if s.Fails >= c.FailureThreshold {
			return Down
		}
		if o.Degraded && !failed || s.Slows >= c.FailureThreshold || s.unstable(c) {
			return Degraded
		}
		if s.Status == Degraded && s.Goods < c.SuccessThreshold {
			return Degraded
		}
		return Healthy
	}
	switch { // nothing is known yet
	case s.Fails >= c.FailureThreshold:
		return Down
	case failed:
		return Unknown
	}
	return o.alone(c)
}

// unstable reports whether the failures of late are nearly twice what makes
// the component DOWN, though never enough in a row; once DEGRADED, it stays so
// until they are fewer than that.
func (s State) unstable(c Component) bool {
	if c.FailureThreshold < 2 {
		return false // one failure is DOWN already
	}
	span := min(4*c.FailureThreshold, 64)
	failures := bits.OnesCount64(s.History & (1<<span - 1))
	if s.Status == Degraded {
		return failures >= c.FailureThreshold
	}
	return failures >= 2*c.FailureThreshold-1
}
