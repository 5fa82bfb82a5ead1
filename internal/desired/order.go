package desired

import (
	"cmp"
	"slices"
	"strings"

	"github.com/landfall-edge/landfall/internal/model"
)

// sortRuns sorts stably and makes use of stretches that are in order already:
// what Build sorts is a few sorted slices behind each other.
func sortRuns[T any](s []T, compare func(a, b T) int) []T {
	ends := runs(s, compare)
	if len(ends) <= 1 {
		return s
	}
	from, to := s, make([]T, len(s))
	for len(ends) > 1 {
		next := ends[:0]
		start := 0
		for i := 0; i < len(ends); i += 2 {
			end := ends[i]
			if i+1 == len(ends) {
				copy(to[start:end], from[start:end])
			} else {
				end = ends[i+1]
				mergeRuns(to[start:end], from[start:ends[i]], from[ends[i]:end], compare)
			}
			next = append(next, end)
			start = end
		}
		ends = next
		from, to = to, from
	}
	return from
}

// runs are the ends of the stretches that are in order.
func runs[T any](s []T, compare func(a, b T) int) []int {
	var ends []int
	for i := 1; i < len(s); i++ {
		if compare(s[i-1], s[i]) > 0 {
			ends = append(ends, i)
		}
	}
	if len(s) > 0 {
		ends = append(ends, len(s))
	}
	return ends
}

func mergeRuns[T any](to, a, b []T, compare func(a, b T) int) {
	for i := range to {
		if len(b) == 0 || len(a) > 0 && compare(a[0], b[0]) <= 0 {
			to[i], a = a[0], a[1:]
		} else {
			to[i], b = b[0], b[1:]
		}
	}
}

// before compares precedence: the order of the sources in the edge's file, then
// the age and the names of the objects.
func before(aSource int, a *model.Origin, bSource int, b *model.Origin) int {
	switch {
	case aSource != bSource:
		return cmp.Compare(aSource, bSource)
	case a.Older(*b):
		return -1
	case b.Older(*a):
		return 1
	}
	return 0
}

// appendKey is Origin.Key without an allocation.
func appendKey(to []byte, o *model.Origin) []byte {
	for _, s := range []string{o.Source, o.Kind, o.Namespace} {
		to = append(append(to, s...), '/')
	}
	return append(to, o.Name...)
}

// keyed is a Finding with its Origin's key, by which findings are sorted.
type keyed struct {
	key string
	model.Finding
}

func compareKeyed(a, b keyed) int {
	if c := strings.Compare(a.key, b.key); c != 0 {
		return c
	}
	if c := strings.Compare(a.Field, b.Field); c != 0 {
		return c
	}
	if c := strings.Compare(a.Reason, b.Reason); c != 0 {
		return c
	}
	if c := strings.Compare(a.Message, b.Message); c != 0 {
		return c
	}
	return strings.Compare(a.Accepted, b.Accepted)
}

func sortFindings(findings []model.Finding) []keyed {
	if len(findings) == 0 {
		return nil
	}
	all := make([]keyed, len(findings))
	for i, f := range findings {
		all[i] = keyed{f.Origin.Key(), f}
	}
	return sortRuns(all, compareKeyed)
}

// compactSorted drops what is there twice.
func compactSorted(sorted []keyed) []keyed {
	return slices.CompactFunc(sorted, func(a, b keyed) bool { return compareKeyed(a, b) == 0 })
}
