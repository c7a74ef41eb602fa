package incident

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strconv"
	"time"
)

// State is where an incident is in its life.
type State string

// The states.
const (
	Open         State = "open"
	Acknowledged State = "acknowledged"
	Resolved     State = "resolved"
)

// Cause is what an incident is about: a rule's group and an object, never a
// node or an error text.
type Cause struct {
	Group  string `json:"group"`
	Object string `json:"object"`
}

// Incident is one cause from its first failure to the end of its last.
type Incident struct {
	ID  string // "inc-17"
	Seq int64  // of all incidents, in the order of opening
	Cause
	Rules   []string // that fail now and count, sorted; of a resolved one, those that did last
	Class   Class    // rises while it is open, never falls; set anew when it reopens
	State   State
	Summary string // for people, of the most urgent rule when the class was set

	OpenedAt   time.Time // first
	RaisedAt   time.Time // opened, reopened or risen: deadlines count from here
	FirstSent  time.Time // the first message since RaisedAt: escalation counts from here
	AckedAt    time.Time
	AckedBy    string // a principal
	ResolvedAt time.Time
	ResolvedBy string // a principal, or System
	Reopened   int    // how often

	Notices map[string]Notice // by receiver: what it was told last
	Notes   int               // updates in the timeline
	Version int64             // rises with every change
}

// System is who resolves an incident whose cause cleared.
const System = "system"

// Active reports whether it is not resolved.
func (i *Incident) Active() bool { return i.State != Resolved }

// Notice is what a receiver was told last.
type Notice struct {
	Action Action    `json:"action"`
	Class  Class     `json:"class"`
	At     time.Time `json:"at"`
}

// UpdateKind says what an update in the timeline is.
type UpdateKind string

// Kinds of updates.
const (
	NoteOpened       UpdateKind = "opened"
	NoteReopened     UpdateKind = "reopened"
	NoteRule         UpdateKind = "rule"  // another rule began to fail, or one ended
	NoteRaised       UpdateKind = "class" // the class rose
	NoteAcknowledged UpdateKind = "acknowledged"
	NoteEscalated    UpdateKind = "escalated"
	NoteSent         UpdateKind = "sent" // a message went into the outbox
	NoteResolved     UpdateKind = "resolved"
)

// Update is an entry of an incident's timeline.
type Update struct {
	Incident string
	N        int // from 1
	At       time.Time
	Kind     UpdateKind
	By       string // a principal, or System
	Text     string
}

// maxNotes bounds a timeline; only what people do is noted beyond.
const maxNotes = 500

// Condition is a failing fact, as one reporter states it.
type Condition struct {
	Rule, Object string
	Reporter     string // a node for local facts, "" for shared ones
	Value        string
	Since        time.Time // failing without a break
	SeenAt       time.Time // stated last
}

// Key returns what the condition is kept under.
func (c Condition) Key() ConditionKey { return ConditionKey{c.Rule, c.Object, c.Reporter} }

// ConditionKey names a condition.
type ConditionKey struct{ Rule, Object, Reporter string }

// DedupKey is the key under which receivers join all messages about an
// incident: the same on every node, at every attempt, at most 255 bytes.
// Incidents of StoreDown share one, since nodes page for it without the
// store that would number them.
func DedupKey(installation string, c Cause, seq int64) string {
	if c.Group == StoreDown {
		seq, c.Object = 0, ""
	}
	h := sha256.New()
	for _, s := range []string{installation, c.Group, c.Object} {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(s))))
		h.Write([]byte(s))
	}
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(seq)))
	return "gantry-" + hex.EncodeToString(h.Sum(nil))
}

func incidentID(seq int64) string { return "inc-" + strconv.FormatInt(seq, 10) }

// Silence keeps matching incidents from being sent until it ends. What is
// empty matches everything.
type Silence struct {
	ID           string
	Rule, Object string
	Class        Class
	Reason       string
	By           string
	CreatedAt    time.Time
	EndsAt       time.Time
}

// Matches reports whether the silence covers the rule, object and class now.
func (s Silence) Matches(rule, object string, c Class, now time.Time) bool {
	return now.Before(s.EndsAt) && (s.Rule == "" || s.Rule == rule) && (s.Object == "" || s.Object == object) && (s.Class == "" || s.Class == c)
}

// silenced reports whether every rule that fails is silenced, each for itself.
func (i *Incident) silenced(silences []Silence, now time.Time) bool {
	for _, r := range i.Rules {
		if !slices.ContainsFunc(silences, func(s Silence) bool { return s.Matches(r, i.Object, i.Class, now) }) {
			return false
		}
	}
	return len(i.Rules) > 0
}
