package endpoints

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source"
	"github.com/landfall-edge/landfall/internal/source/kube/object"
)

// pod is one endpoint that an EndpointSlice or Endpoints object names for a port.
type pod struct {
	address string
	port    int32
	node    string
	target  string
	ready   bool
	// ending is a pod that terminates and still serves. One that is neither
	// ready nor ending takes nothing.
	ending bool
	fqdn   bool
}

// gather lists what the Service's slices name for a port, in their order.
func gather(svc Service, port *corev1.ServicePort) []pod {
	if len(svc.Slices) == 0 {
		return gatherLegacy(svc, port)
	}
	var pods []pod
	for _, s := range svc.Slices {
		n := slicePort(s, port)
		if n == 0 {
			continue
		}
		for i := range s.Endpoints {
			e := &s.Endpoints[i]
			if len(e.Addresses) == 0 {
				continue
			}
			p := pod{
				// All addresses of an endpoint mean the same; Kubernetes uses the first.
				address: e.Addresses[0], port: n,
				target: target(e.TargetRef, svc.Key.Namespace, e.NodeName),
				fqdn:   s.AddressType == discoveryv1.AddressTypeFQDN,
			}
			if e.NodeName != nil {
				p.node = *e.NodeName
			}
			p.ready, p.ending = state(e.Conditions)
			pods = append(pods, p)
		}
	}
	return pods
}

// state reads an endpoint's conditions; a missing one means what the API says it
// means.
func state(c discoveryv1.EndpointConditions) (ready, ending bool) {
	ready = c.Ready == nil || *c.Ready
	serving := ready
	if c.Serving != nil {
		serving = *c.Serving
	}
	return ready, !ready && serving && c.Terminating != nil && *c.Terminating
}

// slicePort is the number that a Service's port has in a slice, 0 if none. It may
// differ from slice to slice.
func slicePort(s *discoveryv1.EndpointSlice, port *corev1.ServicePort) int32 {
	for i := range s.Ports {
		p := &s.Ports[i]
		name := ""
		if p.Name != nil {
			name = *p.Name
		}
		tcp := p.Protocol == nil || *p.Protocol == "" || *p.Protocol == corev1.ProtocolTCP
		if name != port.Name || !tcp {
			continue
		}
		if p.Port == nil { // any port: the Service says which
			return targetPort(port)
		}
		return valid(*p.Port)
	}
	return 0
}

// targetPort is the port that a Service names for its pods, 0 if by name only.
func targetPort(port *corev1.ServicePort) int32 {
	switch {
	case port.TargetPort.Type == intstr.String && port.TargetPort.StrVal != "":
		return 0
	case port.TargetPort.IntVal != 0:
		return valid(port.TargetPort.IntVal)
	}
	return port.Port
}

func valid(port int32) int32 {
	if port < 0 || port > 65535 {
		return 0
	}
	return port
}

// gatherLegacy is gather for an Endpoints object.
func gatherLegacy(svc Service, port *corev1.ServicePort) []pod {
	if svc.Legacy == nil {
		return nil
	}
	var pods []pod
	for i := range svc.Legacy.Subsets {
		set := &svc.Legacy.Subsets[i]
		n := int32(0)
		for _, p := range set.Ports {
			if p.Name == port.Name && (p.Protocol == "" || p.Protocol == corev1.ProtocolTCP) {
				n = valid(p.Port)
				break
			}
		}
		if n == 0 {
			continue
		}
		for j := range set.Addresses {
			a := &set.Addresses[j]
			p := pod{address: a.IP, port: n, target: target(a.TargetRef, svc.Key.Namespace, a.NodeName), ready: true}
			if a.NodeName != nil {
				p.node = *a.NodeName
			}
			pods = append(pods, p)
		}
	}
	return pods
}

// target is what stands behind an endpoint: a pod, else a node. It is for people
// to read, so what cannot be a name is left out.
func target(ref *corev1.ObjectReference, namespace string, node *string) string {
	if ref != nil && ref.Kind == "Pod" && isName(ref.Name) {
		if ref.Namespace != "" && isName(ref.Namespace) {
			namespace = ref.Namespace
		}
		return namespace + "/" + ref.Name
	}
	if node != nil && isName(*node) {
		return *node
	}
	return ""
}

func isName(s string) bool {
	return len(s) <= validation.DNS1123SubdomainMaxLength && len(validation.IsDNS1123Subdomain(s)) == 0
}

// anyReady reports whether one of the pods is ready.
func anyReady(pods []pod) bool {
	return slices.ContainsFunc(pods, func(p pod) bool { return p.ready })
}

// fromPods makes endpoints of pods. Those that terminate and still serve are
// drained, unless no other is left (KEP-1669).
func fromPods(svc Service, pods []pod, opt Options, f *object.Findings) []model.Endpoint {
	ready, families := anyReady(pods), families(svc.Object)
	refused := refusals{}
	at := make(map[netip.AddrPort]int, len(pods))
	var eps []model.Endpoint
	for _, p := range pods {
		if !p.ready && !p.ending {
			continue
		}
		addr, why := parse(p, opt.AllowLoopback)
		if why != "" {
			refused[why] = append(refused[why], p.address)
			continue
		}
		if !slices.Contains(families, family(addr)) {
			continue
		}
		e := model.Endpoint{
			Address: netip.AddrPortFrom(addr, uint16(p.port)), Draining: ready && !p.ready, Target: p.target,
		}
		if i, twice := at[e.Address]; twice {
			if eps[i].Draining && !e.Draining {
				eps[i] = e
			}
			continue
		}
		at[e.Address] = len(eps)
		eps = append(eps, e)
	}
	refused.note(len(eps) > 0, f)
	return eps
}

// parse is a pod's address, or why it cannot be an endpoint.
func parse(p pod, allowLoopback bool) (netip.Addr, string) {
	if p.fqdn {
		return netip.Addr{}, "it is a name, of an EndpointSlice with addressType FQDN, which Kubernetes gave up; write IPv4 or IPv6 addresses"
	}
	addr, err := netip.ParseAddr(p.address)
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}, `it is not an IP address such as "192.0.2.7"`
	}
	addr = addr.Unmap()
	return addr, source.EndpointRefusal(addr, allowLoopback)
}

// refusals are refused addresses by the reason, of which one finding each is made:
// a slice may hold hundreds.
type refusals map[string][]string

func (r refusals) note(others bool, f *object.Findings) {
	const named = 3
	accepted := ""
	if others {
		accepted = "its other endpoints"
	}
	for _, why := range sortedKeys(r) {
		list := slices.Compact(slices.Sorted(slices.Values(r[why])))
		more := ""
		if len(list) > named {
			more = fmt.Sprintf(" and %d more", len(list)-named)
			list = list[:named]
		}
		for i, a := range list {
			list[i] = object.Plain(a)
		}
		f.Add("", "AddressRefused", accepted,
			"its endpoints hold "+strings.Join(list, ", ")+more+", which cannot be served: "+why)
	}
}
