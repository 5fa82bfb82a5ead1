package kube

import "time"

// Bound sets how much of each kind is taken; before Run.
func (s *Source) Bound(objects, bytes int) {
	s.limit = room{objects: objects, bytes: bytes}
	for i := range s.bounds {
		s.bounds[i] = s.limit
	}
	s.refillEvery = 100 * time.Millisecond
}
