package launch

import (
	"context"
	"time"

	"avalo.app/gantry/internal/audit"
)

// ControlStore keeps what admins decide. Every change is one transaction
// under the lock that reservations take, too, and commits with its audit
// entry and a new revision of the topic that nodes poll. A caller that got
// an error may read and repeat: the version tells whether it happened. All
// methods may be called at once from many nodes.
type ControlStore interface {
	// LaunchState returns everything that decides.
	LaunchState(ctx context.Context) (State, error)

	// SetMode performs a move if Move.Check allows it against the state in
	// force and the override that it names. The override is used, the history
	// extended, the caps of the day noted, and, if the move says so, every open
	// reservation ended, all or nothing.
	SetMode(ctx context.Context, m Move, e audit.Entry) (Transition, error)

	// SaveLaunchDoc replaces one document (see DocName) if it has the version,
	// or, with -1, in any case, and returns the new version. check, which may
	// be nil, runs inside on the state before. The entry's Before is filled in.
	SaveLaunchDoc(ctx context.Context, name string, doc any, ifVersion int64, check func(State) error, e audit.Entry) (int64, error)

	// LaunchHistory returns at most limit transitions before the version (0:
	// all), newest first.
	LaunchHistory(ctx context.Context, before int64, limit int) ([]Transition, error)
}

// OverrideStore keeps the two-person overrides, with the promises of
// ControlStore.
type OverrideStore interface {
	RequestOverride(ctx context.Context, o Override, e audit.Entry) error

	// ApproveOverride approves if check, which runs inside on the override and
	// the state, allows it; NOT_FOUND if there is none.
	ApproveOverride(ctx context.Context, id string, by Actor, at time.Time, check func(Override, *State) error, e audit.Entry) (Override, error)

	// LaunchOverrides returns at most limit overrides, newest first.
	LaunchOverrides(ctx context.Context, limit int) ([]Override, error)

	// LaunchOverride returns one; NOT_FOUND if there is none.
	LaunchOverride(ctx context.Context, id string) (Override, error)
}

// SignupStore keeps reservations and counts them. All methods may be called
// at once from many nodes.
type SignupStore interface {
	// ApplySignups loads the Books that the steps need, lets them decide in
	// order, and commits all that changed in one transaction, under one lock.
	// After an error nothing, or everything, has happened, and a repeat is safe:
	// a subject gets the reservation that it has. An idempotency claim in ctx
	// commits along, so steps of two claims do not share a call.
	ApplySignups(ctx context.Context, ops []Op) ([]Outcome, error)

	// SignupBooks loads the books of one application without a lock, to answer
	// what a reservation would.
	SignupBooks(ctx context.Context, a Applicant) (*Books, error)

	// SignupDays returns every counter of a day.
	SignupDays(ctx context.Context, day string) (map[DayKey]Day, error)

	// Signups returns at most limit reservations, newest first.
	Signups(ctx context.Context, f SignupFilter) ([]Reservation, error)

	// SignupDrift compares every counter with the rows that it counts, in one
	// consistent view, and returns those that differ.
	SignupDrift(ctx context.Context) ([]Drift, error)
}

// SignupFilter selects reservations. Zero members select everything.
type SignupFilter struct {
	State  ReservationState
	Day    string
	UserID string
	Limit  int // 0: 100; never over 1000
}

// Drift is a counter that does not count what is there.
type Drift struct {
	Day, Country  string
	Invite        string // id, for a counter of uses
	State         ReservationState
	Counted, Rows int64
}

// GuestStore keeps invites, the allowlist and the waitlist. Changes commit
// with their audit entries.
type GuestStore interface {
	CreateInvites(ctx context.Context, is []Invite, e audit.Entry) error

	// RevokeInvites ends the invites of an id or batch that are not revoked yet
	// and returns how many; open reservations made with them stay.
	RevokeInvites(ctx context.Context, id string, at time.Time, e audit.Entry) (int64, error)

	// Invites returns at most limit invites, newest first.
	Invites(ctx context.Context, batch string, limit int) ([]Invite, error)

	// ClaimInvite lets the e-mail address sign up with the code later, unless
	// valid refuses the invite, nil if there is none. A second claim replaces
	// the first.
	ClaimInvite(ctx context.Context, codeHash, emailHash string, at time.Time, valid func(*Invite) error) error
}

// AllowStore keeps the allowlist.
type AllowStore interface {
	// Allow adds entries; those that are listed already stay as they are.
	Allow(ctx context.Context, ls []Listed, e audit.Entry) (added int64, err error)

	// Disallow removes one; NOT_FOUND if there is none.
	Disallow(ctx context.Context, id string, e audit.Entry) error

	// Allowlist returns at most limit entries after the id, in the order of
	// their ids.
	Allowlist(ctx context.Context, after string, limit int) ([]Listed, error)
}

// Waiting is an entry of the waitlist.
type Waiting struct {
	ID        string
	Email     string // normalised
	Country   string
	Refused   string // the code that refused the signup
	JoinedAt  time.Time
	InvitedAt time.Time // zero: still waits
	InviteID  string
	Position  int64 // 1 is next; 0 once invited
}

// WaitStore keeps the waitlist.
type WaitStore interface {
	// JoinWaitlist adds an entry, or returns the one that the address has. An
	// invited one waits again, at its place, if at JoinedAt its invite is over
	// and unused.
	JoinWaitlist(ctx context.Context, w Waiting) (Waiting, error)

	// Waitlist returns at most limit entries, in the order of joining; invited
	// ones only if asked for.
	Waitlist(ctx context.Context, invited bool, country string, limit int) ([]Waiting, error)

	// InviteWaiting takes the next entries that wait, from one country or with
	// "" from any, lets invite make one for each, and stores both with the
	// audit entry for as many, if there are any. What invite is given has no
	// Position.
	InviteWaiting(ctx context.Context, country string, limit int, at time.Time, invite func(Waiting) Invite, entry func(n int) audit.Entry) ([]Waiting, error)

	// LeaveWaitlist removes an entry; NOT_FOUND if there is none.
	LeaveWaitlist(ctx context.Context, id string) error
}
