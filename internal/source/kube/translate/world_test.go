package translate_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// world makes objects of few names and many shapes, so that they meet often.
type world struct{ *rand.Rand }

func pick[T any](w world, list ...T) T { return list[w.IntN(len(list))] }

func (w world) maybe() bool { return w.IntN(2) == 0 }

func (w world) meta(name string, annotations ...string) metav1.ObjectMeta {
	m := metav1.ObjectMeta{Namespace: pick(w, "a", "a", "b"), Name: name}
	if w.IntN(3) > 0 {
		m.CreationTimestamp = metav1.NewTime(time.Date(2026, 1, 1+w.IntN(3), 0, 0, 0, 0, time.UTC))
	}
	for i := 0; i+1 < len(annotations); i += 2 {
		if w.maybe() {
			metav1.SetMetaDataAnnotation(&m, annotations[i], annotations[i+1])
		}
	}
	return m
}

func (w world) object() runtime.Object {
	switch w.IntN(10) {
	case 0:
		return w.node()
	case 1, 2, 3:
		return w.service()
	case 4, 5:
		return w.slice()
	case 6:
		return w.endpoints()
	case 7:
		class := &networkingv1.IngressClass{
			ObjectMeta: w.meta(pick(w, "ours", "theirs"), networkingv1.AnnotationIsDefaultIngressClass, "true"),
			Spec:       networkingv1.IngressClassSpec{Controller: pick(w, "landfall.dev/edge", "example.com/other")},
		}
		class.Namespace = ""
		return class
	default:
		return w.ingress()
	}
}

func (w world) node() *corev1.Node {
	n := &corev1.Node{ObjectMeta: w.meta(pick(w, "n1", "n2", "n3", "bad/name"))}
	n.Namespace = ""
	if w.IntN(4) == 0 {
		n.Labels = map[string]string{corev1.LabelNodeExcludeBalancers: ""}
	}
	if w.IntN(4) == 0 {
		n.Spec.Taints = []corev1.Taint{{Key: "ToBeDeletedByClusterAutoscaler"}}
	}
	for _, a := range []string{"192.0.2.1", "192.0.2.2", "2001:db8::1", "127.0.0.1"} {
		if w.IntN(3) > 0 {
			n.Status.Addresses = append(n.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a})
		}
	}
	w.Shuffle(len(n.Status.Addresses), func(i, j int) {
		a := n.Status.Addresses
		a[i], a[j] = a[j], a[i]
	})
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: pick(w, corev1.ConditionTrue, corev1.ConditionFalse)}}
	return n
}

func (w world) service() *corev1.Service {
	s := &corev1.Service{ObjectMeta: w.meta(pick(w, "s1", "s2", "s3", "Bad"),
		"landfall.dev/expose", pick(w, "true", "false", "maybe"),
		"landfall.dev/ports", pick(w, "443:https,80", "443:http,444:http", "x", "80"),
		"landfall.dev/vip", pick(w, "main", "no vip"),
		"landfall.dev/balance", pick(w, "leastconn", "fast"),
		"landfall.dev/limit-rps", pick(w, "", "20"),
		"landfall.dev/proxy-protocol", pick(w, "v1", "false"))}
	s.Spec.Type = pick(w, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort, corev1.ServiceTypeNodePort, corev1.ServiceTypeClusterIP, corev1.ServiceTypeExternalName)
	class := pick(w, "landfall.dev/edge", "example.com/other")
	if w.maybe() {
		s.Spec.LoadBalancerClass = &class
	}
	if w.maybe() {
		s.Spec.Selector = map[string]string{"app": "x"}
	}
	if w.maybe() {
		s.Spec.ExternalTrafficPolicy, s.Spec.HealthCheckNodePort = corev1.ServiceExternalTrafficPolicyLocal, 32000
	}
	s.Spec.IPFamilies = pick(w, nil, []corev1.IPFamily{"IPv4"}, []corev1.IPFamily{"IPv6", "IPv4"})
	protocol := pick(w, "", "h2c", "odd")
	for i, name := range []string{"http", "https"} {
		if w.IntN(4) > 0 {
			s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{
				Name: name, Port: int32(pick(w, 80, 443)), NodePort: int32(pick(w, 0, 30000+i)), AppProtocol: &protocol,
				Protocol: pick(w, corev1.ProtocolTCP, corev1.ProtocolTCP, corev1.ProtocolUDP, ""),
			})
		}
	}
	s.Spec.LoadBalancerSourceRanges = pick(w, nil, nil, []string{"10.0.0.0/8", "x"}, []string{"x"})
	s.Spec.SessionAffinity = pick(w, corev1.ServiceAffinityNone, corev1.ServiceAffinityClientIP)
	return s
}

func (w world) slice() *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{ObjectMeta: w.meta(pick(w, "e1", "e2", "e3")), AddressType: discoveryv1.AddressTypeIPv4}
	if w.IntN(8) > 0 {
		s.Labels = map[string]string{discoveryv1.LabelServiceName: pick(w, "s1", "s2", "s3", "s4")}
	}
	for _, name := range []string{"http", "https"} {
		port := int32(pick(w, 8080, 8081))
		s.Ports = append(s.Ports, discoveryv1.EndpointPort{Name: &name, Port: &port})
	}
	for range w.IntN(4) {
		ready, serving, ending, node := w.maybe(), w.maybe(), w.maybe(), pick(w, "n1", "n2")
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{pick(w, "10.1.0.1", "10.1.0.2", "2001:db8::9", "127.0.0.1", "x")}, NodeName: &node,
			Conditions: discoveryv1.EndpointConditions{Ready: &ready, Serving: &serving, Terminating: &ending},
		})
	}
	return s
}

func (w world) endpoints() *corev1.Endpoints { //nolint:staticcheck // folders hold them
	return &corev1.Endpoints{ //nolint:staticcheck // as above
		ObjectMeta: w.meta(pick(w, "s1", "s2", "s3")),
		Subsets: []corev1.EndpointSubset{{ //nolint:staticcheck // as above
			Addresses: []corev1.EndpointAddress{{IP: pick(w, "10.2.0.1", "10.2.0.2")}},
			Ports:     []corev1.EndpointPort{{Name: "http", Port: 8080}},
		}},
	}
}

func (w world) ingress() *networkingv1.Ingress {
	ing := &networkingv1.Ingress{ObjectMeta: w.meta(pick(w, "i1", "i2", "i3"),
		"landfall.dev/balance", pick(w, "source", "random"),
		"landfall.dev/proxy-protocol", pick(w, "v1", "v2"),
		"landfall.dev/limit-connections", pick(w, "-1", "10"),
		"landfall.dev/vip", pick(w, "main", "no vip"))}
	class := pick(w, "ours", "ours", "theirs", "nobody")
	if w.IntN(4) > 0 {
		ing.Spec.IngressClassName = &class
	}
	if w.IntN(3) == 0 {
		b := w.backend()
		ing.Spec.DefaultBackend = &b
	}
	for range w.IntN(3) {
		rule := networkingv1.IngressRule{Host: pick(w, "", "x.example.com", "*.example.com", "bad host")}
		rule.HTTP = &networkingv1.HTTPIngressRuleValue{}
		for range w.IntN(4) {
			kind := pick(w, networkingv1.PathTypeExact, networkingv1.PathTypePrefix, networkingv1.PathTypeImplementationSpecific)
			rule.HTTP.Paths = append(rule.HTTP.Paths, networkingv1.HTTPIngressPath{
				Path: pick(w, "/", "/foo", "/foo/", "bad"), PathType: &kind, Backend: w.backend(),
			})
		}
		ing.Spec.Rules = append(ing.Spec.Rules, rule)
	}
	return ing
}

func (w world) backend() networkingv1.IngressBackend {
	if w.IntN(8) == 0 {
		return networkingv1.IngressBackend{Resource: &corev1.TypedLocalObjectReference{Kind: "Bucket", Name: "b"}}
	}
	port := networkingv1.ServiceBackendPort{Name: pick(w, "http", "https", "")}
	if port.Name == "" {
		port.Number = int32(pick(w, 80, 443))
	}
	return networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: pick(w, "s1", "s2", "s3", "s4"), Port: port}}
}

// id is what Set and Delete tell objects apart by.
func id(o runtime.Object) string {
	m := o.(metav1.Object)
	return fmt.Sprintf("%T %s/%s", o, m.GetNamespace(), m.GetName())
}
