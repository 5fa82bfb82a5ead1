package endpoints

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/landfall-edge/landfall/internal/source/kube/object"
)

// Obstacle is why an edge cannot get to a port of a Service; the zero value is
// none.
type Obstacle struct {
	// Field of the Service.
	Field, Reason, Message string
}

// Find says what is in the way to a TCP port under a reach.
func Find(key object.Key, svc *corev1.Service, port *corev1.ServicePort, pods bool) Obstacle {
	switch {
	case svc.Spec.Type == corev1.ServiceTypeExternalName:
		return Obstacle{"spec.type", "ExternalName", fmt.Sprintf(
			"Service %s is of type ExternalName, a name in DNS that an edge does not follow; write its address as a static service into the edge's file "+
				`(sources: [{name: outside, services: [{name: %s, endpoints: ["198.51.100.7:443"]}]}]), or make it a ClusterIP Service without a selector and give it an EndpointSlice`,
			key, key.Name)}
	case pods:
		return Obstacle{}
	case svc.Spec.Type == corev1.ServiceTypeClusterIP || svc.Spec.Type == "":
		return Obstacle{"spec.type", "ClusterIP", fmt.Sprintf(
			"Service %s is of type ClusterIP, to which no node port leads; either make it NodePort (kubectl -n %s patch service %s -p '{\"spec\":{\"type\":\"NodePort\"}}'), "+
				"or let the edge reach pods by themselves (reach: pods at this source in the edge's file, and a route from the edge to the pod network)",
			key, key.Namespace, key.Name)}
	case port.NodePort > 0 && port.NodePort <= 65535:
		return Obstacle{}
	case svc.Spec.AllocateLoadBalancerNodePorts != nil && !*svc.Spec.AllocateLoadBalancerNodePorts:
		return Obstacle{"spec.allocateLoadBalancerNodePorts", "NoNodePort", fmt.Sprintf(
			"port %s of Service %s has no node port, because allocateLoadBalancerNodePorts is false, and this source reaches nodes; "+
				"set spec.allocateLoadBalancerNodePorts: true, or reach: pods at this source in the edge's file",
			object.PortName(port), key)}
	}
	return Obstacle{object.PortField(svc, port) + ".nodePort", "NoNodePort", fmt.Sprintf(
		"port %s of Service %s has no nodePort, and this source reaches nodes; give it one (nodePort: 30080; an API server does that by itself), "+
			"or set reach: pods at this source in the edge's file",
		object.PortName(port), key)}
}
