package desired

import (
	"net/netip"
	"slices"
	"sync"

	"github.com/landfall-edge/landfall/internal/model"
)

// sockets are what the edge itself listens on. An endpoint there would send
// traffic round in a circle, or to the edge's own daemons.
type sockets struct {
	listeners []*model.Listener
	reserved  []netip.AddrPort
	machine   *machine
	// find maps each address and port to who listens. It is built when the first
	// endpoint on one of the machine's own addresses turns up: often there is none.
	find func() map[netip.AddrPort]string
}

// machine is the addresses that are known to be the edge's own.
type machine struct {
	vips      []model.VIP
	addresses map[netip.Addr]bool
}

func (m *machine) has(a netip.Addr) bool {
	return a.IsLoopback() || a.IsUnspecified() || m.addresses[a]
}

func listSockets(in Input, c *claims, prev *sockets) *sockets {
	if prev != nil && slices.Equal(prev.listeners, c.listeners) && slices.Equal(prev.reserved, c.reserved) &&
		(config{vips: prev.machine.vips}).equal(config{vips: c.config.vips}) {
		return prev
	}
	s := &sockets{listeners: c.listeners, reserved: c.reserved}
	if prev != nil && slices.Equal(prev.reserved, s.reserved) && (config{vips: prev.machine.vips}).equal(config{vips: c.config.vips}) {
		s.machine = prev.machine
	} else {
		s.machine = &machine{c.config.vips, map[netip.Addr]bool{}}
		for _, v := range c.config.vips {
			for _, a := range v.Addresses {
				s.machine.addresses[a.Unmap()] = true
			}
		}
		for _, r := range s.reserved {
			s.machine.addresses[r.Addr().Unmap()] = true
		}
	}
	s.find = sync.OnceValue(s.table)
	return s
}

func (s *sockets) table() map[netip.AddrPort]string {
	table := make(map[netip.AddrPort]string, len(s.listeners)+len(s.reserved))
	for _, l := range s.listeners {
		addresses := l.Addresses
		if len(addresses) == 0 {
			addresses = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
		}
		for _, a := range addresses {
			table[netip.AddrPortFrom(a.Unmap(), l.Port)] = "listener " + l.Name
		}
	}
	for _, r := range s.reserved {
		a := r.Addr().Unmap()
		table[netip.AddrPortFrom(a, r.Port())] = "one of the edge's own sockets"
		if a == netip.IPv6Unspecified() { // takes IPv4 as well
			table[netip.AddrPortFrom(netip.IPv4Unspecified(), r.Port())] = "one of the edge's own sockets"
		}
	}
	return table
}

// listener says who of the edge listens where the endpoint is; "" is nobody.
// The address must be one of the machine's own.
func (s *sockets) listener(endpoint netip.AddrPort) string {
	table := s.find()
	addr := endpoint.Addr().Unmap()
	if who := table[netip.AddrPortFrom(addr, endpoint.Port())]; who != "" {
		return who
	}
	any := netip.IPv6Unspecified()
	if addr.Is4() {
		any = netip.IPv4Unspecified()
	}
	return table[netip.AddrPortFrom(any, endpoint.Port())]
}
