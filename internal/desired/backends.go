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

	shelves []shelf // of each source
	byName  map[string]place
	places  [][]int32 // of each backend of a source: where it is in out, or -1
	spotted int       // records with a finding

	out      []*model.Backend
	routes   []*model.Route
	uses     []int32 // of each probe in index: how many endpoints in out name it
	findings []keyed // but those of records
}

// place is a backend of a source.
type place struct{ source, i int32 }

// shelf is the backends of one source in pieces, so that a change of one of them
// copies one piece.
type shelf struct {
	source string
	n      int
	pieces []piece
}

type piece struct {
	in      []*model.Backend
	records []*record // nil: not served
}

const pieceSize = 128

func newShelf(f model.Fragment) shelf {
	s := shelf{source: f.Source, n: len(f.Backends)}
	in, records := slices.Clone(f.Backends), make([]*record, len(f.Backends))
	for i := 0; i < s.n; i += pieceSize {
		end := min(i+pieceSize, s.n)
		s.pieces = append(s.pieces, piece{in[i:end:end], records[i:end:end]})
	}
	return s
}

func (s *shelf) record(i int) **record { return &s.pieces[i/pieceSize].records[i%pieceSize] }

func (s *shelf) sameNames(f model.Fragment) bool {
	if f.Source != s.source || len(f.Backends) != s.n {
		return false
	}
	all := f.Backends
	for _, p := range s.pieces {
		if !slices.Equal(all[:len(p.in)], p.in) && !slices.EqualFunc(all[:len(p.in)], p.in, sameName) {
			return false
		}
		all = all[len(p.in):]
	}
	return true
}

func sameName(a, b *model.Backend) bool { return a == b || a.Name == b.Name }

// chooseBackends keeps the backends that a served route names. When no claim and
// no backend's name changed it only looks at the backends that are new pointers.
func chooseBackends(in Input, m, prev *memory) *backends {
	old := prev.backends
	b := &backends{claims: m.claims, index: m.index, sockets: m.sockets}
	sameNames := old != nil && len(old.shelves) == len(in.Fragments)
	for i, f := range in.Fragments {
		sameNames = sameNames && old.shelves[i].sameNames(f)
	}
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

// follow takes over everything of the turn before but the backends that changed.
func (b *backends) follow(in Input, old *backends) {
	claims, index, sockets := b.claims, b.index, b.sockets
	*b = *old
	b.claims, b.index, b.sockets = claims, index, sockets
	everything := index != old.index || sockets != old.sockets
	b.shelves = slices.Clone(old.shelves)
	for i, f := range in.Fragments {
		before := old.shelves[i].pieces
		copied := false
		for n, p := range before {
			now := f.Backends[n*pieceSize : n*pieceSize+len(p.in)]
			if !everything && slices.Equal(now, p.in) {
				continue
			}
			if !copied {
				copied = true
				b.shelves[i].pieces = slices.Clone(before)
			}
			b.shelves[i].pieces[n] = b.followPiece(now, p, b.places[i][n*pieceSize:], old)
		}
	}
	if index != old.index {
		b.count()
	}
}

func (b *backends) followPiece(in []*model.Backend, before piece, places []int32, old *backends) piece {
	now := piece{slices.Clone(in), slices.Clone(before.records)}
	for i, backend := range in {
		if places[i] < 0 {
			continue
		}
		if r := b.record(backend, before.records[i]); r != before.records[i] {
			now.records[i] = r
			b.put(int(places[i]), r, before.records[i], old)
		}
	}
	return now
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
	total := 0
	for _, f := range in.Fragments {
		b.shelves = append(b.shelves, newShelf(f))
		b.places = append(b.places, slices.Repeat([]int32{-1}, len(f.Backends)))
		total += len(f.Backends)
	}
	if b.byName == nil {
		b.byName = listNames(in, total)
	}
	b.followRoutes(in, old)
	served := make([]place, 0, total)
	for i, f := range in.Fragments {
		known := old.known(f.Source)
		for j, backend := range f.Backends {
			if b.places[i][j] < 0 {
				continue
			}
			r := b.record(backend, known.find(backend))
			*b.shelves[i].record(j) = r
			if r.finding != nil {
				b.spotted++
			}
			served = append(served, place{int32(i), int32(j)})
		}
	}
	served = sortRuns(served, func(x, y place) int {
		return strings.Compare(in.Fragments[x.source].Backends[x.i].Name, in.Fragments[y.source].Backends[y.i].Name)
	})
	b.out = make([]*model.Backend, len(served))
	for n, p := range served {
		b.places[p.source][p.i] = int32(n)
		b.out[n] = (*b.shelves[p.source].record(int(p.i))).out
	}
	b.count()
}

// listNames finds each name's backend; should two have it, the first counts.
func listNames(in Input, total int) map[string]place {
	names := make(map[string]place, total)
	for i, f := range in.Fragments {
		for j, backend := range f.Backends {
			if _, ok := names[backend.Name]; !ok {
				names[backend.Name] = place{int32(i), int32(j)}
			}
		}
	}
	return names
}

// followRoutes marks the backends that routes name, and takes those out of the
// routes that are not there.
func (b *backends) followRoutes(in Input, old *backends) {
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
						Origin: in.Fragments[p.source].Backends[p.i].Origin, Reason: "Refused",
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

// each calls do with every record there is.
func (b *backends) each(do func(*record)) {
	for i := range b.shelves {
		for _, p := range b.shelves[i].pieces {
			for _, r := range p.records {
				if r != nil {
					do(r)
				}
			}
		}
	}
}

// count adds up who uses which probe.
func (b *backends) count() {
	b.uses = make([]int32, len(b.index.at))
	b.each(func(r *record) {
		for _, p := range r.probes {
			b.uses[p]++
		}
	})
}

// spots are the findings of records.
func (b *backends) spots() []keyed {
	if b.spotted == 0 {
		return nil
	}
	var findings []model.Finding
	b.each(func(r *record) {
		if r.finding != nil {
			findings = append(findings, *r.finding)
		}
	})
	return sortFindings(findings)
}

// walk finds the records of one source again, in the order of names.
type walk struct {
	shelf *shelf
	i     int
}

func (b *backends) known(source string) *walk {
	if b != nil {
		for i := range b.shelves {
			if b.shelves[i].source == source {
				return &walk{shelf: &b.shelves[i]}
			}
		}
	}
	return &walk{shelf: &shelf{}}
}

// find returns the record of the same pointer, or nil. Backends that are not in
// the order of names are read afresh.
func (w *walk) find(backend *model.Backend) *record {
	for ; w.i < w.shelf.n; w.i++ {
		in := w.shelf.pieces[w.i/pieceSize].in[w.i%pieceSize]
		if in == backend {
			return *w.shelf.record(w.i)
		}
		if in.Name >= backend.Name {
			return nil
		}
	}
	return nil
}
