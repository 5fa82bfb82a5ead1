// Package desired builds what should be served from what every source asks for:
// it merges fragments, settles conflicts and says who lost and why. It is pure.
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
	// HTTPPort is where HTTP routes are served; 0 turns them off.
	HTTPPort uint16
	// DefaultBackend names the Backend that answers what no route takes; empty
	// answers 404.
	DefaultBackend string
	// Reserved are the edge's own sockets, which are no endpoint.
	Reserved []netip.AddrPort
	// Held are ports that something else on this machine holds.
	Held []model.Held
	// Health of probes by name; a probe that is missing has not been asked yet.
	Health map[string]model.ProbeHealth
	// SetAside holds objects of the State (by name) that an engine refused, and
	// the engine's words.
	SetAside map[string]string
	// Prev is what Build returned in the turn before; what did not change is
	// shared with it. Nil builds everything.
	Prev *Output
}

// Output is what should be served and what became of every request.
type Output struct {
	State    model.State
	Findings []model.Finding
	Outcomes []*model.Outcome // sorted by Origin.Key; an unchanged one is the same pointer
}
