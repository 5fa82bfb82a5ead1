package translate

import (
	"maps"
	"slices"
	"strings"
)

// sorted keeps values by name and hands them out as slices in the order of the
// names. A slice that was handed out never changes.
type sorted[T any] struct {
	entries []entry[T]
	pending map[string]*T // nil removes
	out     []*T
}

type entry[T any] struct {
	name  string
	value *T
}

func byName[T any](e entry[T], name string) int { return strings.Compare(e.name, name) }

// get returns the value of that name, nil if there is none.
func (s *sorted[T]) get(name string) *T {
	if v, ok := s.pending[name]; ok {
		return v
	}
	if i, ok := slices.BinarySearchFunc(s.entries, name, byName[T]); ok {
		return s.entries[i].value
	}
	return nil
}

// put adds or replaces a value; nil removes it.
func (s *sorted[T]) put(name string, value *T) {
	if s.get(name) == value {
		return
	}
	if s.pending == nil {
		s.pending = make(map[string]*T)
	}
	s.pending[name] = value
}

// slice hands out all values: the slice of the last call if nothing was put since.
func (s *sorted[T]) slice() []*T {
	if len(s.pending) == 0 {
		return s.out
	}
	s.merge()
	s.pending = nil
	s.out = nil
	if len(s.entries) > 0 {
		s.out = make([]*T, len(s.entries))
	}
	for i := range s.entries {
		s.out[i] = s.entries[i].value
	}
	return s.out
}

// merge brings the pending values in: replaced in place, or, where names come or
// go, by one walk over all.
func (s *sorted[T]) merge() {
	names := slices.Sorted(maps.Keys(s.pending))
	moved := false
	for _, name := range names {
		i, there := slices.BinarySearchFunc(s.entries, name, byName[T])
		if v := s.pending[name]; there && v != nil {
			s.entries[i].value = v
		} else if there || v != nil {
			moved = true
		}
	}
	if !moved {
		return
	}
	merged := make([]entry[T], 0, len(s.entries)+len(names))
	rest := s.entries
	for _, name := range names {
		i, there := slices.BinarySearchFunc(rest, name, byName[T])
		merged = append(merged, rest[:i]...)
		if v := s.pending[name]; v != nil {
			merged = append(merged, entry[T]{name, v})
		}
		if there {
			i++
		}
		rest = rest[i:]
	}
	s.entries = append(merged, rest...)
}
