package plan

import (
	"slices"
	"strings"

	"github.com/landfall-edge/landfall/internal/model"
)

// Diff is what turns have into want. Both are sorted by name, as a State is. An
// empty slice and a nil one are the same.
func Diff(have, want model.State) Plan {
	return Plan{
		Listeners: diff(have.Listeners, want.Listeners, func(l *model.Listener) string { return l.Name }, equalListener),
		Routes:    diff(have.Routes, want.Routes, func(r *model.Route) string { return r.Name }, equalRoute),
		Backends:  diff(have.Backends, want.Backends, func(b *model.Backend) string { return b.Name }, equalBackend),
		Probes:    diff(have.Probes, want.Probes, func(p *model.Probe) string { return p.Name }, equalProbe),
	}
}

// diff walks both slices at once. Names are compared only where the pointers
// differ, so that an unchanged stretch costs one comparison per object.
func diff[T any](have, want []*T, name func(*T) string, equal func(a, b *T) bool) []Step[T] {
	var steps []Step[T]
	i, j := 0, 0
	for i < len(have) && j < len(want) {
		h, w := have[i], want[j]
		if h == w {
			i, j = i+1, j+1
			continue
		}
		switch c := strings.Compare(name(h), name(w)); {
		case c < 0:
			steps = append(steps, Step[T]{Verb: Remove, Have: h})
			i++
		case c > 0:
			steps = append(steps, Step[T]{Verb: Add, Want: w})
			j++
		default:
			if !equal(h, w) {
				steps = append(steps, Step[T]{Verb: Change, Have: h, Want: w})
			}
			i, j = i+1, j+1
		}
	}
	for ; i < len(have); i++ {
		steps = append(steps, Step[T]{Verb: Remove, Have: have[i]})
	}
	for ; j < len(want); j++ {
		steps = append(steps, Step[T]{Verb: Add, Want: want[j]})
	}
	return steps
}

func equalOrigin(a, b model.Origin) bool {
	return a.Source == b.Source && a.Kind == b.Kind && a.Namespace == b.Namespace &&
		a.Name == b.Name && a.Created.Equal(b.Created)
}

func equalListener(a, b *model.Listener) bool {
	return a.Name == b.Name && equalOrigin(a.Origin, b.Origin) && a.VIP == b.VIP &&
		a.Port == b.Port && a.Protocol == b.Protocol &&
		slices.Equal(a.Addresses, b.Addresses) && slices.Equal(a.SourceRanges, b.SourceRanges)
}

func equalRoute(a, b *model.Route) bool {
	return a.Name == b.Name && equalOrigin(a.Origin, b.Origin) && a.Listener == b.Listener &&
		a.VIP == b.VIP && a.Protocol == b.Protocol && a.Match == b.Match && a.Rank == b.Rank && a.Limit == b.Limit && slices.Equal(a.Backends, b.Backends)
}

func equalBackend(a, b *model.Backend) bool {
	return equalOptions(a, b) && slices.Equal(a.Endpoints, b.Endpoints)
}

// equalOptions compares all of a backend but its endpoints.
func equalOptions(a, b *model.Backend) bool {
	return a.Name == b.Name && equalOrigin(a.Origin, b.Origin) && a.Protocol == b.Protocol &&
		a.Balance == b.Balance && a.Affinity == b.Affinity && a.SendProxy == b.SendProxy &&
		equalCheck(a.Check, b.Check)
}

func equalCheck(a, b *model.Check) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

func equalProbe(a, b *model.Probe) bool {
	return a.Name == b.Name && equalOrigin(a.Origin, b.Origin) && a.Address == b.Address &&
		a.Port == b.Port && a.Path == b.Path && a.Assumed == b.Assumed
}
