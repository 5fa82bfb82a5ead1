package desired_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/landfall-edge/landfall/internal/desired"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
)

// TestGuardKeepsTheStateWhole walks random sequences of changes, sources that
// lose everything among them.
func TestGuardKeepsTheStateWhole(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { guardWalk(t, seed, 40) })
	}
}

// FuzzGuard is the same from any seed.
func FuzzGuard(f *testing.F) {
	f.Add(uint64(1 << 40))
	f.Fuzz(func(t *testing.T, seed uint64) { guardWalk(t, seed, 20) })
}

func guardWalk(t *testing.T, seed uint64, turns int) {
	t.Helper()
	w := newWorld(seed)
	prev := desired.Build(w.input())
	served, held, approved := prev.State, []plan.Removal(nil), []plan.Removal(nil)
	for turn := range turns {
		what := []string{w.change()}
		if w.IntN(5) == 0 {
			what = append(what, w.lose())
		}
		in := w.input()
		in.Prev, in.Serving = prev, served.Listeners
		prev = desired.Build(in)
		g := plan.Guarding{
			Have: served, Want: prev.State, Plan: plan.Diff(served, prev.State), SetAside: in.SetAside,
			Asked: in.Fragments[:2], Limits: plan.Limits{Share: 33, AtLeast: 1 + w.IntN(3)}, Held: held, Approved: approved,
		}
		out := plan.Guard(g)
		checkGuarded(t, g, out)
		if t.Failed() {
			t.Fatalf("turn %d, %v", turn, what)
		}
		served, held, approved = out.State, out.Held, out.Approved
		if w.IntN(6) == 0 {
			approved = held
		}
	}
}

// lose has a source lose all of a kind, or all but a few.
func (w *world) lose() string {
	f := &w.fragments[w.IntN(len(w.fragments))]
	switch w.IntN(4) {
	case 0:
		*f = model.Fragment{Source: f.Source}
		return f.Source + " lost everything"
	case 1:
		f.Parts = f.Parts[:min(len(f.Parts), 1)]
		return f.Source + " lost its parts"
	case 2:
		f.Backends, f.Probes = nil, nil
		return f.Source + " lost its backends"
	}
	f.Backends = slices.Clone(f.Backends)
	for i, b := range f.Backends {
		empty := *b
		empty.Endpoints = nil
		f.Backends[i] = &empty
	}
	return f.Source + " lost its endpoints"
}

func checkGuarded(t *testing.T, g plan.Guarding, out plan.Guarded) {
	t.Helper()
	checkState(t, out.State)
	checkClaims(t, out.State)
	if len(out.Held) == 0 && !sameState(out.State, g.Want) {
		t.Error("nothing is held, and it is not the wanted state")
	}
	// What is wanted is there, and differs at most by what it would have lost.
	for _, s := range plan.Diff(g.Want, out.State).Routes {
		if s.Verb == plan.Remove || s.Verb == plan.Change && len(s.Have.Backends) > 0 {
			t.Errorf("route %s is wanted otherwise", s.Have.Name)
		}
	}
	for _, s := range plan.Diff(g.Want, out.State).Backends {
		if s.Verb == plan.Remove || s.Verb == plan.Change && len(s.Have.Endpoints) > 0 {
			t.Errorf("backend %s is wanted otherwise", s.Have.Name)
		}
	}
	for _, s := range plan.Diff(g.Want, out.State).Listeners {
		if s.Verb != plan.Add {
			t.Errorf("listener %s is wanted otherwise", s.Have.Name)
		}
	}
	// What is held is served.
	for _, h := range out.Held {
		if h.Source == "home-2" {
			t.Errorf("%s is guarded", h.Source)
		}
		for _, name := range h.Routes {
			if !slices.ContainsFunc(out.State.Routes, func(r *model.Route) bool { return r.Name == name && len(r.Backends) > 0 }) {
				t.Errorf("route %s is held and does not lead anywhere", name)
			}
		}
		for _, name := range h.Backends {
			if !slices.ContainsFunc(out.State.Backends, func(b *model.Backend) bool { return b.Name == name && len(b.Endpoints) > 0 }) {
				t.Errorf("backend %s is held and has no endpoints", name)
			}
		}
	}
	// Approved, all of it goes. One that is not guarded always goes.
	g.Approved, g.Held = append(slices.Clone(out.Held), out.Approved...), nil
	if again := plan.Guard(g); !sameState(again.State, g.Want) {
		t.Errorf("approved, and held all the same: %s", cmp.Diff(g.Want, again.State, cmpOptions))
	}
	g.Asked, g.Approved = nil, nil
	if again := plan.Guard(g); !sameState(again.State, g.Want) {
		t.Error("not guarded, and held all the same")
	}
}

func sameState(a, b model.State) bool {
	return slices.Equal(a.Listeners, b.Listeners) && slices.Equal(a.Routes, b.Routes) &&
		slices.Equal(a.Backends, b.Backends) && slices.Equal(a.Probes, b.Probes)
}

// checkClaims wants no two routes with the same match, and no two listeners with
// the same port.
func checkClaims(t *testing.T, s model.State) {
	t.Helper()
	type match struct {
		listener string
		model.Match
	}
	matches := map[match]string{}
	for _, r := range s.Routes {
		m := match{r.Listener, r.Match}
		m.Path = max(m.Path, "/")
		if other := matches[m]; other != "" {
			t.Errorf("routes %s and %s match the same", other, r.Name)
		}
		matches[m] = r.Name
	}
	for i, a := range s.Listeners {
		for _, b := range s.Listeners[i+1:] {
			if a.Port == b.Port && (len(a.Addresses) == 0 || len(b.Addresses) == 0 || slices.ContainsFunc(a.Addresses, func(x netip.Addr) bool { return slices.Contains(b.Addresses, x) })) {
				t.Errorf("listeners %s and %s are on the same port", a.Name, b.Name)
			}
		}
	}
}
