package bench_test

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// hostAnnotation tells the script that polls which host leads to a Service.
const hostAnnotation = "bench.landfall.dev/host"

func name(i int) string { return fmt.Sprint("s", i) }

func host(i int) string { return name(i) + ".test" }

// service is one that pods are behind. The first ones have a node port too. The
// others are headless, since kube-apiserver looks at all cluster addresses for each
// that it gives, which takes minutes for thousands.
func service(i int) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name(i), Annotations: map[string]string{hostAnnotation: host(i)}},
		Spec: corev1.ServiceSpec{
			ClusterIP: corev1.ClusterIPNone, Selector: map[string]string{"app": name(i)},
			Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(podPort)}},
		},
	}
	if i < nodePorts {
		s.Spec.Type, s.Spec.ClusterIP = corev1.ServiceTypeNodePort, ""
		s.Spec.Ports[0].NodePort = int32(firstNode + i)
	}
	return s
}

// portService is one on a front port of its own.
func portService(i int, port int32) *corev1.Service {
	s := service(i)
	s.Spec.Type, s.Spec.ClusterIP = corev1.ServiceTypeLoadBalancer, ""
	s.Spec.LoadBalancerClass = ptr.To("landfall.dev/edge")
	s.Spec.Ports[0].Port = port
	return s
}

// slice is what a controller would write of the Service's pods.
func slice(i int, pods ...string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name(i), Labels: map[string]string{discoveryv1.LabelServiceName: name(i)}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To(int32(podPort))}},
	}
	for j, p := range pods {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{p}, NodeName: ptr.To(fmt.Sprint("n", 1+j%3)),
			Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true), Serving: ptr.To(true), Terminating: ptr.To(false)},
		})
	}
	return s
}

// ingress leads the host of each Service to it.
func ingress(name string, services ...int) *networkingv1.Ingress {
	in := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networkingv1.IngressSpec{IngressClassName: ptr.To("landfall")}}
	for _, i := range services {
		backend := networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
			Name: fmt.Sprint("s", i), Port: networkingv1.ServiceBackendPort{Name: "http"},
		}}
		in.Spec.Rules = append(in.Spec.Rules, networkingv1.IngressRule{Host: host(i), IngressRuleValue: networkingv1.IngressRuleValue{
			HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{
				Path: "/", PathType: ptr.To(networkingv1.PathTypePrefix), Backend: backend,
			}}},
		}})
	}
	return in
}

func nodeText(n int) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Node
metadata: {name: n%d}
status:
  addresses: [{type: InternalIP, address: %s}]
  conditions: [{type: Ready, status: "True", reason: KubeletReady, message: ready}]
`, n, nodeAddress(n))
}
