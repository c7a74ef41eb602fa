package launch_test

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/language"

	"avalo.app/gantry/internal/launch"
)

const upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// TestCountriesAreISO compares all codes of two letters with those of CLDR.
func TestCountriesAreISO(t *testing.T) {
	aliases := map[string]string{"UK": "GB", "CP": "FR", "EA": "ES", "IC": "ES", "TA": "SH"}
	n := 0
	for _, a := range upper {
		for _, b := range upper {
			s := string(a) + string(b)
			want := ""
			// CLDR knows some that are reserved or withdrawn by their own code, too.
			r, err := language.ParseRegion(s)
			if err == nil && r.IsCountry() && r.String() == s && r.Canonicalize() == r && !strings.Contains("AC AN CP CQ CS DG EA EZ FQ IC NT PC SU TA UN YU", s) {
				want = s
			}
			if alias, ok := aliases[s]; ok {
				want = alias
			}
			got, ok := launch.ParseCountry(s)
			if got != want || ok != (want != "") {
				t.Errorf("%s: got %q, want %q", s, got, want)
			}
			if ok && got == s {
				n++
			}
		}
	}
	if n != 249+1 { // those of ISO 3166-1, and XK
		t.Errorf("%d countries", n)
	}
}

func TestAlpha3(t *testing.T) {
	n := 0
	for _, a := range upper {
		for _, b := range upper {
			for _, c := range upper {
				s := string(a) + string(b) + string(c)
				got, ok := launch.ParseCountry(s)
				if !ok {
					continue
				}
				n++
				if r, err := language.ParseRegion(s); s != "XKX" && (err != nil || r.String() != got) {
					t.Errorf("%s: got %q, want %v %v", s, got, r, err)
				}
			}
		}
	}
	if n != 249+1 {
		t.Errorf("%d codes of three letters", n)
	}
}

func TestParseCountry(t *testing.T) {
	for in, want := range map[string]string{
		"PL": "PL", "pl": "PL", "pL": "PL", "POL": "PL", "pol": "PL", "UK": "GB", "uk": "GB", "GB": "GB", "GBR": "GB",
		"NA": "NA", "NAM": "NA", "XK": "XK", "ROU": "RO", "COD": "CD", "TLS": "TL",
		"EU": "", "EEA": "", "ALL": "", "UN": "", "EZ": "", "XX": "", "ZZ": "", "QO": "", "AA": "", "XI": "",
		"AN": "", "ANT": "", "YU": "", "YUG": "", "CS": "", "SCG": "", "SU": "", "DD": "", "BU": "", "ZR": "", "ZAR": "", "TP": "", "FX": "", "ROM": "", // withdrawn
		"SF": "", "RC": "", "JA": "", "DY": "", "WL": "", // number plates
		"": "", "P": "", "POLAND": "", "Poland": "", "PL ": "", " PL": "", "P1": "", "48": "", "616": "", "P\x00": "", "PŁ": "", "Ł": "", "P-": "",
		"ıT": "", "eſ": "", // letters that become others in upper case
		"ПЛ": "", "UKR": "UA", strings.Repeat("PL", 1000): "",
	} {
		if got, ok := launch.ParseCountry(in); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestGroups(t *testing.T) {
	for _, tt := range []struct {
		group, in, out string
	}{
		{"EU", "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK", "GB CH NO IS LI UA TR RS US NA"},
		{"EEA", "PL DE IS LI NO", "GB CH US"},
		{"NA", "CA MX US", "NA PL GB GT"}, // Namibia is a country
	} {
		list, all := launch.Phase{Groups: []string{tt.group}}.Allowed(nil)
		if all {
			t.Errorf("%s is all", tt.group)
		}
		for _, c := range strings.Fields(tt.in) {
			if !slices.Contains(list, c) {
				t.Errorf("%s lacks %s", tt.group, c)
			}
		}
		for _, c := range strings.Fields(tt.out) {
			if slices.Contains(list, c) {
				t.Errorf("%s has %s", tt.group, c)
			}
		}
		for _, c := range list {
			if got, ok := launch.ParseCountry(c); !ok || got != c {
				t.Errorf("%s has %s, which is no country", tt.group, c)
			}
		}
	}
	if eu, _ := (launch.Phase{Groups: []string{"EU"}}).Allowed(nil); len(eu) != 27 {
		t.Errorf("EU has %d members", len(eu))
	}
	list, all := launch.Phase{Countries: []string{"NA"}, Groups: []string{"NA"}}.Allowed([]string{"US"})
	if all || strings.Join(list, " ") != "CA MX NA" {
		t.Errorf("both meanings of NA, US blocked: %v", list)
	}
	if list, all := (launch.Phase{Groups: []string{"ALL", "EU"}}).Allowed(nil); !all || list != nil {
		t.Errorf("ALL: %v %v", list, all)
	}
}
