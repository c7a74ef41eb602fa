package ratelimit

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"avalo.app/gantry/internal/fault"
)

// tightest fills the verdict from the rule that decides: of the refusing
// rules the one that passes last, else the one with the least remaining.
func (v *Verdict) tightest(sc *scratch) {
	best := 0
	for i := 1; i < sc.n; i++ {
		a, b := &sc.out[i], &sc.out[best]
		switch {
		case a.Allowed != b.Allowed:
			if !a.Allowed {
				best = i
			}
		case !a.Allowed:
			if a.RetryAt > b.RetryAt {
				best = i
			}
		case a.Remaining < b.Remaining, a.Remaining == b.Remaining && a.ResetAt > b.ResetAt:
			best = i
		}
	}
	o := &sc.out[best]
	v.fill(sc, best)
	v.Remaining, v.ResetAt = o.Remaining, o.ResetAt
	if !o.Allowed {
		v.ResetAt = o.RetryAt
	}
	if o.Blocked {
		v.block()
	}
}

func (v *Verdict) fill(sc *scratch, i int) {
	v.Limit, v.Scope, v.LimitName = sc.demands[i].Params.Limit, sc.rules[i].scope, sc.rules[i].name
}

// passing answers a request that is not counted.
func (v Verdict) passing(sc *scratch) Verdict {
	v.Allowed = true
	v.fill(sc, 0)
	v.Remaining, v.ResetAt = v.Limit, v.DecidedAt
	return v
}

// refuse answers a request that a blocking override refuses.
func (v *Verdict) refuse(sc *scratch, o Override) {
	v.fill(sc, 0)
	v.Scope = o.Dimension // whose block it is, and so who offends
	v.Allowed, v.Remaining = false, 0
	v.ResetAt = min(o.BlockUntil.UnixMicro(), o.ExpiresAt.UnixMicro())
	v.block()
}

// afterBlock returns the moment from which a request passes whose block ends
// at end: the rules still count what passed before the block.
func (s *Service) afterBlock(ctx context.Context, t *table, p *compiled, r *Request, sub Subject, sc *scratch, end time.Time) int64 {
	at := end.UnixMicro()
	if _, exempt := s.override(t, sub, p.Action, end); exempt { // a block would have been the later one
		return at
	}
	// No waiting helps a cost that the rules of then never pass, and counters
	// that fail say nothing: of both the block's end is all that is known.
	if s.demands(t, p, r, sub, sc, end) != nil {
		return at
	}
	if _, err := s.o.Counters.Peek(ctx, at, sc.demands[:sc.n], sc.out[:sc.n]); err != nil {
		return at
	}
	for _, o := range sc.out[:sc.n] {
		at = max(at, o.RetryAt)
	}
	return at
}

// block marks the verdict as refused by a penalty; shadow stays shadow.
func (v *Verdict) block() {
	if v.Mode == Enforced {
		v.Mode = Blocked
	}
}

// override returns the exemption or block in force for the subject; a block
// beats an exemption.
func (s *Service) override(t *table, sub Subject, action string, now time.Time) (found Override, ok bool) {
	if len(t.overrides) == 0 {
		return Override{}, false
	}
	s.each(t, sub, action, func(o Override) {
		switch {
		case !o.ExpiresAt.After(now):
		case o.BlockUntil.After(now):
			if !ok || found.Exempt || o.BlockUntil.After(found.BlockUntil) {
				found, ok = o, true
			}
		case o.Exempt && !ok:
			found, ok = o, true
		}
	})
	return found, ok
}

// scale applies the multipliers of the subject's overrides to one rule.
func (s *Service) scale(t *table, scope Scope, sub Subject, action string, p *Params, now time.Time) {
	s.each(t, sub, action, func(o Override) {
		if o.Multiplier != 0 && o.Dimension&scope != 0 && o.ExpiresAt.After(now) {
			p.Limit, p.Burst = scaled(p.Limit, o.Multiplier), scaled(p.Burst, o.Multiplier)
		}
	})
}

// each calls fn for every override of the subject, for its action or any.
func (s *Service) each(t *table, sub Subject, action string, fn func(Override)) {
	for _, d := range [...]Scope{User, IP, Device} {
		id := s.identity(d, sub)
		if id == "" {
			continue
		}
		for _, a := range [...]string{action, AnyAction} {
			if o, ok := t.overrides[overrideKey{d, id, a}]; ok {
				fn(o)
			}
		}
	}
}

// identity is how a subject's dimension is stored: the user id itself, a
// pseudonym for addresses and devices, "" when absent.
func (s *Service) identity(d Scope, sub Subject) string {
	switch {
	case d == User:
		return sub.User
	case d == IP && sub.IP != "":
		return s.o.Hasher.Pseudonym(IP, sub.IP)
	case d == Device && sub.Device != "":
		return s.o.Hasher.Pseudonym(Device, sub.Device)
	}
	return ""
}

func present(sub Subject) Scope {
	var have Scope
	if sub.User != "" {
		have |= User
	}
	if sub.IP != "" {
		have |= IP
	}
	if sub.Device != "" {
		have |= Device
	}
	return have
}

// normalize checks the subject's values and puts the address in the form
// that is counted.
func normalize(sub Subject) (Subject, error) {
	for _, f := range [...]struct{ name, value string }{{"user", sub.User}, {"device", sub.Device}} {
		if len(f.value) > MaxSubject {
			return sub, fault.Invalid("ratelimit.Check", fault.Field{Field: f.name, Limit: MaxSubject, Actual: len(f.value)},
				"%s must have at most %d bytes; it has %d", f.name, MaxSubject, len(f.value))
		}
		if !utf8.ValidString(f.value) || strings.IndexByte(f.value, 0) >= 0 {
			return sub, fault.Invalid("ratelimit.Check", fault.Field{Field: f.name, Problem: "not valid UTF-8 text"},
				"%s must be valid UTF-8 without NUL", f.name)
		}
	}
	if sub.IP == "" {
		return sub, nil
	}
	ip, ok := NormalizeIP(sub.IP)
	if !ok {
		return sub, fault.Invalid("ratelimit.Check", fault.Field{Field: "ip", Problem: "not an IP address"},
			"ip must be an IPv4 or IPv6 address, without a port")
	}
	sub.IP = ip
	return sub, nil
}

func (t *table) unknownAction(action string) error {
	known := t.actions()
	shown := action
	if len(shown) > 64 {
		shown = strings.ToValidUTF8(shown[:64], "") + "…"
	}
	return fault.Invalid("ratelimit.Check", fault.Field{Field: "action", Problem: "no such policy", Actual: shown, Allowed: known},
		"there is no policy for action %q; the known actions are %s", shown, strings.Join(known, ", "))
}

// noScope says which dimensions the policy needs when none of its rules
// applies to the subject.
func noScope(p *compiled, have Scope) error {
	var need []string
	for _, r := range p.rules {
		need = append(need, r.scope.String())
	}
	return fault.Invalid("ratelimit.Check", fault.Field{Field: "subject", Actual: have.String(), Allowed: slices.Compact(need)},
		"%s is limited per %s; the request gives %q", p.Action, strings.Join(need, ", "), have.String())
}
