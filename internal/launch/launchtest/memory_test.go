package launchtest_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/launch"
	"avalo.app/gantry/internal/launch/launchtest"
)

// TestBooks: over random histories, Books decide and count as the naive model
// does.
func TestBooks(t *testing.T) {
	for range 10 { // 1,000 histories
		rapid.Check(t, func(rt *rapid.T) {
			c := launchtest.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
			launchtest.Random(rt, launchtest.NewMemory(c), c, "a")
		})
	}
}

// TestNoteCapsOfTodayOnly: the cap of a past day is history.
func TestNoteCapsOfTodayOnly(t *testing.T) {
	s := launch.NewState()
	b := launch.NewBooks(time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC), &s)
	past, today := launch.DayKey{Day: "2026-03-01"}, launch.DayKey{Day: "2026-03-02"}
	b.Days[past], b.Days[today] = &launch.Day{Cap: 7}, &launch.Day{Cap: 7}
	b.NoteCaps()
	if b.Days[past].Cap != 7 || b.Days[today].Cap != 50 || len(b.ChangedDays) != 1 || b.ChangedDays[0] != today {
		t.Errorf("%+v %+v, changed %v", b.Days[past], b.Days[today], b.ChangedDays)
	}
}

// TestUnbackedGetsASlotWithoutAnothersKey: an account without a slot shares
// its address with one that has signed up; its slot leaves the address there.
func TestUnbackedGetsASlotWithoutAnothersKey(t *testing.T) {
	c := launchtest.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	m := launchtest.NewMemory(c)
	if _, err := m.SetMode(t.Context(), launch.Move{To: launch.GlobalLaunch, At: c.Now(), Report: launch.Report{Passed: true, ValidUntil: c.Now().Add(1)}}, audit.Entry{}); err != nil {
		t.Fatal(err)
	}
	step := func(kind launch.OpKind, user, email string) launch.Reservation {
		t.Helper()
		outs, err := m.ApplySignups(t.Context(), []launch.Op{{Kind: kind, Applicant: launch.Applicant{UserID: user, EmailHash: email, Country: "PL"}}})
		if err != nil {
			t.Fatal(err)
		}
		return outs[0].Reservation
	}
	step(launch.OpConfirm, "u1", "")
	c.Add(time.Second)
	waits := step(launch.OpConfirm, "u4", "e1")
	if r := step(launch.OpReserve, "u1", "e1"); r.State != launch.Open || r.EmailHash != "e1" || r.ID == waits.ID {
		t.Errorf("the first: %+v", r)
	}
	if r := step(launch.OpReserve, "u4", ""); r.State != launch.Open || r.EmailHash != "" || r.ID != waits.ID {
		t.Errorf("the second: %+v", r)
	}
}
