package desired

import (
	"maps"
	"slices"

	"github.com/landfall-edge/landfall/internal/model"
)

// trace takes a change of the routes and backends over to what is served.
type trace struct {
	*backends
	old *backends
	// touched are the backends to look at, with their records before.
	touched map[string]*record
	left    map[string]int32 // backends that went: how often routes name them still
}

// followBackends takes over everything of the turn before but what changed, or
// returns nil when every route has to be looked at.
func followBackends(in Input, m *memory, old *backends, changed *delta) *backends {
	if old.loose || m.index != old.index || m.sockets.machine != old.sockets.machine || len(old.shelves) != len(in.Fragments) {
		return nil
	}
	b := *old
	b.claims, b.index, b.sockets = m.claims, m.index, m.sockets
	b.shelves = slices.Clone(old.shelves)
	t := &trace{&b, old, map[string]*record{}, map[string]int32{}}
	if !t.followShelves(in) || !t.followRefs(changed) {
		return nil
	}
	for _, refs := range t.left {
		if refs > 0 {
			return nil
		}
	}
	if m.sockets != old.sockets && old.onMachine > 0 {
		b.each(func(r *record) {
			if !r.holds(r.in, t.backends) {
				t.touch(r.in.Name, r)
			}
		})
	}
	if !t.settle() {
		return nil
	}
	return &b
}

func (t *trace) touch(name string, before *record) {
	if _, known := t.touched[name]; !known {
		t.touched[name] = before
	}
}

// followShelves finds the backends that are new pointers.
func (t *trace) followShelves(in Input) bool {
	ok := true
	for i, f := range in.Fragments {
		t.shelves[i] = t.shelves[i].follow(f.Source, f.Backends, follower[model.Backend, entry]{
			key: backendName,
			put: func(in *model.Backend, before entry, had bool) entry {
				_, aside := t.claims.setAside[in.Name]
				ok = ok && !aside && (had || !t.missing[in.Name])
				t.touch(in.Name, before.record)
				return before
			},
			gone: func(in *model.Backend, before entry) {
				t.touch(in.Name, before.record)
				t.left[in.Name] = before.refs
			},
		})
		if t.shelves[i] == nil || !ok {
			return false
		}
	}
	return true
}

// followRefs counts the backends of the routes that changed.
func (t *trace) followRefs(changed *delta) bool {
	for _, r := range changed.routesGone {
		for _, w := range r.Backends {
			if !t.name(w.Name, -1) {
				return false
			}
		}
	}
	for _, r := range changed.routesCome {
		for _, w := range r.Backends {
			if !t.name(w.Name, 1) {
				return false
			}
		}
	}
	ok := true
	if same(t.routes, t.old.claims.routes) {
		t.routes = t.claims.routes
	} else {
		t.routes, ok = splice(t.routes, changed.routesGone, changed.routesCome, compareRouteNames)
	}
	return ok
}

// name counts a route that names a backend, and reports whether the backend is there to be named.
func (t *trace) name(name string, n int32) bool {
	if _, aside := t.claims.setAside[name]; aside {
		return false
	}
	if _, gone := t.left[name]; gone {
		t.left[name] += n
		return true
	}
	s, piece, i, ok := t.find(name)
	if !ok {
		return false
	}
	e := t.shelves[s].pieces[piece].of[i]
	t.touch(name, e.record)
	e.refs += n
	t.shelves[s] = t.shelves[s].with(piece, i, e)
	return true
}

func (b *backends) find(name string) (shelf, piece, i int, ok bool) {
	for s := range b.shelves {
		if piece, i, ok = b.shelves[s].find(name, backendName); ok {
			return s, piece, i, true
		}
	}
	return 0, 0, 0, false
}

// settle reads what was touched, and puts it in the place of what was there.
func (t *trace) settle() bool {
	var gone, come []*model.Backend
	var recordsGone, recordsCome []*record
	for name, before := range t.touched {
		var now *record
		if s, piece, i, ok := t.find(name); ok {
			e := t.shelves[s].pieces[piece].of[i]
			if e.refs > 0 {
				now = t.record(t.shelves[s].pieces[piece].in[i], before)
			}
			if now != e.record {
				e.record = now
				t.shelves[s] = t.shelves[s].with(piece, i, e)
			}
		}
		if now == before {
			continue
		}
		if before != nil {
			gone, recordsGone = append(gone, before.out), append(recordsGone, before)
		}
		if now != nil {
			come, recordsCome = append(come, now.out), append(recordsCome, now)
		}
	}
	t.use(recordsGone, recordsCome)
	slices.SortFunc(gone, compareBackends)
	slices.SortFunc(come, compareBackends)
	var ok bool
	t.out, ok = splice(t.old.out, gone, come, compareBackends)
	return ok
}

// use counts the probes of records.
func (t *trace) use(gone, come []*record) {
	uses := map[int32]int32{}
	for _, r := range gone {
		t.tally(r, -1)
		for _, p := range r.probes {
			uses[p]--
		}
	}
	for _, r := range come {
		t.tally(r, 1)
		for _, p := range r.probes {
			uses[p]++
		}
	}
	maps.DeleteFunc(uses, func(_, n int32) bool { return n == 0 })
	if len(uses) == 0 {
		return
	}
	t.uses = slices.Clone(t.old.uses)
	for p, n := range uses {
		t.uses[p] += n
	}
}
