package desired

import (
	"fmt"
	"slices"
	"strings"

	"github.com/landfall-edge/landfall/internal/model"
)

// record is a backend as it is served, and what that was decided from.
type record struct {
	in, out *model.Backend
	index   *probeIndex
	machine *machine
	sockets *sockets // nil when no endpoint is on one of the machine's own addresses
	probes  []int32  // of the endpoints that are left
	finding *model.Finding
}

// holds reports whether the record is still what reading the backend would give.
func (r *record) holds(in *model.Backend, b *backends) bool {
	return r != nil && r.in == in && r.index == b.index && r.machine == b.sockets.machine &&
		(r.sockets == nil || r.sockets == b.sockets)
}

// record reads a backend, or returns before when it still holds.
func (b *backends) record(in *model.Backend, before *record) *record {
	if before.holds(in, b) {
		return before
	}
	r := &record{in: in, out: in, index: b.index, machine: b.sockets.machine}
	var refused []string
	kept := in.Endpoints
	changed := false
	for i, e := range in.Endpoints {
		listener := r.listener(e, b.sockets)
		probe, probed := b.index.names[e.Probe]
		if !changed && (listener != "" || e.Probe != "" && !probed) {
			changed = true
			kept = slices.Clone(in.Endpoints[:i])
		}
		if listener != "" {
			refused = append(refused, e.Address.String()+" ("+show(listener)+")")
			continue
		}
		if probed {
			r.probes = append(r.probes, probe)
		} else {
			e.Probe = ""
		}
		if changed {
			kept = append(kept, e)
		}
	}
	if changed {
		r.keep(kept, before)
	}
	if len(refused) > 0 {
		r.finding = refusal(in, refused, len(in.Endpoints)-len(refused))
	}
	return r
}

// listener says who of the edge listens where an endpoint is; "" is nobody.
func (r *record) listener(e model.Endpoint, s *sockets) string {
	if !s.machine.has(e.Address.Addr().Unmap()) {
		return ""
	}
	r.sockets = s
	return s.listener(e.Address)
}

// keep serves some of the endpoints, by the pointer of before if they are the same.
func (r *record) keep(endpoints []model.Endpoint, before *record) {
	if before != nil && before.in == r.in && before.out != r.in && slices.Equal(before.out.Endpoints, endpoints) {
		r.out = before.out
		return
	}
	out := *r.in
	out.Endpoints = endpoints
	r.out = &out
}

func refusal(in *model.Backend, refused []string, left int) *model.Finding {
	const shown = 3
	list := strings.Join(refused[:min(len(refused), shown)], ", ")
	if len(refused) > shown {
		list += fmt.Sprintf(" and %d more", len(refused)-shown)
	}
	f := &model.Finding{
		Origin: in.Origin, Field: "endpoints", Reason: "EndpointIsEdge",
		Message: fmt.Sprintf("the edge itself listens on %s, so that traffic would come back to it; name the address and port of the program that answers", list),
	}
	switch left {
	case 0:
	case 1:
		f.Accepted = "the other endpoint"
	default:
		f.Accepted = fmt.Sprintf("the other %d endpoints", left)
	}
	return f
}
