package demo

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
)

const (
	// mostLines is how many objects one change names; the others are counted.
	mostLines = 20
	// mostNews is how much is told of one object.
	mostNews = 4
)

// Narrate tells what was done, a line for each object that asked for something
// else than before: "web/shop: endpoint 127.0.0.3:41233 added, live in 3 ms, no
// reload". It is pure.
func Narrate(p plan.Plan, done engine.Applied) []string {
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
	var lines []string
	for i, o := range n.objects {
		if i == mostLines {
			return append(lines, fmt.Sprintf("and %d more, %s", len(n.objects)-i, how(done)))
		}
		lines = append(lines, word(o)+": "+told(n.of[o])+", "+how(done))
	}
	return lines
}

// news are what there is to tell, by object.
type news struct {
	objects []string
	of      map[string][]string
}

func (n *news) tell(o model.Origin, format string, args ...any) {
	name, text := o.String(), fmt.Sprintf(format, args...)
	if n.of[name] == nil {
		n.objects = append(n.objects, name)
	}
	// A Service that is served in two ways has each endpoint twice.
	if !slices.Contains(n.of[name], text) {
		n.of[name] = append(n.of[name], text)
	}
}

func told(all []string) string {
	if more := len(all) - mostNews; more > 0 {
		return strings.Join(all[:mostNews], ", ") + " and " + strconv.Itoa(more) + " more"
	}
	return strings.Join(all, ", ")
}

// how is the end of each line.
func how(done engine.Applied) string {
	took := "live in " + milliseconds(done.Took)
	switch done.Way {
	case engine.Nothing:
		return "as it was served already"
	case engine.Start:
		return took + ", HAProxy started"
	case engine.Reload:
		if done.Cause == "" {
			return took + ", one reload"
		}
		return took + ", one reload (" + word(done.Cause) + ")"
	default:
		return took + ", no reload"
	}
}

func milliseconds(d time.Duration) string {
	if d < time.Millisecond {
		return "less than 1 ms"
	}
	return strconv.FormatInt(d.Round(time.Millisecond).Milliseconds(), 10) + " ms"
}

func (n *news) listener(s plan.Step[model.Listener]) {
	switch s.Verb {
	case plan.Add:
		n.tell(s.Want.Origin, "port %d opened", s.Want.Port)
	case plan.Remove:
		n.tell(s.Have.Origin, "port %d closed", s.Have.Port)
	case plan.Change:
		h, w := s.Have, s.Want
		if h.Port != w.Port {
			n.tell(w.Origin, "port %d opened in place of %d", w.Port, h.Port)
		}
		if !slices.Equal(h.SourceRanges, w.SourceRanges) {
			n.tell(w.Origin, "port %d now open to %s", w.Port, ranges(w.SourceRanges))
		}
		if !slices.Equal(h.Addresses, w.Addresses) || h.VIP != w.VIP || h.Protocol != w.Protocol {
			n.tell(w.Origin, "port %d changed", w.Port)
		}
		if h.Origin.Key() != w.Origin.Key() {
			n.tell(w.Origin, "port %d taken over", w.Port)
		}
	}
}

func ranges(r []netip.Prefix) string {
	if len(r) == 0 {
		return "everybody"
	}
	return some(r, netip.Prefix.String)
}

func (n *news) route(s plan.Step[model.Route]) {
	switch s.Verb {
	case plan.Add:
		if !isPort(s.Want) {
			n.tell(s.Want.Origin, "route %s added", routeName(s.Want))
		}
	case plan.Remove:
		if !isPort(s.Have) {
			n.tell(s.Have.Origin, "route %s removed", routeName(s.Have))
		}
	case plan.Change:
		h, w := s.Have, s.Want
		what := "route " + routeName(w)
		if isPort(w) {
			what = "its port"
		}
		switch {
		case !slices.Equal(h.Backends, w.Backends):
			n.tell(w.Origin, "%s now goes to %s", what, targets(w.Backends))
		case h.Origin.Key() != w.Origin.Key():
			n.tell(w.Origin, "%s taken over", what)
		default:
			n.tell(w.Origin, "%s changed", what)
		}
	}
}

// isPort reports whether the route is nothing but the port that it is reached by.
func isPort(r *model.Route) bool { return r.Name == r.Listener }

// routeName is "shop.localhost/api", with "=" before a path that is exact.
func routeName(r *model.Route) string {
	host, path := r.Match.Host, r.Match.Path
	if host == "" {
		host = "*"
	}
	if path == "" {
		path = "/"
	}
	if r.Match.Exact {
		path = "=" + path
	}
	return word(host + path)
}

func targets(backends []model.WeightedBackend) string {
	if len(backends) == 0 {
		return "nothing (503)"
	}
	return some(backends, func(b model.WeightedBackend) string {
		_, name, _ := strings.Cut(b.Name, "/")
		return word(strings.TrimSuffix(name, "/http"))
	})
}

func (n *news) backend(s plan.Step[model.Backend]) {
	switch s.Verb {
	case plan.Add:
		n.added(s.Want.Origin, s.Want.Endpoints)
		if len(s.Want.Endpoints) == 0 {
			n.tell(s.Want.Origin, "served, without endpoints yet")
		}
	case plan.Remove:
		n.removed(s.Have.Origin, s.Have.Endpoints)
		if len(s.Have.Endpoints) == 0 {
			n.tell(s.Have.Origin, "not served any more")
		}
	case plan.Change:
		n.endpoints(s.Have, s.Want)
		n.options(s.Have, s.Want)
	}
}

func (n *news) added(o model.Origin, all []model.Endpoint) {
	if len(all) > 0 {
		n.tell(o, "%s added", count("endpoint", all))
	}
}

func (n *news) removed(o model.Origin, all []model.Endpoint) {
	if len(all) > 0 {
		n.tell(o, "%s removed", count("endpoint", all))
	}
}

// endpoints tells what differs between those of two backends, both sorted.
func (n *news) endpoints(have, want *model.Backend) {
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
	n.added(want.Origin, added)
	n.removed(want.Origin, removed)
	for _, g := range []struct {
		all  []model.Endpoint
		what string
	}{{draining, "finishes what it has"}, {back, "takes requests again"}, {other, "changed"}} {
		if len(g.all) > 0 {
			n.tell(want.Origin, "%s %s", count("endpoint", g.all), g.what)
		}
	}
}

// options tells what else differs between two backends.
func (n *news) options(h, w *model.Backend) {
	o := w.Origin
	if h.Balance != w.Balance {
		balance := w.Balance
		if balance == "" {
			balance = "roundrobin"
		}
		n.tell(o, "balanced by %s", word(balance))
	}
	switch {
	case h.Affinity == w.Affinity:
	case w.Affinity == 0:
		n.tell(o, "clients stay with no endpoint")
	default:
		n.tell(o, "clients stay with their endpoint for %s", w.Affinity)
	}
	if h.Protocol != w.Protocol {
		n.tell(o, "spoken to by %s", word(string(w.Protocol)))
	}
	if h.SendProxy != w.SendProxy || (h.Check == nil) != (w.Check == nil) || h.Check != nil && *h.Check != *w.Check {
		n.tell(o, "options changed")
	}
}

func (n *news) probe(s plan.Step[model.Probe]) {
	switch s.Verb {
	case plan.Add:
		n.tell(s.Want.Origin, "probed at port %d", s.Want.Port)
	case plan.Remove:
		n.tell(s.Have.Origin, "not probed any more")
	case plan.Change:
		n.tell(s.Want.Origin, "probe changed")
	}
}

// count is "endpoint 10.0.0.1:80", or "endpoints ..." with the first few named.
func count(what string, all []model.Endpoint) string {
	if len(all) > 1 {
		what += "s"
	}
	return what + " " + some(all, func(e model.Endpoint) string { return e.Address.String() })
}

// some names the first few and counts the others.
func some[T any](all []T, text func(T) string) string {
	const most = 3
	var names []string
	for i, v := range all {
		if i == most && len(all) > most+1 {
			return strings.Join(names, ", ") + " and " + strconv.Itoa(len(all)-most) + " more"
		}
		names = append(names, text(v))
	}
	return strings.Join(names, ", ")
}

// word keeps somebody's text on its line, and the line readable.
func word(s string) string {
	const longest = 300
	if len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "") + "..."
	}
	if strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }) {
		return strconv.Quote(s)
	}
	return s
}
