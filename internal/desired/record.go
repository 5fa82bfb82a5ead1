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

// record reads a backend, or returns before when it still holds.
func (b *backends) record(in *model.Backend, before *record) *record {
	if before != nil && before.in == in && before.index == b.index && before.machine == b.sockets.machine &&
		(before.sockets == nil || before.sockets == b.sockets) {
		return before
	}
	r := &record{in: in, out: in, index: b.index, machine: b.sockets.machine}
	var kept []model.Endpoint
	var refused []string
	changed := false
	for i, e := range in.Endpoints {
		who := ""
		if b.sockets.machine.has(e.Address.Addr().Unmap()) {
			r.sockets = b.sockets
			who = b.sockets.listener(e.Address)
		}
		p, probed := b.index.names[e.Probe]
		if !changed && (who != "" || e.Probe != "" && !probed) {
			changed = true
			kept = slices.Clone(in.Endpoints[:i])
		}
		if who != "" {
			refused = append(refused, e.Address.String()+" ("+show(who)+")")
			continue
		}
		if probed {
			r.probes = append(r.probes, p)
		} else {
			e.Probe = ""
		}
		if changed {
			kept = append(kept, e)
		}
	}
	if changed {
		out := *in
		out.Endpoints = kept
		r.out = &out
		if before != nil && before.in == in && before.out != in && slices.Equal(before.out.Endpoints, kept) {
			r.out = before.out
		}
	}
	if len(refused) > 0 {
		r.finding = refusal(in, refused, len(in.Endpoints)-len(refused))
	}
	return r
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
