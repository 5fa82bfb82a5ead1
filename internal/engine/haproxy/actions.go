package haproxy

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
)

// tcpRoutes finds the only route of each TCP listener.
func tcpRoutes(s model.State) map[string]*model.Route {
	routes := map[string]*model.Route{}
	tcp := map[string]bool{}
	for _, l := range s.Listeners {
		if l.Protocol == model.TCP {
			tcp[l.Name] = true
		}
	}
	if len(tcp) == 0 {
		return routes
	}
	for _, r := range s.Routes {
		if tcp[r.Listener] {
			routes[r.Listener] = r
		}
	}
	return routes
}

// reloadCause says why the plan needs a reload, in words for people; empty means
// that the runtime API can do all of it.
func (r renderer) reloadCause(l loaded, n names, want model.State, p plan.Plan) string {
	if cause := r.listenersCause(l, want, p.Listeners); cause != "" {
		return cause
	}
	for _, s := range p.Routes {
		if cause := routeCause(want, s); cause != "" {
			return cause
		}
	}
	if cause := limitCause(l, p.Routes); cause != "" {
		return cause
	}
	if cause := n.sparesCause(l, p); cause != "" {
		return cause
	}
	return r.slotsCause(l, n, p)
}

func (r renderer) listenersCause(l loaded, want model.State, steps []plan.Step[model.Listener]) string {
	if len(steps) == 0 {
		return ""
	}
	tcp := tcpRoutes(want)
	for _, s := range steps {
		switch {
		case s.Want == nil:
			return fmt.Sprintf("port %d closed", s.Have.Port)
		case s.Have == nil:
			return fmt.Sprintf("new port %d", s.Want.Port)
		case l.Listeners[s.Want.Name] != r.settings.listenerShape(s.Want, tcp[s.Want.Name]):
			return fmt.Sprintf("port %d changed", s.Want.Port)
		}
	}
	return ""
}

// routeCause is the cause for a reload in a route: those of shared listeners are
// map entries, those of TCP listeners are part of the frontend.
func routeCause(want model.State, s plan.Step[model.Route]) string {
	r := cmp.Or(s.Want, s.Have)
	i, ok := slices.BinarySearchFunc(want.Listeners, r.Listener, func(l *model.Listener, name string) int {
		return cmp.Compare(l.Name, name)
	})
	if ok && want.Listeners[i].Protocol == model.TCP {
		if s.Have != nil && s.Want != nil && slices.Equal(s.Have.Backends, s.Want.Backends) {
			return fmt.Sprintf("the limit of port %d changed", want.Listeners[i].Port)
		}
		return fmt.Sprintf("port %d goes to another backend", want.Listeners[i].Port)
	}
	return ""
}

// zombie is a server that left but could not be deleted yet: it finishes its
// connections in maintenance.
type zombie struct {
	name string
	args string // empty: unknown
}

// names remembers what HAProxy calls endpoints whose server is not named
// serverName(address), which servers are on their way out, and who sits where.
type names struct {
	other   map[string]map[netip.AddrPort]string // backend -> address -> server
	zombies map[string][]zombie                  // backend ->
	bindings
}

// bindings say what sits in a spare place of the worker.
type bindings struct {
	spares map[string]string // backend of the model -> the spare that serves it
	slots  map[string]string // probe -> the slot that it is
}

func newBindings() bindings {
	return bindings{spares: map[string]string{}, slots: map[string]string{}}
}

func (b bindings) clone() bindings {
	return bindings{spares: maps.Clone(b.spares), slots: maps.Clone(b.slots)}
}

func (b bindings) empty() bool { return len(b.spares)+len(b.slots) == 0 }

// newNames knows no servers yet, and what is bound.
func newNames(b bindings) names {
	return names{other: map[string]map[netip.AddrPort]string{}, zombies: map[string][]zombie{}, bindings: b.clone()}
}

func (n names) of(backend string, a netip.AddrPort) string {
	if s, ok := n.other[backend][a]; ok {
		return s
	}
	return serverName(a)
}

func (n names) set(backend string, a netip.AddrPort, name string) {
	if name == serverName(a) {
		if n.other[backend] != nil {
			delete(n.other[backend], a)
		}
		return
	}
	if n.other[backend] == nil {
		n.other[backend] = map[netip.AddrPort]string{}
	}
	n.other[backend][a] = name
}

// runtimeCommands are what turns have into want without a reload. They update
// names as if all of them succeed.
func (r renderer) runtimeCommands(p plan.Plan, n names) []command {
	cs, last := r.probeCommands(p, n)
	// New endpoints first, then routes, and leavers last: no backend is empty while
	// requests still come to it.
	var leave []command
	for _, s := range p.Backends {
		add, l := r.backendCommands(s, n)
		cs, leave = append(cs, add...), append(leave, l...)
	}
	cs = append(cs, r.mapCommands(p.Routes, n)...)
	return slices.Concat(cs, leave, last)
}

// backendCommands walks the endpoints of both sides, which are sorted.
func (r renderer) backendCommands(s plan.Step[model.Backend], n names) (add, leave []command) {
	var have, want []model.Endpoint
	if s.Have != nil {
		have = s.Have.Endpoints
	}
	if s.Want != nil {
		want = s.Want.Endpoints
	}
	for len(have) > 0 || len(want) > 0 {
		switch order := compareHeads(have, want); {
		case order < 0:
			leave = append(leave, r.remove(s.Have, have[0], n)...)
			have = have[1:]
		case order > 0:
			add = append(add, r.add(s.Want, want[0], n)...)
			want = want[1:]
		default:
			a, l := r.change(s, have[0], want[0], n)
			add, leave = append(add, a...), append(leave, l...)
			have, want = have[1:], want[1:]
		}
	}
	return add, leave
}

func compareHeads(have, want []model.Endpoint) int {
	switch {
	case len(have) == 0:
		return 1
	case len(want) == 0:
		return -1
	}
	return have[0].Address.Compare(want[0].Address)
}

// add brings a new endpoint in, by its server that is still there when it is the
// same.
func (r renderer) add(b *model.Backend, e model.Endpoint, n names) []command {
	be, args, name := n.backend(b.Name), r.serverArgs(b, e), serverName(e.Address)
	taken := map[string]bool{}
	for i, z := range n.zombies[be] {
		if !isServerOf(z.name, e.Address) {
			continue
		}
		if z.args == args {
			n.zombies[be] = slices.Delete(slices.Clone(n.zombies[be]), i, i+1)
			n.set(be, e.Address, z.name)
			return ready(be, z.name, e)
		}
		taken[z.name] = true
	}
	for i := 2; taken[name]; i++ {
		name = serverName(e.Address) + "." + strconv.Itoa(i)
	}
	n.set(be, e.Address, name)
	cs := []command{{text: fmt.Sprintf("add server %s/%s %s %s", be, name, serverAddress(e.Address), escape(args)), want: serverRegistered}}
	if b.Check != nil {
		cs = append(cs, command{text: fmt.Sprintf("enable health %s/%s", be, name)})
	}
	return append(cs, ready(be, name, e)...)
}

// ready lets a server in maintenance take part, unless it drains.
func ready(be, name string, e model.Endpoint) []command {
	if e.Draining {
		return nil
	}
	return []command{{text: fmt.Sprintf("set server %s/%s state ready", be, name)}}
}

// isServerOf reports whether name was made for an address.
func isServerOf(name string, a netip.AddrPort) bool {
	s := serverName(a)
	return name == s || strings.HasPrefix(name, s+".")
}

// remove stops new requests to an endpoint; what it is answering goes on. The
// server is deleted when it is idle.
func (r renderer) remove(b *model.Backend, e model.Endpoint, n names) []command {
	be := n.backend(b.Name)
	name := n.of(be, e.Address)
	n.set(be, e.Address, serverName(e.Address))
	n.zombies[be] = append(n.zombies[be], zombie{name: name, args: r.serverArgs(b, e)})
	return []command{{text: fmt.Sprintf("set server %s/%s state maint", be, name)}}
}

// change alters an endpoint in place where HAProxy can, else by a new server.
func (r renderer) change(s plan.Step[model.Backend], have, want model.Endpoint, n names) (add, leave []command) {
	be := n.backend(s.Want.Name)
	name := n.of(be, want.Address)
	same := have
	same.Weight = want.Weight
	if r.serverArgs(s.Have, same) != r.serverArgs(s.Want, want) {
		leave = r.remove(s.Have, have, n)
		return r.add(s.Want, want, n), leave
	}
	if max(have.Weight, 1) != max(want.Weight, 1) {
		add = append(add, command{text: fmt.Sprintf("set server %s/%s weight %d", be, name, max(want.Weight, 1))})
	}
	switch {
	case want.Draining && !have.Draining:
		leave = append(leave, command{text: fmt.Sprintf("set server %s/%s state maint", be, name)})
	case have.Draining:
		add = append(add, ready(be, name, want)...)
	}
	return add, leave
}

// mapCommands changes map entries. A key that one route gives up and another
// takes is set once, so that no request falls between them.
func (r renderer) mapCommands(steps []plan.Step[model.Route], n names) []command {
	type key struct{ file, key string }
	gone, wanted := map[key]bool{}, map[key]string{}
	var keys []key
	for _, s := range steps {
		for i, route := range []*model.Route{s.Have, s.Want} {
			if route == nil {
				continue
			}
			e := entry(route)
			k := key{r.settings.mapPath(e.listener, e.kind), e.key}
			keys = append(keys, k)
			if have := i == 0; have {
				gone[k] = true
			} else {
				wanted[k] = n.target(route)
			}
		}
	}
	slices.SortFunc(keys, func(a, b key) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.key, b.key))
	})
	var cs []command
	for _, k := range slices.Compact(keys) {
		value, want := wanted[k]
		switch {
		case want && gone[k]:
			cs = append(cs, command{text: fmt.Sprintf("set map %s %s %s", escape(k.file), escape(k.key), value)})
		case want:
			cs = append(cs, command{text: fmt.Sprintf("add map %s %s %s", escape(k.file), escape(k.key), value)})
		default:
			cs = append(cs, command{text: fmt.Sprintf("del map %s %s", escape(k.file), escape(k.key))})
		}
	}
	return cs
}

var cliEscapes = strings.NewReplacer(`\`, `\\`, `;`, `\;`, `<`, `\<`)

// escape makes text safe within a runtime command, whose words end at a space
// (checked by refuse), whose commands end at ";", and whose last word announces a
// payload by "<<".
func escape(s string) string { return cliEscapes.Replace(s) }
