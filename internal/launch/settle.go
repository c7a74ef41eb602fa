package launch

import (
	"maps"
	"slices"
	"time"

	"avalo.app/gantry/internal/fault"
)

func (b *Books) find(op Op) (*Reservation, error) {
	r := b.byID[op.ID]
	if op.ID == "" {
		r = b.subject(op.Applicant)
	}
	if r == nil {
		return nil, noReservation()
	}
	return r, nil
}

func noReservation() error {
	return fault.New(fault.NotFound, opDecide, "there is no such reservation; it may be older than the retention")
}

// maxID bounds a reservation's id.
const maxID = 64

// confirm makes a reservation final. One that has ended takes a slot of its
// own day again, if there is one; else the account is unbacked.
func (b *Books) confirm(op Op) Outcome {
	r, err := b.find(op)
	switch {
	case err != nil && op.ID == "" && !op.Known:
		return b.unknownAccount(op.Applicant)
	case err != nil:
		return Outcome{Err: err}
	case r.State == Confirmed:
		if a := op.Applicant; a.UserID != "" && r.UserID != "" && a.UserID != r.UserID {
			return Outcome{Err: fault.New(fault.Conflict, opDecide, "another account with this e-mail address has signed up already")}
		}
		return Outcome{Reservation: *r, Existing: true}
	case b.State.blocked(r.Country):
		return b.unbacked(r, "its country is blocked now")
	case r.State == Revoked:
		return b.unbacked(r, "an admin revoked the open reservations")
	case r.Grants == 0:
		return b.unbacked(r, ungranted)
	case r.State != Open:
		if err := b.retake(r); err != "" {
			return b.unbacked(r, err)
		}
	}
	if op.ID == "" {
		b.adopt(r, op.Applicant)
	}
	b.count(r, -1, 1)
	b.letGo(r)
	backed := r.Account
	r.State, r.ConfirmedAt, r.EndedAt, r.Account = Confirmed, b.Now, time.Time{}, false
	b.change(r)
	return Outcome{Reservation: *r, Backed: backed}
}

const ungranted = "nothing was reserved for it, or an admin revoked that"

// retake lets an ended reservation hold again, or says why it cannot.
func (b *Books) retake(r *Reservation) (problem string) {
	if taken(b.ofUser(r.UserID), r) || taken(b.ofEmail(r.EmailHash), r) {
		return "its subject holds another reservation"
	}
	for _, key := range r.keys() {
		if b.room(key) != nil {
			return "its day has no slot left"
		}
	}
	if i := b.inviteByID[r.InviteID]; r.InviteID != "" && (i == nil || !i.RevokedAt.IsZero() || i.Used >= i.MaxUses) {
		return "its invite has no use left"
	}
	r.State = Open
	b.hold(r)
	return ""
}

// taken reports whether another than r holds a slot.
func taken(o, r *Reservation) bool { return o != nil && o != r && o.holds() }

// unbacked lists the account of a reservation that cannot be confirmed.
func (b *Books) unbacked(r *Reservation, why string) Outcome {
	if r.holds() {
		b.end(r, Unbacked)
	}
	// Another reservation that stands for the subject is the one that is found
	// by it from now on.
	if taken(b.ofUser(r.UserID), r) {
		r.UserID = ""
	}
	if taken(b.ofEmail(r.EmailHash), r) {
		r.EmailHash = ""
	}
	r.State, r.Account = Unbacked, true
	b.change(r)
	mend := "confirm again when a slot is free"
	if r.Grants == 0 {
		mend = "reserve for it and confirm again"
	}
	return Outcome{Reservation: *r, Err: &fault.Error{Code: fault.Conflict, Op: opDecide,
		Msg: "the account is not backed by a slot: " + why + ". It is listed (GET /v1/signups?state=unbacked): remove it, or " + mend, Detail: Refusal{Mode: b.State.Mode, Problem: why, Day: r.Day, Country: r.Country}}}
}

// unknownAccount lists an account that nobody reserved for.
func (b *Books) unknownAccount(a Applicant) Outcome {
	r := &Reservation{ID: b.newID(), State: Expired, Day: b.Today(), Country: a.Country, Mode: b.State.Mode, UserID: a.UserID, EmailHash: a.EmailHash,
		Source: a.Source, CreatedAt: b.Now, ExpiresAt: b.Now, EndedAt: b.Now}
	b.enter(r)
	return b.unbacked(r, ungranted)
}

// release gives a slot and an invite use back. What has ended stays as it
// is; what is confirmed is an account, and refused. An event that released
// before does nothing: by now its subject may hold another reservation.
func (b *Books) release(op Op) Outcome {
	if id, ok := b.Events[op.Applicant.Event]; ok && op.Applicant.Event != "" && b.byID[id] != nil {
		return Outcome{Reservation: *b.byID[id], Existing: true}
	}
	r, err := b.find(op)
	switch {
	case err != nil:
		return Outcome{Err: err}
	case op.Kind == OpWithdraw && (r.State != Open || r.Grants > 1):
		return Outcome{Reservation: *r, Existing: true}
	case r.State == Confirmed:
		return Outcome{Err: &fault.Error{Code: fault.Conflict, Op: opDecide, Msg: "the signup is confirmed: its account exists, and its slot is spent", Detail: Refusal{Problem: "confirmed", Day: r.Day}}}
	case op.Kind == OpWithdraw:
		// Nobody was answered with it: the event that made it may come again.
		b.Withdrawn = append(b.Withdrawn, r.ID)
		maps.DeleteFunc(b.Events, func(_, id string) bool { return id == r.ID })
		b.NewEvents = slices.DeleteFunc(b.NewEvents, func(e string) bool { return b.Events[e] == "" })
		b.end(r, Released)
		return Outcome{Reservation: *r}
	}
	backed := r.Account
	switch r.Account = false; r.State {
	case Open:
		b.end(r, Released)
	case Unbacked:
		r.State = Released
		b.change(r)
	}
	b.event(op.Applicant.Event, r)
	return Outcome{Reservation: *r, Backed: backed}
}

// RevokeOpen ends every open reservation among the loaded, and takes their
// grants back.
func (b *Books) RevokeOpen() {
	for _, r := range b.byID {
		if r.State == Open {
			r.Grants = 0
			b.end(r, Revoked)
		}
	}
}
