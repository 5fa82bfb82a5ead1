package registry

import (
	"slices"
	"time"

	"github.com/landfall-edge/landfall/internal/model"
)

// Superseded are the registrations that are overdue while a newer one of the same
// name has a port of theirs.
func (r *Registry) Superseded(now time.Time) []*Registration {
	var found []*Registration
	for _, o := range r.objects {
		if len(o.regs) < 2 {
			continue
		}
		for _, reg := range o.regs {
			if reg.Overdue(now) && o.succeeded(reg) {
				found = append(found, reg)
			}
		}
	}
	slices.SortFunc(found, func(a, b *Registration) int { return a.Compare(b.Key) })
	return found
}

// succeeded reports whether a newer registration, of another address, has a port
// of this one.
func (o *object) succeeded(old *Registration) bool {
	for _, reg := range o.regs {
		if reg.Address == old.Address || !reg.Gone.IsZero() || !reg.Added.After(old.Added) {
			continue
		}
		for _, p := range reg.Ports {
			if slices.ContainsFunc(old.Ports, func(q Port) bool { return p.sharesPlace(q) }) {
				return true
			}
		}
	}
	return false
}

func (p Port) sharesPlace(q Port) bool {
	if p.Protocol != q.Protocol || p.Front != q.Front {
		return false
	}
	return p.Protocol == model.TCP || slices.ContainsFunc(p.Hosts, func(h string) bool { return slices.Contains(q.Hosts, h) })
}
