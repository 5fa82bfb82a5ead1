package desired

import (
	"hash/maphash"
	"slices"
	"strings"

	"github.com/landfall-edge/landfall/internal/model"
)

// delta is what changed since the turn before, when nothing of it is contested.
type delta struct {
	gone, come []placed
	// routes that went and came, sorted by name, with whatever backends they name
	routesGone, routesCome []*model.Route
}

// placed is a part and its source.
type placed struct {
	*part
	source int
}

// atMost so many parts are followed; with more, settling everything costs less.
const atMost = 1000

// follow is the claims after a change of parts alone. The delta is nil when the
// conflicts have to be settled anew.
func (c *claims) follow(in Input) (*claims, *delta) {
	if c.twins || len(c.shelves) != len(in.Fragments) {
		return nil, nil
	}
	next := *c
	d := next.followParts(in)
	if d == nil || len(d.gone)+len(d.come) > atMost {
		return nil, nil
	}
	before := c.marks()
	gone, come := marksOf(d.gone), marksOf(d.come)
	after := before.edit(gone, come)
	next.marks = func() *marks { return after }
	if !before.alone(gone) || !after.alone(come) {
		return nil, nil
	}
	for _, p := range d.gone {
		if !c.plain(p) || c.opensShared(p) {
			return nil, nil
		}
	}
	for _, p := range d.come {
		if !c.plain(p) || c.winsShared(p) {
			return nil, nil
		}
	}
	if !next.splice(c, d) {
		return nil, nil
	}
	return &next, d
}

// followParts puts the parts onto the shelves.
func (c *claims) followParts(in Input) *delta {
	d := &delta{}
	shelves := slices.Clone(c.shelves)
	for source, f := range in.Fragments {
		leave := func(_ *model.Part, before *part) { d.gone = append(d.gone, placed{before, source}) }
		shelves[source] = shelves[source].follow(f.Source, f.Parts, follower[model.Part, *part]{
			key: func(p *model.Part) string { return p.Origin.Key() },
			put: func(in *model.Part, before *part, had bool) *part {
				if had {
					leave(nil, before)
				}
				p := readPart(in, c.config)
				if p.full != nil {
					p.full = reuseOutcome(p.full, p.key, c.outcomes)
				}
				d.come = append(d.come, placed{p, source})
				return p
			},
			gone: leave,
		})
		if shelves[source] == nil {
			return nil
		}
	}
	c.shelves = shelves
	return d
}

// plain reports whether a part is served as it asks, given that nobody contests
// what it claims, and whether this changes nothing for another one.
func (c *claims) plain(p placed) bool {
	for _, l := range p.listeners {
		if l == nil {
			return false
		}
		claim := listenerClaim{listener: l}
		if !c.mayOpen(&claim) || claim.why != served || c.marks().count(c.nameMark(l.Name)) > 0 {
			return false
		}
	}
	for i, r := range p.routes {
		if r == nil {
			return false
		}
		if _, out := c.setAside[r.Name]; out {
			return false
		}
		if front := p.fronts[i]; front >= 0 {
			if c.ports[front].listener == nil || c.ports[front].why != served {
				return false
			}
		} else if !p.opens(r.Listener) {
			return false
		}
	}
	return true
}

// opens reports whether a listener is the part's own.
func (p *part) opens(listener string) bool {
	return slices.ContainsFunc(p.in.Listeners, func(l *model.Listener) bool { return l.Name == listener })
}

// opensShared reports whether a shared port has the precedence of the part.
func (c *claims) opensShared(p placed) bool {
	return slices.ContainsFunc(p.fronts, func(i int) bool {
		return i >= 0 && c.ports[i].source == p.source && c.ports[i].listener.Origin == p.in.Origin
	})
}

// winsShared reports whether the part would give its precedence to a shared port.
func (c *claims) winsShared(p placed) bool {
	return slices.ContainsFunc(p.fronts, func(i int) bool {
		return i >= 0 && before(p.source, &p.in.Origin, c.ports[i].source, &c.ports[i].listener.Origin) < 0
	})
}

// splice takes what is served from the turn before, without what went and with
// what came. It reports whether every name is there once.
func (c *claims) splice(old *claims, d *delta) bool {
	var listenersGone, listenersCome []*model.Listener
	var outcomesGone, outcomesCome []*model.Outcome
	var findingsGone, findingsCome []model.Finding
	for _, p := range d.gone {
		listenersGone = append(listenersGone, p.listeners...)
		d.routesGone = append(d.routesGone, p.routes...)
		findingsGone = append(findingsGone, p.in.Findings...)
		if p.full != nil {
			outcomesGone = append(outcomesGone, p.full)
		}
	}
	for _, p := range d.come {
		listenersCome = append(listenersCome, p.listeners...)
		d.routesCome = append(d.routesCome, p.routes...)
		findingsCome = append(findingsCome, p.in.Findings...)
		if p.full != nil {
			outcomesCome = append(outcomesCome, p.full)
		}
	}
	slices.SortFunc(d.routesGone, compareRouteNames)
	slices.SortFunc(d.routesCome, compareRouteNames)
	slices.SortFunc(listenersGone, compareListenerNames)
	slices.SortFunc(listenersCome, compareListenerNames)
	slices.SortFunc(outcomesGone, compareOutcomes)
	slices.SortFunc(outcomesCome, compareOutcomes)
	var ok [5]bool
	c.routes, ok[0] = splice(old.routes, d.routesGone, d.routesCome, compareRouteNames)
	c.outcomes, ok[1] = splice(old.outcomes, outcomesGone, outcomesCome, compareOutcomes)
	c.findings, ok[2] = splice(old.findings, sortFindings(findingsGone), sortFindings(findingsCome), compareKeyed)
	c.listeners, ok[3] = splice(old.listeners, listenersGone, listenersCome, compareListenerNames)
	if c.asked, ok[4] = c.listeners, true; !same(old.asked, old.listeners) {
		c.asked, ok[4] = splice(old.asked, listenersGone, listenersCome, compareListenerNames)
	}
	return !slices.Contains(ok[:], false)
}

// same reports whether two slices are one.
func same[T any](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

func compareRouteNames(a, b *model.Route) int { return strings.Compare(a.Name, b.Name) }

func compareListenerNames(a, b *model.Listener) int { return strings.Compare(a.Name, b.Name) }

func compareOutcomes(a, b *model.Outcome) int {
	var x, y [256]byte
	return strings.Compare(string(appendKey(x[:0], &a.Origin)), string(appendKey(y[:0], &b.Origin)))
}

func marksOf(parts []placed) []uint64 {
	var all []uint64
	for _, p := range parts {
		all = append(append(all, p.hashes...), p.marks...)
	}
	return all
}

// mark counts every claim, be it served or not.
func (c *claims) mark() *marks {
	var all []uint64
	for _, s := range c.shelves {
		for _, piece := range s.pieces {
			for _, p := range piece.of {
				all = append(append(all, p.hashes...), p.marks...)
			}
		}
	}
	for i, h := range c.ports {
		if h.listener == nil {
			continue
		}
		all = append(all, c.config.portMark(h.listener.Port, i%len(c.config.vips)), c.nameMark(h.listener.Name))
		if c.def.name != "" && h.listener.Protocol == model.HTTP { // the last resort takes every host and path
			all = append(all, maphash.Comparable(c.config.seed, routeKey{listener: h.listener.Name, path: "/"}))
		}
	}
	return newMarks(all)
}

// mark is the part's ports, and the names of listeners of other parts.
func (p *part) mark(c config) []uint64 {
	var all []uint64
	for _, l := range p.listeners {
		if l != nil {
			all = append(all, c.portMark(l.Port, c.vip(l.VIP)))
		}
	}
	for i, r := range p.routes {
		if p.fronts[i] == ownListener && !p.opens(r.Listener) {
			all = append(all, maphash.String(c.seed, r.Listener))
		}
	}
	return all
}

func (c *claims) nameMark(listener string) uint64 { return maphash.String(c.config.seed, listener) }

// portMark is a port of a VIP, or of all of them should two have an address in
// common.
func (c config) portMark(port uint16, vip int) uint64 {
	for i := range c.vips {
		for j := range c.vips[:i] {
			if overlap(binds(c.vips[i]), binds(c.vips[j])) {
				vip = 0
			}
		}
	}
	return maphash.Comparable(c.seed, [2]int{int(port), vip})
}
