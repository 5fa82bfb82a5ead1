package endpoints

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/landfall-edge/landfall/internal/source/kube/object"
)

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}

// noteAbsence says so when nothing stands behind a port, and which of the ways to
// have nothing it is.
func noteAbsence(svc Service, port *corev1.ServicePort, pods []pod, opt Options, f *object.Findings) {
	if anyReady(pods) {
		return
	}
	local := svc.Object.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
	accepted := ""
	if !opt.Pods && !local {
		accepted = "the nodes, which refuse connections until something is ready"
	}
	look := fmt.Sprintf("kubectl -n %s get endpointslices -l kubernetes.io/service-name=%s", svc.Key.Namespace, svc.Key.Name)
	switch {
	case len(svc.Slices) == 0 && svc.Legacy == nil:
		noteNoSlice(svc, opt, local, accepted, f)
	case slices.ContainsFunc(pods, func(p pod) bool { return p.ending }):
		f.Add("", "NoReadyEndpoint", "the endpoints that are terminating, while they answer",
			"none of its endpoints is ready, and those that are left are terminating; see "+look)
	case len(pods) == 0 && hasEndpoints(svc):
		f.Add(object.PortField(svc.Object, port)+".name", "PortNotInSlice", accepted, fmt.Sprintf(
			"no EndpointSlice or Endpoints object of it has endpoints at a TCP port named %s, which is what its port %s needs; "+
				"give the port the same name there (no name matches no name), and for a targetPort by name let a pod have a port of that name",
			object.Quote(port.Name), object.PortName(port)))
	case len(pods) == 0:
		f.Add("spec.selector", "NoReadyEndpoint", accepted,
			"none of its EndpointSlices (or its Endpoints object) holds a ready endpoint; check that spec.selector matches the labels of running pods: "+look)
	default:
		f.Add("", "NoReadyEndpoint", accepted, "none of its endpoints is ready; see why its pods are not: "+look)
	}
}

// noteNoSlice is noteAbsence for a Service that nothing names endpoints for.
func noteNoSlice(svc Service, opt Options, local bool, accepted string, f *object.Findings) {
	own := fmt.Sprintf("add an EndpointSlice for it (with the label kubernetes.io/service-name: %s), or in a folder of manifests an EndpointSlice or Endpoints object to the folder", svc.Key.Name)
	switch {
	case len(svc.Object.Spec.Selector) == 0:
		f.Add("spec.selector", "NoEndpointSlice", accepted,
			"it has no selector, and no EndpointSlice at all names endpoints for it; give it a selector that matches pods, or "+own)
	case opt.Pods || local:
		f.Add("", "NoEndpointSlice", accepted,
			"no EndpointSlice at all names endpoints for it, although it has a selector; in a cluster the controller manager makes one (kubectl -n kube-system get pods), else "+own)
	}
	// With a selector, kube-proxy knows the pods even where the edge does not need to.
}

// hasEndpoints reports whether any port of the Service has an endpoint.
func hasEndpoints(svc Service) bool {
	for _, s := range svc.Slices {
		if len(s.Endpoints) > 0 {
			return true
		}
	}
	if len(svc.Slices) > 0 || svc.Legacy == nil {
		return false
	}
	for i := range svc.Legacy.Subsets {
		if len(svc.Legacy.Subsets[i].Addresses) > 0 {
			return true
		}
	}
	return false
}
