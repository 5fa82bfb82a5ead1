package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/landfall-edge/landfall/internal/model"
)

const (
	// mostNews is how much is told of one object.
	mostNews = 4
	// named is how many endpoints, backends or addresses a word of news names.
	named = 3
)

// News is what a plan does to one object that asked, in words for people.
type News struct {
	Object string   // "web/shop"
	Words  []string // "route shop.example.com/ added", each once
}

// String is one line: "web/shop: port 443 opened, endpoint 10.0.0.1:8080 added".
func (n News) String() string {
	text := word(n.Object) + ": "
	if more := len(n.Words) - mostNews; more > 0 {
		return text + strings.Join(n.Words[:mostNews], ", ") + " and " + strconv.Itoa(more) + " more"
	}
	return text + strings.Join(n.Words, ", ")
}

// News tells what the plan does, by object: less than String does, in the order
// of their names.
func (p Plan) News() []News {
	n := news{of: make(map[string][]string)}
	for _, s := range p.Listeners {
		n.listener(s)
	}
	for _, s := range p.Routes {
		n.route(s)
	}
	for _, s := range p.Backends {
		n.backend(s)
	}
	for _, s := range p.Probes {
		n.probe(s)
	}
	slices.Sort(n.objects)
	all := make([]News, len(n.objects))
	for i, o := range n.objects {
		all[i] = News{o, n.of[o]}
	}
	return all
}

// news are what there is to tell, by object.
type news struct {
	objects []string
	of      map[string][]string
}

// teller tells of one object.
type teller func(format string, args ...any)

// about is a teller of the object that asked, or of what it asked for if that is
// not known.
func (n *news) about(o model.Origin, name string) teller {
	who := o.String()
	if who == "" {
		who = name
	}
	return func(format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		if n.of[who] == nil {
			n.objects = append(n.objects, who)
		}
		// A Service that is served in two ways has each endpoint twice.
		if !slices.Contains(n.of[who], text) {
			n.of[who] = append(n.of[who], text)
		}
	}
}

func (n *news) listener(s Step[model.Listener]) {
	h, w := s.Have, s.Want
	switch s.Verb {
	case Add:
		n.about(w.Origin, w.Name)("port %d opened", w.Port)
	case Remove:
		n.about(h.Origin, h.Name)("port %d closed", h.Port)
	case Change:
		tell := n.about(w.Origin, w.Name)
		if h.Port != w.Port {
			tell("port %d opened in place of %d", w.Port, h.Port)
		}
		if !slices.Equal(h.SourceRanges, w.SourceRanges) {
			tell("port %d now open to %s", w.Port, clients(w))
		}
		if !slices.Equal(h.Addresses, w.Addresses) || h.VIP != w.VIP || h.Protocol != w.Protocol {
			tell("port %d changed", w.Port)
		}
		if h.Origin.Key() != w.Origin.Key() {
			tell("port %d taken over", w.Port)
		}
	}
}

func clients(l *model.Listener) string {
	if len(l.SourceRanges) == 0 {
		return "everybody"
	}
	return some(l.SourceRanges, named, netip.Prefix.String)
}

func (n *news) route(s Step[model.Route]) {
	h, w := s.Have, s.Want
	switch {
	case s.Verb == Add && !isPort(w):
		n.about(w.Origin, w.Name)("route %s added", hostPath(w))
	case s.Verb == Remove && !isPort(h):
		n.about(h.Origin, h.Name)("route %s removed", hostPath(h))
	case s.Verb == Change:
		tell, what := n.about(w.Origin, w.Name), "route "+hostPath(w)
		if isPort(w) {
			what = "its port"
		}
		switch {
		case !slices.Equal(h.Backends, w.Backends):
			tell("%s now goes to %s", what, destinations(w))
		case h.Origin.Key() != w.Origin.Key():
			tell("%s taken over", what)
		default:
			tell("%s changed", what)
		}
	}
}

// isPort reports whether the route is nothing but the port that it is reached by.
func isPort(r *model.Route) bool { return r.Name == r.Listener }

func destinations(r *model.Route) string {
	if len(r.Backends) == 0 {
		return "nothing (503)"
	}
	return some(r.Backends, named, func(b model.WeightedBackend) string {
		name := b.Name
		if _, rest, ok := strings.Cut(name, "/"); ok { // without its source
			name = rest
		}
		return word(strings.TrimSuffix(name, "/http"))
	})
}

func (n *news) backend(s Step[model.Backend]) {
	switch s.Verb {
	case Add:
		tell := n.about(s.Want.Origin, s.Want.Name)
		tell.endpoints(s.Want.Endpoints, "added")
		if len(s.Want.Endpoints) == 0 {
			tell("served, without endpoints yet")
		}
	case Remove:
		tell := n.about(s.Have.Origin, s.Have.Name)
		tell.endpoints(s.Have.Endpoints, "removed")
		if len(s.Have.Endpoints) == 0 {
			tell("not served any more")
		}
	case Change:
		tell := n.about(s.Want.Origin, s.Want.Name)
		tell.changedEndpoints(s.Have, s.Want)
		tell.options(s.Have, s.Want)
	}
}

// endpoints tells what became of all of them: "endpoint 10.0.0.1:80 added", with
// the first few named.
func (tell teller) endpoints(all []model.Endpoint, what string) {
	if len(all) == 0 {
		return
	}
	noun := "endpoint"
	if len(all) > 1 {
		noun = "endpoints"
	}
	tell("%s %s %s", noun, some(all, named, func(e model.Endpoint) string { return e.Address.String() }), what)
}

// changedEndpoints tells what differs between those of two backends.
func (tell teller) changedEndpoints(have, want *model.Backend) {
	var added, removed, draining, back, other []model.Endpoint
	old := make(map[netip.AddrPort]model.Endpoint, len(have.Endpoints))
	for _, e := range have.Endpoints {
		old[e.Address] = e
	}
	for _, e := range want.Endpoints {
		h, was := old[e.Address]
		delete(old, e.Address)
		switch {
		case !was:
			added = append(added, e)
		case e.Draining && !h.Draining:
			draining = append(draining, e)
		case !e.Draining && h.Draining:
			back = append(back, e)
		case e != h:
			other = append(other, e)
		}
	}
	for _, e := range have.Endpoints {
		if _, gone := old[e.Address]; gone {
			removed = append(removed, e)
		}
	}
	tell.endpoints(added, "added")
	tell.endpoints(removed, "removed")
	tell.endpoints(draining, "finishes what it has")
	tell.endpoints(back, "takes requests again")
	tell.endpoints(other, "changed")
}

// options tells what else differs between two backends.
func (tell teller) options(h, w *model.Backend) {
	if h.Balance != w.Balance {
		balance := w.Balance
		if balance == "" {
			balance = model.Balances[0]
		}
		tell("balanced by %s", word(balance))
	}
	switch {
	case h.Affinity == w.Affinity:
	case w.Affinity == 0:
		tell("clients stay with no endpoint")
	default:
		tell("clients stay with their endpoint for %s", w.Affinity)
	}
	if h.Protocol != w.Protocol {
		tell("spoken to by %s", word(string(w.Protocol)))
	}
	if h.SendProxy != w.SendProxy || (h.Check == nil) != (w.Check == nil) || h.Check != nil && *h.Check != *w.Check {
		tell("options changed")
	}
	if h.Origin.Key() != w.Origin.Key() {
		tell("taken over")
	}
}

func (n *news) probe(s Step[model.Probe]) {
	switch s.Verb {
	case Add:
		n.about(s.Want.Origin, s.Want.Name)("probed at port %d", s.Want.Port)
	case Remove:
		n.about(s.Have.Origin, s.Have.Name)("not probed any more")
	case Change:
		n.about(s.Want.Origin, s.Want.Name)("probe changed")
	}
}
