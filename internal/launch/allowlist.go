package launch

import (
	"strings"
	"time"

	"avalo.app/gantry/internal/fault"
)

// ListKind is what an entry of the allowlist names.
type ListKind string

// The kinds.
const (
	ListUser   ListKind = "user"
	ListEmail  ListKind = "email"
	ListDomain ListKind = "domain" // of e-mail addresses, exactly
)

// Listed is an entry of the allowlist.
type Listed struct {
	ID      string
	Kind    ListKind
	Value   string // normalised
	Note    string
	AddedBy string
	AddedAt time.Time
}

// Key is what an applicant is looked up by.
func (l Listed) Key() string { return allowKey(l.Kind, l.Value) }

func allowKey(k ListKind, value string) string { return string(k) + ":" + value }

// normal returns the entry's value as it is compared.
func (l Listed) normal(field string) (Listed, error) {
	const op = "launch.Allow"
	var err error
	switch l.Kind {
	case ListUser:
		if l.Value == "" {
			return l, fault.Invalid(op, fault.Field{Field: field, Problem: "empty"}, "%s must be a user id", field)
		}
		err = plain(op, field, l.Value, MaxUserID)
	case ListEmail:
		l.Value, err = CheckEmail(op, field, l.Value)
	case ListDomain:
		l.Value = strings.TrimPrefix(NormalEmail(l.Value), "@")
		if strings.ContainsAny(l.Value, "@ /") || !strings.Contains(l.Value, ".") {
			return l, fault.Invalid(op, fault.Field{Field: field, Problem: "not a domain"}, "%s must be a domain such as example.com", field)
		}
		err = plain(op, field, l.Value, MaxEmail)
	default:
		return l, fault.Invalid(op, fault.Field{Field: field, Problem: "unknown kind", Actual: short(string(l.Kind)), Allowed: []string{"user", "email", "domain"}},
			"an entry's kind is user, email or domain")
	}
	if err == nil {
		err = plain(op, "note", l.Note, maxNote)
	}
	return l, err
}

// maxNote bounds free text that an admin adds to an entry, in bytes.
const maxNote = 500
