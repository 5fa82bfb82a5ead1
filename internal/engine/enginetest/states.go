package enginetest

import (
	"cmp"
	"encoding/json"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/model"
)

// chapter is a state and what is new in it.
type chapter struct {
	name  string
	state model.State
}

// book writes chapters, each from the one before.
type book struct {
	chapters []chapter
	state    model.State
}

// next adds a chapter. change may replace objects, never write into them.
func (b *book) next(name string, change func(s *model.State)) {
	s := model.State{
		Listeners: slices.Clone(b.state.Listeners), Routes: slices.Clone(b.state.Routes),
		Backends: slices.Clone(b.state.Backends), Probes: slices.Clone(b.state.Probes),
	}
	change(&s)
	sortByName(s.Listeners, func(l *model.Listener) string { return l.Name })
	sortByName(s.Routes, func(r *model.Route) string { return r.Name })
	sortByName(s.Backends, func(b *model.Backend) string { return b.Name })
	sortByName(s.Probes, func(p *model.Probe) string { return p.Name })
	b.state = s
	b.chapters = append(b.chapters, chapter{name, s})
}

func sortByName[T any](all []*T, name func(*T) string) {
	slices.SortFunc(all, func(a, b *T) int { return cmp.Compare(name(a), name(b)) })
}

// put adds an object, or replaces the one of the same name.
func put[T any](all *[]*T, name func(*T) string, one *T) {
	*all = append(slices.DeleteFunc(*all, func(p *T) bool { return name(p) == name(one) }), one)
}

// drop removes the object of a name.
func drop[T any](all *[]*T, name func(*T) string, gone string) {
	*all = slices.DeleteFunc(*all, func(p *T) bool { return name(p) == gone })
}

func listenerName(l *model.Listener) string { return l.Name }
func routeName(r *model.Route) string       { return r.Name }
func backendName(b *model.Backend) string   { return b.Name }
func probeName(p *model.Probe) string       { return p.Name }

const (
	tcpName  = "home/web/shop/443"
	httpName = "main/http"
	siteName = "home/web/site/80/http"
	apiName  = "home/web/api/80/http"
)

func origin(kind, name string) model.Origin {
	return model.Origin{Source: "home", Kind: kind, Namespace: "web", Name: name, Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
}

func listener(name string, port uint16, p model.Protocol) *model.Listener {
	return &model.Listener{
		Name: name, Origin: origin("Service", "shop"), VIP: "main", Port: port, Protocol: p,
		Addresses: []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})},
	}
}

// route is one of the shared listener, to backends of equal weight.
func route(host, path string, backends ...string) *model.Route {
	shown := host
	if host == "" {
		shown = "*"
	}
	r := &model.Route{
		Name: "home/web/site/" + shown + path, Origin: origin("Ingress", "site"), Listener: httpName, VIP: "main",
		Match: model.Match{Host: host, Path: path},
	}
	for _, b := range backends {
		r.Backends = append(r.Backends, model.WeightedBackend{Name: b, Weight: 1})
	}
	return r
}

func backend(name string, p model.Protocol, endpoints ...model.Endpoint) *model.Backend {
	return &model.Backend{Name: name, Origin: origin("Service", "shop"), Protocol: p, Endpoints: endpoints}
}

// at is an endpoint on a loopback address, where nobody needs to answer.
func at(host byte, change ...func(*model.Endpoint)) model.Endpoint {
	e := model.Endpoint{Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, 0, host}), 8080), Target: "n1"}
	for _, c := range change {
		c(&e)
	}
	return e
}

func weight(n int) func(*model.Endpoint)          { return func(e *model.Endpoint) { e.Weight = n } }
func draining(e *model.Endpoint)                  { e.Draining = true }
func judgedBy(probe string) func(*model.Endpoint) { return func(e *model.Endpoint) { e.Probe = probe } }

func probe(node string, host byte) *model.Probe {
	return &model.Probe{
		Name: "home/" + node, Origin: model.Origin{Source: "home", Kind: "Node", Name: node},
		Address: netip.AddrFrom4([4]byte{127, 1, 0, host}), Port: 10256, Path: "/healthz",
	}
}

// chapters are the states that the suite goes through, from nothing to nothing.
func chapters(ports []uint16, splits bool) []chapter {
	b := &book{}
	b.ports(ports)
	b.endpoints()
	b.routes(splits)
	b.probes()
	b.options(ports)
	b.ends()
	return b.chapters
}

func (b *book) ports(ports []uint16) {
	b.next("a port of its own", func(s *model.State) {
		put(&s.Listeners, listenerName, listener(tcpName, ports[0], model.TCP))
		put(&s.Routes, routeName, &model.Route{
			Name: tcpName, Origin: origin("Service", "shop"), Listener: tcpName,
			Backends: []model.WeightedBackend{{Name: tcpName, Weight: 1}},
		})
		put(&s.Backends, backendName, backend(tcpName, model.TCP, at(1), at(2)))
	})
	b.next("HTTP", func(s *model.State) {
		put(&s.Listeners, listenerName, listener(httpName, ports[1], model.HTTP))
		put(&s.Routes, routeName, route("site.example.com", "/", siteName))
		put(&s.Backends, backendName, backend(siteName, model.HTTP, at(1)))
	})
}

func (b *book) endpoints() {
	set := func(name string, endpoints ...model.Endpoint) {
		b.next(name, func(s *model.State) {
			put(&s.Backends, backendName, backend(siteName, model.HTTP, endpoints...))
		})
	}
	set("an endpoint more", at(1), at(2))
	set("weights", at(1, weight(5)), at(2, weight(256)))
	set("draining", at(1, weight(5)), at(2, weight(256), draining))
	set("an endpoint less, and another", at(1), at(3))
	set("many endpoints", at(1), at(2), at(3), at(4), at(5), at(6), at(7), at(8), at(9), at(10), at(11), at(12))
	set("no endpoints")
	set("endpoints again", at(4), at(5, draining))
	b.next("endpoints of a port of its own", func(s *model.State) {
		put(&s.Backends, backendName, backend(tcpName, model.TCP, at(2), at(3, weight(2)), at(4, draining)))
	})
}

func (b *book) routes(splits bool) {
	b.next("routes of every kind", func(s *model.State) {
		put(&s.Backends, backendName, backend(apiName, model.HTTP, at(7)))
		for _, r := range []*model.Route{
			route("site.example.com", "/api", apiName), route("*.example.com", "/", siteName),
			route("", "/health", apiName), route("gone.example.com", "/"),
		} {
			put(&s.Routes, routeName, r)
		}
		r := route("site.example.com", "/login", apiName)
		r.Name, r.Match.Exact = "home/web/site/site.example.com=/login", true
		put(&s.Routes, routeName, r)
		put(&s.Routes, routeName, &model.Route{
			Name: "main/default", Origin: origin("Service", "portal"), Listener: httpName, VIP: "main", Rank: model.LastResort,
			Backends: []model.WeightedBackend{{Name: siteName, Weight: 1}},
		})
	})
	b.next("a route goes elsewhere", func(s *model.State) {
		put(&s.Routes, routeName, route("site.example.com", "/api", siteName))
		put(&s.Routes, routeName, route("gone.example.com", "/", apiName))
	})
	if splits {
		b.next("traffic is split", func(s *model.State) {
			r := route("site.example.com", "/", siteName, apiName)
			r.Backends[0].Weight, r.Backends[1].Weight = 90, 10
			put(&s.Routes, routeName, r)
		})
	}
	limit := func(l model.Limit) func(*model.State) {
		return func(s *model.State) {
			r := route("site.example.com", "/", siteName)
			r.Limit = l
			put(&s.Routes, routeName, r)
		}
	}
	b.next("a route has a limit", limit(model.Limit{Rate: 20}))
	b.next("another limit", limit(model.Limit{Rate: 10, Connections: 5}))
	b.next("routes go", func(s *model.State) {
		put(&s.Routes, routeName, route("site.example.com", "/", siteName))
		drop(&s.Routes, routeName, "home/web/site/*.example.com/")
		drop(&s.Routes, routeName, "home/web/site/*/health")
		drop(&s.Routes, routeName, "main/default")
	})
}

func (b *book) probes() {
	b.next("probes", func(s *model.State) {
		put(&s.Probes, probeName, probe("n1", 1))
		put(&s.Probes, probeName, probe("n2", 2))
		put(&s.Backends, backendName, backend(siteName, model.HTTP, at(1, judgedBy("home/n1")), at(2, judgedBy("home/n2"))))
		put(&s.Backends, backendName, backend(tcpName, model.TCP, at(1, judgedBy("home/n1")), at(2)))
	})
	b.next("a probe is assumed", func(s *model.State) {
		p := probe("n2", 2)
		p.Assumed = true
		put(&s.Probes, probeName, p)
	})
	b.next("a probe elsewhere, and another", func(s *model.State) {
		p := probe("n1", 9)
		p.Port, p.Path = 10257, "/livez"
		put(&s.Probes, probeName, p)
		put(&s.Probes, probeName, probe("n2", 2))
		put(&s.Probes, probeName, probe("n3", 3))
		put(&s.Backends, backendName, backend(siteName, model.HTTP,
			at(1, judgedBy("home/n1")), at(2, judgedBy("home/n3")), at(3, judgedBy("home/n2"), draining)))
	})
	b.next("a probe goes", func(s *model.State) {
		drop(&s.Probes, probeName, "home/n2")
		put(&s.Backends, backendName, backend(siteName, model.HTTP, at(1, judgedBy("home/n1")), at(2, judgedBy("home/n3"))))
	})
}

func (b *book) options(ports []uint16) {
	b.next("a backend with options", func(s *model.State) {
		with := backend(apiName, model.HTTP, at(7), at(8))
		with.Balance, with.Affinity = "leastconn", 10*time.Minute
		with.Check = &model.Check{HTTP: "/health", Port: 8081}
		put(&s.Backends, backendName, with)
	})
	b.next("other options", func(s *model.State) {
		with := backend(apiName, model.HTTP, at(7), at(8))
		with.Balance, with.Check = "source", &model.Check{}
		put(&s.Backends, backendName, with)
		proxied := backend(tcpName, model.TCP, at(1, judgedBy("home/n1")), at(2))
		proxied.SendProxy = 2
		put(&s.Backends, backendName, proxied)
	})
	b.next("other protocols", func(s *model.State) {
		put(&s.Backends, backendName, backend(apiName, model.HTTPS, at(7)))
		put(&s.Backends, backendName, backend(siteName, model.H2C, at(1, judgedBy("home/n1")), at(2, judgedBy("home/n3"))))
	})
	b.next("only some may connect, and another port", func(s *model.State) {
		l := listener(tcpName, ports[2], model.TCP)
		l.SourceRanges = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
		put(&s.Listeners, listenerName, l)
	})
	b.next("the same for another object", func(s *model.State) {
		l := listener(httpName, ports[1], model.HTTP)
		l.Origin = origin("Ingress", "younger")
		put(&s.Listeners, listenerName, l)
	})
	b.passedThrough(ports[0])
}

func (b *book) passedThrough(port uint16) {
	passed := func(host, backend string) *model.Route {
		return &model.Route{
			Name: "home/web/vault/tls:" + host, Origin: origin("Registration", "vault"), Listener: "main/tls", VIP: "main",
			Protocol: model.TLS, Match: model.Match{Host: host}, Backends: []model.WeightedBackend{{Name: backend, Weight: 1}},
		}
	}
	b.next("TLS passed through by name", func(s *model.State) {
		put(&s.Listeners, listenerName, listener("main/tls", port, model.TLS))
		put(&s.Routes, routeName, passed("vault.example.com", tcpName))
	})
	b.next("other names", func(s *model.State) {
		put(&s.Routes, routeName, passed("*.example.com", tcpName))
		drop(&s.Routes, routeName, "home/web/vault/tls:vault.example.com")
	})
	b.next("no TLS any more", func(s *model.State) {
		drop(&s.Listeners, listenerName, "main/tls")
		drop(&s.Routes, routeName, "home/web/vault/tls:*.example.com")
	})
}

func (b *book) ends() {
	b.next("a port goes", func(s *model.State) {
		drop(&s.Listeners, listenerName, tcpName)
		drop(&s.Routes, routeName, tcpName)
		drop(&s.Backends, backendName, tcpName)
	})
	b.next("everything goes", func(s *model.State) { *s = model.State{} })
}

// clone is a deep copy.
func clone(t testing.TB, s model.State) model.State {
	t.Helper()
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var c model.State
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	return c
}
