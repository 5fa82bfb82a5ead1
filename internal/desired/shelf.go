package desired

import (
	"slices"
	"strings"
)

// shelf is what one source handed in, and what was made of each object. It lies
// in pieces of about pieceSize, so that a change copies one piece and the turn
// before keeps its own.
type shelf[T, R any] struct {
	source string
	n      int
	sorted bool // strictly, by key: only then can a shelf be followed
	pieces []piece[T, R]
}

type piece[T, R any] struct {
	in []*T
	of []R // of each in, or in an order of its own if the shelf is not sorted
}

const pieceSize = 128

func newShelf[T, R any](source string, in []*T, of []R, sorted bool) *shelf[T, R] {
	s := &shelf[T, R]{source: source, n: len(in), sorted: sorted}
	s.pieces = cut(s.pieces, slices.Clone(in), of)
	return s
}

func cut[T, R any](to []piece[T, R], in []*T, of []R) []piece[T, R] {
	for len(in) > 0 {
		n := min(pieceSize, len(in))
		to = append(to, piece[T, R]{in[:n:n], of[:n:n]})
		in, of = in[n:], of[n:]
	}
	return to
}

// holds reports whether the source handed in the same pointers.
func (s *shelf[T, R]) holds(source string, in []*T) bool {
	if source != s.source || len(in) != s.n {
		return false
	}
	for _, p := range s.pieces {
		if !slices.Equal(in[:len(p.in)], p.in) {
			return false
		}
		in = in[len(p.in):]
	}
	return true
}

// flat is everything in one piece.
func (s *shelf[T, R]) flat() (in []*T, of []R) {
	in, of = make([]*T, 0, s.n), make([]R, 0, s.n)
	for _, p := range s.pieces {
		in, of = append(in, p.in...), append(of, p.of...)
	}
	return in, of
}

// follower is what a change of a shelf calls: put for an object that came or is a
// new pointer (then had), gone for one that went.
type follower[T, R any] struct {
	key  func(*T) string
	put  func(in *T, before R, had bool) R
	gone func(in *T, before R)
}

// follow is the shelf after a change. It returns nil when it cannot be followed:
// the objects are not in order, or the pieces have become too small.
func (s *shelf[T, R]) follow(source string, now []*T, do follower[T, R]) *shelf[T, R] {
	if s.holds(source, now) {
		return s
	}
	if !s.sorted || source != s.source || len(s.pieces) == 0 || len(s.pieces) > 8+4*s.n/pieceSize {
		return nil
	}
	next := &shelf[T, R]{source: source, n: len(now), sorted: true, pieces: make([]piece[T, R], 0, len(s.pieces)+1)}
	after := ""
	for i, p := range s.pieces {
		if len(now) >= len(p.in) && slices.Equal(now[:len(p.in)], p.in) {
			next.pieces, now = append(next.pieces, p), now[len(p.in):]
		} else {
			changed, left, ok := p.follow(now, after, i == len(s.pieces)-1, do)
			if !ok {
				return nil
			}
			now = left
			if len(changed.in) <= 2*pieceSize && len(changed.in) > 0 {
				next.pieces = append(next.pieces, changed)
			} else {
				next.pieces = cut(next.pieces, changed.in, changed.of)
			}
		}
		after = do.key(p.in[len(p.in)-1])
	}
	if len(now) > 0 {
		return nil
	}
	return next
}

// follow takes what belongs into the piece off the front of now: all up to the
// piece's last key, or all there is.
func (p piece[T, R]) follow(now []*T, after string, all bool, do follower[T, R]) (next piece[T, R], left []*T, ok bool) {
	limit := do.key(p.in[len(p.in)-1])
	next = piece[T, R]{make([]*T, 0, len(p.in)+1), make([]R, 0, len(p.in)+1)}
	i := 0
	for len(now) > 0 {
		in := now[0]
		key := do.key(in)
		if !all && key > limit {
			break
		}
		if key <= after {
			return next, nil, false
		}
		for ; i < len(p.in) && do.key(p.in[i]) < key; i++ {
			do.gone(p.in[i], p.of[i])
		}
		of := *new(R)
		switch {
		case i < len(p.in) && p.in[i] == in:
			of = p.of[i]
			i++
		case i < len(p.in) && do.key(p.in[i]) == key:
			of = do.put(in, p.of[i], true)
			i++
		default:
			of = do.put(in, of, false)
		}
		next.in, next.of = append(next.in, in), append(next.of, of)
		now, after = now[1:], key
	}
	for ; i < len(p.in); i++ {
		do.gone(p.in[i], p.of[i])
	}
	return next, now, true
}

// find returns where a key is in a sorted shelf.
func (s *shelf[T, R]) find(key string, of func(*T) string) (n, i int, ok bool) {
	n, _ = slices.BinarySearchFunc(s.pieces, key, func(p piece[T, R], key string) int {
		return strings.Compare(of(p.in[len(p.in)-1]), key)
	})
	if n == len(s.pieces) {
		return 0, 0, false
	}
	i, ok = slices.BinarySearchFunc(s.pieces[n].in, key, func(in *T, key string) int {
		return strings.Compare(of(in), key)
	})
	return n, i, ok
}

// with is the shelf with one other value.
func (s *shelf[T, R]) with(n, i int, of R) *shelf[T, R] {
	next := *s
	next.pieces = slices.Clone(s.pieces)
	next.pieces[n].of = slices.Clone(s.pieces[n].of)
	next.pieces[n].of[i] = of
	return &next
}

// splice is the sorted slice without some and with others; all of them sorted.
// What is gone and comes again as it is stays. It is not ok when something gone
// is not there, or when something has come that is there already.
func splice[T comparable](all, gone, come []T, compare func(a, b T) int) (next []T, ok bool) {
	if slices.Equal(gone, come) {
		return all, true
	}
	next = make([]T, 0, len(all)-len(gone)+len(come))
	for len(gone)+len(come) > 0 {
		leave := len(come) == 0 || len(gone) > 0 && compare(gone[0], come[0]) <= 0
		from := come
		if leave {
			from = gone
		}
		one := from[0]
		at, found := slices.BinarySearchFunc(all, one, compare)
		next = append(next, all[:at]...)
		all = all[at:]
		switch {
		case leave && !found:
			return nil, false
		case leave:
			all, gone = all[1:], gone[1:]
		case found || len(next) > 0 && compare(next[len(next)-1], one) >= 0:
			return nil, false
		default:
			next, come = append(next, one), come[1:]
		}
	}
	return append(next, all...), true
}
