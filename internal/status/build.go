package status

import (
	"net/netip"
	"slices"
	"time"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
)

// Build says how the edge is doing at a moment; a Brief one leaves out routes and
// endpoints. engineErr is why the engine gave no Stats; what it does not say is
// then "unknown".
func Build(now time.Time, snap Snapshot, depth engine.Depth, stats engine.Stats, engineErr error) Status {
	s := Status{
		Edge: snap.Edge, At: now, Started: snap.Started,
		Ready:     len(snap.Waiting) == 0,
		Waiting:   list(snap.Waiting),
		VIPs:      make([]VIP, 0, len(snap.VIPs)),
		Sources:   list(snap.Sources),
		Listeners: []Listener{}, Backends: []Backend{}, Findings: []Finding{},
		Changes: list(snap.Changes), Held: list(snap.Held),
		HAProxy: HAProxy{
			Version: stats.Version, Reloads: stats.Reloads, Workers: list(stats.Workers), MaxConnections: stats.MaxConnections,
			Spares: stats.Spares, FreeSpares: stats.FreeSpares, NodeSlots: stats.NodeSlots, FreeNodeSlots: stats.FreeNodeSlots,
		},
	}
	if depth == engine.Whole {
		s.Routes = []Route{}
	}
	for _, v := range snap.VIPs {
		s.VIPs = append(s.VIPs, VIP{Name: v.Name, Addresses: list(v.Addresses), Any: v.Any})
	}
	if engineErr != nil {
		s.HAProxy.Error = engineErr.Error()
	}
	s.find(snap.Findings())
	if snap.Output == nil {
		return s
	}
	state := snap.Output.State
	for _, l := range state.Listeners {
		s.Listeners = append(s.Listeners, listener(l, stats, engineErr == nil))
	}
	for _, b := range state.Backends {
		s.Backends = append(s.Backends, backend(b, depth, stats))
	}
	if depth == engine.Whole {
		s.route(state.Routes)
	}
	return s
}

func (s *Status) route(routes []*model.Route) {
	for _, r := range routes {
		s.Routes = append(s.Routes, Route{
			Name: r.Name, Listener: r.Listener, Host: r.Match.Host, Path: r.Match.Path, Exact: r.Match.Exact,
			Backends: list(r.Backends), Object: r.Origin.String(),
		})
	}
}

func (s *Status) find(findings []model.Finding) {
	for _, f := range findings {
		s.Findings = append(s.Findings, Finding{
			Source: f.Origin.Source, Kind: f.Origin.Kind, Namespace: f.Origin.Namespace, Name: f.Origin.Name,
			Field: f.Field, Reason: f.Reason, Message: f.Message, Accepted: f.Accepted,
		})
	}
}

// listener is one that is wanted. An engine that answers and does not know it has
// not opened it.
func listener(l *model.Listener, stats engine.Stats, answered bool) Listener {
	out := Listener{
		Name: l.Name, VIP: l.VIP, Addresses: list(l.Addresses), Port: l.Port, Protocol: l.Protocol,
		Object: l.Origin.String(),
	}
	if known, ok := stats.Listeners[l.Name]; ok || answered {
		out.Open, out.Counters = &known.Open, known.Counters
	}
	return out
}

func backend(b *model.Backend, depth engine.Depth, stats engine.Stats) Backend {
	known, ok := stats.Backends[b.Name]
	out := Backend{
		Name: b.Name, Protocol: b.Protocol, Balance: b.Balance, Object: b.Origin.String(),
		Total: len(b.Endpoints), Counters: known.Counters,
	}
	if out.Balance == "" {
		out.Balance = model.Balances[0]
	}
	if depth == engine.Brief {
		if up := min(known.Active, out.Total); ok || out.Total == 0 {
			out.Up = &up
		}
		return out
	}
	out.Endpoints = make([]Endpoint, 0, len(b.Endpoints))
	up, unknown := 0, false
	for _, e := range b.Endpoints {
		ep := endpoint(e, known.Endpoints)
		unknown = unknown || ep.Health == "unknown"
		if ep.Health == "up" || ep.Health == "unchecked" {
			up++
		}
		out.Endpoints = append(out.Endpoints, ep)
	}
	if !unknown {
		out.Up = &up
	}
	return out
}

func endpoint(e model.Endpoint, known map[netip.AddrPort]engine.EndpointStats) Endpoint {
	out := Endpoint{Address: e.Address, Target: e.Target, Health: "unknown"}
	if st, ok := known[e.Address]; ok {
		out.Health, out.Counters = st.Health, st.Counters
	}
	if e.Draining {
		out.Health = "drain"
	}
	return out
}

// list is s, or an empty list, which JSON shows as [] and not as null.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return slices.Clone(s)
}
