package registry

import (
	"cmp"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/landfall-edge/landfall/internal/model"
)

// Kind is what a registration is called in an Origin.
const Kind = "Registration"

// Fragment is what is asked for at a time. While nothing changes it is made of the
// same slices, and what did not change is the same pointer.
func (r *Registry) Fragment(now time.Time) model.Fragment {
	if !r.changed {
		return r.fragment
	}
	r.changed = false
	news := false
	for key, o := range r.objects {
		if !o.dirty {
			continue
		}
		o.dirty = false
		news = o.build(now) || news
		if len(o.regs) == 0 {
			delete(r.objects, key)
		}
	}
	if news {
		r.assemble()
	}
	return r.fragment
}

// Note sets the findings that go with the fragment, and reports whether they are
// others than before.
func (r *Registry) Note(findings []model.Finding) bool {
	if slices.Equal(r.fragment.Findings, findings) {
		return false
	}
	r.fragment.Findings = slices.Clone(findings)
	return true
}

func (r *Registry) assemble() {
	f := model.Fragment{Source: r.source, Findings: r.fragment.Findings}
	for _, o := range r.objects {
		if o.part != nil {
			f.Parts = append(f.Parts, o.part)
		}
		f.Backends = append(f.Backends, o.backends...)
	}
	slices.SortFunc(f.Parts, func(a, b *model.Part) int { return strings.Compare(a.Origin.Key(), b.Origin.Key()) })
	slices.SortFunc(f.Backends, func(a, b *model.Backend) int { return strings.Compare(a.Name, b.Name) })
	r.fragment = f
}

// place is one claim of an object: a front port, or a host and path.
type place struct {
	protocol   model.Protocol
	front      uint16
	host, path string
}

func (p place) compare(o place) int {
	return cmp.Or(cmp.Compare(p.protocol, o.protocol), cmp.Compare(p.front, o.front), cmp.Compare(p.host, o.host), cmp.Compare(p.path, o.path))
}

// passed names what passes TLS through: a host may be a number, as a port is.
func (p place) passed() string { return "tls:" + p.host }

// claim is one registration at a place.
type claim struct {
	reg   *Registration
	port  Port
	state State
}

// places are the claims that a port makes.
func (p Port) places() []place {
	switch p.Protocol {
	case model.TCP:
		return []place{{protocol: p.Protocol, front: p.Front}}
	case model.HTTP:
		var all []place
		for _, host := range p.Hosts {
			for _, path := range p.Paths {
				all = append(all, place{protocol: p.Protocol, host: host, path: path})
			}
		}
		return all
	case model.TLS:
		var all []place
		for _, host := range p.Hosts {
			all = append(all, place{protocol: p.Protocol, host: host})
		}
		return all
	}
	return nil
}

// build makes part and backends anew, and reports whether they are others than
// before. What is equal stays the same pointer.
func (o *object) build(now time.Time) (news bool) {
	claims := map[place][]claim{}
	clear(o.states)
	for key, reg := range o.regs {
		state := reg.State(now)
		o.states[key] = state
		if state == gone {
			continue
		}
		for _, port := range reg.Ports {
			for _, at := range port.places() {
				claims[at] = append(claims[at], claim{reg, port, state})
			}
		}
	}
	part := &model.Part{Origin: o.origin, Report: true}
	var backends []*model.Backend
	for _, at := range slices.SortedFunc(maps.Keys(claims), place.compare) {
		backend := o.backend(at, claims[at])
		backends = append(backends, backend)
		o.claim(part, at, backend.Name)
	}
	slices.SortFunc(part.Routes, func(a, b *model.Route) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(backends, func(a, b *model.Backend) int { return strings.Compare(a.Name, b.Name) })
	if len(part.Routes) == 0 {
		part = nil
	}
	if !reflect.DeepEqual(o.part, part) {
		o.part, news = part, true
	}
	for i, b := range backends {
		if j, ok := slices.BinarySearchFunc(o.backends, b.Name, func(b *model.Backend, name string) int { return strings.Compare(b.Name, name) }); ok &&
			reflect.DeepEqual(o.backends[j], b) {
			backends[i] = o.backends[j]
		}
	}
	news = news || !slices.Equal(o.backends, backends)
	o.backends = backends
	return news
}

func (o *object) claim(part *model.Part, at place, backend string) {
	to := []model.WeightedBackend{{Name: backend, Weight: 1}}
	if at.protocol == model.TCP {
		name := o.prefix() + strconv.Itoa(int(at.front))
		part.Listeners = append(part.Listeners, &model.Listener{Name: name, Origin: o.origin, Port: at.front, Protocol: model.TCP})
		part.Routes = append(part.Routes, &model.Route{Name: name, Origin: o.origin, Listener: name, Backends: to})
		return
	}
	route := &model.Route{
		Name: o.prefix() + at.host + at.path, Origin: o.origin, Match: model.Match{Host: at.host, Path: at.path}, Backends: to,
	}
	if at.protocol == model.TLS {
		route.Name, route.Protocol = o.prefix()+at.passed(), model.TLS
	}
	part.Routes = append(part.Routes, route)
}

func (o *object) prefix() string {
	return o.origin.Source + "/" + o.origin.Namespace + "/" + o.origin.Name + "/"
}

// backend is the claims of one place. How it is spoken to is the word of the newest
// registration.
func (o *object) backend(at place, claims []claim) *model.Backend {
	newest := claims[0]
	endpoints := map[netip.AddrPort]claim{}
	live := false
	for _, c := range claims {
		live = live || c.state == Live
		if newer(c, newest) {
			newest = c
		}
		address := netip.AddrPortFrom(c.reg.Address, c.port.Target)
		if other, twice := endpoints[address]; !twice || better(c, other) {
			endpoints[address] = c
		}
	}
	b := &model.Backend{Name: o.prefix() + strconv.Itoa(int(at.front)), Origin: o.origin, Protocol: model.TCP}
	switch at.protocol {
	case model.TLS:
		b.Name = o.prefix() + at.passed()
	case model.HTTP:
		b.Name, b.Protocol = o.prefix()+at.host+at.path+"/http", model.HTTP
	}
	b.SendProxy, b.Check = newest.port.SendProxy, &model.Check{HTTP: newest.port.CheckPath}
	for address, c := range endpoints {
		b.Endpoints = append(b.Endpoints, model.Endpoint{
			Address: address, Weight: c.port.Weight,
			Draining: c.state == Draining || c.state == Late && live,
		})
	}
	slices.SortFunc(b.Endpoints, func(x, y model.Endpoint) int { return x.Address.Compare(y.Address) })
	return b
}

func newer(c, d claim) bool {
	return cmp.Or(c.reg.Added.Compare(d.reg.Added), d.reg.Compare(c.reg.Key)) > 0
}

// better reports whether c says rather than d how the same endpoint is.
func better(c, d claim) bool {
	rank := map[State]int{Live: 2, Late: 1}
	if rank[c.state] != rank[d.state] {
		return rank[c.state] > rank[d.state]
	}
	return newer(c, d)
}
