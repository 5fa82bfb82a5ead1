package registry

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source"
)

// Range is the ports from First to Last.
type Range struct{ First, Last uint16 }

// Allowance is what a client may take.
type Allowance struct {
	Ports []Range
	// Hosts are names, or "*.example.com" for every one a label below.
	Hosts []string
	// Destinations hold the addresses; none is any that an endpoint may have.
	Destinations []netip.Prefix
}

// Address says why an address cannot be registered, or "". Forbidden says that
// another client might.
func (a Allowance) Address(addr netip.Addr) (why string, forbidden bool) {
	if why := source.EndpointRefusal(addr, false); why != "" {
		return fmt.Sprintf("%s cannot be registered: %s", addr, why), false
	}
	if addr.Zone() != "" {
		return fmt.Sprintf("%s cannot be registered: it has a zone", addr), false
	}
	if len(a.Destinations) == 0 || slices.ContainsFunc(a.Destinations, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		return "", false
	}
	return fmt.Sprintf("%s is not in this client's networks (%s)", addr, join(a.Destinations, netip.Prefix.String)), true
}

// Port says why the client may not take what a port asks for, or "".
func (a Allowance) Port(p Port) string {
	if p.Protocol == model.TCP {
		if slices.ContainsFunc(a.Ports, func(r Range) bool { return r.First <= p.Front && p.Front <= r.Last }) {
			return ""
		}
		return fmt.Sprintf("front port %d is not this client's; it may take %s", p.Front, orNone(join(a.Ports, Range.String), "front port"))
	}
	for _, host := range p.Hosts {
		if !a.host(host) {
			return fmt.Sprintf("host %s is not this client's; it may take %s", host, orNone(strings.Join(a.Hosts, ", "), "host"))
		}
	}
	return ""
}

func (a Allowance) host(host string) bool {
	_, below, _ := strings.Cut(host, ".")
	return slices.ContainsFunc(a.Hosts, func(allowed string) bool {
		return allowed == host || allowed == "*."+below
	})
}

// String spells a range as the edge's file does.
func (r Range) String() string {
	if r.First == r.Last {
		return fmt.Sprint(r.First)
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

func orNone(list, what string) string {
	if list == "" {
		return "no " + what
	}
	return list
}

func join[T any](list []T, text func(T) string) string {
	words := make([]string, len(list))
	for i, x := range list {
		words[i] = text(x)
	}
	return strings.Join(words, ", ")
}
