package kube

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/landfall-edge/landfall/internal/source/kube/annotation"
)

// strip takes out of obj what the translators never read. That is most of it: a
// cluster's worth of objects is held in memory, and a change to what nobody reads
// must not look like one.
func strip(obj metav1.Object) {
	obj.SetManagedFields(nil)
	obj.SetOwnerReferences(nil)
	obj.SetFinalizers(nil)
	obj.SetSelfLink("")
	obj.SetGenerateName("")
	obj.SetResourceVersion("")
	obj.SetGeneration(0)
	obj.SetUID("")
	obj.SetAnnotations(only(obj.GetAnnotations(), isRead))
	switch o := obj.(type) {
	case *corev1.Service:
		o.Labels = nil
		o.Status = corev1.ServiceStatus{}
	case *networkingv1.Ingress:
		o.Labels = nil
		o.Status = networkingv1.IngressStatus{}
	case *networkingv1.IngressClass:
		o.Labels = nil
	case *corev1.Namespace:
		o.Status = corev1.NamespaceStatus{}
	case *corev1.Node:
		stripNode(o)
	case *discoveryv1.EndpointSlice:
		stripSlice(o)
	}
}

// isRead reports whether a translator reads an annotation.
func isRead(name string) bool {
	switch name {
	case networkingv1.AnnotationIsDefaultIngressClass, "kubernetes.io/ingress.class":
		return true
	}
	return strings.HasPrefix(name, annotation.Prefix)
}

// stripNode leaves how a node is reached, and whether. The times of conditions go:
// a kubelet renews them without anything having happened.
func stripNode(n *corev1.Node) {
	status := corev1.NodeStatus{Addresses: n.Status.Addresses}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			status.Conditions = append(status.Conditions, corev1.NodeCondition{Type: c.Type, Status: c.Status})
		}
	}
	n.Status = status
	n.Spec = corev1.NodeSpec{Taints: n.Spec.Taints, Unschedulable: n.Spec.Unschedulable}
	for i := range n.Spec.Taints {
		n.Spec.Taints[i].TimeAdded = nil
	}
	n.Labels = only(n.Labels, isKubernetes)
}

func stripSlice(s *discoveryv1.EndpointSlice) {
	// A slice repeats the labels of its Service.
	s.Labels = only(s.Labels, isKubernetes)
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		e.Hints, e.Zone, e.Hostname, e.DeprecatedTopology = nil, nil, nil, nil
		if t := e.TargetRef; t != nil {
			t.UID, t.ResourceVersion, t.APIVersion, t.FieldPath = "", "", "", ""
		}
	}
}

func isKubernetes(label string) bool {
	domain, _, _ := strings.Cut(label, "/")
	return domain == "kubernetes.io" || strings.HasSuffix(domain, ".kubernetes.io")
}

// only keeps the entries of m whose keys pass.
func only(m map[string]string, keep func(string) bool) map[string]string {
	for k := range m {
		if !keep(k) {
			delete(m, k)
		}
	}
	if len(m) == 0 {
		return nil
	}
	return m
}
