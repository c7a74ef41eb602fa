package launch

import (
	"crypto/rand"
	"maps"
	"slices"
	"strconv"
	"strings"
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

// decide is the rule of a newcomer: the first that fails.
func (b *Books) decide(a Applicant) (*Invite, error) {
	if err := b.State.admitsCountry(a); err != nil {
		return nil, err
	}
	invite, err := b.admission(a)
	if err != nil {
		return nil, err
	}
	if err := b.rooms(a); err != nil {
		return nil, err
	}
	return invite, b.share(a)
}

// rooms refuses when today is full, for all or for the country.
func (b *Books) rooms(a Applicant) error {
	if err := b.room(DayKey{Day: b.Today()}); err != nil {
		return err
	}
	return b.room(DayKey{b.Today(), a.Country})
}

// admission asks what the mode asks of a newcomer.
func (b *Books) admission(a Applicant) (*Invite, error) {
	switch b.State.Mode.Admission() {
	case AdmitAnyone:
		return nil, nil
	case AdmitInvited:
		return b.invitation(a)
	}
	for _, key := range a.AllowKeys {
		if b.Listed[key] {
			return nil, nil
		}
	}
	r := Refusal{Mode: b.State.Mode, Problem: "not on the allowlist"}
	msg := "this subject is not on the allowlist"
	if len(a.AllowKeys) == 0 {
		r.Problem, msg = "allowlist required", "the mode admits the allowlist only: send userId or email"
	}
	return nil, &fault.Error{Code: fault.LaunchModeRestricted, Op: opDecide, Msg: msg, Detail: r}
}

func (b *Books) invitation(a Applicant) (*Invite, error) {
	invite := b.inviteByHash[a.InviteHash]
	if a.InviteHash == "" {
		invite = b.inviteByID[b.Claims[a.EmailHash]]
		if a.EmailHash == "" || !invite.valid(a, b.Now) {
			return nil, &fault.Error{Code: fault.InviteCodeRequired, Op: opDecide, Msg: "the mode admits with an invite code: send inviteCode", Detail: Refusal{Mode: b.State.Mode}}
		}
	}
	if !invite.valid(a, b.Now) {
		return nil, invalidCode()
	}
	if invite.Used >= invite.MaxUses {
		return nil, fault.New(fault.InviteCodeDepleted, opDecide, "the invite code has no use left; ask for another one")
	}
	return invite, nil
}

// room refuses when the day of the key is full.
func (b *Books) room(key DayKey) error {
	limit, d := b.capOf(key), b.Days[key]
	if limit == unlimited || d == nil && limit > 0 || d != nil && d.Open+d.Confirmed < limit {
		return nil
	}
	r := Refusal{Mode: b.State.Mode, Country: key.Country, Limit: limit, Day: key.Day}
	if d != nil {
		r.Actual = d.Open + d.Confirmed
	}
	opens := b.State.Calendar.Ends(b.Now)
	r.OpensAt = &opens
	return &fault.Error{Code: fault.DailyLimitReached, Op: opDecide, Msg: "all signups of the day are taken; the next day opens at " + opens.Format(time.RFC3339), Detail: r}
}

// capOf is the cap of a counter: today's phase, and of another day the last
// that held on it.
func (b *Books) capOf(key DayKey) int64 {
	if key.Day == b.Today() {
		return b.State.Phase().CapOf(key.Country)
	}
	if d := b.Days[key]; d != nil {
		return d.Cap
	}
	return 0
}

// Held is the Detail of a refusal because one network or device holds its
// share of a day's open reservations.
type Held struct {
	Scope      string // "network" or "device"
	Limit      int64
	Actual     int64
	ResetAt    time.Time // when the first of them expires
	RetryAfter int64     // seconds, rounded up
}

// shareDivisor: open reservations of one holder may be 5 % of a cap.
const shareDivisor = 20

// share bounds how much of a day one /24 or /64, or one device, can hold
// open. At least one is always allowed.
func (b *Books) share(a Applicant) error {
	for _, who := range [...]struct{ scope, hash string }{{"network", a.Network}, {"device", a.Device}} {
		for _, country := range [...]string{"", a.Country} {
			limit := b.State.Phase().CapOf(country)
			h := b.Holders[HolderKey{who.hash, country}]
			if who.hash == "" || limit == unlimited || h == nil || h.Open < max(1, limit/shareDivisor) {
				continue
			}
			wait := max(1, int64((h.FirstEnds.Sub(b.Now)+time.Second-1)/time.Second))
			return &fault.Error{Code: fault.RateLimited, Op: opDecide, Msg: "this " + who.scope + " holds its share of the day's open reservations; confirm or release some",
				Detail: Held{Scope: who.scope, Limit: max(1, limit/shareDivisor), Actual: h.Open + 1, ResetAt: h.FirstEnds, RetryAfter: wait}}
		}
	}
	return nil
}

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
