package launch

import (
	"crypto/rand"
	"strconv"
	"strings"
)

// hold takes a slot and an invite use for an open reservation.
func (b *Books) hold(r *Reservation) {
	b.count(r, 1, 0)
	if i := b.inviteByID[r.InviteID]; i != nil {
		i.Used++
		b.changeInvite(i)
	}
	for _, hash := range [...]string{r.Network, r.Device} {
		if hash != "" && r.Day == b.Today() {
			b.holder(HolderKey{hash, ""}, r)
			b.holder(HolderKey{hash, r.Country}, r)
		}
	}
	b.change(r)
}

func (b *Books) holder(k HolderKey, r *Reservation) {
	h := b.Holders[k]
	if h == nil {
		h = &Holder{FirstEnds: r.ExpiresAt}
		b.Holders[k] = h
	}
	h.Open++
	if r.ExpiresAt.Before(h.FirstEnds) {
		h.FirstEnds = r.ExpiresAt
	}
}

// letGo takes an open reservation off its network and device.
func (b *Books) letGo(r *Reservation) {
	for _, hash := range [...]string{r.Network, r.Device} {
		for _, country := range [...]string{"", r.Country} {
			if h := b.Holders[HolderKey{hash, country}]; hash != "" && h != nil && r.Day == b.Today() {
				h.Open--
			}
		}
	}
}

// end frees what an open reservation holds.
func (b *Books) end(r *Reservation, s ReservationState) {
	b.count(r, -1, 0)
	b.letGo(r)
	if i := b.inviteByID[r.InviteID]; i != nil {
		i.Used--
		b.changeInvite(i)
	}
	r.State, r.EndedAt = s, b.Now
	if r.Account {
		r.State = Unbacked
	}
	b.change(r)
}

// count moves both counters of a reservation's day.
func (b *Books) count(r *Reservation, open, confirmed int64) {
	for _, key := range r.keys() {
		d := b.Days[key]
		if d == nil {
			d = &Day{}
			b.Days[key] = d
		}
		if key.Day == b.Today() {
			d.Cap = b.State.Phase().CapOf(key.Country)
		}
		d.Open, d.Confirmed = d.Open+open, d.Confirmed+confirmed
		b.changeDay(key)
	}
}

// NoteCaps writes the caps in force to today's counters.
func (b *Books) NoteCaps() {
	for key, d := range b.Days {
		if limit := b.State.Phase().CapOf(key.Country); key.Day == b.Today() && d.Cap != limit {
			d.Cap = limit
			b.changeDay(key)
		}
	}
}

func (b *Books) changeDay(key DayKey) {
	if !b.touched[key] {
		b.touched[key] = true
		b.ChangedDays = append(b.ChangedDays, key)
	}
}

func (b *Books) change(r *Reservation) {
	if !b.touched[r] {
		b.touched[r] = true
		b.ChangedReservations = append(b.ChangedReservations, r)
	}
}

func (b *Books) changeInvite(i *Invite) {
	if !b.touched[i] {
		b.touched[i] = true
		b.ChangedInvites = append(b.ChangedInvites, i)
	}
}

func (b *Books) event(event string, r *Reservation) {
	if _, ok := b.Events[event]; event == "" || ok {
		return
	}
	b.Events[event] = r.ID
	b.NewEvents = append(b.NewEvents, event)
}

// newID makes an id that sorts by its time: rows that come together lie
// together in the index, whose pages a commit writes out.
func (b *Books) newID() string { return strconv.FormatInt(b.Now.UnixMilli(), 36) + newID()[:14] }

func newID() string { return strings.ToLower(rand.Text()[:20]) }

// AddHolder enters how much of today a network or device holds open in one
// country.
func (b *Books) AddHolder(hash, country string, h Holder) {
	b.Holders[HolderKey{hash, country}] = &h
	all := b.Holders[HolderKey{hash, ""}]
	if all == nil {
		b.Holders[HolderKey{hash, ""}] = &Holder{Open: h.Open, FirstEnds: h.FirstEnds}
		return
	}
	all.Open += h.Open
	if h.FirstEnds.Before(all.FirstEnds) {
		all.FirstEnds = h.FirstEnds
	}
}
