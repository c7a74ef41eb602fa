package launch

import (
	"time"

	"avalo.app/gantry/internal/fault"
)

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
