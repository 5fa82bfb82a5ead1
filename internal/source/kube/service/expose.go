package service

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/landfall-edge/landfall/internal/source/kube/annotation"
	"github.com/landfall-edge/landfall/internal/source/kube/object"
)

// exposed decides whether a Service is exposed by itself. What somebody marked
// and cannot be is a finding; what nobody asked for is none.
func exposed(svc *corev1.Service, opt Options, f *object.Findings) bool {
	mark, said := svc.Annotations[annotation.Expose]
	if said && mark != "true" && mark != "false" {
		f.Add(object.AnnotationField(annotation.Expose), "BadAnnotation", "",
			object.Quote(mark)+` is neither "true" nor "false"; until it is, the Service is not exposed`)
		return false
	}
	if mark == "false" {
		return false
	}
	marked := mark == "true"
	switch svc.Spec.Type {
	case corev1.ServiceTypeLoadBalancer:
		return balancer(svc, marked, opt, f)
	case corev1.ServiceTypeNodePort:
		return marked || opt.AllNodePorts
	}
	if !marked {
		return false
	}
	field := object.AnnotationField(annotation.Expose)
	if svc.Spec.Type == corev1.ServiceTypeExternalName {
		f.Add(field, "ExternalName", "",
			"a Service of type ExternalName is a name in DNS, and is not exposed; write its address as a static service into the edge's file (sources: services:), "+
				"or make it a NodePort Service without a selector and give it an EndpointSlice")
		return false
	}
	f.Add(field, "NotExposable", "",
		"a Service of type ClusterIP is not exposed by itself; make it type: NodePort, or type: LoadBalancer with loadBalancerClass: "+
			object.Controller+", or refer to it from an Ingress")
	return false
}

// balancer decides for type LoadBalancer, whose class is the only say in it: one
// of another class is another controller's.
func balancer(svc *corev1.Service, marked bool, opt Options, f *object.Findings) bool {
	class := svc.Spec.LoadBalancerClass
	switch {
	case class != nil && *class == object.Controller, class == nil && opt.Unclassed:
		return true
	case marked && class == nil:
		f.Add("spec.loadBalancerClass", "NotExposable", "",
			annotation.Expose+" counts on type NodePort; a LoadBalancer Service is exposed by loadBalancerClass: "+object.Controller+
				", which can be set only when it is created, or by unclassed: true at this source in the edge's file")
	case marked:
		f.Add("spec.loadBalancerClass", "NotExposable", "",
			annotation.Expose+" counts on type NodePort; the class "+object.Quote(*class)+" gives this Service to another controller, and ours is "+object.Controller)
	}
	return false
}
