package launch

import (
	"context"
	"errors"
	"sync"
	"time"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/signal"
)

// The rate limit actions that signups are counted under.
const (
	ActionReserve = "SIGNUP_RESERVE" // reservations tried, per address and device
	ActionInvite  = "INVITE_INVALID" // wrong invite codes, per address, device and user
)

// Limiter counts attempts.
type Limiter interface {
	// Take charges one unit, or refuses with RATE_LIMITED. Who names neither
	// address, device nor user is not counted.
	Take(ctx context.Context, action string, a Application) error
	// Give gives the unit back.
	Give(ctx context.Context, action string, a Application)
}

// SignupOptions are what Signups stand on.
type SignupOptions struct {
	Store   SignupStore
	Control *Control
	Hasher  *Hasher
	Limits  Limiter
	// IPCountry returns the country of an address, "" if unknown. nil: no
	// database is configured.
	IPCountry func(ip string) string
	Signals   func(signal.Fact)
	Now       func() time.Time
	// Timeout bounds one transaction; 0: 3 s.
	Timeout time.Duration
}

// Signups takes reservations and answers who may sign up. It is safe for
// concurrent use. Steps that wait for the store at once share a transaction.
type Signups struct {
	o SignupOptions

	mu      sync.Mutex
	queue   []*pending
	running bool
	wanted  int            // steps that gather waits for
	enough  chan struct{}  // closed when they wait; nil: gather does not
	idle    sync.WaitGroup // of the runner, and of who waits for callers that have gone
	closed  chan struct{}
}

// NewSignups returns a service.
func NewSignups(o SignupOptions) *Signups {
	if o.Timeout == 0 {
		o.Timeout = 3 * time.Second
	}
	return &Signups{o: o, closed: make(chan struct{})}
}

// Verdict is the answer to an eligibility question.
type Verdict struct {
	Allowed bool
	// Err is the refusal if not Allowed.
	Err error
	// View is the state that it was decided on.
	View *View
}

// Eligible answers whether the applicant could reserve now, and changes
// nothing. Who is refused by the mode, the country or the day's cap is
// answered from memory, which is at most a second old; Reserve alone is
// exact. It fails with SERVICE_DEGRADED when it cannot be told, and with
// RATE_LIMITED after too many wrong codes.
func (s *Signups) Eligible(ctx context.Context, a Application) (Verdict, error) {
	if err := a.validate(); err != nil {
		return Verdict{}, err
	}
	applicant := s.o.Hasher.applicant(a, s.o.IPCountry)
	v, age := s.o.Control.View()
	if age <= staleAfter {
		if done, err := v.books(s.o.Now()).fromMemory(applicant); done {
			return Verdict{Allowed: err == nil, Err: err, View: v}, nil
		}
	}
	if err := s.guessing(ctx, a); err != nil {
		return Verdict{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	b, err := s.o.Store.SignupBooks(ctx, applicant)
	if err != nil {
		s.unguess(ctx, a, err)
		return Verdict{}, degraded(err)
	}
	err = b.Eligible(applicant)
	s.unguess(ctx, a, err)
	return Verdict{Allowed: err == nil, Err: err, View: v}, nil
}

// staleAfter is how old the state in memory may be to decide on. What is
// older is left to the store, which knows or does not answer.
const staleAfter = 5 * time.Second

// books are what a view knows without the store.
func (v *View) books(now time.Time) *Books {
	b := NewBooks(now, &v.State)
	for k, d := range v.Today {
		b.Days[k] = &d
	}
	return b
}

// fromMemory decides what needs no row of the applicant's: done says that it
// did.
func (b *Books) fromMemory(a Applicant) (done bool, err error) {
	if err := b.State.open(b.Now); err != nil {
		return true, err
	}
	if a.UserID != "" || a.EmailHash != "" {
		return false, nil // it may hold a reservation, or be listed
	}
	if err := b.State.admitsCountry(a); err != nil {
		return true, err
	}
	if a.InviteHash != "" && b.State.Mode.Admission() == AdmitInvited {
		return false, nil
	}
	if _, err := b.admission(a); err != nil {
		return true, err
	}
	if err := b.rooms(a); err != nil {
		return true, err
	}
	return a.Network == "" && a.Device == "", nil // else their share counts, too
}

// Eligible answers what a reservation would, and changes nothing.
func (b *Books) Eligible(a Applicant) error {
	if err := b.State.open(b.Now); err != nil {
		return err
	}
	if r := b.subject(a); r != nil && r.holds() {
		return b.standing(r, a)
	}
	_, err := b.decide(a)
	return err
}

// Reserve takes a slot for the applicant, or returns the reservation that it
// has: existing says so. It fails with the code of the first rule that
// refuses, and with SERVICE_DEGRADED when the store does not answer in time.
func (s *Signups) Reserve(ctx context.Context, a Application) (r Reservation, existing bool, err error) {
	if err := a.validate(); err != nil {
		return r, false, err
	}
	if a.UserID == "" && a.Email == "" {
		return r, false, fault.Invalid("launch.Reserve", fault.Field{Field: "userId", Problem: "missing"}, "send userId, email or both: a reservation belongs to somebody")
	}
	applicant := s.o.Hasher.applicant(a, s.o.IPCountry)
	charged, err := s.charge(ctx, a, applicant)
	if err != nil {
		return r, false, err
	}
	out, err := s.step(ctx, Op{Kind: OpReserve, Applicant: applicant})
	if charged {
		s.unguess(ctx, a, err)
		if err == nil && out.Existing {
			s.o.Limits.Give(ctx, ActionReserve, a) // a retry of the same signup
		}
	}
	return out.Reservation, out.Existing, err
}

// charge counts a try, or refuses it. Who holds a reservation already is not
// refused: it gets the same one, and nothing is charged.
func (s *Signups) charge(ctx context.Context, a Application, p Applicant) (charged bool, err error) {
	if err = s.o.Limits.Take(ctx, ActionReserve, a); err == nil {
		if err = s.guessing(ctx, a); err == nil {
			return true, nil
		}
	}
	if fault.CodeOf(err) != fault.RateLimited {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	b, lookErr := s.o.Store.SignupBooks(ctx, p)
	if lookErr != nil {
		return false, err // refused in any case
	}
	if r := b.subject(p); r == nil || !r.holds() {
		return false, err
	}
	return false, nil
}

// guessing charges a code before it is looked up, so that many guesses at
// once are counted; unguess gives it back if the code was none of wrong.
func (s *Signups) guessing(ctx context.Context, a Application) error {
	if normalCode(a.InviteCode) == "" {
		return nil
	}
	return s.o.Limits.Take(ctx, ActionInvite, a)
}

func (s *Signups) unguess(ctx context.Context, a Application, err error) {
	if normalCode(a.InviteCode) == "" || fault.CodeOf(err) == fault.InviteCodeInvalid && err != nil {
		return
	}
	s.o.Limits.Give(context.WithoutCancel(ctx), ActionInvite, a)
}

// Confirm makes a reservation final. Confirming again succeeds.
func (s *Signups) Confirm(ctx context.Context, id string) (Reservation, error) {
	return s.byID(ctx, OpConfirm, id)
}

// byID refuses what is no id before it reaches the steps of others: an
// engine may refuse a text, and with it the whole transaction.
func (s *Signups) byID(ctx context.Context, kind OpKind, id string) (Reservation, error) {
	if id == "" || plain(opDecide, "id", id, maxID) != nil {
		return Reservation{}, noReservation()
	}
	out, err := s.step(ctx, Op{Kind: kind, ID: id})
	return out.Reservation, err
}

// ConfirmSubject confirms by who signed up, for hooks that know no id.
func (s *Signups) ConfirmSubject(ctx context.Context, a Application) (Reservation, error) {
	return s.bySubject(ctx, Op{Kind: OpConfirm}, a)
}

// ConfirmKnown is ConfirmSubject for an event that accounts from before
// Gantry have, too: who never reserved is NOT_FOUND, and not listed.
func (s *Signups) ConfirmKnown(ctx context.Context, a Application) (Reservation, error) {
	return s.bySubject(ctx, Op{Kind: OpConfirm, Known: true}, a)
}

// Release gives a reservation's slot and invite use back.
func (s *Signups) Release(ctx context.Context, id string) (Reservation, error) {
	return s.byID(ctx, OpRelease, id)
}

// Withdraw is Release unless the reservation was answered more than once:
// another request of its subject may be making the account with it.
func (s *Signups) Withdraw(ctx context.Context, id string) (Reservation, error) {
	return s.byID(ctx, OpWithdraw, id)
}

// ReleaseSubject releases by who tried to sign up.
func (s *Signups) ReleaseSubject(ctx context.Context, a Application) (Reservation, error) {
	return s.bySubject(ctx, Op{Kind: OpRelease}, a)
}

func (s *Signups) bySubject(ctx context.Context, op Op, a Application) (Reservation, error) {
	if err := a.validate(); err != nil {
		return Reservation{}, err
	}
	if a.UserID == "" && a.Email == "" {
		return Reservation{}, fault.Invalid("launch.Signups", fault.Field{Field: "userId", Problem: "missing"}, "send userId, email or both")
	}
	op.Applicant = s.o.Hasher.applicant(a, nil)
	out, err := s.step(ctx, op)
	return out.Reservation, err
}

// Days returns every counter of a day; "" is today.
func (s *Signups) Days(ctx context.Context, day string) (string, map[DayKey]Day, error) {
	v, _ := s.o.Control.View()
	if day == "" {
		day = v.Calendar.Day(s.o.Now())
	} else if _, err := time.Parse(time.DateOnly, day); err != nil {
		return day, nil, fault.Invalid("launch.Days", fault.Field{Field: "day", Problem: "not a day", Actual: short(day)}, "day must be like 2026-11-24")
	}
	days, err := s.o.Store.SignupDays(ctx, day)
	return day, days, err
}

// List returns reservations, newest first.
func (s *Signups) List(ctx context.Context, f SignupFilter) ([]Reservation, error) {
	return s.o.Store.Signups(ctx, f)
}

// Drift compares the counters with the rows.
func (s *Signups) Drift(ctx context.Context) ([]Drift, error) { return s.o.Store.SignupDrift(ctx) }

// degraded keeps a refusal, and turns any failure of the store's into
// SERVICE_DEGRADED: signups fail closed.
func degraded(err error) error {
	var f *fault.Error
	if err == nil || errors.As(err, &f) && f.Code != fault.Internal {
		return err
	}
	return &fault.Error{Code: fault.ServiceDegraded, Op: opDecide, Err: err,
		Msg: "the signup cannot be decided now, so it is refused: repeat it in a moment; the same subject gets the same reservation"}
}
