package service

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/landfall-edge/landfall/internal/source/kube/object"
)

// mostRanges is how many source ranges one Service can have.
const mostRanges = 10_000

// sourceRanges are the addresses that may connect, sorted; none means everybody.
// When ok is false nobody may, because what was written cannot be read: a Service
// is never served wider than it asks.
func sourceRanges(svc *corev1.Service, f *object.Findings) (ranges []netip.Prefix, ok bool) {
	written, field := svc.Spec.LoadBalancerSourceRanges, "spec.loadBalancerSourceRanges[%d]"
	if len(written) == 0 {
		return nil, true
	}
	if len(written) > mostRanges {
		f.Add(fmt.Sprintf(field, mostRanges), "TooMany", fmt.Sprintf("connections from the first %d", mostRanges),
			fmt.Sprintf("%d ranges, and a Service can have %d; join neighbours into wider ones", len(written), mostRanges))
		written = written[:mostRanges]
	}
	bad := make(map[int]string)
	for i, text := range written {
		p, why := parseRange(strings.TrimSpace(text))
		if why != "" {
			bad[i] = object.Quote(text) + " is not a range of addresses; " + why
			continue
		}
		ranges = append(ranges, p)
	}
	accepted := ""
	if len(ranges) > 0 {
		accepted = "connections from the other ranges"
	}
	for _, i := range slices.Sorted(maps.Keys(bad)) {
		f.Add(fmt.Sprintf(field, i), "BadSourceRange", accepted, bad[i])
	}
	slices.SortFunc(ranges, netip.Prefix.Compare)
	return slices.Compact(ranges), len(ranges) > 0
}

// parseRange reads one range, or says what to write in its place.
func parseRange(text string) (netip.Prefix, string) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
			return p, fmt.Sprintf(`write "%s/%d" for this one address`, a, a.BitLen())
		}
		return p, `write an address and a length, for example "192.0.2.0/24"`
	}
	const mapped = 96 // ::ffff:0:0/96 holds the IPv4 addresses
	if p.Addr().Is4In6() && p.Bits() >= mapped {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped)
	}
	return p.Masked(), ""
}
