package launch

import (
	"fmt"
	"slices"
	"time"
)

// Door says whether newcomers are let in, and if not, what keeps them out.
// It is about nobody in particular, is read from memory, and takes nothing.
type Door string

// The doors; all but DoorOpen are shut.
const (
	DoorOpen        Door = "open"        // to whoever brings what the mode asks for, see Admission
	DoorStale       Door = "stale"       // nobody knows: the store was not read for too long
	DoorMaintenance Door = "maintenance" // for everyone, until it ends
	DoorClosed      Door = "closed"      // the mode does not open the country, or opens none at all
	DoorBlocked     Door = "blocked"     // the country, in every mode
	DoorUnknown     Door = "unknown"     // no country was named, or none that exists
	DoorFull        Door = "full"        // every slot of the day is taken
)

// Stale reports whether the view is too old to say that anything is open.
func (v *View) Stale(now time.Time) bool { return now.Sub(v.At) > staleAfter }

// shut is what closes every door at once, or "".
func (v *View) shut(now time.Time) Door {
	switch {
	case v.Stale(now):
		return DoorStale
	case v.Maintenance.On(now):
		return DoorMaintenance
	}
	return ""
}

// SignupDoor says whether somebody from some country could sign up now.
func (v *View) SignupDoor(now time.Time) Door {
	if d := v.shut(now); d != "" {
		return d
	}
	if list, all := v.Phase().Allowed(v.Settings.Blocked); !all && len(list) == 0 {
		return DoorClosed
	}
	return v.dayDoor("", now)
}

// RegionDoor says whether the country is open now, and which country was
// understood ("" if none). A full day closes a country only by a cap of its
// own. Whether an address must agree with the country is not asked.
func (v *View) RegionDoor(country string, now time.Time) (d Door, code string) {
	code, known := ParseCountry(country)
	d = v.shut(now)
	switch {
	case d != "":
	case !known:
		d = DoorUnknown
	case v.blocked(code):
		d = DoorBlocked
	case !v.Phase().names(code):
		d = DoorClosed
	default:
		d = v.dayDoor(code, now)
	}
	return d, code
}

// dayDoor says whether the day of now has a slot left, of one country's or
// with "" of all.
func (v *View) dayDoor(country string, now time.Time) Door {
	b := v.books(now)
	if b.room(DayKey{b.Today(), country}) != nil {
		return DoorFull
	}
	return DoorOpen
}

// OpensAt is when the next day of the caps begins.
func (v *View) OpensAt(now time.Time) time.Time { return v.Calendar.Ends(now) }

// Fingerprint changes whenever a door does, of any country's, or the mode,
// its version or the maintenance. It is the same on every node that has read
// the same state.
func (v *View) Fingerprint(now time.Time) string {
	p := v.Phase()
	var full []string
	for country := range p.CountryCaps {
		if v.dayDoor(country, now) == DoorFull {
			full = append(full, country)
		}
	}
	slices.Sort(full)
	until := time.Time{}
	if v.Maintenance.On(now) {
		until = v.Maintenance.Until
	}
	return fmt.Sprint(v.Mode, v.Version, v.SignupDoor(now), until.UTC(), p.Countries, p.Groups, v.Settings.Blocked, full)
}
