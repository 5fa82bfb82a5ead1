package desired

import "slices"

// marks counts who claims what, by hashes: what is marked once nobody contests.
// Two claims of the same hash by chance look contested, which costs a turn in
// full and changes no result. A change copies the buckets that it touches.
type marks struct {
	n       int
	buckets [][]uint64 // by the low bits
}

func newMarks(all []uint64) *marks {
	n := 1
	for n*64 < len(all) {
		n *= 2
	}
	sizes := make([]int, n)
	for _, h := range all {
		sizes[h&uint64(n-1)]++
	}
	m := &marks{len(all), make([][]uint64, n)}
	for i, size := range sizes {
		m.buckets[i] = make([]uint64, 0, size)
	}
	for _, h := range all {
		at := &m.buckets[h&uint64(n-1)]
		*at = append(*at, h)
	}
	return m
}

func (m *marks) count(h uint64) int {
	n := 0
	for _, one := range m.buckets[h&uint64(len(m.buckets)-1)] {
		if one == h {
			n++
		}
	}
	return n
}

// edit is the marks without some and with others.
func (m *marks) edit(gone, come []uint64) *marks {
	next := &marks{m.n - len(gone) + len(come), slices.Clone(m.buckets)}
	mask := uint64(len(m.buckets) - 1)
	for _, h := range gone {
		at := &next.buckets[h&mask]
		if i := slices.Index(*at, h); i >= 0 {
			*at = slices.Delete(slices.Clone(*at), i, i+1)
		}
	}
	for _, h := range come {
		at := &next.buckets[h&mask]
		*at = append(slices.Clone(*at), h)
	}
	if next.n > 256*len(next.buckets) {
		return newMarks(slices.Concat(next.buckets...))
	}
	return next
}

// alone reports whether every one of some is marked once.
func (m *marks) alone(some []uint64) bool {
	return !slices.ContainsFunc(some, func(h uint64) bool { return m.count(h) != 1 })
}
