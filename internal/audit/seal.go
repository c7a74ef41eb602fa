package audit

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"avalo.app/gantry/internal/fault"
)

const (
	// SaltSize is the length of a commitment's salt in bytes. It is fixed, so
	// that salt and private part cannot be cut apart in two ways.
	SaltSize = 32
	// MaxPrivate bounds the private part in bytes, so that a page of them
	// fits in memory when the log is verified.
	MaxPrivate = 256 << 10

	leafVersion = 1
	maxKind     = 64

	// commitDomain keeps a commitment from being a valid hash of anything
	// else in the system.
	commitDomain = "avalo.app/gantry/audit/commitment/v1\x00"
)

// Salt hides a private part behind its commitment: without it, a short
// private part could be guessed from the public leaf.
type Salt [SaltSize]byte

// Leaf is the public part of an entry, and all that the Merkle tree covers.
type Leaf struct {
	Kind       Kind
	At         time.Time // to the microsecond, UTC
	Commitment [sha256.Size]byte
}

// leafJSON is the canonical form: these members in this order, no spaces.
type leafJSON struct {
	V          int    `json:"v"`
	Kind       Kind   `json:"kind"`
	At         int64  `json:"at"` // Unix microseconds
	Commitment string `json:"commitment"`
}

// Private is an entry's private part as stored beside the leaf.
type Private struct {
	Actor  string          `json:"actor"`
	Object string          `json:"object"`
	Reason string          `json:"reason,omitempty"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// Seal turns an entry into its leaf and its private part, both canonical
// JSON. The leaf carries nothing of the entry but its kind: no personal
// datum and no free text. Salt must come fresh from crypto/rand.
//
// It refuses a kind that is not in Kinds and a private part over MaxPrivate.
func Seal(e Entry, at time.Time, salt Salt) (leaf, private []byte, err error) {
	if !slices.Contains(Kinds(), e.Kind) {
		return nil, nil, fmt.Errorf("audit: kind %q is not in audit.Kinds", e.Kind)
	}
	p := Private{Actor: e.Actor, Object: e.Object, Reason: e.Reason}
	if p.Before, err = canonical(e.Before); err != nil {
		return nil, nil, fmt.Errorf("audit: state before %s: %w", e.Kind, err)
	}
	if p.After, err = canonical(e.After); err != nil {
		return nil, nil, fmt.Errorf("audit: state after %s: %w", e.Kind, err)
	}
	if private, err = json.Marshal(p); err != nil {
		return nil, nil, fmt.Errorf("audit: %s: %w", e.Kind, err)
	}
	if len(private) > MaxPrivate {
		return nil, nil, fault.Invalid("audit.Seal", fault.Field{Limit: MaxPrivate, Actual: len(private)},
			"the change is too large to be recorded; make it in smaller steps")
	}
	l := Leaf{Kind: e.Kind, At: at.UTC().Truncate(time.Microsecond), Commitment: Commit(salt, private)}
	return l.Marshal(), private, nil
}

// canonical returns v as JSON with sorted keys, nil for nil. A struct whose
// fields are reordered later still gives the same text.
func canonical(v any) (json.RawMessage, error) {
	if v == nil {
		return nil, nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber() // a float64 would round large integers
	var plain any
	if err := dec.Decode(&plain); err != nil {
		return nil, err
	}
	return json.Marshal(plain)
}

// Commit returns SHA-256 over the domain, the salt and the private part.
func Commit(salt Salt, private []byte) [sha256.Size]byte {
	h := sha256.New()
	h.Write([]byte(commitDomain))
	h.Write(salt[:])
	h.Write(private)
	return [sha256.Size]byte(h.Sum(nil))
}

// Marshal returns the canonical JSON of the leaf.
func (l Leaf) Marshal() []byte {
	b, err := json.Marshal(leafJSON{
		V: leafVersion, Kind: l.Kind, At: l.At.UnixMicro(),
		Commitment: base64.StdEncoding.EncodeToString(l.Commitment[:]),
	})
	if err != nil {
		panic("audit: a leaf of strings and integers does not marshal: " + err.Error())
	}
	return b
}

// Opens reports whether the salt and private part are those committed to.
func (l Leaf) Opens(salt Salt, private []byte) bool {
	c := Commit(salt, private)
	return subtle.ConstantTimeCompare(c[:], l.Commitment[:]) == 1
}

// kindForm is what a kind looks like: area, dot, event. It leaves no room
// for free text in a leaf.
var kindForm = regexp.MustCompile(`^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$`)

// Valid reports whether k has the form of a kind. A newer gantry may have
// written kinds that are not in this one's Kinds.
func (k Kind) Valid() bool { return len(k) <= maxKind && kindForm.MatchString(string(k)) }

// ParseLeaf is the inverse of Marshal. It accepts only the canonical form,
// so that every leaf has exactly one encoding.
func ParseLeaf(data []byte) (Leaf, error) {
	var j leafJSON
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&j); err != nil {
		return Leaf{}, fmt.Errorf("audit: leaf is not JSON of the known form: %w", err)
	}
	if j.V != leafVersion {
		return Leaf{}, fmt.Errorf("audit: leaf has version %d, this gantry knows %d: use a newer gantry", j.V, leafVersion)
	}
	if !j.Kind.Valid() {
		return Leaf{}, errors.New("audit: leaf has a malformed kind")
	}
	c, err := base64.StdEncoding.Strict().DecodeString(j.Commitment)
	if err != nil || len(c) != sha256.Size {
		return Leaf{}, errors.New("audit: leaf has a malformed commitment")
	}
	l := Leaf{Kind: j.Kind, At: time.UnixMicro(j.At).UTC(), Commitment: [sha256.Size]byte(c)}
	if !bytes.Equal(l.Marshal(), data) {
		return Leaf{}, errors.New("audit: leaf is not in canonical form")
	}
	return l, nil
}

// ParsePrivate reads a private part. Its bytes, not its meaning, are what
// the commitment covers.
func ParsePrivate(data []byte) (Private, error) {
	var p Private
	if err := json.Unmarshal(data, &p); err != nil {
		return Private{}, fmt.Errorf("audit: private part: %w", err)
	}
	return p, nil
}
