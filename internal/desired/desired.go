// Package desired builds what should be served from what every source asks for:
// it merges fragments, settles conflicts and says who lost and why. It is pure.
//
// The loser of a conflict takes over in the same turn in which the winner goes.
// What a turn costs follows what changed since Prev. It walks the pointers of parts
// and backends, and looks at those that are new: a part whose claims nobody else
// has, before and now, comes and goes without a look at the others. Where one is
// contested, or a setting changed, all conflicts are settled anew. What is kept of
// a turn lies in pieces of a hundred or so, and a change copies the one piece; only
// the slices of State are copied whole, once.
package desired

import (
	"net/netip"

	"github.com/landfall-edge/landfall/internal/model"
)

// Input is everything that Build decides from.
type Input struct {
	// Fragments in the order of their sources in the edge's file, which is their
	// precedence.
	Fragments []model.Fragment
	// VIPs in the order of the file; the first is the default. At least one.
	VIPs []model.VIP
	// HTTPPort is where HTTP routes are served, and HTTPSPort where TLS is passed
	// through; 0 turns that off.
	HTTPPort, HTTPSPort uint16
	// DefaultBackend names the Backend that answers what no route takes; empty
	// answers 404.
	DefaultBackend string
	// Reserved are the edge's own sockets, which are no endpoint and no listener's.
	Reserved []netip.AddrPort
	// Held are ports that something else on this machine holds: to be asked for
	// with Output.Asked.
	Held []model.Held
	// Serving are the listeners that the engine has open now. One of them is not
	// given up because something else came to share its port: it keeps serving,
	// with a finding. Only those on Held ports are looked at.
	Serving []*model.Listener
	// Health of probes by name; a probe that is missing has not been asked yet.
	Health map[string]model.ProbeHealth
	// SetAside holds objects of the State (by name) that an engine refused, and
	// the engine's words. What they claimed goes to the next by the common rule.
	SetAside map[string]string
	// Prev is what Build returned in the turn before; what did not change is
	// shared with it. Nil builds everything, to the same result.
	Prev *Output
}

// Output is what should be served and what became of every request.
type Output struct {
	State    model.State
	Findings []model.Finding  // sorted by Origin.Key, Field, Reason, Message
	Outcomes []*model.Outcome // sorted by Origin.Key; an unchanged one is the same pointer
	// Asked are all listeners that were asked for, sorted by name, those that lost
	// their port included.
	Asked []*model.Listener

	memory *memory
}

// memory is what a turn leaves to the next. It is never changed once Build has
// returned, so that any number of turns can start from the same Prev.
type memory struct {
	claims   *claims
	index    *probeIndex
	sockets  *sockets
	backends *backends
	probes   *probes
	told     *told
}

// Build decides what is served.
func Build(in Input) *Output {
	prev := &memory{}
	if in.Prev != nil && in.Prev.memory != nil {
		prev = in.Prev.memory
	}
	m := &memory{}
	var changed *delta
	m.claims, changed = resolveClaims(in, prev.claims)
	m.index = indexProbes(in, prev.index)
	m.sockets = listSockets(in, m.claims, prev.sockets)
	m.backends = chooseBackends(in, m, prev, changed)
	m.probes = judgeProbes(in, m, prev.probes)
	m.told = tell(in, m, prev.told)
	return &Output{
		State: model.State{
			Listeners: m.claims.listeners,
			Routes:    m.backends.routes,
			Backends:  m.backends.out,
			Probes:    m.probes.out,
		},
		Findings: m.told.all,
		Outcomes: m.claims.outcomes,
		Asked:    m.claims.asked,
		memory:   m,
	}
}
