// Package admit does to objects from a file what an API server does to those that
// it is sent: it fills in the defaults, and refuses what it would refuse. It is pure.
//
// Only what an edge reads is looked at. What depends on the cluster (node ports,
// admission plugins, whether a namespace exists) is left out.
package admit

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Default fills in what the object leaves out, and clears what only an API server
// may set. The creation time stays: a folder has no other way to say which of two
// objects is the older one.
func Default(obj runtime.Object) {
	if meta, ok := obj.(metav1.Object); ok {
		defaultMeta(meta, namespaced(obj))
	}
	switch o := obj.(type) {
	case *corev1.Service:
		defaultService(o)
	case *networkingv1.Ingress:
		o.Status = networkingv1.IngressStatus{}
	case *networkingv1.IngressClass:
		if p := o.Spec.Parameters; p != nil && p.Scope == nil {
			p.Scope = new(networkingv1.IngressClassParametersReferenceScopeCluster)
		}
	case *discoveryv1.EndpointSlice:
		defaultSlice(o)
	case *corev1.Endpoints: //nolint:staticcheck // folders hold them
		for i := range o.Subsets {
			for j := range o.Subsets[i].Ports {
				if p := &o.Subsets[i].Ports[j]; p.Protocol == "" {
					p.Protocol = corev1.ProtocolTCP
				}
			}
		}
	case *corev1.Namespace:
		if o.Labels == nil {
			o.Labels = make(map[string]string)
		}
		o.Labels[corev1.LabelMetadataName] = o.Name
	}
}

// namespaced reports whether objects of this kind live in a namespace.
func namespaced(obj runtime.Object) bool {
	switch obj.(type) {
	case *corev1.Namespace, *corev1.Node, *corev1.PersistentVolume, *networkingv1.IngressClass:
		return false
	}
	return true
}

func defaultMeta(meta metav1.Object, namespaced bool) {
	switch {
	case !namespaced:
		meta.SetNamespace("")
	case meta.GetNamespace() == "":
		meta.SetNamespace(metav1.NamespaceDefault)
	}
	meta.SetDeletionTimestamp(nil)
	meta.SetDeletionGracePeriodSeconds(nil)
	meta.SetManagedFields(nil)
	meta.SetResourceVersion("")
	meta.SetUID("")
	meta.SetSelfLink("")
	meta.SetGeneration(0)
}

func defaultService(s *corev1.Service) {
	s.Status = corev1.ServiceStatus{}
	if s.Spec.Type == "" {
		s.Spec.Type = corev1.ServiceTypeClusterIP
	}
	for i := range s.Spec.Ports {
		p := &s.Spec.Ports[i]
		if p.Protocol == "" {
			p.Protocol = corev1.ProtocolTCP
		}
		if p.TargetPort == intstr.FromInt32(0) || p.TargetPort == intstr.FromString("") {
			p.TargetPort = intstr.FromInt32(p.Port)
		}
	}
	defaultAffinity(&s.Spec)
	if external(s) && s.Spec.ExternalTrafficPolicy == "" {
		s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyCluster
	}
	if s.Spec.InternalTrafficPolicy == nil && s.Spec.Type != corev1.ServiceTypeExternalName {
		s.Spec.InternalTrafficPolicy = new(corev1.ServiceInternalTrafficPolicyCluster)
	}
	if s.Spec.Type == corev1.ServiceTypeLoadBalancer && s.Spec.AllocateLoadBalancerNodePorts == nil {
		s.Spec.AllocateLoadBalancerNodePorts = new(true)
	}
}

func defaultAffinity(s *corev1.ServiceSpec) {
	switch s.SessionAffinity {
	case "", corev1.ServiceAffinityNone:
		s.SessionAffinity, s.SessionAffinityConfig = corev1.ServiceAffinityNone, nil
	case corev1.ServiceAffinityClientIP:
		if c := s.SessionAffinityConfig; c == nil || c.ClientIP == nil || c.ClientIP.TimeoutSeconds == nil {
			s.SessionAffinityConfig = &corev1.SessionAffinityConfig{
				ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: new(corev1.DefaultClientIPServiceAffinitySeconds)},
			}
		}
	}
}

// external reports whether a Service is reached from outside the cluster.
func external(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeLoadBalancer || s.Spec.Type == corev1.ServiceTypeNodePort ||
		s.Spec.Type == corev1.ServiceTypeClusterIP && len(s.Spec.ExternalIPs) > 0
}

func defaultSlice(s *discoveryv1.EndpointSlice) {
	for i := range s.Ports {
		p := &s.Ports[i]
		if p.Name == nil {
			p.Name = new("")
		}
		if p.Protocol == nil {
			p.Protocol = new(corev1.ProtocolTCP)
		}
	}
}

// Check says why an API server would refuse an object that has its defaults.
func Check(obj runtime.Object) field.ErrorList {
	meta, ok := obj.(metav1.Object)
	if !ok {
		return nil
	}
	errs := checkMeta(meta, obj)
	switch o := obj.(type) {
	case *corev1.Service:
		errs = append(errs, checkService(o)...)
	case *networkingv1.Ingress:
		errs = append(errs, checkIngress(o)...)
	case *networkingv1.IngressClass:
		errs = append(errs, checkClass(o)...)
	case *discoveryv1.EndpointSlice:
		errs = append(errs, checkSlice(o)...)
	case *corev1.Endpoints: //nolint:staticcheck // folders hold them
		errs = append(errs, checkEndpoints(o)...)
	}
	return errs
}

func checkMeta(meta metav1.Object, obj runtime.Object) field.ErrorList {
	path := field.NewPath("metadata")
	if meta.GetName() == "" {
		// An API server would make one up, another one at each reading.
		return field.ErrorList{field.Required(path.Child("name"), `an object in a file needs one, for example "shop"`)}
	}
	name := apivalidation.NameIsDNSSubdomain
	switch obj.(type) {
	case *corev1.Service, *corev1.Namespace:
		name = apivalidation.NameIsDNSLabel
	}
	return apivalidation.ValidateObjectMetaAccessor(meta, namespaced(obj), name, path)
}
