package health

import (
	"time"

	"avalo.app/gantry/internal/signal"
)

// clearEvery is how often cleared facts are told again.
const clearEvery = time.Minute

// levels tells facts as levels: every failing one at every evaluation, so that
// whoever forgot hears again; a cleared one when it changed, and all of them
// at the first evaluation and every minute, so that one that got lost does not
// stay open. One goroutine owns it.
type levels struct {
	sink    signal.Sink
	raised  map[[2]string]bool
	cleared time.Time // when all cleared facts were told
}

func newLevels(sink signal.Sink) *levels { return &levels{sink: sink, raised: map[[2]string]bool{}} }

func (l *levels) tell(facts []signal.Fact, now time.Time) {
	all := now.Sub(l.cleared) >= clearEvery || now.Before(l.cleared)
	if all {
		l.cleared = now
	}
	for _, f := range facts {
		k := [2]string{f.Rule, f.Object}
		was := l.raised[k]
		if f.Failing {
			l.raised[k] = true
		} else {
			delete(l.raised, k)
		}
		if f.Failing || was || all {
			l.sink(f)
		}
	}
}
