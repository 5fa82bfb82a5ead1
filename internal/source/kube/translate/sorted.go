package translate

import (
	"maps"
	"slices"
)

// sorted keeps values by name and hands them out as slices in the order of the
// names. A slice that was handed out never changes.
type sorted[T any] struct {
	names   []string
	values  []*T          // beside names; handed out, so never written to
	pending map[string]*T // nil removes
}

// get returns the value of that name, nil if there is none.
func (s *sorted[T]) get(name string) *T {
	if v, ok := s.pending[name]; ok {
		return v
	}
	if i, ok := slices.BinarySearch(s.names, name); ok {
		return s.values[i]
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
		return s.values
	}
	if !s.replace() {
		s.merge()
	}
	s.pending = nil
	return s.values
}

// replace brings the pending values in where no name comes or goes, which is so
// for most changes.
func (s *sorted[T]) replace() bool {
	at := make(map[int]*T, len(s.pending))
	for name, v := range s.pending {
		i, there := slices.BinarySearch(s.names, name)
		if !there || v == nil {
			return false
		}
		at[i] = v
	}
	s.values = slices.Clone(s.values)
	for i, v := range at {
		s.values[i] = v
	}
	return true
}

// few is up to how many pending values each make room for themselves.
const few = 16

// merge brings the pending values in where names come or go. The names are nobody
// else's, so that few of them are moved in place.
func (s *sorted[T]) merge() {
	if len(s.pending) > few {
		s.mergeMany()
		return
	}
	s.values = append(make([]*T, 0, len(s.values)+len(s.pending)), s.values...)
	for name, v := range s.pending {
		i, there := slices.BinarySearch(s.names, name)
		switch {
		case there && v != nil:
			s.values[i] = v
		case there:
			s.names, s.values = slices.Delete(s.names, i, i+1), slices.Delete(s.values, i, i+1)
		case v != nil:
			s.names, s.values = slices.Insert(s.names, i, name), slices.Insert(s.values, i, v)
		}
	}
	if len(s.values) == 0 {
		s.values = nil // as if there had never been any
	}
}

// mergeMany does it by one walk over all.
func (s *sorted[T]) mergeMany() {
	size := len(s.names) + len(s.pending)
	names, values := make([]string, 0, size), make([]*T, 0, size)
	from := 0
	for _, name := range slices.Sorted(maps.Keys(s.pending)) {
		i, there := slices.BinarySearch(s.names[from:], name)
		names = append(names, s.names[from:from+i]...)
		values = append(values, s.values[from:from+i]...)
		from += i
		if there {
			from++
		}
		if v := s.pending[name]; v != nil {
			names, values = append(names, name), append(values, v)
		}
	}
	s.names, s.values = append(names, s.names[from:]...), append(values, s.values[from:]...)
	if len(s.values) == 0 {
		s.values = nil // as if there had never been any
	}
}
