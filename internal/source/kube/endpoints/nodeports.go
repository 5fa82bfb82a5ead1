package endpoints

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/kube/object"
)

// fromNodes makes endpoints of nodes: all of them, or those in on, where true
// drains.
func fromNodes(svc Service, port *corev1.ServicePort, nodes []Node, on map[string]bool) []model.Endpoint {
	families := families(svc.Object)
	eps := make([]model.Endpoint, 0, len(nodes))
	for i := range nodes {
		n := &nodes[i]
		draining, there := on[n.Name]
		if on != nil && !there {
			continue
		}
		addr := n.address(families)
		if !addr.IsValid() {
			continue
		}
		eps = append(eps, model.Endpoint{
			Address:  netip.AddrPortFrom(addr, uint16(port.NodePort)),
			Draining: n.Draining || draining,
			Probe:    n.Probe,
			Target:   n.Name,
		})
	}
	return eps
}

// address is the node's in the first of the families that it has: kube-proxy
// opens a node port in the families of the Service and in no other.
func (n *Node) address(families []corev1.IPFamily) netip.Addr {
	for _, f := range families {
		switch {
		case f == corev1.IPv4Protocol && n.V4.IsValid():
			return n.V4
		case f == corev1.IPv6Protocol && n.V6.IsValid():
			return n.V6
		}
	}
	return netip.Addr{}
}

// nodesOf are the nodes that pods serve on, for externalTrafficPolicy Local: false
// with a ready pod, true where the pods only terminate. When no pod is ready,
// those that terminate count as ready.
func nodesOf(pods []pod) map[string]bool {
	ready := anyReady(pods)
	on := make(map[string]bool)
	for _, p := range pods {
		if p.node == "" || (!p.ready && !p.ending) {
			continue
		}
		ending := ready && !p.ready
		if before, there := on[p.node]; there {
			ending = ending && before
		}
		on[p.node] = ending
	}
	return on
}

// noteHomeless says so when the nodes of ready pods are not known.
func noteHomeless(pods []pod, f *object.Findings) {
	ready := false
	for _, p := range pods {
		if !p.ready && !p.ending {
			continue
		}
		if p.node != "" {
			return
		}
		ready = true
	}
	if ready {
		f.Add("spec.externalTrafficPolicy", "NoNodeName", "",
			"externalTrafficPolicy is Local, and none of its endpoints says on which node it is; give them a nodeName, or set externalTrafficPolicy: Cluster")
	}
}

// localCheck asks kube-proxy on each node whether it has a pod of the Service. Nil
// if the Service has no port for that, as one of type NodePort has none.
func localCheck(svc *corev1.Service) *model.Check {
	p := svc.Spec.HealthCheckNodePort
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer || p <= 0 || p > 65535 {
		return nil
	}
	return &model.Check{HTTP: "/healthz", Port: uint16(p)}
}
