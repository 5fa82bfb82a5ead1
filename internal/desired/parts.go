package desired

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"strings"

	"github.com/landfall-edge/landfall/internal/model"
)

// config is what the claims of parts are read against.
type config struct {
	vips     []model.VIP
	httpPort uint16
	// seed of the hashes of routes: made anew for each sequence of turns, so that
	// nobody can choose hosts and paths that collide.
	seed maphash.Seed
}

func (c config) equal(d config) bool {
	return c.httpPort == d.httpPort && slices.EqualFunc(c.vips, d.vips, func(a, b model.VIP) bool {
		return a.Name == b.Name && a.Any == b.Any && slices.Equal(a.Addresses, b.Addresses)
	})
}

// vip finds a VIP by name, the first one for "", and -1 for an unknown name.
func (c config) vip(name string) int {
	if name == "" && len(c.vips) > 0 {
		return 0
	}
	return slices.IndexFunc(c.vips, func(v model.VIP) bool { return v.Name == name })
}

// binds are the addresses that a listener of a VIP binds; none means all of them.
func binds(v model.VIP) []netip.Addr {
	if v.Any {
		return nil
	}
	return v.Addresses
}

// shared is the name of the HTTP listener of a VIP.
func shared(v model.VIP) string { return v.Name + "/http" }

// Where a route or listener of a part is, in place of the index of a VIP.
const (
	ownListener = -1 // a route of a listener that an object asked for
	unknownVIP  = -2
	httpOff     = -3
)

// part is a model.Part read against the config: which VIP each claim is for.
type part struct {
	in        *model.Part
	key       string
	listeners []*model.Listener // nil where the VIP is unknown
	routes    []*model.Route    // nil where there is no listener for it
	vips      []int             // of each route: the VIP whose shared listener it needs
	hashes    []uint64          // of each route's key
	marks     []uint64          // of what it claims, and of others' listeners that it names
	full      *model.Outcome    // when all of it is served; nil when nobody asks
}

func readPart(in *model.Part, c config) *part {
	p := &part{in: in, key: in.Origin.Key()}
	complete := true
	for _, l := range in.Listeners {
		i := c.vip(l.VIP)
		if i < 0 {
			complete = false
			p.listeners = append(p.listeners, nil)
			continue
		}
		resolved := *l
		resolved.VIP = c.vips[i].Name
		resolved.Addresses = binds(c.vips[i])
		p.listeners = append(p.listeners, &resolved)
	}
	for _, r := range in.Routes {
		resolved, vip := readRoute(r, c)
		complete = complete && resolved != nil
		p.routes = append(p.routes, resolved)
		p.vips = append(p.vips, vip)
		var hash uint64
		if resolved != nil {
			hash = maphash.Comparable(c.seed, keyOf(resolved))
		}
		p.hashes = append(p.hashes, hash)
	}
	p.marks = p.mark(c)
	if in.Report && complete {
		p.full = p.outcome(c, func(int) reason { return served }, func(int) reason { return served })
	}
	return p
}

// readRoute puts a route onto its listener and gives its path one spelling.
func readRoute(r *model.Route, c config) (*model.Route, int) {
	vip := ownListener
	if r.Listener == "" {
		vip = c.vip(r.VIP)
		if vip < 0 {
			return nil, unknownVIP
		}
	} else if i := slices.IndexFunc(c.vips, func(v model.VIP) bool { return shared(v) == r.Listener }); i >= 0 {
		vip = i
	}
	if vip >= 0 && c.httpPort == 0 {
		return nil, httpOff
	}
	path := r.Match.Path
	if !r.Match.Exact && len(path) > 1 && strings.HasSuffix(path, "/") {
		path = max(strings.TrimRight(path, "/"), "/")
	}
	if vip == ownListener && path == r.Match.Path {
		return r, vip
	}
	resolved := *r
	resolved.Match.Path = path
	if vip >= 0 {
		resolved.VIP = c.vips[vip].Name
		resolved.Listener = shared(c.vips[vip])
	}
	return &resolved, vip
}

// outcome is where the part is served, given what became of each of its claims.
func (p *part) outcome(c config, listener, route func(i int) reason) *model.Outcome {
	o := &model.Outcome{Origin: p.in.Origin}
	on := make([]bool, len(c.vips))
	for i, l := range p.listeners {
		why := listener(i)
		o.Ports = append(o.Ports, model.PortOutcome{Port: p.in.Listeners[i].Port, Error: why.word()})
		if why.open() {
			on[c.vip(l.VIP)] = true
		}
	}
	for i := range p.routes {
		switch vip := p.vips[i]; {
		case vip == httpOff, vip == ownListener:
		case vip == unknownVIP:
			o.Ports = append(o.Ports, model.PortOutcome{Port: c.httpPort, Error: noVIP.word()})
		default:
			why := route(i)
			o.Ports = append(o.Ports, model.PortOutcome{Port: c.httpPort, Error: why.word()})
			on[vip] = on[vip] || why.open()
		}
	}
	o.Ports = onePerPort(o.Ports)
	for i, v := range c.vips {
		if on[i] {
			o.Addresses = append(o.Addresses, v.Addresses...)
		}
	}
	return o
}

// onePerPort sorts by port. A port that serves one of several routes is served;
// the others have their findings.
func onePerPort(ports []model.PortOutcome) []model.PortOutcome {
	slices.SortFunc(ports, func(a, b model.PortOutcome) int {
		if a.Port != b.Port {
			return int(a.Port) - int(b.Port)
		}
		return strings.Compare(a.Error, b.Error)
	})
	return slices.CompactFunc(ports, func(a, b model.PortOutcome) bool { return a.Port == b.Port })
}

func equalOutcome(a, b *model.Outcome) bool {
	return a.Origin == b.Origin && slices.Equal(a.Addresses, b.Addresses) && slices.Equal(a.Ports, b.Ports)
}
