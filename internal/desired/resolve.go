package desired

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/landfall-edge/landfall/internal/model"
)

// resolver settles conflicts. Each step only takes claims out: routes against
// each other, then ports, then the routes whose listener is not served.
type resolver struct {
	*claims
	parts     []*part
	listeners []listenerClaim  // of the parts in order, then the shared ones
	routes    []routeClaim     // of the parts in order
	starts    []start          // of each part
	shared    []int            // of each front: its listener in listeners, or -1
	winners   map[uint64]int32 // of a route's hash, or the next free number: in routes
	byName    map[string]int   // listeners by name, when a route refers to another part's
}

// start is where a part's claims begin, and its source.
type start struct{ source, listener, route int }

type listenerClaim struct {
	listener *model.Listener // nil: the VIP is unknown
	origin   *model.Origin   // whose precedence it has
	source   int
	part     int // -1 for a shared one
	why      reason
	by       int // the winner in listeners, or the index in held or reserved
}

type routeClaim struct {
	route  *model.Route // nil: there is no listener for it
	origin *model.Origin
	hash   uint64
	source int
	front  int
	why    reason
	// listener is the index of the route's listener when only that decides.
	listener int
}

// routeKey is what only one route may have.
type routeKey struct {
	listener, host, path string
	exact                bool
}

func keyOf(r *model.Route) routeKey {
	return routeKey{r.Listener, r.Match.Host, max(r.Match.Path, "/"), r.Match.Exact}
}

func newResolver(c *claims, in Input, prev *claims) *resolver {
	r := &resolver{claims: c}
	for source, f := range in.Fragments {
		known := prev.known(f.Source, c.config)
		parts := readParts(f.Parts, c.config, known, prev)
		sorted := true
		for i, p := range parts {
			sorted = sorted && p.in == f.Parts[i] && (i == 0 || parts[i-1].key < p.key)
		}
		c.shelves = append(c.shelves, newShelf(f.Source, f.Parts, parts, sorted))
		r.grow(parts)
		for _, p := range parts {
			r.add(p, source)
		}
	}
	return r
}

// known are the parts of a source that were read against the same config.
func (c *claims) known(source string, now config) []*part {
	if c == nil || !c.config.equal(now) {
		return nil
	}
	for _, s := range c.shelves {
		if s.source == source {
			_, parts := s.flat()
			return parts
		}
	}
	return nil
}

// readParts reads what is not among the known ones. Both are sorted by key, so
// that one walk over both finds them; if given is not, more is read afresh.
func readParts(given []*model.Part, now config, known []*part, prev *claims) []*part {
	parts := make([]*part, 0, len(given))
	for _, in := range given {
		if len(known) == 0 || known[0].in != in {
			for key := in.Origin.Key(); len(known) > 0 && known[0].key < key; {
				known = known[1:]
			}
		}
		if len(known) > 0 && known[0].in == in {
			parts, known = append(parts, known[0]), known[1:]
			continue
		}
		p := readPart(in, now)
		if p.full != nil && prev != nil {
			p.full = reuseOutcome(p.full, p.key, prev.outcomes)
		}
		parts = append(parts, p)
	}
	return sortRuns(parts, func(a, b *part) int { return strings.Compare(a.key, b.key) })
}

// grow makes room for the claims of parts.
func (r *resolver) grow(parts []*part) {
	listeners, routes := r.config.fronts(), 0
	for _, p := range parts {
		listeners += len(p.listeners)
		routes += len(p.routes)
	}
	r.parts = slices.Grow(r.parts, len(parts))
	r.starts = slices.Grow(r.starts, len(parts))
	r.listeners = slices.Grow(r.listeners, listeners)
	r.routes = slices.Grow(r.routes, routes)
}

func (r *resolver) add(p *part, source int) {
	r.starts = append(r.starts, start{source, len(r.listeners), len(r.routes)})
	for _, l := range p.listeners {
		claim := listenerClaim{listener: l, origin: &p.in.Origin, source: source, part: len(r.parts)}
		if l == nil {
			claim.why = noVIP
		}
		r.listeners = append(r.listeners, claim)
	}
	for i, route := range p.routes {
		claim := routeClaim{route: route, origin: &p.in.Origin, source: source, front: p.fronts[i], hash: p.hashes[i]}
		switch claim.front {
		case unknownVIP:
			claim.why = noVIP
		case httpOff:
			claim.why = off
		case tlsOff:
			claim.why = offTLS
		}
		r.routes = append(r.routes, claim)
	}
	r.parts = append(r.parts, p)
}

func (r *resolver) resolve(prev *claims) {
	r.settleRoutes()
	r.openShared(prev)
	r.settlePorts()
	r.keepShared()
	r.dropListenerless()
}

// settleRoutes leaves one route for each listener, host and path.
func (r *resolver) settleRoutes() {
	r.winners = make(map[uint64]int32, len(r.routes))
	for i := range r.routes {
		claim := &r.routes[i]
		if claim.why != served {
			continue
		}
		if len(r.setAside) > 0 {
			if _, out := r.setAside[claim.route.Name]; out {
				claim.why = aside
				continue
			}
		}
		at := claim.hash
		j, taken := r.winners[at]
		for taken && keyOf(r.routes[j].route) != keyOf(claim.route) {
			at++
			j, taken = r.winners[at]
		}
		switch {
		case !taken:
			r.winners[at] = int32(i)
		case compareRoutes(claim, &r.routes[j]) < 0:
			r.routes[j].why = routeLost
			r.winners[at] = int32(i)
		default:
			claim.why = routeLost
		}
	}
}

// winner is the route that has the listener, host and path of this one.
func (r *resolver) winner(route *model.Route, hash uint64) (int, bool) {
	for ; ; hash++ {
		i, taken := r.winners[hash]
		if !taken || keyOf(r.routes[i].route) == keyOf(route) {
			return int(i), taken
		}
	}
}

func compareRoutes(a, b *routeClaim) int {
	if c := cmp.Compare(a.route.Rank, b.route.Rank); c != 0 {
		return c
	}
	return before(a.source, a.origin, b.source, b.origin)
}

// openShared claims the port of each shared listener that a route needs, with the
// precedence of the oldest such route.
func (r *resolver) openShared(prev *claims) {
	type need struct {
		origin *model.Origin
		source int
	}
	needs := make([]need, r.config.fronts())
	want := func(front, source int, origin *model.Origin) {
		n := &needs[front]
		if n.origin == nil || before(source, origin, n.source, n.origin) < 0 {
			*n = need{origin, source}
		}
	}
	for i := range r.routes {
		if claim := &r.routes[i]; claim.why == served && claim.front >= 0 {
			want(claim.front, claim.source, claim.origin)
		}
	}
	if r.def.name != "" && r.config.httpPort != 0 && len(needs) > 0 {
		if _, out := r.setAside[r.config.vips[0].Name+"/default"]; !out {
			want(0, r.def.source, &r.def.origin)
		}
	}
	r.shared = make([]int, len(needs))
	for i, n := range needs {
		r.shared[i] = -1
		if n.origin == nil {
			continue
		}
		f := r.config.front(i)
		l := &model.Listener{
			Name: f.name(), Origin: *n.origin, VIP: f.vip.Name, Port: f.port,
			Protocol: f.protocol, Addresses: binds(f.vip),
		}
		l = reuseListener(l, prev)
		r.shared[i] = len(r.listeners)
		r.listeners = append(r.listeners, listenerClaim{listener: l, origin: n.origin, source: n.source, part: -1})
	}
}

// keepShared leaves to the next turn what became of the shared ports.
func (r *resolver) keepShared() {
	for _, i := range r.shared {
		h := frontPort{why: noListener}
		if i >= 0 {
			h = frontPort{r.listeners[i].listener, r.listeners[i].source, r.listeners[i].why}
		}
		r.ports = append(r.ports, h)
	}
}

// settlePorts leaves one listener on each address and port, and none where
// something else listens.
func (r *resolver) settlePorts() {
	order := make([]int, 0, len(r.listeners))
	for i := range r.listeners {
		if claim := &r.listeners[i]; claim.why == served && r.mayOpen(claim) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(i, j int) int {
		a, b := &r.listeners[i], &r.listeners[j]
		if a.listener.Port != b.listener.Port {
			return cmp.Compare(a.listener.Port, b.listener.Port)
		}
		return before(a.source, a.origin, b.source, b.origin)
	})
	first := 0
	for n, i := range order {
		claim := &r.listeners[i]
		if r.listeners[order[first]].listener.Port != claim.listener.Port {
			first = n
		}
		for _, j := range order[first:n] {
			winner := &r.listeners[j]
			if winner.why.open() && overlap(winner.listener.Addresses, claim.listener.Addresses) {
				claim.why, claim.by = portLost, j
				break
			}
		}
	}
}

// mayOpen takes a claim out that nobody could have.
func (c *claims) mayOpen(claim *listenerClaim) bool {
	l := claim.listener
	if len(c.setAside) > 0 {
		if _, out := c.setAside[l.Name]; out {
			claim.why = aside
			return false
		}
	}
	for i, socket := range c.reserved {
		if socket.Port() == l.Port && covers(l.Addresses, socket.Addr()) {
			claim.why, claim.by = reserved, i
			return false
		}
	}
	for i, h := range c.held {
		if h.Port != l.Port || !covers(l.Addresses, h.Address) {
			continue
		}
		claim.by = i
		if slices.ContainsFunc(c.ours, func(o *model.Listener) bool { return opens(o, l) }) {
			claim.why = sharedPort
			continue
		}
		claim.why = held
		return false
	}
	return true
}

// opens reports whether ours has everything open that l needs.
func opens(ours, l *model.Listener) bool {
	if ours.Port != l.Port || len(ours.Addresses) == 0 {
		return ours.Port == l.Port
	}
	return len(l.Addresses) > 0 && !slices.ContainsFunc(l.Addresses, func(a netip.Addr) bool { return !slices.Contains(ours.Addresses, a) })
}

// dropListenerless takes out the routes whose listener is not served.
func (r *resolver) dropListenerless() {
	for i := range r.parts {
		for j := range r.parts[i].routes {
			claim := &r.routes[r.starts[i].route+j]
			if claim.why != served {
				continue
			}
			claim.listener = r.listenerOf(claim, i)
			switch {
			case claim.listener < 0:
				claim.why = noListener
			case !r.listeners[claim.listener].why.open():
				claim.why = listenerNo
			}
		}
	}
}

// listenerOf finds a route's listener: the shared one, one of its own part, or
// one of another part. It returns -1 when nobody asked for it.
func (r *resolver) listenerOf(claim *routeClaim, part int) int {
	if claim.front >= 0 {
		return r.shared[claim.front]
	}
	for i, l := range r.parts[part].in.Listeners {
		if l.Name == claim.route.Listener {
			return r.starts[part].listener + i
		}
	}
	if r.byName == nil {
		r.byName = make(map[string]int, len(r.listeners))
		for i := len(r.listeners) - 1; i >= 0; i-- {
			if l := r.listeners[i].listener; l != nil {
				r.byName[l.Name] = i
			}
		}
	}
	if i, ok := r.byName[claim.route.Listener]; ok {
		return i
	}
	return -1
}
