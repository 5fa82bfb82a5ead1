package admit

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// one refuses v, for the first of the reasons if there are any.
func one[T any](path *field.Path, v T, why []string) field.ErrorList {
	if len(why) == 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(path, v, why[0])}
}

// among refuses v unless it is one of the choices.
func among[T ~string](path *field.Path, v T, choices ...T) field.ErrorList {
	for _, c := range choices {
		if v == c {
			return nil
		}
	}
	words := make([]string, 0, len(choices))
	for _, c := range choices {
		words = append(words, string(c))
	}
	return field.ErrorList{field.Invalid(path, string(v), "must be one of "+strings.Join(words, ", "))}
}

func protocols() []corev1.Protocol {
	return []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}
}

func headless(s *corev1.Service) bool { return s.Spec.ClusterIP == corev1.ClusterIPNone }

func checkService(s *corev1.Service) field.ErrorList {
	spec := field.NewPath("spec")
	errs := among(spec.Child("type"), s.Spec.Type, corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort,
		corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeExternalName)
	if len(errs) > 0 {
		return errs // what follows depends on it
	}
	if len(s.Spec.Ports) == 0 && !headless(s) && s.Spec.Type != corev1.ServiceTypeExternalName {
		errs = append(errs, field.Required(spec.Child("ports"), "a Service needs at least one port"))
	}
	if external(s) && headless(s) && s.Spec.Type != corev1.ServiceTypeClusterIP {
		errs = append(errs, field.Invalid(spec.Child("clusterIP"), s.Spec.ClusterIP, "a Service of type "+string(s.Spec.Type)+" cannot be headless"))
	}
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		errs = append(errs, checkExternalName(s, spec)...)
	}
	errs = append(errs, checkServicePorts(s, spec.Child("ports"))...)
	errs = append(errs, metav1validation.ValidateLabels(s.Spec.Selector, spec.Child("selector"))...)
	errs = append(errs, checkAffinity(&s.Spec, spec)...)
	for i, ip := range s.Spec.ExternalIPs {
		errs = append(errs, validation.IsValidIP(spec.Child("externalIPs").Index(i), ip)...)
	}
	errs = append(errs, checkBalancer(s, spec)...)
	return append(errs, checkTrafficPolicy(s, spec)...)
}

func checkExternalName(s *corev1.Service, spec *field.Path) field.ErrorList {
	path := spec.Child("externalName")
	name := strings.TrimSuffix(s.Spec.ExternalName, ".")
	if name == "" {
		return field.ErrorList{field.Required(path, "a Service of type ExternalName is nothing but that name")}
	}
	return one(path, s.Spec.ExternalName, validation.IsDNS1123Subdomain(name))
}

func checkServicePorts(s *corev1.Service, path *field.Path) field.ErrorList {
	type front struct {
		protocol corev1.Protocol
		port     int32
	}
	var errs field.ErrorList
	names, fronts, nodePorts := map[string]bool{}, map[front]bool{}, map[front]bool{}
	for i := range s.Spec.Ports {
		p, at := &s.Spec.Ports[i], path.Index(i)
		errs = append(errs, checkServicePort(p, at, len(s.Spec.Ports) > 1)...)
		if p.Name != "" && names[p.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), p.Name))
		}
		names[p.Name] = true
		if key := (front{p.Protocol, p.Port}); fronts[key] {
			errs = append(errs, field.Duplicate(at.Child("port"), p.Port))
		} else {
			fronts[key] = true
		}
		if p.NodePort == 0 {
			continue
		}
		if s.Spec.Type == corev1.ServiceTypeClusterIP {
			errs = append(errs, field.Forbidden(at.Child("nodePort"), "a Service of type ClusterIP has no node ports"))
		}
		if key := (front{p.Protocol, p.NodePort}); nodePorts[key] {
			errs = append(errs, field.Duplicate(at.Child("nodePort"), p.NodePort))
		} else {
			nodePorts[key] = true
		}
	}
	return errs
}

func checkServicePort(p *corev1.ServicePort, at *field.Path, named bool) field.ErrorList {
	var errs field.ErrorList
	switch {
	case p.Name != "":
		errs = append(errs, one(at.Child("name"), p.Name, validation.IsDNS1123Label(p.Name))...)
	case named:
		errs = append(errs, field.Required(at.Child("name"), "each port needs one where there are several"))
	}
	errs = append(errs, one(at.Child("port"), p.Port, validation.IsValidPortNum(int(p.Port)))...)
	errs = append(errs, among(at.Child("protocol"), p.Protocol, protocols()...)...)
	if n := p.TargetPort; n.Type == intstr.Int {
		if n.IntVal != p.Port { // which has been checked
			errs = append(errs, one(at.Child("targetPort"), n.IntVal, validation.IsValidPortNum(int(n.IntVal)))...)
		}
	} else {
		errs = append(errs, one(at.Child("targetPort"), p.TargetPort.StrVal, validation.IsValidPortName(p.TargetPort.StrVal))...)
	}
	if p.NodePort != 0 {
		errs = append(errs, one(at.Child("nodePort"), p.NodePort, validation.IsValidPortNum(int(p.NodePort)))...)
	}
	if p.AppProtocol != nil {
		errs = append(errs, one(at.Child("appProtocol"), *p.AppProtocol, validation.IsQualifiedName(*p.AppProtocol))...)
	}
	return errs
}

func checkAffinity(s *corev1.ServiceSpec, spec *field.Path) field.ErrorList {
	errs := among(spec.Child("sessionAffinity"), s.SessionAffinity, corev1.ServiceAffinityNone, corev1.ServiceAffinityClientIP)
	if len(errs) > 0 || s.SessionAffinity == corev1.ServiceAffinityNone {
		return errs
	}
	if t := *s.SessionAffinityConfig.ClientIP.TimeoutSeconds; t <= 0 || t > 86400 {
		errs = append(errs, field.Invalid(spec.Child("sessionAffinityConfig", "clientIP", "timeoutSeconds"), t, "must be from 1 to 86400"))
	}
	return errs
}

// checkBalancer checks the fields that only a load balancer has.
func checkBalancer(s *corev1.Service, spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	balancer := s.Spec.Type == corev1.ServiceTypeLoadBalancer
	const only = "only a Service of type LoadBalancer has this"
	ranges := spec.Child("loadBalancerSourceRanges")
	if len(s.Spec.LoadBalancerSourceRanges) > 0 && !balancer {
		errs = append(errs, field.Forbidden(ranges, only))
	}
	for i, r := range s.Spec.LoadBalancerSourceRanges {
		errs = append(errs, validation.IsValidCIDR(ranges.Index(i), strings.TrimSpace(r))...)
	}
	if s.Spec.AllocateLoadBalancerNodePorts != nil && !balancer {
		errs = append(errs, field.Forbidden(spec.Child("allocateLoadBalancerNodePorts"), only))
	}
	if c := s.Spec.LoadBalancerClass; c != nil {
		if !balancer {
			errs = append(errs, field.Forbidden(spec.Child("loadBalancerClass"), only))
		}
		errs = append(errs, one(spec.Child("loadBalancerClass"), *c, validation.IsQualifiedName(*c))...)
	}
	return errs
}

func checkTrafficPolicy(s *corev1.Service, spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	policy, path := s.Spec.ExternalTrafficPolicy, spec.Child("externalTrafficPolicy")
	switch {
	case external(s):
		errs = among(path, policy, corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal)
	case policy != "":
		errs = append(errs, field.Forbidden(path, "only a Service of type LoadBalancer or NodePort has this"))
	}
	if n := s.Spec.HealthCheckNodePort; n != 0 {
		path := spec.Child("healthCheckNodePort")
		if s.Spec.Type != corev1.ServiceTypeLoadBalancer || policy != corev1.ServiceExternalTrafficPolicyLocal {
			errs = append(errs, field.Forbidden(path, "only a Service of type LoadBalancer with externalTrafficPolicy: Local has this"))
		}
		errs = append(errs, one(path, n, validation.IsValidPortNum(int(n)))...)
	}
	if p := s.Spec.InternalTrafficPolicy; p != nil {
		errs = append(errs, among(spec.Child("internalTrafficPolicy"), *p,
			corev1.ServiceInternalTrafficPolicyCluster, corev1.ServiceInternalTrafficPolicyLocal)...)
	}
	return errs
}
