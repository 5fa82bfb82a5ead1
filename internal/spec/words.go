package spec

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxQuoted is how much of a file's own text a message repeats.
const maxQuoted = 80

// quote shows text of the file in a message, on one line whatever it holds.
func quote(s string) string {
	return strconv.Quote(cut(s))
}

// short is quote without the quotes, for words that need none.
func short(s string) string {
	if strings.IndexFunc(s, func(c rune) bool { return !unicode.IsPrint(c) || c == utf8.RuneError }) >= 0 {
		return quote(s)
	}
	return cut(s)
}

func cut(s string) string {
	if len(s) <= maxQuoted {
		return s
	}
	return strings.ToValidUTF8(s[:maxQuoted], "") + "..."
}

// didYouMean names the word that was probably meant, as the tail of a message.
func didYouMean(word string, words []string) string {
	if len(word) > maxQuoted {
		return ""
	}
	best, nearest := "", 0
	for _, w := range words {
		d := distance(strings.ToLower(word), strings.ToLower(w))
		if d <= max(1, len(w)/3) && (best == "" || d < nearest) {
			best, nearest = w, d
		}
	}
	if best == "" {
		return ""
	}
	return " (did you mean " + strconv.Quote(best) + "?)"
}

// distance counts the letters to add, drop, replace, or swap with their
// neighbour, that lie between a and b.
func distance(a, b string) int {
	before, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
