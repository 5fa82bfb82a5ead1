package desired

import (
	"fmt"
	"slices"
	"strings"

	"github.com/landfall-edge/landfall/internal/model"
)

// backends is which backends are served, with which endpoints.
type backends struct {
	// What it was built from.
	claims  *claims
	index   *probeIndex
	sockets *sockets
	sources []string
	in      [][]*model.Backend

	byName  map[string]place
	records [][]*record // of each in; nil: not served
	places  [][]int32   // of each in: where it is in out, or -1
	spotted int         // records with a finding

	out      []*model.Backend
	routes   []*model.Route
	uses     []int32 // of each probe in index: how many endpoints in out name it
	findings []keyed // but those of records
}

// place is a backend of a source.
type place struct{ source, i int32 }

// chooseBackends keeps the backends that a served route names. When no claim and
// no backend's name changed it only looks at the backends that are new pointers.
func chooseBackends(in Input, m, prev *memory) *backends {
	old := prev.backends
	b := &backends{claims: m.claims, index: m.index, sockets: m.sockets}
	sameNames := old != nil && old.sameNames(in)
	if sameNames && old.claims == b.claims {
		b.follow(in, old)
		return b
	}
	if sameNames {
		b.byName = old.byName
	}
	b.choose(in, old)
	return b
}

func (b *backends) sameNames(in Input) bool {
	if len(in.Fragments) != len(b.in) {
		return false
	}
	for i, f := range in.Fragments {
		if f.Source != b.sources[i] || !slices.EqualFunc(f.Backends, b.in[i], func(a, b *model.Backend) bool {
			return a == b || a.Name == b.Name
		}) {
			return false
		}
	}
	return true
}

// follow takes over everything of the turn before but the backends that changed.
func (b *backends) follow(in Input, old *backends) {
	claims, index, sockets := b.claims, b.index, b.sockets
	*b = *old
	b.claims, b.index, b.sockets = claims, index, sockets
	everything := index != old.index || sockets != old.sockets
	b.in = slices.Clone(old.in)
	b.records = slices.Clone(old.records)
	for i, f := range in.Fragments {
		if same := slices.Equal(f.Backends, old.in[i]); same && !everything {
			continue
		}
		b.in[i] = slices.Clone(f.Backends)
		b.records[i] = slices.Clone(old.records[i])
		for j, backend := range f.Backends {
			at := b.places[i][j]
			if at < 0 || backend == old.in[i][j] && !everything {
				continue
			}
			before := old.records[i][j]
			now := b.record(backend, before)
			if now == before {
				continue
			}
			b.records[i][j] = now
			b.put(int(at), now, before, old)
		}
	}
	if index != old.index {
		b.count()
	}
}

// put replaces one served backend by its successor. What old holds is copied
// before it is written to.
func (b *backends) put(at int, now, before *record, old *backends) {
	if now.out != before.out {
		if &b.out[0] == &old.out[0] {
			b.out = slices.Clone(old.out)
		}
		b.out[at] = now.out
	}
	if now.finding != nil {
		b.spotted++
	}
	if before.finding != nil {
		b.spotted--
	}
	if b.index != old.index || slices.Equal(now.probes, before.probes) {
		return
	}
	if &b.uses[0] == &old.uses[0] {
		b.uses = slices.Clone(old.uses)
	}
	for _, p := range before.probes {
		b.uses[p]--
	}
	for _, p := range now.probes {
		b.uses[p]++
	}
}

// choose starts from the routes.
func (b *backends) choose(in Input, old *backends) {
	for _, f := range in.Fragments {
		b.sources = append(b.sources, f.Source)
		b.in = append(b.in, slices.Clone(f.Backends))
	}
	if b.byName == nil {
		b.listNames()
	}
	b.places = make([][]int32, len(b.in))
	for i := range b.in {
		b.places[i] = slices.Repeat([]int32{-1}, len(b.in[i]))
	}
	b.followRoutes(old)
	b.records = make([][]*record, len(b.in))
	var served []place
	for i := range b.in {
		b.records[i] = make([]*record, len(b.in[i]))
		known := old.known(b.sources[i])
		for j, backend := range b.in[i] {
			if b.places[i][j] < 0 {
				continue
			}
			b.records[i][j] = b.record(backend, known.find(backend))
			if b.records[i][j].finding != nil {
				b.spotted++
			}
			served = append(served, place{int32(i), int32(j)})
		}
	}
	served = sortRuns(served, func(x, y place) int {
		return strings.Compare(b.in[x.source][x.i].Name, b.in[y.source][y.i].Name)
	})
	b.out = make([]*model.Backend, 0, len(served))
	for n, p := range served {
		b.places[p.source][p.i] = int32(n)
		b.out = append(b.out, b.records[p.source][p.i].out)
	}
	b.count()
}

// listNames finds each name's backend; should two have it, the first counts.
func (b *backends) listNames() {
	n := 0
	for i := range b.in {
		n += len(b.in[i])
	}
	b.byName = make(map[string]place, n)
	for i := range b.in {
		for j, backend := range b.in[i] {
			if _, ok := b.byName[backend.Name]; !ok {
				b.byName[backend.Name] = place{int32(i), int32(j)}
			}
		}
	}
}

// followRoutes marks the backends that routes name, and takes those out of the
// routes that are not there.
func (b *backends) followRoutes(old *backends) {
	var findings []model.Finding
	aside := map[string]bool{}
	b.routes = b.claims.routes
	for i, route := range b.claims.routes {
		missing := 0
		for _, w := range route.Backends {
			p, ok := b.byName[w.Name]
			switch words, out := b.claims.setAside[w.Name]; {
			case !ok:
				missing++
				findings = append(findings, missingBackend(route, w.Name))
			case out:
				missing++
				if !aside[w.Name] {
					aside[w.Name] = true
					findings = append(findings, model.Finding{
						Origin: b.in[p.source][p.i].Origin, Reason: "Refused",
						Message: setAsideMessage(w.Name, words) + "; a route with no other backend answers 503",
					})
				}
			default:
				b.places[p.source][p.i] = 0
			}
		}
		if missing == 0 {
			continue
		}
		if &b.routes[0] == &b.claims.routes[0] {
			b.routes = slices.Clone(b.claims.routes)
		}
		b.routes[i] = b.without(route, old)
	}
	b.findings = compactSorted(sortFindings(findings))
}

// without is the route with only those backends that can be served.
func (b *backends) without(route *model.Route, old *backends) *model.Route {
	fewer := *route
	fewer.Backends = nil
	for _, w := range route.Backends {
		_, ok := b.byName[w.Name]
		if _, out := b.claims.setAside[w.Name]; ok && !out {
			fewer.Backends = append(fewer.Backends, w)
		}
	}
	if old == nil {
		return &fewer
	}
	return reuseRoute(&fewer, old.routes)
}

func missingBackend(route *model.Route, name string) model.Finding {
	if route.Rank == model.LastResort {
		return model.Finding{
			Origin: fileOrigin(), Field: "defaultBackend", Reason: "UnknownBackend",
			Message: fmt.Sprintf("there is no backend %s, so that what no route takes answers 503; name a static service of the file as <source>/<name>, for example legacy/portal", show(name)),
		}
	}
	return model.Finding{
		Origin: route.Origin, Field: routeField(route), Reason: "UnknownBackend",
		Message: fmt.Sprintf("there is no backend %s; a route with no other backend answers 503", show(name)),
	}
}

// count adds up who uses which probe.
func (b *backends) count() {
	b.uses = make([]int32, len(b.index.at))
	for i := range b.records {
		for _, r := range b.records[i] {
			if r == nil {
				continue
			}
			for _, p := range r.probes {
				b.uses[p]++
			}
		}
	}
}

// spots are the findings of records.
func (b *backends) spots() []keyed {
	if b.spotted == 0 {
		return nil
	}
	var findings []model.Finding
	for i := range b.records {
		for _, r := range b.records[i] {
			if r != nil && r.finding != nil {
				findings = append(findings, *r.finding)
			}
		}
	}
	return sortFindings(findings)
}

// walk finds the records of one source again, in the order of names.
type walk struct {
	in      []*model.Backend
	records []*record
}

func (b *backends) known(source string) *walk {
	if b != nil {
		if i := slices.Index(b.sources, source); i >= 0 {
			return &walk{b.in[i], b.records[i]}
		}
	}
	return &walk{}
}

// find returns the record of the same pointer, or nil. Backends that are not in
// the order of names are read afresh.
func (w *walk) find(backend *model.Backend) *record {
	for len(w.in) > 0 && w.in[0] != backend && w.in[0].Name < backend.Name {
		w.in, w.records = w.in[1:], w.records[1:]
	}
	if len(w.in) == 0 || w.in[0] != backend {
		return nil
	}
	return w.records[0]
}
