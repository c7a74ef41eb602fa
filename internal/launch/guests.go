package launch

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
)

// GuestOptions are what Guests stand on.
type GuestOptions struct {
	Store interface {
		GuestStore
		AllowStore
		WaitStore
	}
	Signups *Signups
	Hasher  *Hasher
	Limits  Limiter
	Now     func() time.Time
	// StoreTimeout bounds each call of Store; 0: 3 s. Past it the answer is
	// SERVICE_DEGRADED.
	StoreTimeout time.Duration
}

// Guests are the people named beforehand: by an invite, on the allowlist, on
// the waitlist. It is safe for concurrent use.
type Guests struct{ o GuestOptions }

// NewGuests returns a service.
func NewGuests(o GuestOptions) *Guests {
	o.StoreTimeout = cmp.Or(o.StoreTimeout, storeTimeout)
	return &Guests{o}
}

// change is inTime for what returns nothing.
func (g *Guests) change(ctx context.Context, call func(context.Context) error) error {
	_, err := inTime(ctx, g.o.StoreTimeout, func(ctx context.Context) (struct{}, error) { return struct{}{}, call(ctx) })
	return err
}

// NewInvite is an invite with its code, which cannot be had again.
type NewInvite struct {
	Invite
	Code  string
	Email string // that it is bound to, for who sends it
}

// Invite makes invites.
func (g *Guests) Invite(ctx context.Context, spec InviteSpec, by Actor) ([]NewInvite, error) {
	now := g.o.Now().UTC().Truncate(time.Microsecond)
	spec, err := spec.normal(now)
	if err != nil {
		return nil, err
	}
	batch := "inv_" + newID()
	out, rows := make([]NewInvite, spec.Count), make([]Invite, spec.Count)
	for i := range out {
		out[i] = g.mint(spec, batch, by, now)
		rows[i] = out[i].Invite
	}
	e := audit.Entry{Kind: audit.InvitesCreated, Actor: by.ID, Object: "invites:" + batch, After: inviteFacts(spec, spec.Count)}
	return out, g.change(ctx, func(ctx context.Context) error { return g.o.Store.CreateInvites(ctx, rows, e) })
}

func (g *Guests) mint(spec InviteSpec, batch string, by Actor, now time.Time) NewInvite {
	code := newCode()
	return NewInvite{Code: code, Email: spec.Email, Invite: Invite{ID: newID(), Hash: g.o.Hasher.code(code), Batch: batch, MaxUses: spec.MaxUses,
		Country: spec.Country, EmailHash: g.o.Hasher.email(spec.Email), Note: spec.Note, CreatedBy: by.ID, CreatedAt: now,
		ExpiresAt: spec.ExpiresAt.UTC().Truncate(time.Microsecond)}}
}

// inviteFacts are invites in the audit log: no code, no address.
func inviteFacts(s InviteSpec, n int) map[string]any {
	f := map[string]any{"count": n, "maxUses": s.MaxUses, "country": s.Country, "bound": s.Email != ""}
	if !s.ExpiresAt.IsZero() {
		f["expiresAt"] = s.ExpiresAt.UTC()
	}
	return f
}

// Revoke ends the invites of an id or of a batch, and returns how many.
func (g *Guests) Revoke(ctx context.Context, id string, by Actor, reason string) (int64, error) {
	if err := plain("launch.Revoke", "reason", reason, 4*MaxReason); err != nil {
		return 0, err
	}
	n, err := inTime(ctx, g.o.StoreTimeout, func(ctx context.Context) (int64, error) {
		return g.o.Store.RevokeInvites(ctx, id, g.o.Now().UTC(), audit.Entry{Kind: audit.InvitesRevoked, Actor: by.ID, Object: "invites:" + short(id), Reason: reason})
	})
	if err == nil && n == 0 {
		err = fault.New(fault.NotFound, "launch.Revoke", "there is no invite or batch with that id that is not revoked already; list them with GET /v1/invites")
	}
	return n, err
}

// Invites returns invites, newest first; of one batch, or with "" of all.
func (g *Guests) Invites(ctx context.Context, batch string, limit int) ([]Invite, error) {
	return inTime(ctx, g.o.StoreTimeout, func(ctx context.Context) ([]Invite, error) { return g.o.Store.Invites(ctx, batch, limit) })
}

// Claim lets the application's e-mail address sign up with its code later,
// where the signup itself cannot carry one. It takes no use of the code.
func (g *Guests) Claim(ctx context.Context, a Application) error {
	if err := a.validate(); err != nil {
		return err
	}
	for _, f := range [...]struct{ name, value string }{{"inviteCode", a.InviteCode}, {"email", a.Email}} {
		if f.value == "" {
			return fault.Invalid("launch.Claim", fault.Field{Field: f.name, Problem: "missing"}, "%s is missing: a claim joins a code and an e-mail address", f.name)
		}
	}
	p := g.o.Hasher.applicant(a, nil)
	if err := g.o.Signups.guessing(ctx, a); err != nil {
		return err
	}
	now := g.o.Now().UTC()
	valid := func(i *Invite) error {
		if i != nil && p.Country == "" {
			p.Country = i.Country // the country is judged when it is used
		}
		if !i.valid(p, now) {
			return invalidCode()
		}
		return nil
	}
	err := g.change(ctx, func(ctx context.Context) error {
		return g.o.Store.ClaimInvite(ctx, g.o.Hasher.code(a.InviteCode), p.EmailHash, now, valid)
	})
	g.o.Signups.unguess(ctx, a, err)
	return err
}

// maxEntries bounds what one call adds to the allowlist.
const maxEntries = 1000

// Allow adds entries to the allowlist and returns how many are new.
func (g *Guests) Allow(ctx context.Context, ls []Listed, by Actor) (int64, error) {
	const op = "launch.Allow"
	if len(ls) < 1 || len(ls) > maxEntries {
		return 0, fault.Invalid(op, fault.Field{Field: "entries", Problem: "out of range", Limit: fmt.Sprintf("1..%d", maxEntries), Actual: len(ls)}, "send from 1 to %d entries", maxEntries)
	}
	now, batch := g.o.Now().UTC().Truncate(time.Microsecond), newID()
	kinds := map[ListKind]int{}
	for i, l := range ls {
		l, err := l.normal(fmt.Sprintf("entries[%d].value", i))
		if err != nil {
			return 0, err
		}
		l.ID, l.AddedBy, l.AddedAt = "alw_"+newID(), by.ID, now
		ls[i] = l
		kinds[l.Kind]++
	}
	return inTime(ctx, g.o.StoreTimeout, func(ctx context.Context) (int64, error) {
		return g.o.Store.Allow(ctx, ls, audit.Entry{Kind: audit.AllowlistAdded, Actor: by.ID, Object: "allowlist:" + batch, After: kinds})
	})
}

// Disallow removes an entry.
func (g *Guests) Disallow(ctx context.Context, id string, by Actor, reason string) error {
	if err := plain("launch.Disallow", "reason", reason, 4*MaxReason); err != nil {
		return err
	}
	return g.change(ctx, func(ctx context.Context) error {
		return g.o.Store.Disallow(ctx, id, audit.Entry{Kind: audit.AllowlistRemoved, Actor: by.ID, Object: "allowlist:" + short(id), Reason: reason})
	})
}

// Allowlist returns entries in the order of their ids.
func (g *Guests) Allowlist(ctx context.Context, after string, limit int) ([]Listed, error) {
	return inTime(ctx, g.o.StoreTimeout, func(ctx context.Context) ([]Listed, error) { return g.o.Store.Allowlist(ctx, after, limit) })
}

// ActionWaitlist is what joining the waitlist is counted under.
const ActionWaitlist = "WAITLIST_JOIN"

// Join puts the application's e-mail address on the waitlist, if its signup
// would be refused now. Joining again returns the place that it has.
func (g *Guests) Join(ctx context.Context, a Application) (Waiting, error) {
	const op = "launch.Join"
	if a.Email == "" {
		return Waiting{}, fault.Invalid(op, fault.Field{Field: "email", Problem: "missing"}, "email is missing: it is where the invite will go")
	}
	if err := g.o.Limits.Take(ctx, ActionWaitlist, a); err != nil {
		return Waiting{}, err
	}
	v, err := g.o.Signups.Eligible(ctx, a)
	if err != nil {
		return Waiting{}, err
	}
	country, ok := ParseCountry(strings.TrimSpace(a.Country))
	code := fault.CodeOf(v.Err)
	switch {
	case v.Allowed:
		return Waiting{}, fault.New(fault.Conflict, op, "signup is open to this applicant: reserve instead of waiting")
	case !ok, code == fault.SystemMaintenance, code == fault.RateLimited, code == fault.Conflict:
		return Waiting{}, v.Err // waiting would not help
	}
	w := Waiting{ID: "wait_" + newID(), Email: NormalEmail(a.Email), Country: country, Refused: string(code), JoinedAt: g.o.Now().UTC().Truncate(time.Microsecond)}
	return inTime(ctx, g.o.StoreTimeout, func(ctx context.Context) (Waiting, error) { return g.o.Store.JoinWaitlist(ctx, w) })
}

// Waitlist returns entries in the order of joining, from one country or with
// "" from all.
func (g *Guests) Waitlist(ctx context.Context, invited bool, from string, limit int) ([]Waiting, error) {
	if from != "" {
		var err error
		if from, err = country("launch.Waitlist", "country", from); err != nil {
			return nil, err
		}
	}
	return inTime(ctx, g.o.StoreTimeout, func(ctx context.Context) ([]Waiting, error) { return g.o.Store.Waitlist(ctx, invited, from, limit) })
}

// InviteWaiting makes an invite for each of the next spec.Count entries,
// bound to its address. The codes cannot be had again: revoking the batch
// lets those who have not used theirs wait on at their old places.
func (g *Guests) InviteWaiting(ctx context.Context, spec InviteSpec, by Actor) ([]NewInvite, error) {
	now := g.o.Now().UTC().Truncate(time.Microsecond)
	spec.MaxUses, spec.Email = 1, ""
	spec, err := spec.normal(now)
	if err != nil {
		return nil, err
	}
	batch := "inv_" + newID()
	made := map[string]NewInvite{} // by entry: a store that retries makes them again
	entry := func(n int) audit.Entry {
		facts := inviteFacts(spec, n)
		facts["bound"], facts["waitlist"] = true, true
		return audit.Entry{Kind: audit.InvitesCreated, Actor: by.ID, Object: "invites:" + batch, After: facts}
	}
	invite := func(w Waiting) Invite {
		one := spec
		one.Email, one.Country = w.Email, ""
		made[w.ID] = g.mint(one, batch, by, now)
		return made[w.ID].Invite
	}
	ws, err := inTime(ctx, g.o.StoreTimeout, func(ctx context.Context) ([]Waiting, error) {
		return g.o.Store.InviteWaiting(ctx, spec.Country, spec.Count, now, invite, entry)
	})
	out := make([]NewInvite, len(ws))
	for i, w := range ws {
		out[i] = made[w.ID]
	}
	return out, err
}

// Leave removes an entry from the waitlist.
func (g *Guests) Leave(ctx context.Context, id string) error {
	return g.change(ctx, func(ctx context.Context) error { return g.o.Store.LeaveWaitlist(ctx, id) })
}
