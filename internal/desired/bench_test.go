package desired_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/landfall-edge/landfall/internal/desired"
	"github.com/landfall-edge/landfall/internal/model"
)

// cluster is n Services with a port of their own and n Ingresses, each with four
// endpoints on fifty nodes.
func cluster(n int) desired.Input {
	f := model.Fragment{Source: "home"}
	for i := range 50 {
		f.Probes = append(f.Probes, &model.Probe{Name: fmt.Sprintf("home/n%02d", i), Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), Port: 10256, Path: "/healthz"})
	}
	for _, kind := range []string{"Ingress", "Service"} {
		for i := range n {
			o := model.Origin{Source: "home", Kind: kind, Namespace: "web", Name: fmt.Sprintf("shop-%05d", i)}
			f.Parts = append(f.Parts, clusterPart(o, i))
		}
	}
	for i := range n {
		o := model.Origin{Source: "home", Kind: "Service", Namespace: "web", Name: fmt.Sprintf("shop-%05d", i)}
		for _, suffix := range []string{"", "/http"} {
			b := &model.Backend{Name: "home/web/" + o.Name + "/80" + suffix, Origin: o, Protocol: model.HTTP}
			for e := range 4 {
				b.Endpoints = append(b.Endpoints, model.Endpoint{
					Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, byte((i + e) % 50)}), uint16(30000+i%2768)),
					Probe:   fmt.Sprintf("home/n%02d", (i+e)%50),
				})
			}
			f.Backends = append(f.Backends, b)
		}
	}
	in := desired.Input{
		Fragments: []model.Fragment{f}, HTTPPort: 80, Health: map[string]model.ProbeHealth{},
		VIPs: []model.VIP{{Name: "main", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.10")}}},
	}
	for _, p := range f.Probes {
		in.Health[p.Name] = model.ProbeHealth{Answered: true, Up: true}
	}
	return in
}

func clusterPart(o model.Origin, i int) *model.Part {
	base := "home/web/" + o.Name
	if o.Kind == "Ingress" {
		host := o.Name + ".example.com"
		return &model.Part{Origin: o, Report: true, Routes: []*model.Route{{
			Name: base + "/" + host + "/", Origin: o, Match: model.Match{Host: host, Path: "/"},
			Backends: []model.WeightedBackend{{Name: base + "/80/http", Weight: 1}},
		}}}
	}
	name := fmt.Sprintf("%s/%d", base, 1024+i)
	return &model.Part{
		Origin: o, Report: true,
		Listeners: []*model.Listener{{Name: name, Origin: o, Port: uint16(1024 + i), Protocol: model.TCP}},
		Routes:    []*model.Route{{Name: name, Origin: o, Listener: name, Backends: []model.WeightedBackend{{Name: base + "/80", Weight: 1}}}},
	}
}

var sizes = []int{100, 10000}

func BenchmarkBuildEndpointChange(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			in := cluster(n)
			in.Prev = desired.Build(in)
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				i++
				backends := slices.Clone(in.Fragments[0].Backends)
				changed := *backends[i%len(backends)]
				changed.Endpoints = slices.Clone(changed.Endpoints)
				changed.Endpoints[0].Draining = !changed.Endpoints[0].Draining
				backends[i%len(backends)] = &changed
				in.Fragments[0].Backends = backends
				in.Prev = desired.Build(in)
			}
			if got := len(in.Prev.State.Backends); got != 2*n {
				b.Fatalf("%d backends, want %d", got, 2*n)
			}
		})
	}
}

func BenchmarkBuildRouteChange(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			in := cluster(n)
			in.Prev = desired.Build(in)
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				i++
				parts := slices.Clone(in.Fragments[0].Parts)
				changed := *parts[i%n]
				parts[i%n] = &changed
				in.Fragments[0].Parts = parts
				in.Prev = desired.Build(in)
			}
		})
	}
}

// BenchmarkBuildNewRoute has an Ingress come with its Service, and go.
func BenchmarkBuildNewRoute(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			in := cluster(n)
			in.Prev = desired.Build(in)
			few, many := in.Fragments[0], withIngress(in.Fragments[0], "shop-00050-new")
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				in.Fragments = []model.Fragment{[]model.Fragment{many, few}[i%2]}
				in.Prev = desired.Build(in)
			}
		})
	}
}

// withIngress is a fragment with one more Ingress and the Service that it names.
func withIngress(f model.Fragment, name string) model.Fragment {
	o := model.Origin{Source: "home", Kind: "Ingress", Namespace: "web", Name: name}
	f.Parts = with(f.Parts, clusterPart(o, 0), func(p *model.Part) string { return p.Origin.Key() })
	f.Backends = with(f.Backends, &model.Backend{Name: "home/web/" + name + "/80/http", Origin: o, Protocol: model.HTTP},
		func(b *model.Backend) string { return b.Name })
	return f
}

func BenchmarkBuildNothingChanged(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			in := cluster(n)
			in.Prev = desired.Build(in)
			b.ReportAllocs()
			for b.Loop() {
				in.Prev = desired.Build(in)
			}
		})
	}
}

func BenchmarkBuildFromNothing(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			in := cluster(n)
			b.ReportAllocs()
			for b.Loop() {
				desired.Build(in)
			}
		})
	}
}

// TestEndpointChangeTouchesOneBackend holds the promise that the cost follows
// the change, without a clock: every other object is the same pointer.
func TestEndpointChangeTouchesOneBackend(t *testing.T) {
	in := cluster(500)
	first := desired.Build(in)
	backends := slices.Clone(in.Fragments[0].Backends)
	changed := *backends[7]
	changed.Endpoints = changed.Endpoints[1:]
	backends[7] = &changed
	in.Fragments[0].Backends = backends
	in.Prev = first
	second := desired.Build(in)
	differ := 0
	for i := range second.State.Backends {
		if first.State.Backends[i] != second.State.Backends[i] {
			differ++
		}
	}
	if differ != 1 || len(first.State.Backends) != len(second.State.Backends) {
		t.Errorf("%d backends differ, want 1", differ)
	}
	if !slices.Equal(first.State.Listeners, second.State.Listeners) || !slices.Equal(first.State.Routes, second.State.Routes) ||
		!slices.Equal(first.State.Probes, second.State.Probes) || !slices.Equal(first.Outcomes, second.Outcomes) {
		t.Error("something else is a new pointer")
	}
	in.Prev = second
	if allocated := testing.AllocsPerRun(10, func() { desired.Build(in) }); allocated > 20 {
		t.Errorf("a turn without a change allocates %v times", allocated)
	}
}
