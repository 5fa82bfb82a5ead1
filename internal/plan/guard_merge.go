package plan

import (
	"maps"
	"slices"

	"github.com/landfall-edge/landfall/internal/model"
)

func listenerName(l *model.Listener) string { return l.Name }
func routeName(r *model.Route) string       { return r.Name }
func backendName(b *model.Backend) string   { return b.Name }
func probeName(p *model.Probe) string       { return p.Name }

// merge is what is wanted, and what is held with all that it needs. What is held
// is the object that is served, the same pointer, wherever it can be.
func (g *guarding) merge(held []Removal) model.State {
	keep := kept{g, map[string]*model.Listener{}, map[string]*model.Route{}, map[string]*model.Backend{}, map[string]*model.Probe{}}
	emptied := map[string]bool{}
	for _, h := range held {
		for _, name := range h.Backends {
			emptied[name] = true
		}
	}
	for _, h := range held {
		for _, name := range h.Routes {
			keep.route(find(g.Have.Routes, name, routeName))
		}
		for _, name := range h.Backends {
			if find(g.Want.Backends, name, backendName) != nil {
				keep.backend(g.backends[name])
			}
		}
	}
	for _, s := range g.cut {
		if slices.ContainsFunc(s.Have.Backends, func(w model.WeightedBackend) bool { return emptied[w.Name] }) {
			keep.uncut(s)
		}
	}
	return model.State{
		Listeners: join(g.Want.Listeners, keep.listeners, listenerName),
		Routes:    join(g.Want.Routes, keep.routes, routeName),
		Backends:  join(g.Want.Backends, keep.backends, backendName),
		Probes:    join(g.Want.Probes, keep.probes, probeName),
	}
}

// kept are objects that come to those wanted, or in their place, by name.
type kept struct {
	*guarding
	listeners map[string]*model.Listener
	routes    map[string]*model.Route
	backends  map[string]*model.Backend
	probes    map[string]*model.Probe
}

// route keeps a route that nobody asks for.
func (k kept) route(r *model.Route) {
	r = withBackends(r, k.reachable(r))
	k.routes[r.Name] = r
	if find(k.Want.Listeners, r.Listener, listenerName) == nil {
		k.listeners[r.Listener] = find(k.Have.Listeners, r.Listener, listenerName)
	}
	k.need(r)
}

// uncut gives a route back the backends that it had.
func (k kept) uncut(s Step[model.Route]) {
	r := withBackends(s.Want, k.reachable(s.Have))
	if equalRoute(r, s.Have) {
		r = s.Have
	}
	k.routes[r.Name] = r
	k.need(r)
}

func withBackends(r *model.Route, backends []model.WeightedBackend) *model.Route {
	if slices.Equal(r.Backends, backends) {
		return r
	}
	changed := *r
	changed.Backends = backends
	return &changed
}

// need keeps the backends of a route that are not wanted by themselves.
func (k kept) need(r *model.Route) {
	for _, w := range r.Backends {
		if find(k.Want.Backends, w.Name, backendName) == nil {
			k.backend(find(k.Have.Backends, w.Name, backendName))
		}
	}
}

// backend keeps the endpoints of a backend, and their probes.
func (k kept) backend(have *model.Backend) {
	b := have
	if want := find(k.Want.Backends, have.Name, backendName); want != nil && !equalOptions(have, want) {
		changed := *want
		changed.Endpoints = have.Endpoints
		b = &changed
	}
	for i, e := range have.Endpoints {
		if e.Probe == "" || find(k.Want.Probes, e.Probe, probeName) != nil {
			continue
		}
		if p := find(k.Have.Probes, e.Probe, probeName); p != nil && !k.aside(p.Name) {
			k.probes[p.Name] = p
			continue
		}
		if b == have {
			changed := *have
			b = &changed
		}
		if &b.Endpoints[0] == &have.Endpoints[0] {
			b.Endpoints = slices.Clone(have.Endpoints)
		}
		b.Endpoints[i].Probe = ""
	}
	k.backends[b.Name] = b
}

// join is want with more in it, which counts where both have a name.
func join[T any](want []*T, more map[string]*T, name func(*T) string) []*T {
	if len(more) == 0 {
		return want
	}
	out := make([]*T, 0, len(want)+len(more))
	for _, next := range slices.Sorted(maps.Keys(more)) {
		for len(want) > 0 && name(want[0]) < next {
			out, want = append(out, want[0]), want[1:]
		}
		if len(want) > 0 && name(want[0]) == next {
			want = want[1:]
		}
		out = append(out, more[next])
	}
	return append(out, want...)
}
