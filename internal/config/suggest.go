package config

import "strings"

// suggest returns `; did you mean "X"?` for the name nearest to s, or a list
// of what there is when none is near.
func suggest(s string, names []string) string {
	best, bestAt := "", len(s)/3+2
	if len(s) <= 64 {
		for _, n := range names {
			if d := distance(strings.ToLower(s), strings.ToLower(n)); d < bestAt {
				best, bestAt = n, d
			}
		}
	}
	if best != "" {
		return `; did you mean "` + best + `"?`
	}
	if len(names) == 0 {
		return ""
	}
	return "; known here: " + strings.Join(names, ", ")
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// clip keeps an echoed name or value small and on one line.
func clip(s string) string {
	const most = 60
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
