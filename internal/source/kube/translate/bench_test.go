package translate_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/landfall-edge/landfall/internal/source/kube/translate"
)

// fill holds n Services, each with an Ingress and eps endpoints.
func fill(tr *translate.Translator, n, eps int) {
	class, kind := "ours", networkingv1.PathTypePrefix
	tr.Set(&networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: class}, Spec: networkingv1.IngressClassSpec{Controller: "landfall.dev/edge"}})
	for i := range 50 {
		tr.Set(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("n%02d", i)}, Status: corev1.NodeStatus{
			Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: fmt.Sprintf("192.0.2.%d", i+1)}},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		}})
	}
	for i := range n {
		meta := metav1.ObjectMeta{Namespace: "web", Name: fmt.Sprintf("s%05d", i)}
		tr.Set(&corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeNodePort, Selector: map[string]string{"app": meta.Name},
			Ports: []corev1.ServicePort{{Name: "http", Port: 80, NodePort: int32(30000 + i)}},
		}})
		tr.Set(&networkingv1.Ingress{ObjectMeta: meta, Spec: networkingv1.IngressSpec{
			IngressClassName: &class,
			Rules: []networkingv1.IngressRule{{Host: meta.Name + ".example.com", IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
				Paths: []networkingv1.HTTPIngressPath{{Path: "/", PathType: &kind, Backend: networkingv1.IngressBackend{
					Service: &networkingv1.IngressServiceBackend{Name: meta.Name, Port: networkingv1.ServiceBackendPort{Number: 80}},
				}}},
			}}}},
		}})
		tr.Set(benchSlice(i, eps, "10.1.0.1"))
	}
}

// benchSlice is the slice of Service i; first is its first address.
func benchSlice(i, eps int, first string) *discoveryv1.EndpointSlice {
	name, port := "http", int32(8080)
	s := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "web", Name: fmt.Sprintf("s%05d-abcde", i),
			Labels: map[string]string{discoveryv1.LabelServiceName: fmt.Sprintf("s%05d", i)},
		},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
	}
	for e := range eps {
		address := first
		if e > 0 {
			address = fmt.Sprintf("10.2.%d.%d", e/250, e%250+1)
		}
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{address}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: fmt.Sprintf("pod-%d", e)}})
	}
	return s
}

func filled(n int, reach translate.Reach) *translate.Translator {
	tr := translate.New(translate.Options{Source: "home", Reach: reach})
	fill(tr, n, 4)
	tr.Fragment()
	return tr
}

// change makes one endpoint another one and reads the fragment.
func change(tr *translate.Translator, n, round int) {
	tr.Set(benchSlice(n/2, 4, []string{"10.1.0.1", "10.1.0.2"}[round%2]))
	tr.Fragment()
}

// The cost of one endpoint change is that of the change: 100 times as many
// Services make no more of anything, but for the length of one slice.
func TestCostFollowsChange(t *testing.T) {
	allocs := make(map[int]float64)
	for _, n := range []int{100, 10_000} {
		tr, round := filled(n, translate.Pods), 0
		allocs[n] = testing.AllocsPerRun(20, func() { round++; change(tr, n, round) })
	}
	if allocs[10_000] > allocs[100]+2 {
		t.Errorf("%.0f allocations with 100 Services, %.0f with 10,000", allocs[100], allocs[10_000])
	}
}

func BenchmarkSliceChange(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			tr, round := filled(n, translate.Pods), 0
			b.ReportAllocs()
			for b.Loop() {
				round++
				change(tr, n, round)
			}
		})
	}
}

func BenchmarkNodeChange(b *testing.B) {
	tr, round := filled(10_000, translate.Nodes), 0
	b.ReportAllocs()
	for b.Loop() {
		round++
		tr.Set(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n00"}, Status: corev1.NodeStatus{
			Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.1"}},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: []corev1.ConditionStatus{"True", "False"}[round%2]}},
		}})
		tr.Fragment()
	}
}

func BenchmarkStart(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		filled(10_000, translate.Pods)
	}
}
