package translate_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/kube/translate"
	"github.com/landfall-edge/landfall/internal/source/kube/translate/translatetest"
)

// After any sequence of changes a Translator says what a fresh one says of the
// objects that are left; what did not change is the same pointer as before; and
// what was handed out stays as it was.
func TestIncrementalIsFresh(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := world{rand.New(rand.NewPCG(seed, 1))}
			opt := translate.Options{
				Source: "home", Expose: pick(w, translate.Marked, translate.NodePorts), Unclassed: w.maybe(),
				Reach: pick(w, translate.Nodes, translate.Pods), AllowLoopback: w.maybe(),
			}
			if w.maybe() {
				opt.Probe = &translate.Probe{Port: 10256, Path: "/healthz"}
			}
			walk(t, w, opt)
		})
	}
}

func walk(t *testing.T, w world, opt translate.Options) {
	tr, held := translate.New(opt), make(map[string]runtime.Object)
	before, text := tr.Fragment(), ""
	for step := range 80 {
		for range 1 + w.IntN(4) {
			o := w.object()
			if w.IntN(4) == 0 {
				tr.Delete(o)
				delete(held, id(o))
				continue
			}
			tr.Set(o)
			held[id(o)] = o
		}
		got, want := tr.Fragment(), fresh(opt, held)
		if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{})); d != "" || !reflect.DeepEqual(want, got) {
			t.Fatalf("step %d: (- fresh, + incremental)\n%s", step, d)
		}
		if err := translatetest.Check(got); err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		if now := translatetest.Format(before); now != text {
			t.Fatalf("step %d: an earlier fragment changed:\n%s", step, cmp.Diff(text, now))
		}
		samePointers(t, before.Parts, got.Parts, func(p *model.Part) string { return p.Origin.Key() })
		samePointers(t, before.Backends, got.Backends, func(b *model.Backend) string { return b.Name })
		samePointers(t, before.Probes, got.Probes, func(p *model.Probe) string { return p.Name })
		before, text = got, translatetest.Format(got)
	}
	for _, o := range held {
		tr.Delete(o)
	}
	if got, want := tr.Fragment(), (model.Fragment{Source: opt.Source}); !reflect.DeepEqual(got, want) {
		t.Errorf("without objects it still says:\n%s", translatetest.Format(got))
	}
}

// fresh is what a new Translator says of the same objects, in another order.
func fresh(opt translate.Options, held map[string]runtime.Object) model.Fragment {
	tr := translate.New(opt)
	for _, k := range slices.Backward(slices.Sorted(maps.Keys(held))) {
		tr.Set(held[k])
	}
	return tr.Fragment()
}

// samePointers fails where an equal value was made anew.
func samePointers[T any](t *testing.T, before, after []*T, name func(*T) string) {
	t.Helper()
	old := make(map[string]*T, len(before))
	for _, v := range before {
		old[name(v)] = v
	}
	for _, v := range after {
		if o := old[name(v)]; o != nil && o != v && reflect.DeepEqual(o, v) {
			t.Errorf("%s did not change and is another pointer", name(v))
		}
	}
}

// Nothing changed: the very slices of the call before are handed out again.
func TestFragmentAgain(t *testing.T) {
	tr := translate.New(translate.Options{Source: "home"})
	fill(tr, 3, 2)
	a := tr.Fragment()
	tr.Set(benchSlice(1, 2, "10.1.0.1"))
	b := tr.Fragment()
	if &a.Parts[0] != &b.Parts[0] || &a.Backends[0] != &b.Backends[0] {
		t.Error("a change without a difference made new slices")
	}
}

// One object that changes leaves the routes of an Ingress that did not change the
// pointers that they were.
func TestRoutesAreKept(t *testing.T) {
	tr := translate.New(translate.Options{Source: "home", Reach: translate.Pods})
	tr.Set(&networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "ours"}, Spec: networkingv1.IngressClassSpec{Controller: "landfall.dev/edge"}})
	tr.Set(paths(10))
	a := tr.Fragment().Parts[0]
	tr.Set(paths(11))
	b := tr.Fragment().Parts[0]
	if a == b || len(b.Routes) != 11 {
		t.Fatalf("the path was not added: %d routes", len(b.Routes))
	}
	samePointers(t, a.Routes, b.Routes, func(r *model.Route) string { return r.Name })
}

// A port number that changes under the same name is followed.
func TestPortNumberIsFollowed(t *testing.T) {
	svc := func(port int32) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "web", Name: "shop"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: port}}}}
	}
	class, kind := "ours", networkingv1.PathTypePrefix
	backend := networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "shop", Port: networkingv1.ServiceBackendPort{Name: "http"}}}
	tr := translate.New(translate.Options{Source: "home", Reach: translate.Pods})
	tr.Set(&networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: class}, Spec: networkingv1.IngressClassSpec{Controller: "landfall.dev/edge"}})
	tr.Set(svc(80))
	tr.Set(&networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "web", Name: "shop"}, Spec: networkingv1.IngressSpec{
		IngressClassName: &class, Rules: []networkingv1.IngressRule{{IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
			Paths: []networkingv1.HTTPIngressPath{{Path: "/", PathType: &kind, Backend: backend}},
		}}}},
	}})
	for _, port := range []int32{80, 8080} {
		tr.Set(svc(port))
		f := tr.Fragment()
		want := fmt.Sprintf("home/web/shop/%d/http", port)
		if len(f.Backends) != 1 || f.Backends[0].Name != want || f.Parts[0].Routes[0].Backends[0].Name != want {
			t.Errorf("port %d:\n%s", port, translatetest.Format(f))
		}
	}
}

// One object cannot make more than its share.
func TestLimits(t *testing.T) {
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "many", Annotations: map[string]string{"landfall.dev/expose": "true"}}}
	svc.Spec.Type = corev1.ServiceTypeNodePort
	for i := range int32(1500) {
		svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Port: 1000 + i, NodePort: 30000 + i})
	}
	tr := translate.New(translate.Options{Source: "home", Reach: translate.Pods})
	tr.Set(&networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "ours"}, Spec: networkingv1.IngressClassSpec{Controller: "landfall.dev/edge"}})
	tr.Set(svc)
	tr.Set(paths(1500))
	set := corev1.EndpointSubset{Ports: []corev1.EndpointPort{{Port: 8080}}} //nolint:staticcheck // folders hold them
	for i := range 10_001 {
		set.Addresses = append(set.Addresses, corev1.EndpointAddress{IP: fmt.Sprintf("10.0.%d.%d", i/256, i%256)})
	}
	tr.Set(&corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: "few"}, Subsets: []corev1.EndpointSubset{set}}) //nolint:staticcheck // as above
	tr.Set(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "few", Annotations: svc.Annotations}, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80}},
	}})
	f := tr.Fragment()
	if n := len(f.Backends[0].Endpoints); f.Backends[0].Name != "home/default/few/80" || n != 10_000 {
		t.Errorf("%s has %d endpoints", f.Backends[0].Name, n)
	}
	for _, p := range f.Parts {
		if p.Origin.Name == "few" {
			continue
		}
		last := p.Findings[len(p.Findings)-1]
		if n := max(len(p.Listeners), len(p.Routes)); n != 1000 || (last.Reason != "TooMany" && last.Reason != "MoreFindings") {
			t.Errorf("%s: %d of them, last finding %v", p.Origin, n, last)
		}
		if len(p.Findings) > 101 {
			t.Errorf("%s: %d findings", p.Origin, len(p.Findings))
		}
	}
}

// paths is an Ingress with n paths to a Service that there is not.
func paths(n int) *networkingv1.Ingress {
	class, kind := "ours", networkingv1.PathTypePrefix
	http := &networkingv1.HTTPIngressRuleValue{}
	for i := range n {
		http.Paths = append(http.Paths, networkingv1.HTTPIngressPath{
			Path: fmt.Sprintf("/%04d", i), PathType: &kind,
			Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "shop", Port: networkingv1.ServiceBackendPort{Number: 80}}},
		})
	}
	return &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Namespace: "web", Name: "many"},
		Spec:       networkingv1.IngressSpec{IngressClassName: &class, Rules: []networkingv1.IngressRule{{Host: "x.example.com", IngressRuleValue: networkingv1.IngressRuleValue{HTTP: http}}}},
	}
}

// Objects of no kind, and no objects, are ignored.
func TestOtherObjects(t *testing.T) {
	tr := translate.New(translate.Options{Source: "home"})
	for _, o := range []runtime.Object{nil, &corev1.Pod{}, (*corev1.Service)(nil), (*corev1.Node)(nil), (*networkingv1.Ingress)(nil), &corev1.Namespace{}} {
		tr.Set(o)
		tr.Delete(o)
	}
	if got := tr.Fragment(); !reflect.DeepEqual(got, model.Fragment{Source: "home"}) {
		t.Errorf("got %+v", got)
	}
	for _, k := range translate.Kinds() {
		if k.Version != "v1" || k.Kind == "" {
			t.Errorf("odd kind %v", k)
		}
	}
}
