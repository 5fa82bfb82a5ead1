package translate

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Options are how one source wants its objects to be read.
type Options struct {
	// Source begins every name.
	Source string
	// Expose says which NodePort Services are exposed; empty means Marked.
	Expose Expose
	// Unclassed also exposes LoadBalancer Services without a class.
	Unclassed bool
	// Reach says what endpoints are; empty means Nodes.
	Reach Reach
	// Probe is how nodes are probed under Nodes; nil means not at all.
	Probe *Probe
	// AllowLoopback lets loopback addresses be endpoints.
	AllowLoopback bool
}

// Expose says which Services of type NodePort are exposed.
type Expose string

// The choices of Expose, as the edge's file spells them.
const (
	Marked    Expose = "marked"    // those that say landfall.dev/expose: "true"
	NodePorts Expose = "nodePorts" // all but those that say landfall.dev/expose: "false"
)

// Reach is how the edge gets to a Service's pods.
type Reach string

// The choices of Reach, as the edge's file spells them.
const (
	Nodes Reach = "nodes" // by the nodes' InternalIP and the node port
	Pods  Reach = "pods"  // by the pods' own addresses
)

// Probe is the HTTP check that every node must answer with 200.
type Probe struct {
	Port uint16
	Path string
}

// Kinds are the kinds that a Translator reads, in the order of their names. A
// source that watches an API server can leave out Endpoints: the API server's
// controllers mirror them into EndpointSlices, which win anyway.
func Kinds() []schema.GroupVersionKind {
	return []schema.GroupVersionKind{
		corev1.SchemeGroupVersion.WithKind("Endpoints"),
		discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice"),
		networkingv1.SchemeGroupVersion.WithKind("Ingress"),
		networkingv1.SchemeGroupVersion.WithKind("IngressClass"),
		corev1.SchemeGroupVersion.WithKind("Namespace"),
		corev1.SchemeGroupVersion.WithKind("Node"),
		corev1.SchemeGroupVersion.WithKind("Service"),
	}
}
