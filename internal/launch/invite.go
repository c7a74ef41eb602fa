package launch

import (
	"crypto/rand"
	"fmt"
	"time"

	"avalo.app/gantry/internal/fault"
)

// Invite is a code's row; the code itself is shown once.
type Invite struct {
	ID        string
	Hash      string // keyed hash of the code
	Batch     string // of those made together
	MaxUses   int64
	Used      int64 // uses held by open and confirmed reservations
	Country   string
	EmailHash string
	Note      string
	CreatedBy string
	CreatedAt time.Time
	ExpiresAt time.Time // zero: never
	RevokedAt time.Time // zero: not revoked
}

// InviteSpec is what an admin chooses about new invites.
type InviteSpec struct {
	Count     int   // 1 to MaxInvites
	MaxUses   int64 // of each; 0: 1
	ExpiresAt time.Time
	Country   string // the code admits from this country only
	Email     string // the code admits this address only
	Note      string
}

// MaxInvites bounds what one call makes.
const MaxInvites = 1000

const maxUses = 1_000_000

func (s InviteSpec) normal(now time.Time) (InviteSpec, error) {
	const op = "launch.Invite"
	if s.Count < 1 || s.Count > MaxInvites {
		return s, fault.Invalid(op, fault.Field{Field: "count", Problem: "out of range", Limit: fmt.Sprintf("1..%d", MaxInvites), Actual: s.Count}, "count must be from 1 to %d", MaxInvites)
	}
	if s.MaxUses == 0 {
		s.MaxUses = 1
	}
	if s.MaxUses < 1 || s.MaxUses > maxUses {
		return s, fault.Invalid(op, fault.Field{Field: "maxUses", Problem: "out of range", Limit: fmt.Sprintf("1..%d", maxUses), Actual: s.MaxUses}, "maxUses must be from 1 to %d", maxUses)
	}
	if !s.ExpiresAt.IsZero() && !s.ExpiresAt.After(now) {
		return s, fault.Invalid(op, fault.Field{Field: "expiresAt", Problem: "past", Limit: now.UTC(), Actual: s.ExpiresAt.UTC()}, "expiresAt must be in the future, or absent")
	}
	var err error
	if s.Country != "" {
		if s.Country, err = country(op, "country", s.Country); err != nil {
			return s, err
		}
	}
	if s.Email != "" {
		if s.Email, err = CheckEmail(op, "email", s.Email); err != nil {
			return s, err
		}
	}
	return s, plain(op, "note", s.Note, maxNote)
}

// alphabet has no 0 O 1 I L.
const alphabet = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"

// codeLen gives 49.5 bits: at ten wrong guesses an hour from each of a
// million addresses, one of a thousand codes is found after some six years.
const codeLen = 10

// newCode returns a fresh code as people read it: XXXXX-XXXXX.
func newCode() string {
	out := make([]byte, 0, codeLen+1)
	var b [1]byte
	for n := 0; n < codeLen; {
		_, _ = rand.Read(b[:]) // never fails (crypto/rand)
		if int(b[0]) >= 256/len(alphabet)*len(alphabet) {
			continue // the remainder would favour the first letters
		}
		if n == codeLen/2 {
			out = append(out, '-')
		}
		out = append(out, alphabet[int(b[0])%len(alphabet)])
		n++
	}
	return string(out)
}

// valid reports whether the invite admits the applicant, uses aside. Why not
// is told to nobody: a guess must not learn that a code exists.
func (i *Invite) valid(a Applicant, now time.Time) bool {
	switch {
	case i == nil, !i.RevokedAt.IsZero():
		return false
	case !i.ExpiresAt.IsZero() && !now.Before(i.ExpiresAt):
		return false
	case i.Country != "" && i.Country != a.Country:
		return false
	}
	return i.EmailHash == "" || i.EmailHash == a.EmailHash
}

func invalidCode() error {
	return fault.New(fault.InviteCodeInvalid, opDecide, "the invite code is not valid; check it for typing errors or ask who sent it")
}
