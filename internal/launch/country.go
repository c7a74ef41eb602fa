package launch

import (
	"slices"
	"strings"

	"github.com/biter777/countries"
)

// ParseCountry returns the ISO 3166-1 alpha-2 code that s means: itself, an
// alpha-3 code, or a code that ISO reserves for a part of a country, such as
// UK or IC, the Canary Islands. Case does not matter. Kosovo's XK is known,
// though user-assigned, since address databases use it. Groups, withdrawn
// codes, codes of other standards and anything else are not countries.
func ParseCountry(s string) (string, bool) {
	if len(s) != 2 && len(s) != 3 || strings.Trim(s, letters) != "" {
		return "", false
	}
	s = strings.ToUpper(s)
	c := countries.ByName(s)
	switch {
	case c == countries.Unknown || c == countries.ANT || c == countries.YUG: // dissolved
		return "", false
	case c.Alpha2() == s, c.Alpha3() == s, slices.Contains(reserved(), s):
		return c.Alpha2(), len(c.Alpha2()) == 2
	}
	return "", false // the library knows names, too, and codes of the past
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// reserved are the exceptional reservations of ISO 3166-1 that mean one
// country of the present.
func reserved() []string { return []string{"CP", "EA", "IC", "TA", "UK"} }

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
