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
	vips                []model.VIP
	httpPort, httpsPort uint16
	// seed of the hashes of routes: made anew for each sequence of turns, so that
	// nobody can choose hosts and paths that collide.
	seed maphash.Seed
}

func (c config) equal(d config) bool {
	return c.httpPort == d.httpPort && c.httpsPort == d.httpsPort && slices.EqualFunc(c.vips, d.vips, func(a, b model.VIP) bool {
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

// front is a listener that routes share: a VIP may have one for HTTP and one for
// TLS passed through.
type front struct {
	vip      model.VIP
	protocol model.Protocol
	port     uint16
}

// fronts is how many there may be.
func (c config) fronts() int { return 2 * len(c.vips) }

// front is one of them: those for HTTP in the order of the VIPs, then those for TLS.
func (c config) front(i int) front {
	if n := len(c.vips); i >= n {
		return front{c.vips[i-n], model.TLS, c.httpsPort}
	}
	return front{c.vips[i], model.HTTP, c.httpPort}
}

func (f front) name() string { return f.vip.Name + "/" + string(f.protocol) }

// Where a route or listener of a part is, in place of the index of a front.
const (
	ownListener = -1 // a route of a listener that an object asked for
	unknownVIP  = -2
	httpOff     = -3
	tlsOff      = -4
)

// part is a model.Part read against the config: which VIP each claim is for.
type part struct {
	in        *model.Part
	key       string
	listeners []*model.Listener // nil where the VIP is unknown
	routes    []*model.Route    // nil where there is no listener for it
	fronts    []int             // of each route: the shared listener it needs
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
		resolved, front := readRoute(r, c)
		complete = complete && resolved != nil
		p.routes = append(p.routes, resolved)
		p.fronts = append(p.fronts, front)
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
	at := c.frontOf(r)
	if at == unknownVIP {
		return nil, at
	}
	path := r.Match.Path
	if !r.Match.Exact && len(path) > 1 && strings.HasSuffix(path, "/") {
		path = max(strings.TrimRight(path, "/"), "/")
	}
	if at == ownListener && path == r.Match.Path && r.Protocol == "" {
		return r, at
	}
	resolved := *r
	resolved.Match.Path, resolved.Protocol = path, ""
	if at >= 0 {
		on := c.front(at)
		resolved.VIP, resolved.Listener = on.vip.Name, on.name()
		switch {
		case on.port == 0 && on.protocol == model.TLS:
			return nil, tlsOff
		case on.port == 0:
			return nil, httpOff
		case on.protocol == model.TLS:
			resolved.Protocol, resolved.Match = model.TLS, model.Match{Host: r.Match.Host}
		}
	}
	return &resolved, at
}

// frontOf is the shared listener that a route needs, ownListener or unknownVIP.
func (c config) frontOf(r *model.Route) int {
	if r.Listener != "" {
		for i := range c.fronts() {
			if c.front(i).name() == r.Listener {
				return i
			}
		}
		return ownListener
	}
	vip := c.vip(r.VIP)
	switch {
	case vip < 0:
		return unknownVIP
	case r.Protocol == model.TLS:
		return len(c.vips) + vip
	}
	return vip
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
		switch at := p.fronts[i]; {
		case at == unknownVIP:
			port := c.httpPort
			if p.in.Routes[i].Protocol == model.TLS {
				port = c.httpsPort
			}
			if port != 0 {
				o.Ports = append(o.Ports, model.PortOutcome{Port: port, Error: noVIP.word()})
			}
		case at >= 0:
			why := route(i)
			o.Ports = append(o.Ports, model.PortOutcome{Port: c.front(at).port, Error: why.word()})
			vip := at % len(c.vips)
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
