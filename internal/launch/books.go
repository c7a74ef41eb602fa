package launch

import (
	"slices"
	"time"

	"avalo.app/gantry/internal/fault"
)

// Books are the rows that a batch of steps needs, loaded under one lock. Its
// methods decide, keep counters and rows in step, and note what changed; they
// do no I/O, so that a test can drive them.
//
// Every row that a step can touch must be loaded: the reservations of its id,
// subject and event, those that stand for the subjects of these, the invites
// and claims that it and they name, the days
// and countries of both, the holders of its network and device, the entries
// of the allowlist that list it, and every open reservation that is due. A
// missing counter counts as zero.
type Books struct {
	Now     time.Time // fixed: Today is of it
	State   *State
	Events  map[string]string // event to reservation id
	Claims  map[string]string // e-mail hash to invite id
	Listed  map[string]bool   // by Listed.Key
	Days    map[DayKey]*Day
	Holders map[HolderKey]*Holder

	today                    string
	loaded                   map[string]Reservation // by id, as they were
	byID                     map[string]*Reservation
	byUser, byEmail          map[string][]*Reservation
	inviteByID, inviteByHash map[string]*Invite
	touched                  map[any]bool
	ChangedReservations      []*Reservation
	ChangedInvites           []*Invite
	ChangedDays              []DayKey
	NewEvents                []string
	// Moved are reservations that gave up a user id, which another row may
	// have by now: a store takes it from their rows before it writes any.
	Moved []*Reservation
	// Withdrawn are the ids of reservations whose events are forgotten.
	Withdrawn []string
}

// NewBooks returns books without rows.
func NewBooks(now time.Time, s *State) *Books {
	now = now.Truncate(time.Microsecond)
	return &Books{Now: now, State: s, today: s.Calendar.Day(now), loaded: map[string]Reservation{}, Events: map[string]string{}, Claims: map[string]string{}, Listed: map[string]bool{},
		Days: map[DayKey]*Day{}, Holders: map[HolderKey]*Holder{},
		byID: map[string]*Reservation{}, byUser: map[string][]*Reservation{}, byEmail: map[string][]*Reservation{},
		inviteByID: map[string]*Invite{}, inviteByHash: map[string]*Invite{}, touched: map[any]bool{}}
}

// Today is the day that a reservation made now counts on.
func (b *Books) Today() string { return b.today }

// AddReservation enters a loaded row.
func (b *Books) AddReservation(r *Reservation) {
	if b.byID[r.ID] == nil {
		b.loaded[r.ID] = *r
		b.enter(r)
	}
}

// OnlyMoved reports whether a reservation is a loaded one of which nothing
// changed but its state and when it came to it.
func (b *Books) OnlyMoved(r *Reservation) bool {
	was, ok := b.loaded[r.ID]
	was.State, was.ConfirmedAt, was.EndedAt = r.State, r.ConfirmedAt, r.EndedAt
	return ok && was == *r
}

func (b *Books) enter(r *Reservation) {
	b.byID[r.ID] = r
	b.index(r)
}

// index lets a reservation be found by what it names now.
func (b *Books) index(r *Reservation) {
	if r.UserID != "" && !slices.Contains(b.byUser[r.UserID], r) {
		b.byUser[r.UserID] = append(b.byUser[r.UserID], r)
	}
	if r.EmailHash != "" && !slices.Contains(b.byEmail[r.EmailHash], r) {
		b.byEmail[r.EmailHash] = append(b.byEmail[r.EmailHash], r)
	}
}

// ofUser and ofEmail find the reservation of a key, nil if there is none: one
// that holds a slot comes first, then one that waits for one, then the newest.
func (b *Books) ofUser(id string) *Reservation {
	return best(b.byUser[id], func(r *Reservation) bool { return r.UserID == id })
}

func (b *Books) ofEmail(hash string) *Reservation {
	return best(b.byEmail[hash], func(r *Reservation) bool { return r.EmailHash == hash })
}

// best skips what has another key by now.
func best(rs []*Reservation, still func(*Reservation) bool) (found *Reservation) {
	for _, r := range rs {
		if still(r) && (found == nil || r.before(found)) {
			found = r
		}
	}
	return found
}

// AddInvite enters a loaded row.
func (b *Books) AddInvite(i *Invite) { b.inviteByID[i.ID], b.inviteByHash[i.Hash] = i, i }

// Apply performs one step.
func (b *Books) Apply(op Op) Outcome {
	var out Outcome
	switch op.Kind {
	case OpReserve:
		out = b.reserve(op.Applicant)
	case OpConfirm:
		out = b.confirm(op)
	case OpRelease, OpWithdraw:
		out = b.release(op)
	default:
		out.Err = fault.New(fault.Internal, "launch.Apply", "unknown step")
	}
	return out
}

// ExpireDue ends the open reservations among the loaded whose time is up.
func (b *Books) ExpireDue() {
	for _, r := range b.byID {
		if r.State == Open && !b.Now.Before(r.ExpiresAt) {
			b.end(r, Expired)
		}
	}
}

// subject finds the reservation of a subject: by its user id, else by its
// e-mail address; one that holds a slot before one that waits for one, and
// both before one that has ended.
func (b *Books) subject(a Applicant) *Reservation {
	var found []*Reservation
	if r := b.ofUser(a.UserID); r != nil {
		found = append(found, r)
	}
	if r := b.ofEmail(a.EmailHash); r != nil {
		found = append(found, r)
	}
	for _, want := range [...]func(*Reservation) bool{(*Reservation).holds, (*Reservation).stands} {
		for _, r := range found {
			if want(r) {
				return r
			}
		}
	}
	if len(found) == 0 {
		return nil
	}
	return found[0]
}
