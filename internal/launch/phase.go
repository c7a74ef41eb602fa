package launch

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"avalo.app/gantry/internal/fault"
)

// Phase is what may be tuned about a mode while it lasts. Prices, tokens and
// revenue shares are no part of it, and never will be.
type Phase struct {
	Countries []string `json:"countries"` // ISO 3166-1 alpha-2
	Groups    []string `json:"groups"`    // see Groups
	// DailyCap bounds the signups of one day; nil: unlimited.
	DailyCap *int64 `json:"dailyCap"`
	// CountryCaps bound the signups of one day from one country, within
	// DailyCap.
	CountryCaps map[string]int64 `json:"countryCaps,omitempty"`
}

// MaxCap bounds a cap: more than the world has people.
const MaxCap = 10_000_000_000

// DefaultPhase is the phase of a mode that nobody has tuned; the figures are
// those of pack-100.md.
func DefaultPhase(m Mode) Phase {
	capped := func(n int64) *int64 { return &n }
	switch m {
	case ClosedBeta:
		return Phase{Countries: strings.Fields("DE ES FR GB PL"), DailyCap: capped(500)}
	case SoftLaunch:
		return Phase{Countries: strings.Fields("AT BE CH DE ES FR GB IT NL PL"), DailyCap: capped(2000)}
	case GlobalLaunch:
		return Phase{Groups: []string{GroupAll}}
	}
	return Phase{Groups: []string{GroupAll}, DailyCap: capped(50)}
}

// normal returns p with codes normalised and sorted, or why it cannot be in
// force. A phase that would admit nobody is refused: maintenance is the way
// to close signups.
func (p Phase) normal(blocked []string) (Phase, error) {
	const op = "launch.Phase"
	out := Phase{Countries: []string{}, Groups: []string{}, DailyCap: p.DailyCap}
	for i, c := range p.Countries {
		code, err := country(op, fmt.Sprintf("countries[%d]", i), c)
		if err != nil {
			return p, err
		}
		if slices.Contains(blocked, code) {
			return p, fault.Invalid(op, fault.Field{Field: fmt.Sprintf("countries[%d]", i), Problem: "blocked", Actual: code},
				"%s is on the list of blocked countries: unblock it first (PUT /v1/launch/settings), or leave it out", code)
		}
		out.Countries = append(out.Countries, code)
	}
	for i, g := range p.Groups {
		g = strings.ToUpper(strings.TrimSpace(g))
		if !slices.Contains(Groups(), g) {
			return p, fault.Invalid(op, fault.Field{Field: fmt.Sprintf("groups[%d]", i), Problem: "unknown", Actual: short(g), Allowed: Groups()},
				"there is no such group of countries")
		}
		out.Groups = append(out.Groups, g)
	}
	out.Countries, out.Groups = sortedSet(out.Countries), sortedSet(out.Groups)
	if len(out.Countries)+len(out.Groups) == 0 {
		return p, fault.Invalid(op, fault.Field{Field: "countries", Problem: "empty", Limit: 1, Actual: 0},
			`name at least one country or group; groups ["ALL"] opens every country. To close signups, use maintenance`)
	}
	if list, all := out.Allowed(blocked); !all && len(list) == 0 {
		return p, fault.Invalid(op, fault.Field{Field: "groups", Problem: "blocked", Limit: 1, Actual: 0},
			"every country of the groups is on the list of blocked countries: unblock one first (PUT /v1/launch/settings), or name others. To close signups, use maintenance")
	}
	if p.DailyCap != nil {
		if err := checkCap(op, "dailyCap", *p.DailyCap); err != nil {
			return p, err
		}
	}
	return out.withCountryCaps(p.CountryCaps)
}

func (p Phase) withCountryCaps(caps map[string]int64) (Phase, error) {
	const op = "launch.Phase"
	for _, c := range slices.Sorted(maps.Keys(caps)) {
		field := "countryCaps." + short(c)
		code, err := country(op, field, c)
		if err != nil {
			return p, err
		}
		if err := checkCap(op, field, caps[c]); err != nil {
			return p, err
		}
		if !p.names(code) {
			return p, fault.Invalid(op, fault.Field{Field: field, Problem: "not open", Actual: code}, "%s has a cap and is not open in this phase", code)
		}
		if p.CountryCaps == nil {
			p.CountryCaps = map[string]int64{}
		}
		if _, twice := p.CountryCaps[code]; twice {
			return p, fault.Invalid(op, fault.Field{Field: field, Problem: "twice", Actual: code}, "%s has two caps", code)
		}
		p.CountryCaps[code] = caps[c]
	}
	return p, nil
}

func checkCap(op, field string, n int64) error {
	if n < 1 || n > MaxCap {
		return fault.Invalid(op, fault.Field{Field: field, Problem: "out of range", Limit: "1.." + fmt.Sprint(int64(MaxCap)), Actual: n},
			"%s must be from 1 to %d, or absent for no cap; to close signups, use maintenance", field, int64(MaxCap))
	}
	return nil
}

// names reports whether the phase names the country, itself or by a group.
func (p Phase) names(country string) bool {
	if slices.Contains(p.Countries, country) || slices.Contains(p.Groups, GroupAll) {
		return true
	}
	for _, g := range p.Groups {
		if slices.Contains(groups()[g], country) {
			return true
		}
	}
	return false
}

// CapOf returns the cap of a day, for one country or, with "", for all; -1
// is unlimited.
func (p Phase) CapOf(country string) int64 {
	if country == "" {
		if p.DailyCap == nil {
			return unlimited
		}
		return *p.DailyCap
	}
	if n, ok := p.CountryCaps[country]; ok {
		return n
	}
	return unlimited
}

const unlimited = -1

// Allowed returns the countries that the phase opens, sorted and without the
// blocked ones; all says that every other country is open too.
func (p Phase) Allowed(blocked []string) (countries []string, all bool) {
	if slices.Contains(p.Groups, GroupAll) {
		return nil, true
	}
	out := slices.Clone(p.Countries)
	for _, g := range p.Groups {
		out = append(out, groups()[g]...)
	}
	out = slices.DeleteFunc(out, func(c string) bool { return slices.Contains(blocked, c) })
	return sortedSet(out), false
}

func country(op, field, s string) (string, error) {
	code, ok := ParseCountry(s)
	if !ok {
		return "", fault.Invalid(op, fault.Field{Field: field, Problem: "unknown", Actual: short(s)},
			"%s is not an ISO 3166-1 country code such as PL (groups such as EU stand in groups)", field)
	}
	return code, nil
}

func sortedSet(s []string) []string {
	slices.Sort(s)
	return slices.Compact(s)
}

// short keeps an echoed value small: what was sent may be huge.
func short(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}
