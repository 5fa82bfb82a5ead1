package desired_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/landfall-edge/landfall/internal/desired"
	"github.com/landfall-edge/landfall/internal/model"
)

// TestMemoryOfManyChangesNothing is TestMemoryChangesNothing among many objects
// that seldom clash, so that most turns follow what changed.
func TestMemoryOfManyChangesNothing(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(seed)
			w.fragments, w.wide = nil, true
			w.calm()
			w.vips[0].Any = false
			for _, source := range []string{"home", "files"} {
				f := model.Fragment{Source: source}
				for range 150 {
					w.changeWide(&f)
				}
				w.fragments = append(w.fragments, f)
			}
			walkWorld(t, w, 60, 1)
		})
	}
}

// calm takes back what changes of the edge's settings left.
func (w *world) calm() {
	w.httpPort, w.defaultBackend, w.held, w.serving, w.reserved, w.setAside = 80, "home/web/shop-007/80", nil, nil, nil, nil
}

// wideOrigin is one of many objects; now and then without an age, so that it comes
// before all others.
func (w *world) wideOrigin(source, kind string) model.Origin {
	n := w.IntN(150)
	o := model.Origin{Source: source, Kind: kind, Namespace: "web", Name: fmt.Sprintf("shop-%03d", n)}
	if w.IntN(50) > 0 {
		o.Created = time.Date(2026, 1, 1, 0, n, 0, 0, time.UTC)
	}
	return o
}

// changeWide puts, replaces or removes a part, a backend or both.
func (w *world) changeWide(f *model.Fragment) string {
	switch w.IntN(12) {
	case 0:
		if w.IntN(4) == 0 {
			w.calm()
		}
		f.Parts = without(w, f.Parts)
		return "part removed"
	case 1:
		f.Backends = without(w, f.Backends)
		return "backend removed"
	case 2:
		return w.drain(f)
	case 3:
		w.setProbe(f)
		return "probe"
	}
	o := w.wideOrigin(f.Source, pick(w, "Service", "Ingress"))
	p := &model.Part{Origin: o, Report: w.IntN(8) > 0}
	base := fmt.Sprintf("%s/web/%s", f.Source, o.Name)
	used := []model.WeightedBackend{{Name: base + "/80", Weight: 1}}
	if w.IntN(10) == 0 {
		used = append(used, model.WeightedBackend{Name: f.Source + "/web/shop-007/80", Weight: 1 + w.IntN(2)})
	}
	if o.Kind == "Service" {
		w.wideService(f, p, base, used)
	} else {
		for _, path := range []string{"/", "/x"}[:1+w.IntN(2)] {
			host := o.Name + ".example.com"
			if w.IntN(15) == 0 {
				host = pick(w, "shared.example.com", "")
			}
			p.Routes = append(p.Routes, &model.Route{Name: base + "/" + host + path, Origin: o, VIP: pick(w, "", "", "pool"), Match: model.Match{Host: host, Path: path}, Backends: used, Limit: model.Limit{Rate: w.IntN(2)}})
		}
	}
	if w.IntN(10) == 0 {
		p.Findings = []model.Finding{{Origin: o, Reason: "Own", Message: pick(w, "m", "n")}}
	}
	f.Parts = with(f.Parts, p, func(p *model.Part) string { return p.Origin.Key() })
	if w.IntN(3) > 0 {
		w.wideBackend(f, o, base+"/80")
	}
	return "part " + o.Key()
}

func (w *world) wideService(f *model.Fragment, p *model.Part, base string, used []model.WeightedBackend) {
	port := uint16(1000 + w.IntN(2000))
	if w.IntN(60) == 0 {
		port = 80
	}
	name := fmt.Sprintf("%s/%d", base, port)
	p.Listeners = append(p.Listeners, &model.Listener{Name: name, Origin: p.Origin, VIP: pick(w, "", "pool"), Port: port, Protocol: model.TCP})
	if w.IntN(6) == 0 && len(f.Parts) > 0 { // a listener of another object, which may go
		if other := f.Parts[w.IntN(len(f.Parts))]; len(other.Listeners) > 0 {
			name = other.Listeners[0].Name
		}
	}
	p.Routes = append(p.Routes, &model.Route{Name: base + "/tcp", Origin: p.Origin, Listener: name, Backends: used})
}

func (w *world) wideBackend(f *model.Fragment, o model.Origin, name string) {
	b := &model.Backend{Name: name, Origin: o, Protocol: model.TCP}
	for range w.IntN(3) {
		address := fmt.Sprintf("10.1.0.%d:80", w.IntN(200))
		if w.IntN(10) == 0 {
			address = fmt.Sprintf("192.0.2.10:%d", pick(w, 80, 1000+w.IntN(3000)))
		}
		b.Endpoints = append(b.Endpoints, model.Endpoint{Address: netip.MustParseAddrPort(address), Probe: pick(w, "", f.Source+"/n1")})
	}
	f.Backends = with(f.Backends, b, func(b *model.Backend) string { return b.Name })
}

// drain changes a backend that is there.
func (w *world) drain(f *model.Fragment) string {
	if len(f.Backends) == 0 {
		return "nothing"
	}
	i := w.IntN(len(f.Backends))
	b := *f.Backends[i]
	b.Endpoints = slices.Clone(b.Endpoints)
	for j := range b.Endpoints {
		b.Endpoints[j].Draining = !b.Endpoints[j].Draining
	}
	f.Backends = slices.Clone(f.Backends)
	f.Backends[i] = &b
	return "endpoint of " + b.Name
}

// TestListenerOfAnotherGoes removes a listener that another object's route names,
// and brings it back.
func TestListenerOfAnotherGoes(t *testing.T) {
	in := cluster(300)
	o := model.Origin{Source: "home", Kind: "Service", Namespace: "web", Name: "shop-guest"}
	name := "home/web/shop-00007/1031"
	guest := &model.Part{Origin: o, Routes: []*model.Route{{
		Name: "home/web/shop-guest/x", Origin: o, Listener: name, Match: model.Match{Host: "guest.example.com"},
		Backends: []model.WeightedBackend{{Name: "home/web/shop-00007/80", Weight: 1}},
	}}}
	with := in.Fragments[0]
	with.Parts = append(slices.Clone(with.Parts), guest)
	without := with
	without.Parts = slices.DeleteFunc(slices.Clone(with.Parts), func(p *model.Part) bool {
		return len(p.Listeners) > 0 && p.Listeners[0].Name == name
	})
	for _, f := range []model.Fragment{with, without, with} {
		in.Fragments = []model.Fragment{f}
		got := desired.Build(in)
		in.Prev = nil
		if d := cmp.Diff(visible(desired.Build(in)), visible(got), cmpOptions); d != "" {
			t.Errorf("with memory it is not the same (-without +with):\n%s", d)
		}
		in.Prev = got
	}
}

// TestRouteChangeTouchesOnePart holds the promise that the cost follows the change,
// without a clock: an Ingress and its backend come and go among many, and every
// other object is the same pointer, in a turn that does not look at each.
func TestRouteChangeTouchesOnePart(t *testing.T) {
	const n = 3000
	in := cluster(n)
	few := in.Fragments[0]
	many := withIngress(few, "shop-01000-new")
	first := desired.Build(in)
	in.Prev, in.Fragments = first, []model.Fragment{many}
	second := desired.Build(in)
	in.Prev, in.Fragments = second, []model.Fragment{few}
	third := desired.Build(in)
	if len(second.State.Routes) != 2*n+1 || len(second.State.Backends) != 2*n+1 || len(second.Outcomes) != 2*n+1 {
		t.Errorf("%d routes, %d backends and %d outcomes, want %d of each", len(second.State.Routes), len(second.State.Backends), len(second.Outcomes), 2*n+1)
	}
	if !slices.Equal(first.State.Routes, third.State.Routes) || !slices.Equal(first.State.Backends, third.State.Backends) ||
		!slices.Equal(first.Outcomes, third.Outcomes) || !slices.Equal(first.State.Listeners, second.State.Listeners) {
		t.Error("something else is a new pointer")
	}
	prev := third
	allocated := testing.AllocsPerRun(10, func() {
		for _, f := range []model.Fragment{many, few} {
			in.Prev, in.Fragments = prev, []model.Fragment{f}
			prev = desired.Build(in)
		}
	})
	if allocated > n {
		t.Errorf("an Ingress that comes and goes allocates %v times, which is not for one part", allocated)
	}
}
