// Package endpoints finds the addresses behind a port of a Service: nodes with a
// node port, or pods. It is pure.
package endpoints

import (
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/kube/object"
)

// Options are how a source gets to pods.
type Options struct {
	Source string
	// Pods reaches pods by their own addresses, not by nodes.
	Pods bool
	// Probe is what nodes are asked; an empty Path means that they are not.
	Probe Probe
	// AllowLoopback lets loopback addresses be endpoints.
	AllowLoopback bool
}

// Probe is the port and path that a node answers on.
type Probe struct {
	Port uint16
	Path string
}

// Service is a Service and what is known of its pods.
type Service struct {
	Key    object.Key
	Object *corev1.Service
	// Slices are sorted by name.
	Slices []*discoveryv1.EndpointSlice
	// Legacy counts only where there are no Slices.
	Legacy *corev1.Endpoints //nolint:staticcheck // folders of manifests still hold them
}

// mostEndpoints is how many endpoints one backend can have.
const mostEndpoints = 10_000

// Build finds the endpoints of one TCP port that has no Obstacle, and how they
// must be checked by themselves, if so. Findings are noted in f.
func Build(svc Service, port *corev1.ServicePort, nodes []Node, opt Options, f *object.Findings) ([]model.Endpoint, *model.Check) {
	pods := gather(svc, port)
	noteAbsence(svc, port, pods, opt, f)
	if opt.Pods {
		return limit(fromPods(svc, pods, opt, f), f), nil
	}
	local := svc.Object.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
	var on map[string]bool
	if local {
		on = nodesOf(pods)
		noteHomeless(pods, f)
	}
	eps := fromNodes(svc, port, nodes, on)
	if len(eps) == 0 && len(nodes) > 0 && !local {
		f.Add("spec.ipFamilies", "NoNodeOfFamily", "", fmt.Sprintf(
			"no node has an InternalIP in an address family of this Service (%v); add the other family to spec.ipFamilies (ipFamilyPolicy: PreferDualStack), or give the nodes such an address",
			families(svc.Object)))
	}
	if check := localCheck(svc.Object); local && check != nil {
		for i := range eps {
			eps[i].Probe = ""
		}
		return limit(eps, f), check
	}
	return limit(eps, f), nil
}

// limit cuts what one object may ask for.
func limit(eps []model.Endpoint, f *object.Findings) []model.Endpoint {
	slices.SortFunc(eps, func(a, b model.Endpoint) int { return a.Address.Compare(b.Address) })
	if len(eps) <= mostEndpoints {
		return eps
	}
	f.Add("", "TooMany", fmt.Sprintf("the first %d by address", mostEndpoints),
		fmt.Sprintf("one port has %d endpoints, and an edge serves at most %d of one port; split the Service", len(eps), mostEndpoints))
	return eps[:mostEndpoints:mostEndpoints]
}

// families are the address families of a Service, the preferred one first. A
// manifest that leaves them to the API server means either.
func families(svc *corev1.Service) []corev1.IPFamily {
	both := []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
	if len(svc.Spec.IPFamilies) == 0 {
		return both
	}
	unknown := func(f corev1.IPFamily) bool { return !slices.Contains(both, f) }
	return slices.DeleteFunc(slices.Clone(svc.Spec.IPFamilies), unknown)
}

// family is the family of an address.
func family(a netip.Addr) corev1.IPFamily {
	if a.Is4() {
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}
