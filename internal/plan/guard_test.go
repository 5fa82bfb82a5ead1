package plan_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
)

// site is what a source with n Ingresses and as many Services asks for, and what
// is served of it. The Services from the n-th on have ports of their own.
func site(source string, http, tcp int) (f model.Fragment, s model.State) {
	f.Source = source
	node := &model.Probe{Name: source + "/n1", Origin: model.Origin{Source: source, Kind: "Node", Name: "n1"}, Address: netip.MustParseAddr("10.0.0.1"), Port: 10256, Path: "/healthz"}
	f.Probes = []*model.Probe{node}
	if http > 0 {
		s.Listeners = append(s.Listeners, &model.Listener{Name: "main/http", VIP: "main", Port: 80, Protocol: model.HTTP})
	}
	for i := range http + tcp {
		o := model.Origin{Source: source, Kind: "Ingress", Namespace: "web", Name: fmt.Sprintf("shop-%03d", i)}
		p := &model.Part{Origin: o}
		r := &model.Route{Origin: o, Listener: "main/http", Match: model.Match{Host: o.Name + ".test", Path: "/"}}
		r.Name = source + "/web/" + o.Name + "/" + o.Name + ".test/"
		if i >= http {
			r.Name = fmt.Sprintf("%s/web/%s/%d", source, o.Name, 9000+i)
			r.Listener, r.Match = r.Name, model.Match{}
			p.Listeners = []*model.Listener{{Name: r.Name, Origin: o, VIP: "main", Port: uint16(9000 + i), Protocol: model.TCP}}
		}
		b := &model.Backend{
			Name: source + "/web/" + o.Name + "/80", Origin: o, Protocol: model.HTTP,
			Endpoints: []model.Endpoint{{Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 80), Probe: node.Name}},
		}
		r.Backends = []model.WeightedBackend{{Name: b.Name, Weight: 1}}
		p.Routes = []*model.Route{r}
		f.Parts, f.Backends = append(f.Parts, p), append(f.Backends, b)
	}
	return f, follow(s, f)
}

// follow is what is served of a fragment, in the simplest of worlds.
func follow(s model.State, f model.Fragment) model.State {
	used := map[string]bool{}
	for _, p := range f.Parts {
		s.Listeners = append(s.Listeners, p.Listeners...)
		s.Routes = append(s.Routes, p.Routes...)
		used[p.Routes[0].Backends[0].Name] = true
	}
	for _, b := range f.Backends {
		if used[b.Name] {
			s.Backends = append(s.Backends, b)
		}
	}
	if len(s.Backends) > 0 {
		s.Probes = f.Probes
	}
	slices.SortFunc(s.Routes, func(a, b *model.Route) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Listeners, func(a, b *model.Listener) int { return strings.Compare(a.Name, b.Name) })
	return s
}

func guard(have, want model.State, asked ...model.Fragment) plan.Guarding {
	return plan.Guarding{Have: have, Want: want, Plan: plan.Diff(have, want), Asked: asked, Limits: plan.Limits{Share: 33, AtLeast: 10}}
}

// text is what is held, in short.
func text(held []plan.Removal) string {
	var all []string
	for _, h := range held {
		all = append(all, fmt.Sprintf("%s: %d of %d routes, %d of %d backends", h.Source, len(h.Routes), h.AllRoutes, len(h.Backends), h.AllBackends))
	}
	return strings.Join(all, "; ")
}

// without is what is left when the first n objects are gone.
func without(f model.Fragment, s model.State, n int) (model.Fragment, model.State) {
	f.Parts, f.Backends = f.Parts[n:], f.Backends[n:]
	return f, follow(model.State{Listeners: s.Listeners[:1]}, f)
}

func TestGuardBySize(t *testing.T) {
	tests := []struct {
		of, gone int
		want     string
	}{
		{20, 1, ""},
		{9, 9, ""},
		{100, 5, ""},
		{100, 33, ""},
		{100, 34, "home: 34 of 100 routes, 0 of 100 backends"},
		{20, 12, "home: 12 of 20 routes, 0 of 20 backends"},
		{10, 10, "home: 10 of 10 routes, 0 of 10 backends"},
		{30, 9, ""},
		{30, 10, "home: 10 of 30 routes, 0 of 30 backends"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%d of %d", tt.gone, tt.of), func(t *testing.T) {
			f, have := site("home", tt.of, 0)
			f, want := without(f, have, tt.gone)
			out := plan.Guard(guard(have, want, f))
			if got := text(out.Held); got != tt.want {
				t.Errorf("held %q, want %q", got, tt.want)
			}
			if tt.want == "" && !same(out.State, want) {
				t.Error("nothing is held, and it is not the wanted state")
			}
			if tt.want != "" && !plan.Diff(have, out.State).Empty() {
				t.Errorf("it changes what is served:\n%s", plan.Diff(have, out.State))
			}
			g := guard(have, want, f)
			g.Limits.Share = 100
			if got := plan.Guard(g); len(got.Held) > 0 || !same(got.State, want) {
				t.Errorf("turned off, it holds %s", text(got.Held))
			}
		})
	}
}

// same reports whether both are the same slices.
func same(a, b model.State) bool {
	return slices.Equal(a.Listeners, b.Listeners) && slices.Equal(a.Routes, b.Routes) &&
		slices.Equal(a.Backends, b.Backends) && slices.Equal(a.Probes, b.Probes)
}

// The rest of a turn goes live: new routes, endpoints, other sources.
func TestGuardLetsTheRestLive(t *testing.T) {
	f, have := site("home", 20, 0)
	f, want := without(f, have, 15)
	moved := *want.Backends[0]
	moved.Endpoints = []model.Endpoint{{Address: netip.MustParseAddrPort("10.9.9.9:80")}}
	want.Backends[0] = &moved
	added, _ := site("other", 0, 1)
	want = follow(want, added)
	out := plan.Guard(guard(have, want, f))
	p := plan.Diff(have, out.State).String()
	if text(out.Held) != "home: 15 of 20 routes, 0 of 20 backends" || !strings.Contains(p, "10.9.9.9:80") || !strings.Contains(p, "other/web/shop-000") || strings.Contains(p, "remove") {
		t.Errorf("held %s, and the plan is\n%s", text(out.Held), p)
	}
}

// With everything gone, listeners, backends and probes stay as well.
func TestGuardHoldsWholeSource(t *testing.T) {
	_, have := site("home", 10, 10)
	out := plan.Guard(guard(have, model.State{}, model.Fragment{Source: "home"}))
	if !same(have, out.State) || text(out.Held) != "home: 20 of 20 routes, 0 of 20 backends" {
		t.Errorf("held %s; the plan is\n%s", text(out.Held), plan.Diff(have, out.State))
	}
	if want := []string{"web/shop-000 (shop-000.test/)", "web/shop-001 (shop-001.test/)", "web/shop-002 (shop-002.test/)"}; !slices.Equal(out.Held[0].Examples, want) {
		t.Errorf("examples %q", out.Held[0].Examples)
	}
}

func TestGuardHoldsEndpoints(t *testing.T) {
	f, have := site("home", 20, 0)
	want := have
	want.Backends = nil
	for i, b := range have.Backends {
		changed := *b
		changed.Balance = "leastconn"
		if i < 12 {
			changed.Endpoints = nil
		}
		want.Backends = append(want.Backends, &changed)
	}
	want.Probes = nil
	f.Backends = want.Backends
	g := guard(have, want, f)
	out := plan.Guard(g)
	if text(out.Held) != "home: 0 of 20 routes, 12 of 20 backends" || !slices.Equal(out.State.Probes, have.Probes) {
		t.Fatalf("held %s, probes %v", text(out.Held), out.State.Probes)
	}
	for i, b := range out.State.Backends {
		if len(b.Endpoints) != 1 || b.Balance != "leastconn" {
			t.Errorf("backend %d has %d endpoints and balance %q", i, len(b.Endpoints), b.Balance)
		}
	}
	// One that drains was told to go.
	for i := range g.Have.Backends[:12] {
		drains := *g.Have.Backends[i]
		drains.Endpoints = []model.Endpoint{{Address: drains.Endpoints[0].Address, Draining: true}}
		g.Have.Backends[i] = &drains
	}
	g.Plan = plan.Diff(g.Have, g.Want)
	if out := plan.Guard(g); len(out.Held) > 0 {
		t.Errorf("held %s of what drained", text(out.Held))
	}
}

// One backend that many routes lead to is as much as they are.
func TestGuardCountsRoutesBehindABackend(t *testing.T) {
	for _, tt := range []struct {
		of, behind int
		want       string
	}{{9, 9, ""}, {20, 6, ""}, {100, 33, ""}, {15, 15, "home: 0 of 15 routes, 1 of 1 backends"}, {30, 12, "home: 0 of 30 routes, 1 of 19 backends"}} {
		t.Run(fmt.Sprintf("%d of %d", tt.behind, tt.of), func(t *testing.T) {
			f, have := site("home", tt.of, 0)
			shared, used := f.Backends[0], f.Backends[tt.behind:]
			for i, r := range have.Routes[:tt.behind] {
				other := *r
				other.Backends = []model.WeightedBackend{{Name: shared.Name, Weight: 1}}
				have.Routes[i] = &other
				f.Parts[i] = &model.Part{Origin: r.Origin, Routes: []*model.Route{&other}}
			}
			have.Backends = append([]*model.Backend{shared}, used...)
			empty := *shared
			empty.Endpoints = nil
			want := have
			want.Backends = append([]*model.Backend{&empty}, used...)
			f.Backends = want.Backends
			out := plan.Guard(guard(have, want, f))
			if got := text(out.Held); got != tt.want {
				t.Errorf("held %q, want %q", got, tt.want)
			}
			if tt.want != "" && (!same(have, out.State) || out.Held[0].Behind != tt.behind) {
				t.Errorf("%d routes behind it; the plan is\n%s", out.Held[0].Behind, plan.Diff(have, out.State))
			}
		})
	}
}

// Routes whose Services are gone keep their backends.
func TestGuardHoldsBackendsOfRoutes(t *testing.T) {
	f, have := site("home", 12, 0)
	want := model.State{Listeners: have.Listeners}
	for i, r := range have.Routes {
		bare := *r
		bare.Backends = nil
		want.Routes = append(want.Routes, &bare)
		f.Parts[i] = &model.Part{Origin: r.Origin, Routes: []*model.Route{&bare}}
	}
	f.Backends, f.Probes = nil, nil
	out := plan.Guard(guard(have, want, f))
	if text(out.Held) != "home: 0 of 12 routes, 12 of 12 backends" || !same(have, out.State) {
		t.Errorf("held %s; the plan is\n%s", text(out.Held), plan.Diff(have, out.State))
	}
}

func TestGuardLeavesAlone(t *testing.T) {
	f, have := site("home", 20, 0)
	none := model.Fragment{Source: "home"}
	renamed := model.State{Listeners: have.Listeners, Backends: have.Backends, Probes: have.Probes}
	for _, r := range have.Routes {
		other := *r
		other.Name += "again"
		renamed.Routes = append(renamed.Routes, &other)
	}
	_, ports := site("home", 0, 20)
	moved := model.State{Backends: ports.Backends, Probes: ports.Probes}
	for i, r := range ports.Routes {
		other, l := *r, *ports.Listeners[i]
		other.Name += "0"
		other.Listener, l.Name = other.Name, other.Name
		moved.Routes, moved.Listeners = append(moved.Routes, &other), append(moved.Listeners, &l)
	}
	aside := map[string]string{}
	for _, r := range have.Routes {
		aside[r.Name] = "unknown keyword"
	}
	swapped := model.State{Listeners: have.Listeners}
	for i, r := range have.Routes {
		other, b := *r, *have.Backends[i]
		b.Name += "v2"
		other.Backends = []model.WeightedBackend{{Name: b.Name, Weight: 1}}
		swapped.Routes, swapped.Backends = append(swapped.Routes, &other), append(swapped.Backends, &b)
	}
	tests := []struct {
		name string
		g    plan.Guarding
	}{
		{"a source that is not guarded", guard(have, model.State{})},
		{"what is still asked for", guard(have, model.State{}, f)},
		{"a route under another name", guard(have, renamed, none)},
		{"a port under another name", guard(ports, moved, none)},
		{"routes that go to other backends", guard(have, swapped, none)},
		{"what the engine refused", plan.Guarding{Have: have, Plan: plan.Diff(have, model.State{}), Asked: []model.Fragment{none}, SetAside: aside, Limits: plan.Limits{Share: 33, AtLeast: 10}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if out := plan.Guard(tt.g); len(out.Held) > 0 || !same(out.State, tt.g.Want) {
				t.Errorf("held %s", text(out.Held))
			}
		})
	}
}

// What is held stays held while the objects come back, also when what is left is
// little; so does what the source loses on top of it.
func TestGuardRemembers(t *testing.T) {
	f, have := site("home", 20, 0)
	first := plan.Guard(guard(have, model.State{}, model.Fragment{Source: "home"}))
	fewer := f
	fewer.Parts = f.Parts[:17]
	want := follow(model.State{Listeners: have.Listeners}, fewer)
	g := guard(have, want, fewer)
	g.Held = first.Held
	if out := plan.Guard(g); text(out.Held) != "home: 3 of 20 routes, 0 of 20 backends" || !same(out.State, have) {
		t.Errorf("held %s", text(out.Held))
	}
	g.Held = nil
	if out := plan.Guard(g); len(out.Held) > 0 {
		t.Errorf("held %s though nothing was before", text(out.Held))
	}
	g = guard(have, have, f)
	g.Held = first.Held
	if out := plan.Guard(g); len(out.Held) > 0 || !same(out.State, have) {
		t.Errorf("held %s though all is back", text(out.Held))
	}
}

// Kinds of objects are lost one after the other: first the endpoints of a backend,
// then the few routes that lead to it.
func TestGuardRemembersWhatRoutesLeadTo(t *testing.T) {
	_, have := site("home", 3, 0)
	g := guard(have, model.State{}, model.Fragment{Source: "home"})
	g.Held = []plan.Removal{{Source: "home", Backends: []string{have.Backends[1].Name}}}
	if out := plan.Guard(g); text(out.Held) != "home: 3 of 3 routes, 0 of 3 backends" || !same(have, out.State) {
		t.Errorf("held %q", text(out.Held))
	}
	g.Approved = g.Held
	if out := plan.Guard(g); len(out.Held) > 0 {
		t.Errorf("held %q though it was approved", text(out.Held))
	}
}

func TestGuardApproved(t *testing.T) {
	f, have := site("home", 20, 0)
	fewer, want := without(f, have, 12)
	g := guard(have, want, fewer)
	held := plan.Guard(g).Held
	g.Held, g.Approved = held, held
	out := plan.Guard(g)
	if len(out.Held) > 0 || !same(out.State, want) || len(out.Approved) != 1 || !out.Approved[0].Same(held[0]) {
		t.Errorf("held %s of what is approved; left to go %s", text(out.Held), text(out.Approved))
	}
	// Another dozen is not.
	g = guard(have, model.State{}, model.Fragment{Source: "home"})
	g.Approved = held
	if out := plan.Guard(g); text(out.Held) != "" {
		t.Errorf("held %s: eight are too few", text(out.Held))
	}
	g.Limits.AtLeast = 8
	if out := plan.Guard(g); text(out.Held) != "home: 8 of 20 routes, 0 of 20 backends" {
		t.Errorf("held %s", text(out.Held))
	}
	// Once it is gone, the approval is over.
	g = guard(want, want, fewer)
	g.Approved = held
	if out := plan.Guard(g); len(out.Approved) > 0 {
		t.Errorf("still approved: %s", text(out.Approved))
	}
}

// BenchmarkGuard is an endpoint change among 10,000 routes, with nothing held back
// and with half of them.
func BenchmarkGuard(b *testing.B) {
	const n = 10_000
	f, have := site("home", n, 0)
	moved := *have.Backends[n-1]
	moved.Endpoints = []model.Endpoint{{Address: netip.MustParseAddrPort("10.9.9.9:80")}}
	change := func(s model.State) model.State {
		s.Backends = slices.Clone(s.Backends)
		s.Backends[len(s.Backends)-1] = &moved
		return s
	}
	fewer, want := without(f, have, n/2)
	held := guard(have, change(want), fewer)
	held.Held = plan.Guard(guard(have, want, fewer)).Held
	for name, g := range map[string]plan.Guarding{"nothing held": guard(have, change(have), f), "half held": held} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				g.Plan = plan.Diff(g.Have, g.Want)
				if out := plan.Guard(g); len(out.Held) != len(g.Held) {
					b.Fatal(text(out.Held))
				}
			}
		})
		b.Run(name+", the plan alone", func(b *testing.B) {
			for b.Loop() {
				plan.Diff(g.Have, g.Want)
			}
		})
	}
}

// TestGuardLetsDrainedRoutesGo: routes whose endpoints were told to drain first are
// no loss, however many they are.
func TestGuardLetsDrainedRoutesGo(t *testing.T) {
	f, have := site("homes", 10, 10)
	_, want := without(f, have, 20)
	for i, b := range have.Backends {
		drained := *b
		drained.Endpoints = slices.Clone(b.Endpoints)
		drained.Endpoints[0].Draining = true
		have.Backends[i] = &drained
	}
	f.Parts, f.Backends = nil, nil
	if got := plan.Guard(guard(have, want, f)); len(got.Held) != 0 {
		t.Errorf("held: %s", text(got.Held))
	}
}
