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

	shelves   []*shelf[model.Backend, entry]
	missing   map[string]bool // what routes name and cannot have
	loose     bool            // a name is there twice, or the names of a source are not sorted
	spotted   int             // records with a finding
	onMachine int             // records with an endpoint on one of the machine's own addresses

	out      []*model.Backend
	routes   []*model.Route
	uses     []int32 // of each probe in index: how many endpoints in out name it
	findings []keyed // but those of records
}

// place is an object of a source.
type place struct{ source, i int32 }

// entry is what a backend is used for.
type entry struct {
	record *record // nil: not served
	refs   int32   // how often routes name it
}

func backendName(b *model.Backend) string { return b.Name }

func compareBackends(a, b *model.Backend) int { return strings.Compare(a.Name, b.Name) }

// chooseBackends keeps the backends that a served route names. With a delta of the
// claims it only looks at the routes that changed, and the backends that are new
// pointers.
func chooseBackends(in Input, m, prev *memory, changed *delta) *backends {
	if changed != nil && prev.backends != nil {
		if b := followBackends(in, m, prev.backends, changed); b != nil {
			return b
		}
	}
	b := &backends{claims: m.claims, index: m.index, sockets: m.sockets, missing: map[string]bool{}}
	b.choose(in, prev.backends)
	return b
}

// choose starts from the routes.
func (b *backends) choose(in Input, old *backends) {
	names := b.listNames(in)
	refs := make([][]int32, len(in.Fragments))
	for i, f := range in.Fragments {
		refs[i] = make([]int32, len(f.Backends))
	}
	b.followRoutes(in, names, refs, old)
	var out []*model.Backend
	for i, f := range in.Fragments {
		known := old.known(f.Source)
		entries := make([]entry, len(f.Backends))
		sorted := true
		for j, backend := range f.Backends {
			sorted = sorted && (j == 0 || f.Backends[j-1].Name < backend.Name)
			if refs[i][j] == 0 {
				continue
			}
			r := b.record(backend, known.find(backend))
			entries[j] = entry{r, refs[i][j]}
			b.tally(r, 1)
			out = append(out, r.out)
		}
		b.loose = b.loose || !sorted
		b.shelves = append(b.shelves, newShelf(f.Source, f.Backends, entries, sorted))
	}
	b.out = sortRuns(out, compareBackends)
	b.count()
}

// tally adds what is to be known of all records.
func (b *backends) tally(r *record, n int) {
	if r.finding != nil {
		b.spotted += n
	}
	if r.sockets != nil {
		b.onMachine += n
	}
}

// listNames finds each name's backend; should two have it, the first counts.
func (b *backends) listNames(in Input) map[string]place {
	total := 0
	for _, f := range in.Fragments {
		total += len(f.Backends)
	}
	names := make(map[string]place, total)
	for i, f := range in.Fragments {
		for j, backend := range f.Backends {
			if _, ok := names[backend.Name]; ok {
				b.loose = true
				continue
			}
			names[backend.Name] = place{int32(i), int32(j)}
		}
	}
	return names
}

// followRoutes counts how often routes name each backend, and takes those out of
// the routes that are not there.
func (b *backends) followRoutes(in Input, names map[string]place, refs [][]int32, old *backends) {
	var findings []model.Finding
	aside := map[string]bool{}
	b.routes = b.claims.routes
	for i, route := range b.claims.routes {
		missing := 0
		for _, w := range route.Backends {
			p, ok := names[w.Name]
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
				refs[p.source][p.i]++
				continue
			}
			b.missing[w.Name] = true
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
		if !b.missing[w.Name] {
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
	for _, s := range b.shelves {
		for _, p := range s.pieces {
			for _, e := range p.of {
				if e.record != nil {
					do(e.record)
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
	in []*model.Backend
	of []entry
}

func (b *backends) known(source string) *walk {
	w := &walk{}
	if b == nil {
		return w
	}
	for _, s := range b.shelves {
		if s.source == source {
			w.in, w.of = s.flat()
			break
		}
	}
	return w
}

// find returns the record of the same pointer, or nil. Backends that are not in
// the order of names are read afresh.
func (w *walk) find(backend *model.Backend) *record {
	for len(w.in) > 0 {
		if w.in[0] == backend {
			return w.of[0].record
		}
		if w.in[0].Name >= backend.Name {
			return nil
		}
		w.in, w.of = w.in[1:], w.of[1:]
	}
	return nil
}
