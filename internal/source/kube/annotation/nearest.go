package annotation

import "strings"

// nearest is the word of known that s may have been meant to be, or "".
func nearest(s string, known []string) string {
	const longest = 64
	if len(s) > longest {
		return ""
	}
	folded := strings.ToLower(strings.NewReplacer("_", "-").Replace(s))
	best, least := "", min(4, len(s)/2+1)
	for _, k := range known {
		if d := distance(folded, k); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance is how many single characters must be added, removed or replaced to
// make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			above := row[j+1]
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			row[j+1] = min(cost, above+1, row[j]+1)
			diagonal = above
		}
	}
	return row[len(b)]
}
