package kube

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/kube/object"
)

// aged is a Service that was made so many seconds after the first.
func aged(name string, seconds int) *corev1.Service {
	s := service(name)
	s.CreationTimestamp = metav1.Unix(1_700_000_000+int64(seconds), 0)
	return s
}

// servedServices are the names of those that a Source took.
func servedServices(t *testing.T, s *Source) (names []string, tooMany bool) {
	t.Helper()
	f, err := s.Read(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range f.Parts {
		names = append(names, p.Origin.Name)
	}
	slices.Sort(names)
	return names, slices.ContainsFunc(f.Findings, func(f model.Finding) bool { return f.Reason == "TooManyObjects" })
}

// TestOldestAreTaken: of too many objects the oldest are taken, in whatever order and
// by whatever way they come, and what is left out is told.
func TestOldestAreTaken(t *testing.T) {
	all := []any{aged("c", 2), aged("e", 4), aged("a", 0), aged("d", 3), aged("b", 1)}
	want := []string{"a", "b", "c"}
	check := func(what string, s *Source) {
		t.Helper()
		if got, tooMany := servedServices(t, s); !slices.Equal(got, want) || !tooMany {
			t.Errorf("%s: %v are taken, want %v; told: %v", what, got, want, tooMany)
		}
	}
	small := func() *Source {
		s := offline(t, nil)
		s.Bound(3, MostBytes)
		return s
	}
	for range 6 {
		all = append(all[1:], all[0])
		s := small()
		s.sync(t, clones(all), nil)
		check("a list", s)

		s = small()
		s.sync(t, nil, nil)
		for _, o := range clones(all) {
			s.storeOf(object.Service).Add(o)
		}
		check("one by one", s)

		s = small()
		s.sync(t, nil, nil)
		st := s.storeOf(object.Service)
		transform := st.Transformer()
		var streamed []any
		for _, o := range clones(all) {
			it, err := transform(o)
			if err != nil {
				t.Fatal(err)
			}
			streamed = append(streamed, it)
		}
		if err := st.Replace(streamed, "1"); err != nil {
			t.Fatal(err)
		}
		check("a stream", s)
		for _, it := range streamed {
			if it.(*item).object != nil {
				t.Error("an item keeps its object")
			}
		}
	}
}

func clones(all []any) []any {
	var out []any
	for _, o := range all {
		out = append(out, o.(*corev1.Service).DeepCopy())
	}
	return out
}

// TestLeftOut: what is left out changes nothing, and takes its place when another
// went and the API server was asked again.
func TestLeftOut(t *testing.T) {
	s := offline(t, nil)
	s.Bound(2, MostBytes)
	a, b, c := aged("a", 0), aged("b", 1), aged("c", 2)
	s.sync(t, clones([]any{a, b, c}), nil)
	st := s.storeOf(object.Service)
	changed := 0
	s.changed = func() { changed++ }
	c2 := c.DeepCopy()
	c2.Spec.Ports[0].Port = 81
	st.Update(c2)
	if changed > 0 {
		t.Error("a change to what is left out makes work")
	}
	st.Delete(a)
	if got, tooMany := servedServices(t, s); !slices.Equal(got, []string{"b"}) || !tooMany {
		t.Errorf("after one went: %v, told: %v", got, tooMany)
	}
	st.Add(aged("d", 3))
	if got, _ := servedServices(t, s); !slices.Equal(got, []string{"b"}) {
		t.Errorf("a younger one goes before one that was left out: %v", got)
	}
	select {
	case <-s.refill[st.i]:
	default:
		t.Error("the API server is not asked again")
	}
	if err := st.Replace(clones([]any{b, c}), "2"); err != nil {
		t.Fatal(err)
	}
	if got, tooMany := servedServices(t, s); !slices.Equal(got, []string{"b", "c"}) || tooMany {
		t.Errorf("after it was asked: %v, told: %v", got, tooMany)
	}
	st.Add(aged("d", 3))
	if _, tooMany := servedServices(t, s); !tooMany {
		t.Error("one too many again is not told")
	}
	st.Delete(aged("d", 3))
	if _, tooMany := servedServices(t, s); tooMany {
		t.Error("it is told though nothing is left out")
	}
}

// TestBytesAreBounded: a few large objects are as much as many small ones.
func TestBytesAreBounded(t *testing.T) {
	s := offline(t, nil)
	s.Bound(MostObjects, 10_000)
	s.sync(t, nil, nil)
	st := s.storeOf(object.Service)
	for i := range 3 {
		big := aged(fmt.Sprintf("s%d", i), i)
		big.Annotations["landfall.dev/ports"] = strings.Repeat("8", 4_000)
		big.Annotations["example.com/notes"] = strings.Repeat("x", 250_000) // nobody reads it
		st.Add(big)
	}
	if got, tooMany := servedServices(t, s); !slices.Equal(got, []string{"s0", "s1"}) || !tooMany {
		t.Errorf("%v are taken, told: %v", got, tooMany)
	}
	grown := aged("s0", 0)
	grown.Annotations["landfall.dev/ports"] = strings.Repeat("8", 8_000)
	st.Update(grown)
	if got, _ := servedServices(t, s); !slices.Equal(got, []string{"s0"}) {
		t.Errorf("after one grew: %v", got)
	}
}

// TestHeapIsBounded: what 100,000 objects take in memory, and that many
// more take no more than their share.
func TestHeapIsBounded(t *testing.T) {
	const mib = 1 << 20
	before := heap()
	s := offline(t, nil)
	fill := func(services, slicesEach, ingresses int) {
		for _, k := range s.kinds {
			st := s.storeOf(k.name)
			transform := st.Transformer()
			var items []any
			add := func(o any) {
				it, err := transform(o)
				if err != nil {
					t.Fatal(err)
				}
				items = append(items, it)
			}
			switch k.name {
			case object.Service:
				for i := range services {
					add(aged(fmt.Sprintf("s%06d", i), i))
				}
			case "EndpointSlice":
				for i := range services * slicesEach {
					o := slice(fmt.Sprintf("s%06d", i/slicesEach), byte(i%250))
					o.Name += fmt.Sprint("-", i%slicesEach)
					o.CreationTimestamp = metav1.Unix(1_700_000_000+int64(i), 0)
					add(o)
				}
			case object.Ingress:
				for i := range ingresses {
					add(ingressOf(i))
				}
			case "IngressClass":
				add(&networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "ours"}, Spec: networkingv1.IngressClassSpec{Controller: object.Controller}})
			}
			if err := st.Replace(items, "1"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	fill(40_000, 1, 20_000)
	took := time.Since(start)
	usual := heap() - before
	t.Logf("100,000 objects: %d MiB, read in %s", usual/mib, took)
	fill(120_000, 1, 60_000)
	most := heap() - before
	t.Logf("300,000 objects, of which 150,000 are taken: %d MiB", most/mib)
	if usual > 300*mib {
		t.Errorf("100,000 objects take %d MiB", usual/mib)
	}
	if most > 450*mib {
		t.Errorf("300,000 objects take %d MiB", most/mib)
	}
	runtime.KeepAlive(s)
}

func ingressOf(i int) *networkingv1.Ingress {
	class, kind, name := "ours", networkingv1.PathTypePrefix, fmt.Sprintf("s%06d", i)
	return &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Namespace: "web", Name: name, CreationTimestamp: metav1.Unix(1_700_000_000+int64(i), 0)},
		Spec: networkingv1.IngressSpec{IngressClassName: &class, Rules: []networkingv1.IngressRule{{
			Host: name + ".example.com",
			IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{
				Path: "/", PathType: &kind,
				Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: name, Port: networkingv1.ServiceBackendPort{Number: 80}}},
			}}}},
		}}},
	}
}

// heap is what is in use after everything that is not was let go.
func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
