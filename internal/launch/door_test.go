package launch_test

import (
	"slices"
	"testing"
	"time"

	"avalo.app/gantry/internal/launch"
)

// doorView is a view of a mode, read at noon.
func doorView(m launch.Mode, change func(*launch.View)) (*launch.View, time.Time) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	v := &launch.View{State: launch.NewState(), Today: map[launch.DayKey]launch.Day{}, At: now}
	v.Mode = m
	if change != nil {
		change(v)
	}
	return v, now
}

func taken(v *launch.View, country string, open, confirmed int64) {
	v.Today[launch.DayKey{Day: "2026-11-24", Country: country}] = launch.Day{Open: open, Confirmed: confirmed}
}

// TestDoors: what closes signups and a country, and which of several.
func TestDoors(t *testing.T) {
	for name, c := range map[string]struct {
		mode           launch.Mode
		change         func(*launch.View)
		after          time.Duration
		signup, region launch.Door // region: of Poland
	}{
		"internal test":      {launch.InternalTest, nil, 0, launch.DoorOpen, launch.DoorOpen},
		"closed beta":        {launch.ClosedBeta, nil, 0, launch.DoorOpen, launch.DoorOpen},
		"global":             {launch.GlobalLaunch, nil, 0, launch.DoorOpen, launch.DoorOpen},
		"unlimited":          {launch.GlobalLaunch, func(v *launch.View) { taken(v, "", 1e6, 1e6) }, 0, launch.DoorOpen, launch.DoorOpen},
		"one slot left":      {launch.ClosedBeta, func(v *launch.View) { taken(v, "", 99, 400) }, 0, launch.DoorOpen, launch.DoorOpen},
		"full":               {launch.ClosedBeta, func(v *launch.View) { taken(v, "", 100, 400) }, 0, launch.DoorFull, launch.DoorOpen},
		"over a lowered cap": {launch.ClosedBeta, func(v *launch.View) { taken(v, "", 0, 501) }, 0, launch.DoorFull, launch.DoorOpen},
		"the day rolled over, unread": {launch.ClosedBeta, func(v *launch.View) { taken(v, "", 0, 500); v.At = v.At.Add(12 * time.Hour) },
			12 * time.Hour, launch.DoorOpen, launch.DoorOpen},
		"full for Poland": {launch.ClosedBeta, func(v *launch.View) {
			v.Phases[launch.ClosedBeta] = launch.Phase{Countries: []string{"PL", "DE"}, CountryCaps: map[string]int64{"PL": 3}}
			taken(v, "PL", 1, 2)
		}, 0, launch.DoorOpen, launch.DoorFull},
		"not open": {launch.ClosedBeta, func(v *launch.View) { v.Phases[launch.ClosedBeta] = launch.Phase{Countries: []string{"DE"}} }, 0, launch.DoorOpen, launch.DoorClosed},
		"by group": {launch.ClosedBeta, func(v *launch.View) { v.Phases[launch.ClosedBeta] = launch.Phase{Groups: []string{"EU"}} }, 0, launch.DoorOpen, launch.DoorOpen},
		"blocked":  {launch.GlobalLaunch, func(v *launch.View) { v.Settings.Blocked = []string{"PL"} }, 0, launch.DoorOpen, launch.DoorBlocked},
		"every open country is blocked": {launch.ClosedBeta, func(v *launch.View) {
			v.Phases[launch.ClosedBeta] = launch.Phase{Countries: []string{"PL"}}
			v.Settings.Blocked = []string{"PL"}
		}, 0, launch.DoorClosed, launch.DoorBlocked},
		"maintenance": {launch.GlobalLaunch, func(v *launch.View) { v.Maintenance.Until = v.At.Add(time.Second) }, 0, launch.DoorMaintenance, launch.DoorMaintenance},
		"maintenance over": {launch.GlobalLaunch, func(v *launch.View) { v.Maintenance.Until = v.At.Add(time.Second) },
			time.Second, launch.DoorOpen, launch.DoorOpen},
		"five seconds old": {launch.GlobalLaunch, nil, 5 * time.Second, launch.DoorOpen, launch.DoorOpen},
		"older":            {launch.GlobalLaunch, nil, 5*time.Second + 1, launch.DoorStale, launch.DoorStale},
		"stale comes first": {launch.GlobalLaunch, func(v *launch.View) { v.Maintenance.Until = v.At.Add(time.Hour) },
			time.Minute, launch.DoorStale, launch.DoorStale},
		"never read": {launch.GlobalLaunch, func(v *launch.View) { v.At = time.Time{} }, 0, launch.DoorStale, launch.DoorStale},
	} {
		t.Run(name, func(t *testing.T) {
			v, now := doorView(c.mode, c.change)
			now = now.Add(c.after)
			if got := v.SignupDoor(now); got != c.signup {
				t.Errorf("signups: %s, want %s", got, c.signup)
			}
			if got, code := v.RegionDoor("pl", now); got != c.region || code != "PL" {
				t.Errorf("Poland: %s %s, want %s", got, code, c.region)
			}
		})
	}
	v, now := doorView(launch.GlobalLaunch, nil)
	for country, want := range map[string]string{"": "", "Atlantis": "", "EU": "", "ZZ": "", "UK": "GB", "POL": "PL"} {
		door, code := v.RegionDoor(country, now)
		if code != want || (door == launch.DoorOpen) != (want != "") {
			t.Errorf("%q: %s %q", country, door, code)
		}
	}
}

// TestFingerprint: it changes with everything that a door depends on, and
// with nothing else.
func TestFingerprint(t *testing.T) {
	base := func(change func(*launch.View)) string {
		v, now := doorView(launch.ClosedBeta, func(v *launch.View) {
			v.Phases[launch.ClosedBeta] = launch.Phase{Countries: []string{"DE", "PL"}, DailyCap: new(int64(500)), CountryCaps: map[string]int64{"DE": 5, "PL": 3}}
		})
		if change != nil {
			change(v)
		}
		return v.Fingerprint(now)
	}
	phase := func(change func(*launch.Phase)) func(*launch.View) {
		return func(v *launch.View) {
			p := v.Phase()
			change(&p)
			v.Phases[v.Mode] = p
		}
	}
	seen := map[string]string{base(nil): "nothing"}
	for name, change := range map[string]func(*launch.View){
		"mode": func(v *launch.View) { v.Mode = launch.InternalTest }, "version": func(v *launch.View) { v.Version++ },
		"maintenance": func(v *launch.View) { v.Maintenance.Until = v.At.Add(time.Hour) }, "its end": func(v *launch.View) { v.Maintenance.Until = v.At.Add(2 * time.Hour) },
		"stale": func(v *launch.View) { v.At = v.At.Add(-time.Minute) }, "full": func(v *launch.View) { taken(v, "", 500, 0) },
		"full for Poland": func(v *launch.View) { taken(v, "PL", 3, 0) }, "full for Germany": func(v *launch.View) { taken(v, "DE", 5, 0) },
		"full for both": func(v *launch.View) { taken(v, "PL", 3, 0); taken(v, "DE", 5, 0) },
		"countries":     phase(func(p *launch.Phase) { p.Countries = append(slices.Clone(p.Countries), "FR") }), "groups": phase(func(p *launch.Phase) { p.Groups = []string{"NA"} }),
		"blocked": func(v *launch.View) { v.Settings.Blocked = []string{"PL"} },
	} {
		f := base(change)
		if was, twice := seen[f]; twice {
			t.Errorf("%s looks like %s", name, was)
		}
		seen[f] = name
	}
	for name, change := range map[string]func(*launch.View){
		"a slot taken": func(v *launch.View) { taken(v, "", 10, 2); taken(v, "PL", 1, 1) }, "a cap raised": phase(func(p *launch.Phase) { p.DailyCap = nil }),
		"read again": func(v *launch.View) { v.At = v.At.Add(-time.Second) }, "a maintenance over": func(v *launch.View) { v.Maintenance.Until = v.At.Add(-time.Hour) },
		"another mode's phase": func(v *launch.View) { v.Phases[launch.SoftLaunch] = launch.Phase{Groups: []string{"EU"}} },
	} {
		if base(change) != base(nil) {
			t.Errorf("%s changes it", name)
		}
	}
}
