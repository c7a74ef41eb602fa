package launch

import "time"

// For tests of the rules on their own.
var (
	NormalCode = normalCode
	NewCode    = newCode
)

const Alphabet = alphabet

func (p Phase) Normal(blocked []string) (Phase, error)        { return p.normal(blocked) }
func (s Settings) Normal() (Settings, error)                  { return s.normal() }
func (s InviteSpec) Normal(now time.Time) (InviteSpec, error) { return s.normal(now) }
func (l Listed) Normal() (Listed, error)                      { return l.normal("value") }
func (a Application) Validate() error                         { return a.validate() }
func (h *Hasher) Code(typed string) string                    { return h.code(typed) }
func (h *Hasher) Network(ip string) string                    { return h.network(ip) }
func (h *Hasher) Applicant(a Application) Applicant           { return h.applicant(a, nil) }
func (h *Hasher) Located(a Application, c string) Applicant {
	return h.applicant(a, func(string) string { return c })
}
