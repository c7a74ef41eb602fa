package launch

import (
	"time"

	"avalo.app/gantry/internal/fault"
)

func (b *Books) reserve(a Applicant) Outcome {
	if err := b.State.open(b.Now); err != nil {
		return Outcome{Err: err}
	}
	old := b.subject(a)
	if id, ok := b.Events[a.Event]; ok && a.Event != "" {
		if old = b.byID[id]; old == nil || !old.holds() {
			return Outcome{Err: fault.New(fault.Conflict, opDecide, "this event was handled before, and its reservation has ended: start a new signup")}
		}
	}
	if old != nil && old.holds() {
		return b.again(old, a)
	}
	invite, err := b.decide(a)
	if err != nil {
		return Outcome{Err: err}
	}
	r := &Reservation{ID: b.newID(), CreatedAt: b.Now}
	if old != nil && old.State == Unbacked {
		r = old // the account that waits for a slot gets this one
	}
	ttl := a.TTL
	switch {
	case ttl != 0:
	case a.Hook:
		ttl = time.Duration(b.State.Settings.HookTTL)
	default:
		ttl = time.Duration(b.State.Settings.ReservationTTL)
	}
	b.identify(r, a) // before it holds
	r.State, r.Day, r.Country, r.Mode = Open, b.Today(), a.Country, b.State.Mode
	r.Network, r.Device, r.Source = a.Network, a.Device, a.Source
	r.Grants, r.ExpiresAt, r.EndedAt, r.InviteID = 1, b.Now.Add(ttl), time.Time{}, ""
	if invite != nil {
		r.InviteID = invite.ID
	}
	b.hold(r)
	b.enter(r)
	b.event(a.Event, r)
	return Outcome{Reservation: *r}
}

// identify gives a reservation that is about to hold its slot the keys of
// its applicant, whom no other holds for. What it had beside them it keeps,
// unless another holds for that.
func (b *Books) identify(r *Reservation, a Applicant) {
	if a.UserID != "" || taken(b.ofUser(r.UserID), r) {
		r.UserID = a.UserID
	}
	if a.EmailHash != "" || taken(b.ofEmail(r.EmailHash), r) {
		r.EmailHash = a.EmailHash
	}
}

// again answers a subject that holds a reservation already with that one.
func (b *Books) again(r *Reservation, a Applicant) Outcome {
	if err := b.standing(r, a); err != nil {
		return Outcome{Err: err}
	}
	r.Grants++
	if r.State == Open {
		b.adopt(r, a)
	}
	b.change(r)
	b.event(a.Event, r)
	return Outcome{Reservation: *r, Existing: true}
}

// standing reports whether a reservation serves who asks again: under the
// terms that it was granted, unless its country is blocked now or its account
// is another one.
func (b *Books) standing(r *Reservation, a Applicant) error {
	if b.State.blocked(r.Country) {
		return b.State.admitsCountry(Applicant{Country: r.Country})
	}
	if r.State == Confirmed && r.UserID != "" && a.UserID != "" && r.UserID != a.UserID {
		return fault.New(fault.Conflict, opDecide, "an account with this e-mail address has signed up already")
	}
	return nil
}

// adopt lets an open reservation be found by what its subject newly said of
// itself, if nobody else is found by it. A hook's user id may be a throw-away,
// so the newest counts.
func (b *Books) adopt(r *Reservation, a Applicant) {
	free := func(o *Reservation) bool { return o == nil || !o.stands() }
	if a.UserID != "" && free(b.ofUser(a.UserID)) {
		if r.UserID != "" {
			b.Moved = append(b.Moved, r)
		}
		r.UserID = a.UserID
	}
	if r.EmailHash == "" && free(b.ofEmail(a.EmailHash)) {
		r.EmailHash = a.EmailHash
	}
	b.index(r)
}
