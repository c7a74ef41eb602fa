package api

import (
	"slices"
	"strconv"
	"strings"
)

// maxAcceptLanguage bounds how much of a header is looked at, in bytes.
const maxAcceptLanguage = 512

// MatchLanguage returns the supported language that an Accept-Language
// header (RFC 9110 section 12.5.4) likes best, by q-value and then by order;
// "en" when it likes none of them, or is not valid.
func MatchLanguage(header string) string {
	if header == "" {
		return "en"
	}
	if len(header) > maxAcceptLanguage {
		header = header[:maxAcceptLanguage]
	}
	best, bestQ := "en", 0.0
	for item := range strings.SplitSeq(header, ",") {
		tag, params, _ := strings.Cut(item, ";")
		q, ok := quality(params)
		if !ok || q <= bestQ {
			continue
		}
		lang := strings.ToLower(strings.TrimSpace(tag))
		if lang == "*" {
			lang = "en"
		}
		lang, _, _ = strings.Cut(lang, "-")
		if slices.Contains(Languages(), lang) {
			best, bestQ = lang, q
		}
	}
	return best
}

// quality reads "q=0.5"; no parameter is 1.
func quality(params string) (float64, bool) {
	params = strings.TrimSpace(params)
	if params == "" {
		return 1, true
	}
	v, ok := strings.CutPrefix(strings.ToLower(params), "q=")
	if !ok {
		return 0, false
	}
	q, err := strconv.ParseFloat(v, 64)
	return q, err == nil && q >= 0 && q <= 1
}
