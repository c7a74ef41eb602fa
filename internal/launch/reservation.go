package launch

import (
	"cmp"
	"time"
)

// ReservationState is where a signup stands.
type ReservationState string

// The states. Open and Confirmed hold a slot of their day and a use of their
// invite; the others hold nothing.
const (
	Open      ReservationState = "open"
	Confirmed ReservationState = "confirmed" // the account exists
	Released  ReservationState = "released"  // given back by the host
	Expired   ReservationState = "expired"   // not confirmed in time
	Revoked   ReservationState = "revoked"   // ended by an admin's change of mode
	Unbacked  ReservationState = "unbacked"  // the account exists and no slot is left for it
)

// Reservation is one signup's hold on a slot of a day.
type Reservation struct {
	ID      string
	State   ReservationState
	Day     string // that it counts on
	Country string
	Mode    Mode // in which it was granted

	UserID    string
	EmailHash string
	Network   string // hash of the /24 or /64
	Device    string // hash
	InviteID  string
	Source    string

	// Account says that an account was confirmed while no slot was left for it.
	// Whatever becomes of a slot that it got later, the account exists: what
	// would end leaves it Unbacked, until it is confirmed or released.
	Account bool

	// Grants counts how often the reservation was answered to a caller: one
	// that was answered once only may be withdrawn when that caller is gone. 0
	// is never, or that an admin took the grant back: nothing to confirm.
	Grants      int64
	CreatedAt   time.Time
	ExpiresAt   time.Time
	ConfirmedAt time.Time // zero: not yet
	EndedAt     time.Time // zero: holds its slot
}

// holds reports whether the reservation takes a slot.
func (r *Reservation) holds() bool { return r.State == Open || r.State == Confirmed }

// stands reports whether the reservation is its subject's, rather than past.
func (r *Reservation) stands() bool { return r.holds() || r.State == Unbacked }

// before reports whether r, rather than o, is found by what both name.
func (r *Reservation) before(o *Reservation) bool {
	switch {
	case r.holds() != o.holds():
		return r.holds()
	case r.stands() != o.stands():
		return r.stands()
	}
	return cmp.Or(r.CreatedAt.Compare(o.CreatedAt), cmp.Compare(r.ID, o.ID)) > 0
}

// keys are the counters that the reservation is in.
func (r *Reservation) keys() []DayKey {
	all := DayKey{Day: r.Day}
	if r.Country == "" { // an account that came without a signup
		return []DayKey{all}
	}
	return []DayKey{all, {r.Day, r.Country}}
}

// DayKey names one counter: of a day and a country, or with "" of the day.
type DayKey struct{ Day, Country string }

// Day counts the signups of one key.
type Day struct {
	Open, Confirmed int64
	// Cap is the last one that held on that day; -1: unlimited.
	Cap int64
}

// HolderKey names who holds open reservations of today: the hash of a
// network or device, for one country or with "" for all.
type HolderKey struct{ Hash, Country string }

// Holder counts them.
type Holder struct {
	Open int64
	// FirstEnds is when the first of them expires.
	FirstEnds time.Time
}

// OpKind is what an Op does.
type OpKind uint8

// The kinds.
const (
	OpReserve OpKind = iota + 1
	OpConfirm
	OpRelease
	// OpWithdraw releases a reservation whose only caller has gone.
	OpWithdraw
)

// Op is one step on reservations.
type Op struct {
	Kind      OpKind
	Applicant Applicant // of OpReserve; of the others, UserID and EmailHash if ID is ""
	ID        string
	Known     bool // OpConfirm: an account that nobody reserved for is NOT_FOUND, not unbacked
}

// Outcome is what became of an Op.
type Outcome struct {
	Reservation Reservation
	Existing    bool // the reservation was there before
	Backed      bool // an account that had no slot has one for good, or is gone
	Err         error
}
