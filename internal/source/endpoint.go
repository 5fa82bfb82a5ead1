package source

import "net/netip"

// EndpointRefusal says why addr cannot be an endpoint, or "". Loopback addresses
// are for sources whose file says allowLoopback: a tenant must not reach the
// edge's own daemons.
func EndpointRefusal(addr netip.Addr, allowLoopback bool) string {
	addr = addr.Unmap()
	switch {
	case !addr.IsValid():
		return "it is not an IP address"
	case addr.IsUnspecified():
		return "it is the unspecified address"
	case addr.IsLoopback() && !allowLoopback:
		return "it is a loopback address of the edge itself"
	case addr.IsLinkLocalUnicast():
		return "it is a link-local address"
	case addr.IsMulticast() || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "it is a multicast or broadcast address"
	}
	return ""
}
