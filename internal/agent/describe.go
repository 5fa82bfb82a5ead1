package agent

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
)

// described is how many objects a change names before it only counts.
const described = 3

// describe says in short what p changes, object by object: "web/shop: 1 endpoint
// added".
func describe(p plan.Plan) string {
	d := description{words: map[string][]string{}}
	ports := map[string]bool{}
	for _, s := range p.Listeners {
		l := either(s)
		ports[l.Name] = true
		d.add(l.Origin, l.Name, fmt.Sprintf("port %d %s", l.Port, past(s.Verb)))
	}
	routes := map[string]*tally{}
	for _, s := range p.Routes {
		if r := either(s); !ports[r.Name] { // a port has its only route with it
			d.count(routes, r.Origin, r.Name, "route", s.Verb, 1)
		}
	}
	for _, s := range p.Backends {
		d.backend(s)
	}
	probes := map[string]*tally{}
	for _, s := range p.Probes {
		o := either(s)
		d.count(probes, o.Origin, o.Name, "probe", s.Verb, 1)
	}
	return d.String()
}

// description collects words for each object, in the order of the plan.
type description struct {
	order []string
	words map[string][]string
}

// tally is a phrase that grows: "2 routes added".
type tally struct{ at, n int }

func (d *description) add(o model.Origin, name, words string) {
	who := o.String()
	if who == "" {
		who = name
	}
	if _, ok := d.words[who]; !ok {
		d.order = append(d.order, who)
	}
	d.words[who] = append(d.words[who], words)
}

// count adds n of a noun to the phrase that seen has for this object and verb.
func (d *description) count(seen map[string]*tally, o model.Origin, name, noun string, verb plan.Verb, n int) {
	who := o.String()
	if who == "" {
		who = name
	}
	key := who + "\x00" + string(verb)
	t := seen[key]
	if t == nil {
		t = &tally{at: len(d.words[who])}
		seen[key] = t
		d.add(o, name, "")
	}
	t.n += n
	d.words[who][t.at] = fmt.Sprintf("%s %s", plural(t.n, noun), past(verb))
}

func (d *description) backend(s plan.Step[model.Backend]) {
	b := either(s)
	seen := map[string]*tally{}
	if s.Verb != plan.Change {
		d.add(b.Origin, b.Name, fmt.Sprintf("backend with %s %s", plural(len(b.Endpoints), "endpoint"), past(s.Verb)))
		return
	}
	have := make(map[netip.AddrPort]model.Endpoint, len(s.Have.Endpoints))
	for _, e := range s.Have.Endpoints {
		have[e.Address] = e
	}
	var added, changed, drained int
	for _, e := range s.Want.Endpoints {
		old, ok := have[e.Address]
		delete(have, e.Address)
		switch {
		case !ok:
			added++
		case e.Draining && !old.Draining:
			drained++
		case old != e:
			changed++
		}
	}
	if drained > 0 {
		d.add(b.Origin, b.Name, plural(drained, "endpoint")+" drained")
	}
	for _, c := range []struct {
		n    int
		verb plan.Verb
	}{{added, plan.Add}, {len(have), plan.Remove}, {changed, plan.Change}} {
		if c.n > 0 {
			d.count(seen, b.Origin, b.Name, "endpoint", c.verb, c.n)
		}
	}
	if added+drained+changed+len(have) == 0 {
		d.add(b.Origin, b.Name, "backend changed")
	}
}

func (d *description) String() string {
	if len(d.order) == 0 {
		return "the engine's own settings"
	}
	var b strings.Builder
	for i, who := range d.order {
		if i == described {
			fmt.Fprintf(&b, " and %s", plural(len(d.order)-i, "more object"))
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(who + ": " + strings.Join(d.words[who], ", "))
	}
	return b.String()
}

func either[T any](s plan.Step[T]) *T {
	if s.Want != nil {
		return s.Want
	}
	return s.Have
}

func past(v plan.Verb) string {
	switch v {
	case plan.Add:
		return "added"
	case plan.Remove:
		return "removed"
	default:
		return "changed"
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
