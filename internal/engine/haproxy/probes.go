package haproxy

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/landfall-edge/landfall/internal/model"
)

func probesByName(probes []*model.Probe) map[string]*model.Probe {
	byName := make(map[string]*model.Probe, len(probes))
	for _, p := range probes {
		byName[p.Name] = p
	}
	return byName
}

// track is the server that endpoints judged by a probe track. Of a probe that is not
// there it is one that HAProxy refuses, and so finds whose it is.
func (r renderer) track(probe string) string {
	p, ok := r.probes[probe]
	if !ok {
		return encode(probe)
	}
	if slot, ok := r.slots[probe]; ok {
		return probeBackend(p) + "/" + slot
	}
	return probeBackend(p) + "/" + encode(probe)
}

// probeBackend is the backend that holds the probes with p's path.
func probeBackend(p *model.Probe) string { return probesPrefix + encode(p.Path) }

// probeTiming is when a probe is sent and what is made of the answers. A node that
// dies in the moment after a good answer is out when the next probe, and the one
// that is sent soon after to make sure, have not been answered for probeTimeout
// each: after 500 + 500 + 250 + 500 ms, which is within two seconds.
const (
	probeTiming  = "inter 500ms fastinter 250ms rise 2 fall 2"
	probeTimeout = "500ms"
)

// probeSections are the backends of all probes, one per path, because a path
// belongs to a backend.
func (r renderer) probeSections(probes []*model.Probe) string {
	byPath := map[string][]*model.Probe{}
	for _, p := range probes {
		byPath[p.Path] = append(byPath[p.Path], p)
	}
	var b strings.Builder
	slots := slotCounts(probes)
	for _, path := range slices.Sorted(maps.Keys(byPath)) {
		fmt.Fprintf(&b, "backend %s%s from landfall-http\n", probesPrefix, encode(path))
		fmt.Fprintf(&b, "  log global\n  option httpchk GET %s\n  http-check expect status 200\n  timeout check %s\n", quote(path), probeTimeout)
		for _, p := range byPath[path] {
			addr, port := r.settings.checkAddress(p)
			fmt.Fprintf(&b, "  server %s %s check %s addr %s port %d\n", encode(p.Name),
				serverAddress(netip.AddrPortFrom(p.Address, p.Port)), probeTiming, lineAddress(addr), port)
		}
		b.WriteString(r.settings.slotLine(slots[path]))
	}
	return b.String()
}

// lineAddress is an address without port as server lines take it: what stands
// behind the last colon would be a port.
func lineAddress(a netip.Addr) string {
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
}

// checkAddress is where a probe is sent: an assumed one to what always answers.
func (s Settings) checkAddress(p *model.Probe) (netip.Addr, uint16) {
	if p.Assumed {
		return s.okAddress().Addr(), s.OKPort
	}
	return p.Address.Unmap(), p.Port
}

// okAddress answers 200 to everything.
func (s Settings) okAddress() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), s.OKPort)
}
