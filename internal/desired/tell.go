package desired

import (
	"slices"

	"github.com/landfall-edge/landfall/internal/model"
)

// told is every finding of a turn, by where it comes from.
type told struct {
	fragments [][]model.Finding
	ofSources []keyed
	claims    []keyed
	backends  []keyed
	spots     []keyed
	probes    *probes
	all       []model.Finding
}

// tell joins the findings, or returns prev when none has changed.
func tell(in Input, m *memory, prev *told) *told {
	t := &told{claims: m.claims.findings, backends: m.backends.findings, probes: m.probes, spots: m.backends.spots()}
	fragments := prev != nil && len(prev.fragments) == len(in.Fragments)
	for i, f := range in.Fragments {
		fragments = fragments && slices.Equal(prev.fragments[i], f.Findings)
	}
	if fragments {
		t.fragments, t.ofSources = prev.fragments, prev.ofSources
		if same(prev.claims, t.claims) && prev.probes == t.probes &&
			slices.Equal(prev.backends, t.backends) && slices.Equal(prev.spots, t.spots) {
			return prev
		}
	} else {
		var all []model.Finding
		for _, f := range in.Fragments {
			t.fragments = append(t.fragments, slices.Clone(f.Findings))
			all = append(all, f.Findings...)
		}
		t.ofSources = sortFindings(all)
	}
	all := slices.Concat(t.ofSources, t.claims, t.backends, t.spots, t.probes.findings)
	for _, f := range compactSorted(sortRuns(all, compareKeyed)) {
		t.all = append(t.all, f.Finding)
	}
	return t
}
