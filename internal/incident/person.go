package incident

import (
	"time"

	"avalo.app/gantry/internal/fault"
)

// acknowledge is a person's promise to look after an open incident: the
// escalation ends.
func (b *Books) acknowledge(i *Incident, by, note string, r Routing, now time.Time) error {
	if i.State != Open {
		return stateConflict(i, "acknowledged")
	}
	i.State, i.AckedAt, i.AckedBy = Acknowledged, now, by
	b.note(i, now, NoteAcknowledged, by, note)
	b.send(i, r, now)
	return nil
}

// end resolves an incident by hand. If its cause still fails, the next
// evaluation reopens it.
func (b *Books) end(i *Incident, by, note string, r Routing, now time.Time) error {
	if !i.Active() {
		return stateConflict(i, "resolved")
	}
	b.resolve(i, by, note, now)
	b.send(i, r, now)
	return nil
}

func stateConflict(i *Incident, wanted string) error {
	return &fault.Error{Code: fault.Conflict, Op: "incident", Msg: "incident " + i.ID + " is " + string(i.State) + " and cannot be " + wanted + " from there: read it again",
		Detail: fault.Field{Field: "state", Problem: "state", Actual: i.State}}
}
