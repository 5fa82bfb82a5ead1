package desired

import (
	"hash/maphash"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/landfall-edge/landfall/internal/model"
)

// claims is what became of every claim on a port, host and path. It depends on
// the parts and a few settings, not on endpoints, and so outlives most turns.
type claims struct {
	// What it was built from.
	config   config
	shelves  []*shelf[model.Part, *part]
	setAside map[string]string
	reserved []netip.AddrPort
	held     []model.Held
	ours     []*model.Listener // of Input.Serving, those on held ports
	def      defaultClaim

	ports     []frontPort   // of each front
	marks     func() *marks // of what there are claims on
	twins     bool          // two objects have the same name
	listeners []*model.Listener
	asked     []*model.Listener
	routes    []*model.Route // with whatever backends they name
	outcomes  []*model.Outcome
	findings  []keyed
}

// defaultClaim is the backend that answers what no route takes.
type defaultClaim struct {
	name   string // empty: none
	found  bool
	source int
	origin model.Origin
}

// frontPort is the listener of a front; nil when there is none.
type frontPort struct {
	listener *model.Listener
	source   int
	why      reason
}

// resolveClaims settles every conflict, or returns prev when nothing that matters
// to it has changed. The delta is from prev, or nil when everything was settled.
func resolveClaims(in Input, prev *claims) (*claims, *delta) {
	c := &claims{
		config: config{vips: cloneVIPs(in.VIPs), httpPort: in.HTTPPort, httpsPort: in.HTTPSPort},
		ours:   onHeldPorts(in.Serving, in.Held),
		def:    findDefault(in),
	}
	same := prev != nil && prev.sameSettings(in, c)
	if same && prev.holds(in) {
		return prev, &delta{}
	}
	if same {
		if now, d := prev.follow(in); d != nil {
			return now, d
		}
	}
	if prev != nil {
		c.config.seed = prev.config.seed
	} else {
		c.config.seed = maphash.MakeSeed()
	}
	c.setAside = maps.Clone(in.SetAside)
	c.reserved = slices.Clone(in.Reserved)
	c.held = slices.Clone(in.Held)
	r := newResolver(c, in, prev)
	r.resolve(prev)
	r.assemble(prev)
	r.report(prev)
	c.marks = sync.OnceValue(c.mark)
	return c, nil
}

func (c *claims) sameSettings(in Input, now *claims) bool {
	return c.config.equal(now.config) && c.def == now.def &&
		maps.Equal(c.setAside, in.SetAside) && slices.Equal(c.reserved, in.Reserved) &&
		slices.Equal(c.held, in.Held) && slices.EqualFunc(c.ours, now.ours, sameSocket)
}

func (c *claims) holds(in Input) bool {
	return slices.EqualFunc(c.shelves, in.Fragments, func(s *shelf[model.Part, *part], f model.Fragment) bool {
		return s.holds(f.Source, f.Parts)
	})
}

func cloneVIPs(vips []model.VIP) []model.VIP {
	vips = slices.Clone(vips)
	for i := range vips {
		vips[i].Addresses = slices.Clone(vips[i].Addresses)
		// Nothing to bind and every address are the same thing to an engine.
		vips[i].Any = vips[i].Any || len(vips[i].Addresses) == 0
	}
	return vips
}

// onHeldPorts keeps the few listeners that Held can be about. What the operator's
// own files bind they keep, now as after a restart.
func onHeldPorts(serving []*model.Listener, held []model.Held) []*model.Listener {
	var ours []*model.Listener
	if len(held) == 0 {
		return nil
	}
	for _, l := range serving {
		if slices.ContainsFunc(held, func(h model.Held) bool { return h.Port == l.Port && !h.Operator }) {
			ours = append(ours, l)
		}
	}
	return ours
}

func sameSocket(a, b *model.Listener) bool {
	return a == b || a.Port == b.Port && slices.Equal(a.Addresses, b.Addresses)
}

func findDefault(in Input) defaultClaim {
	if in.DefaultBackend == "" {
		return defaultClaim{}
	}
	for i, f := range in.Fragments {
		j, ok := slices.BinarySearchFunc(f.Backends, in.DefaultBackend, func(b *model.Backend, name string) int {
			return strings.Compare(b.Name, name)
		})
		if ok {
			return defaultClaim{in.DefaultBackend, true, i, f.Backends[j].Origin}
		}
	}
	return defaultClaim{name: in.DefaultBackend, source: len(in.Fragments), origin: fileOrigin()}
}

// fileOrigin stands for the edge's own file.
func fileOrigin() model.Origin { return model.Origin{Source: "edge", Kind: "Edge"} }

// overlap reports whether two listeners' addresses have one in common.
func overlap(a, b []netip.Addr) bool {
	if len(a) == 0 || len(b) == 0 {
		return true
	}
	return slices.ContainsFunc(a, func(addr netip.Addr) bool { return slices.Contains(b, addr) })
}

// covers reports whether a listener on addresses cannot open beside a socket on
// one address. A socket on :: takes IPv4 as well.
func covers(addresses []netip.Addr, socket netip.Addr) bool {
	socket = socket.Unmap()
	if len(addresses) == 0 || !socket.IsValid() {
		return true
	}
	return slices.ContainsFunc(addresses, func(a netip.Addr) bool {
		a = a.Unmap()
		if socket.IsUnspecified() {
			return socket.Is6() || a.Is4()
		}
		return a == socket
	})
}

// lastResorts are the routes to the default backend of the file: on the default
// VIP, and wherever else HTTP is served, unless a route takes everything there.
func (r *resolver) lastResorts(prev *claims) []*model.Route {
	var routes []*model.Route
	if r.def.name == "" {
		return nil
	}
	for i, v := range r.config.vips { // whose HTTP listeners come first
		listener := r.shared[i]
		if listener < 0 || !r.listeners[listener].why.open() {
			continue
		}
		route := &model.Route{
			Name: v.Name + "/default", Origin: r.def.origin, Listener: r.config.front(i).name(), VIP: v.Name, Rank: model.LastResort,
			Backends: []model.WeightedBackend{{Name: r.def.name, Weight: 1}},
		}
		if _, taken := r.winner(route, maphash.Comparable(r.config.seed, keyOf(route))); taken {
			continue
		}
		if _, out := r.setAside[route.Name]; out {
			continue
		}
		routes = append(routes, keepRoute(route, prev))
	}
	return routes
}

// keepRoute returns prev's route when it is the same.
func keepRoute(route *model.Route, prev *claims) *model.Route {
	if prev == nil {
		return route
	}
	return reuseRoute(route, prev.routes)
}

func reuseRoute(route *model.Route, sorted []*model.Route) *model.Route {
	i, ok := slices.BinarySearchFunc(sorted, route.Name, func(r *model.Route, name string) int { return strings.Compare(r.Name, name) })
	if !ok {
		return route
	}
	old := sorted[i]
	if old.Origin == route.Origin && old.Listener == route.Listener && old.VIP == route.VIP && old.Match == route.Match &&
		old.Rank == route.Rank && old.Limit == route.Limit && slices.Equal(old.Backends, route.Backends) {
		return old
	}
	return route
}
