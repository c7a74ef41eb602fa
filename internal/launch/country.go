package launch

import (
	"slices"
	"strings"

	"github.com/biter777/countries"
)

// ParseCountry returns the ISO 3166-1 alpha-2 code that s means: itself, an
// alpha-3 code, or a reserved alias such as UK. Case does not matter.
// Kosovo's XK is known, though user-assigned, since address databases use it.
// Groups, withdrawn codes and anything else are not countries.
func ParseCountry(s string) (string, bool) {
	s = strings.ToUpper(s)
	if len(s) != 2 && len(s) != 3 || strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return "", false
	}
	c := countries.ByName(s)
	switch {
	case c == countries.Unknown || len(c.Alpha2()) != 2:
		return "", false
	case len(s) == 3 && c.Alpha3() != s: // a name of three letters is no code
		return "", false
	case c == countries.ANT || c == countries.YUG: // dissolved
		return "", false
	}
	return c.Alpha2(), true
}

// The groups of countries that a phase may open. A group is written apart
// from countries: NA is also the code of Namibia.
const GroupAll = "ALL"

// groups are the members of each group but ALL. EU: the 27 member states
// (https://european-union.europa.eu, since 2020-02-01). EEA: they, Iceland,
// Liechtenstein and Norway. NA, North America: Canada, Mexico, the United
// States.
func groups() map[string][]string {
	eu := strings.Fields("AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK")
	return map[string][]string{
		"EU":  eu,
		"EEA": append(slices.Clone(eu), "IS", "LI", "NO"),
		"NA":  {"CA", "MX", "US"},
	}
}

// Groups returns the names of all groups, sorted.
func Groups() []string { return []string{GroupAll, "EEA", "EU", "NA"} }
