package plan

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/landfall-edge/landfall/internal/model"
)

// Limits say how much may go at once: a removal is held back when it takes more
// than Share percent of what is served of a source, and AtLeast or more of it.
type Limits struct {
	Share   int
	AtLeast int
}

// exceeded reports whether n of all are too many.
func (l Limits) exceeded(n, all int) bool { return n >= max(l.AtLeast, 1) && 100*n > l.Share*all }

// Removal is what is served of a source and no longer asked for.
type Removal struct {
	Source string
	// Routes that would go and Backends that would be left without an endpoint, by
	// name and sorted.
	Routes, Backends []string
	// Behind is how many routes are asked for and would lead nowhere without these
	// endpoints. They count like those that would go.
	Behind int
	// AllRoutes and AllBackends are how many are served of the source.
	AllRoutes, AllBackends int
	// Examples name the first few of both, for people.
	Examples []string
	// Silent: the source has given no answer, which is why.
	Silent bool
}

// Same reports whether both remove the same.
func (r Removal) Same(o Removal) bool {
	return r.Source == o.Source && r.Silent == o.Silent && slices.Equal(r.Routes, o.Routes) && slices.Equal(r.Backends, o.Backends)
}

func (r Removal) empty() bool { return len(r.Routes)+len(r.Backends) == 0 }

// Guarding is what Guard decides from.
type Guarding struct {
	// Have is what is served, Want what should be, and Plan the difference.
	Have, Want model.State
	Plan       Plan
	// Asked is what the guarded sources ask for. What goes of others, and what
	// goes although it is asked for, is no concern of the guard.
	Asked []model.Fragment
	// SetAside are the objects that the engine refused, by name.
	SetAside map[string]string
	Limits   Limits
	// Held was held back in the turn before. Until all of it is back or approved,
	// nothing that its source stops asking for goes, however little.
	Held []Removal
	// Approved may go.
	Approved []Removal
	// Silent are the sources that have given no answer, not even an earlier one.
	// Nothing of theirs goes, however little.
	Silent []string
}

// Guarded is what Guard decided.
type Guarded struct {
	// State is what should be served now. It is Want, the same slices, if nothing
	// is held back.
	State model.State
	// Held is what is held back, by source.
	Held []Removal
	// Approved is what of it has not gone yet.
	Approved []Removal
}

// Guard holds back what sources have stopped asking for when it is suspiciously
// much: the routes stay, with what they need, and backends keep their endpoints.
// Whatever else is wanted goes live. Of two that cannot both be served, the wanted
// one is. Unless the plan removes that much, or empties a backend, it looks
// at nothing else.
func Guard(in Guarding) Guarded {
	g := &guarding{Guarding: in}
	g.suspect()
	if len(g.backends) == 0 && (len(g.routes) == 0 || len(g.routes) < in.Limits.AtLeast && len(in.Held)+len(in.Approved)+len(in.Silent) == 0) {
		return Guarded{State: in.Want}
	}
	g.acquit()
	out := Guarded{State: in.Want}
	for _, r := range g.removals() {
		approved, rest := split(r, in.Approved)
		if !approved.empty() {
			out.Approved = append(out.Approved, approved)
		}
		rest.Silent = slices.Contains(in.Silent, r.Source)
		if rest.Behind = g.behind(rest); g.held(rest) {
			rest.Examples = g.examples(rest)
			out.Held = append(out.Held, rest)
		}
	}
	if len(out.Held) > 0 {
		out.State = g.merge(out.Held)
	}
	return out
}

// guarding is one run of Guard.
type guarding struct {
	Guarding
	routes   []*model.Route            // of Have, that would go
	backends map[string]*model.Backend // of Have, that would be without endpoints
	cut      []Step[model.Route]       // that would be left without backends
}

// suspect finds in the plan what may be a loss.
func (g *guarding) suspect() {
	g.backends = map[string]*model.Backend{}
	for _, s := range g.Plan.Routes {
		switch {
		case s.Verb == Remove && len(s.Have.Backends) > 0:
			g.routes = append(g.routes, s.Have)
		case s.Verb == Change && len(s.Have.Backends) > 0 && len(s.Want.Backends) == 0:
			g.cut = append(g.cut, s)
			for _, w := range s.Have.Backends {
				if b := find(g.Have.Backends, w.Name, backendName); b != nil && serves(b) {
					g.backends[b.Name] = b
				}
			}
		}
	}
	for _, s := range g.Plan.Backends {
		if s.Verb == Change && serves(s.Have) && len(s.Want.Endpoints) == 0 {
			g.backends[s.Have.Name] = s.Have
		}
	}
}

// serves reports whether new requests go to the backend. One that drains has been
// told to go, which is no accident.
func serves(b *model.Backend) bool {
	return slices.ContainsFunc(b.Endpoints, func(e model.Endpoint) bool { return !e.Draining })
}

// acquit lets go of what is no loss, or cannot be helped.
func (g *guarding) acquit() {
	taken := g.taken()
	g.routes = slices.DeleteFunc(g.routes, func(r *model.Route) bool {
		f := g.fragment(r.Origin.Source)
		return f == nil || g.aside(r.Name) || g.aside(r.Listener) || asksForRoute(f, r) ||
			taken[matchOf(r)] || !g.open(r) || len(g.reachable(r)) == 0 || g.drains(r)
	})
	maps.DeleteFunc(g.backends, func(name string, b *model.Backend) bool {
		f := g.fragment(b.Origin.Source)
		if f == nil || g.aside(name) {
			return true
		}
		now := find(f.Backends, name, backendName)
		return now != nil && len(now.Endpoints) > 0
	})
}

func (g *guarding) fragment(source string) *model.Fragment {
	for i := range g.Asked {
		if g.Asked[i].Source == source {
			return &g.Asked[i]
		}
	}
	return nil
}

func (g *guarding) aside(name string) bool {
	_, out := g.SetAside[name]
	return out
}

// asksForRoute reports whether the object that asked for the route still does.
func asksForRoute(f *model.Fragment, r *model.Route) bool {
	p := find(f.Parts, r.Origin.Key(), func(p *model.Part) string { return p.Origin.Key() })
	return p != nil && slices.ContainsFunc(p.Routes, func(o *model.Route) bool { return o.Name == r.Name })
}

// match is what only one route can have.
type match struct {
	listener, host, path string
	exact                bool
}

func matchOf(r *model.Route) match {
	return match{r.Listener, r.Match.Host, max(r.Match.Path, "/"), r.Match.Exact}
}

// taken are the matches that another route takes over.
func (g *guarding) taken() map[match]bool {
	taken := map[match]bool{}
	for _, s := range g.Plan.Routes {
		if s.Want != nil {
			taken[matchOf(s.Want)] = true
		}
	}
	return taken
}

// open reports whether the route's listener can stay open.
func (g *guarding) open(r *model.Route) bool {
	have := find(g.Have.Listeners, r.Listener, listenerName)
	if have == nil {
		return false
	}
	if want := find(g.Want.Listeners, r.Listener, listenerName); want != nil {
		return want.Protocol == have.Protocol
	}
	return !slices.ContainsFunc(g.Plan.Listeners, func(s Step[model.Listener]) bool {
		return s.Want != nil && s.Want.Port == have.Port && overlap(s.Want.Addresses, have.Addresses)
	})
}

// overlap reports whether two listeners' addresses have one in common.
func overlap(a, b []netip.Addr) bool {
	return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(addr netip.Addr) bool { return slices.Contains(b, addr) })
}

// reachable are the backends of a route that there are.
func (g *guarding) reachable(r *model.Route) []model.WeightedBackend {
	missing := func(w model.WeightedBackend) bool {
		return g.aside(w.Name) || find(g.Have.Backends, w.Name, backendName) == nil && find(g.Want.Backends, w.Name, backendName) == nil
	}
	if !slices.ContainsFunc(r.Backends, missing) {
		return r.Backends
	}
	return slices.DeleteFunc(slices.Clone(r.Backends), missing)
}

// drains reports whether all that a route leads to has been told to go, which is no
// accident.
func (g *guarding) drains(r *model.Route) bool {
	return !slices.ContainsFunc(r.Backends, func(w model.WeightedBackend) bool {
		b := find(g.Have.Backends, w.Name, backendName)
		return b == nil || len(b.Endpoints) == 0 || serves(b)
	})
}

// removals are the losses of each source, in the order of Asked.
func (g *guarding) removals() []Removal {
	all := make([]Removal, len(g.Asked))
	at := make(map[string]*Removal, len(all))
	for i, f := range g.Asked {
		all[i].Source = f.Source
		at[f.Source] = &all[i]
	}
	for _, r := range g.routes {
		to := at[r.Origin.Source]
		to.Routes = append(to.Routes, r.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(g.backends)) {
		to := at[g.backends[name].Origin.Source]
		to.Backends = append(to.Backends, name)
	}
	for _, r := range g.Have.Routes {
		if to := at[r.Origin.Source]; to != nil {
			to.AllRoutes++
		}
	}
	for _, b := range g.Have.Backends {
		if to := at[b.Origin.Source]; to != nil && serves(b) {
			to.AllBackends++
		}
	}
	return slices.DeleteFunc(all, Removal.empty)
}

// behind counts the routes that would be left with nothing behind them.
func (g *guarding) behind(r Removal) int {
	if len(r.Backends) == 0 {
		return 0
	}
	emptied := make(map[string]bool, len(r.Backends))
	for _, name := range r.Backends {
		emptied[name] = true
	}
	serves := func(in []*model.Backend) func(model.WeightedBackend) bool {
		return func(w model.WeightedBackend) bool {
			b := find(in, w.Name, backendName)
			return !emptied[w.Name] && b != nil && serves(b)
		}
	}
	n := 0
	for _, have := range g.Have.Routes {
		if !slices.ContainsFunc(have.Backends, func(w model.WeightedBackend) bool { return emptied[w.Name] }) ||
			slices.ContainsFunc(have.Backends, serves(g.Have.Backends)) {
			continue
		}
		if want := find(g.Want.Routes, have.Name, routeName); want != nil && !slices.ContainsFunc(want.Backends, serves(g.Want.Backends)) {
			n++
		}
	}
	return n
}

// split divides a removal into what is approved and the rest.
func split(r Removal, approved []Removal) (yes, no Removal) {
	yes, no = r, r
	yes.Routes, yes.Backends, no.Routes, no.Backends = nil, nil, nil, nil
	is := func(name string, list func(Removal) []string) bool {
		return slices.ContainsFunc(approved, func(a Removal) bool {
			return a.Source == r.Source && has(list(a), name)
		})
	}
	for _, name := range r.Routes {
		to := &no.Routes
		if is(name, func(a Removal) []string { return a.Routes }) {
			to = &yes.Routes
		}
		*to = append(*to, name)
	}
	for _, name := range r.Backends {
		to := &no.Backends
		if is(name, func(a Removal) []string { return a.Backends }) {
			to = &yes.Backends
		}
		*to = append(*to, name)
	}
	return yes, no
}

// held reports whether a removal is to be held back: for its size, or because some
// of it was.
func (g *guarding) held(r Removal) bool {
	if r.empty() || r.Silent || g.Limits.exceeded(len(r.Routes)+r.Behind, r.AllRoutes) || g.Limits.exceeded(len(r.Backends), r.AllBackends) {
		return !r.empty()
	}
	return slices.ContainsFunc(g.Held, func(h Removal) bool {
		_, left := split(h, g.Approved)
		return h.Source == r.Source && !h.Silent && (slices.ContainsFunc(r.Routes, func(name string) bool { return has(left.Routes, name) || g.leads(name, left.Backends) }) ||
			slices.ContainsFunc(r.Backends, func(name string) bool { return has(left.Backends, name) }))
	})
}

func has(sorted []string, name string) bool {
	_, found := slices.BinarySearch(sorted, name)
	return found
}

// leads reports whether a route that is served leads to one of these backends,
// whose endpoints may have been lost before the route was.
func (g *guarding) leads(route string, backends []string) bool {
	return slices.ContainsFunc(find(g.Have.Routes, route, routeName).Backends, func(w model.WeightedBackend) bool { return has(backends, w.Name) })
}

// examples names the first few objects of a removal.
func (g *guarding) examples(r Removal) []string {
	var out []string
	for _, name := range r.Routes[:min(len(r.Routes), named)] {
		route := find(g.Have.Routes, name, routeName)
		text := word(route.Origin.String()) + " (" + hostPath(route) + ")"
		if l := find(g.Have.Listeners, route.Listener, listenerName); isPort(route) && l != nil {
			text = word(route.Origin.String()) + " (port " + strconv.Itoa(int(l.Port)) + ")"
		}
		out = append(out, text)
	}
	for _, name := range r.Backends[:min(len(r.Backends), named-len(out))] {
		out = append(out, word(g.backends[name].Origin.String())+" (without endpoints)")
	}
	return out
}

// find returns the object of a sorted slice that has the name, or nil.
func find[T any](sorted []*T, name string, nameOf func(*T) string) *T {
	i, ok := slices.BinarySearchFunc(sorted, name, func(x *T, name string) int { return strings.Compare(nameOf(x), name) })
	if !ok {
		return nil
	}
	return sorted[i]
}
