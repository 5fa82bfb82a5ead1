package desired_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/landfall-edge/landfall/internal/desired"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
)

// TestMemoryChangesNothing walks random sequences of changes: with Prev the
// result is what it is without, what was built before stays as it was, and what
// did not change is the same pointer.
func TestMemoryChangesNothing(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			walkWorld(t, newWorld(seed), 40, 1)
		})
	}
}

// walkWorld changes a few things on every turn, and compares a Build with Prev to
// one without.
func walkWorld(t *testing.T, w *world, turns, few int) {
	t.Helper()
	in := w.input()
	prev := desired.Build(in)
	for turn := range turns {
		var what []string
		for range 1 + w.IntN(1+few) {
			what = append(what, w.change())
		}
		before := text(prev)
		in = w.input()
		in.Prev = prev
		if w.IntN(4) == 0 { // the slices may be new while the objects are not
			for i := range in.Fragments {
				in.Fragments[i].Parts = slices.Clone(in.Fragments[i].Parts)
				in.Fragments[i].Backends = slices.Clone(in.Fragments[i].Backends)
			}
		}
		got := desired.Build(in)
		in.Prev = nil
		if d := cmp.Diff(visible(desired.Build(in)), visible(got), cmpOptions); d != "" {
			t.Fatalf("turn %d, %v (-without +with):\n%s", turn, what, d)
		}
		if after := text(prev); after != before {
			t.Fatalf("turn %d, %v changed what was built before (-before +after):\n%s", turn, what, cmp.Diff(before, after))
		}
		checkShared(t, prev, got)
		checkState(t, got.State)
		prev = got
	}
}

// checkShared fails when an object is a new pointer and yet the same.
func checkShared(t *testing.T, prev, now *desired.Output) {
	t.Helper()
	old := map[string]*model.Outcome{}
	for _, o := range prev.Outcomes {
		old[o.Origin.Key()] = o
	}
	for _, o := range now.Outcomes {
		if p := old[o.Origin.Key()]; p != nil && p != o && cmp.Equal(p, o, cmpOptions) {
			t.Errorf("outcome of %s is the same and a new pointer", o.Origin.Key())
		}
	}
	have := map[string]*model.Route{}
	for _, r := range prev.State.Routes {
		have[r.Name] = r
	}
	for _, r := range now.State.Routes {
		p := have[r.Name]
		if p != nil && p != r && plan.Diff(model.State{Routes: []*model.Route{p}}, model.State{Routes: []*model.Route{r}}).Empty() &&
			r.Rank == model.LastResort {
			t.Errorf("route %s is the same and a new pointer", r.Name)
		}
	}
}

// checkState holds what every engine may rely on.
func checkState(t *testing.T, s model.State) {
	t.Helper()
	names := map[string]bool{}
	sorted := func(kind string, all []string) {
		if !slices.IsSorted(all) || len(slices.Compact(slices.Clone(all))) != len(all) {
			t.Errorf("%s are not sorted, or a name is there twice: %v", kind, all)
		}
		for _, n := range all {
			names[kind+" "+n] = true
		}
	}
	var listeners, routes, backends, probes []string
	for _, l := range s.Listeners {
		listeners = append(listeners, l.Name)
	}
	for _, r := range s.Routes {
		routes = append(routes, r.Name)
	}
	for _, b := range s.Backends {
		backends = append(backends, b.Name)
	}
	for _, p := range s.Probes {
		probes = append(probes, p.Name)
	}
	sorted("listener", listeners)
	sorted("route", routes)
	sorted("backend", backends)
	sorted("probe", probes)
	used := map[string]bool{}
	for _, r := range s.Routes {
		if !names["listener "+r.Listener] {
			t.Errorf("route %s is on %s, which is not served", r.Name, r.Listener)
		}
		for _, b := range r.Backends {
			if !names["backend "+b.Name] {
				t.Errorf("route %s names backend %s, which is not there", r.Name, b.Name)
			}
			used["backend "+b.Name] = true
		}
	}
	for _, b := range s.Backends {
		for _, e := range b.Endpoints {
			if e.Probe != "" && !names["probe "+e.Probe] {
				t.Errorf("backend %s names probe %s, which is not there", b.Name, e.Probe)
			}
			used["probe "+e.Probe] = true
		}
	}
	for _, n := range backends {
		if !used["backend "+n] {
			t.Errorf("no route names backend %s", n)
		}
	}
	for _, n := range probes {
		if !used["probe "+n] {
			t.Errorf("no endpoint names probe %s", n)
		}
	}
}

// TestOrderOfPartsIsIrrelevant shuffles what a source hands in.
func TestOrderOfPartsIsIrrelevant(t *testing.T) {
	for seed := range uint64(30) {
		w := newWorld(seed)
		for range 20 {
			w.change()
		}
		in := w.input()
		want := visible(desired.Build(in))
		for i := range in.Fragments {
			parts := slices.Clone(in.Fragments[i].Parts)
			w.Shuffle(len(parts), func(a, b int) { parts[a], parts[b] = parts[b], parts[a] })
			in.Fragments[i].Parts = parts
		}
		if d := cmp.Diff(want, visible(desired.Build(in)), cmpOptions); d != "" {
			t.Fatalf("seed %d (-sorted +shuffled):\n%s", seed, d)
		}
	}
}

// world makes up fragments that clash a lot.
type world struct {
	*rand.Rand
	fragments      []model.Fragment
	vips           []model.VIP
	httpPort       uint16
	httpsPort      uint16
	defaultBackend string
	held           []model.Held
	serving        []*model.Listener
	reserved       []netip.AddrPort
	health         map[string]model.ProbeHealth
	setAside       map[string]string
	wide           bool // many objects that clash a little
}

func newWorld(seed uint64) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 7)), httpPort: 80, httpsPort: 443, health: map[string]model.ProbeHealth{}, setAside: map[string]string{}}
	w.vips = []model.VIP{
		{Name: "main", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")}, Any: seed%3 == 0},
		{Name: "pool", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.20")}},
	}
	for _, source := range []string{"home", "files", "home-2"} {
		w.fragments = append(w.fragments, model.Fragment{Source: source})
	}
	for range 30 {
		w.change()
	}
	return w
}

func (w *world) input() desired.Input {
	return desired.Input{
		Fragments: slices.Clone(w.fragments), VIPs: w.vips, HTTPPort: w.httpPort, HTTPSPort: w.httpsPort, DefaultBackend: w.defaultBackend,
		Reserved: w.reserved, Held: w.held, Serving: w.serving, Health: w.health, SetAside: w.setAside,
	}
}

func pick[T any](w *world, all ...T) T { return all[w.IntN(len(all))] }

// change changes one thing and says which.
func (w *world) change() string {
	i := w.IntN(len(w.fragments))
	f := &w.fragments[i]
	if w.wide && w.IntN(30) > 0 {
		return w.changeWide(f)
	}
	switch n := w.IntN(22); {
	case n < 6:
		w.setPart(f)
		return "part"
	case n < 8:
		f.Parts = without(w, f.Parts)
		return "part removed"
	case n < 14:
		w.setBackend(f)
		return "backend"
	case n == 14:
		f.Backends = without(w, f.Backends)
		return "backend removed"
	case n == 15:
		w.setProbe(f)
		return "probe"
	case n == 16:
		f.Probes = without(w, f.Probes)
		return "probe removed"
	case n == 17:
		w.health = map[string]model.ProbeHealth{}
		for _, f := range w.fragments {
			for _, p := range f.Probes {
				if w.IntN(3) > 0 {
					w.health[p.Name] = model.ProbeHealth{Answered: w.IntN(4) > 0, Up: w.IntN(3) == 0}
				}
			}
		}
		return "health"
	case n == 18:
		f.Findings = nil
		for range w.IntN(3) {
			f.Findings = append(f.Findings, model.Finding{Origin: w.origin(f.Source, "Service"), Reason: pick(w, "NoEndpoints", "Odd"), Message: "m"})
		}
		return "findings"
	default:
		return w.changeEdge()
	}
}

func (w *world) changeEdge() string {
	switch w.IntN(6) {
	case 0:
		w.httpPort, w.httpsPort = pick(w, uint16(80), 80, 8080, 0), pick(w, uint16(443), 443, 8443, 0)
		return "shared ports"
	case 1:
		w.defaultBackend = pick(w, "", "home/web/a/80", "nowhere")
		return "default backend"
	case 2:
		w.held = nil
		for range w.IntN(3) {
			w.held = append(w.held, model.Held{Address: pick(w, netip.IPv4Unspecified(), netip.MustParseAddr("192.0.2.20")), Port: pick(w, uint16(80), 443), Owner: pick(w, "haproxy (pid 812)", "nginx (pid 9)")})
		}
		return "held"
	case 3:
		w.serving = nil
		for range w.IntN(2) {
			w.serving = append(w.serving, &model.Listener{Name: "x", Port: 80})
		}
		return "serving"
	case 4:
		w.reserved = pick(w, nil, []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:9180")}, []netip.AddrPort{netip.MustParseAddrPort("[::]:443")})
		return "reserved"
	}
	w.setAside = map[string]string{}
	for range w.IntN(3) {
		w.setAside[pick(w, "home/web/a/80", "home/web/b/443", "main/http", "main/tls", "files/ops/a/a.example.com/", "home/n1", "main/default",
			"home/web/shop-007/80", "home/web/shop-007/shop-007.example.com/")] = "no such thing"
	}
	return "set aside"
}

func (w *world) origin(source, kind string) model.Origin {
	o := model.Origin{Source: source, Kind: kind, Namespace: pick(w, "web", "ops"), Name: pick(w, "a", "a-b", "b")}
	if n := len(o.Name) + len(o.Namespace+source+kind)*3; n%5 > 0 {
		o.Created = time.Date(2026, 1, 1+n%3, 0, 0, 0, 0, time.UTC)
	}
	return o
}

func (w *world) setPart(f *model.Fragment) {
	p := &model.Part{Origin: w.origin(f.Source, pick(w, "Service", "Ingress")), Report: w.IntN(5) > 0}
	base := strings.Join([]string{f.Source, p.Origin.Namespace, p.Origin.Name}, "/")
	if p.Origin.Kind == "Service" {
		for _, port := range []uint16{80, 443} {
			name := fmt.Sprintf("%s/%d", base, port)
			p.Listeners = append(p.Listeners, &model.Listener{Name: name, Origin: p.Origin, VIP: pick(w, "", "", "main", "pool", "none"), Port: port, Protocol: model.TCP})
			p.Routes = append(p.Routes, &model.Route{Name: name, Origin: p.Origin, Listener: name, Backends: []model.WeightedBackend{{Name: name, Weight: 1}}})
		}
	} else {
		for range 1 + w.IntN(3) {
			m := model.Match{Host: pick(w, "", "a.example.com", "*.example.com"), Path: pick(w, "/", "/x", "/x/"), Exact: w.IntN(4) == 0}
			host := m.Host
			if host == "" {
				host = "*"
			}
			if m.Exact {
				host += "="
			}
			r := &model.Route{Name: base + "/" + host + m.Path, Origin: p.Origin, VIP: pick(w, "", "", "pool", "none"), Match: m, Rank: pick(w, model.Explicit, model.Explicit, model.DefaultRoute)}
			if w.IntN(3) == 0 {
				r.Name, r.Protocol = base+"/tls:"+host, model.TLS
			}
			for range w.IntN(3) {
				r.Backends = append(r.Backends, model.WeightedBackend{Name: fmt.Sprintf("%s/web/%s/80", f.Source, pick(w, "a", "b")), Weight: 1})
			}
			p.Routes = append(p.Routes, r)
		}
	}
	if w.IntN(3) == 0 {
		p.Findings = append(p.Findings, model.Finding{Origin: p.Origin, Reason: "Own", Message: "m"})
	}
	f.Parts = with(f.Parts, p, func(p *model.Part) string { return p.Origin.Key() })
}

func (w *world) setBackend(f *model.Fragment) {
	o := w.origin(f.Source, "Service")
	b := &model.Backend{Name: fmt.Sprintf("%s/%s/%s/%d", f.Source, o.Namespace, o.Name, pick(w, 80, 443)), Origin: o, Protocol: model.TCP}
	for i := range w.IntN(4) {
		address := fmt.Sprintf("%s:%d", pick(w, "10.1.0.1", "192.0.2.10", "192.0.2.20", "127.0.0.1"), pick(w, 80, 443, 9180)+i*1000)
		b.Endpoints = append(b.Endpoints, model.Endpoint{Address: netip.MustParseAddrPort(address), Probe: pick(w, "", f.Source+"/n1", f.Source+"/n2")})
	}
	f.Backends = with(f.Backends, b, func(b *model.Backend) string { return b.Name })
}

func (w *world) setProbe(f *model.Fragment) {
	node := pick(w, "n1", "n2")
	p := &model.Probe{Name: f.Source + "/" + node, Origin: model.Origin{Source: f.Source, Kind: "Node", Name: node}, Address: netip.MustParseAddr("10.0.0.1"), Port: 10256, Path: pick(w, "/healthz", "/livez")}
	f.Probes = with(f.Probes, p, func(p *model.Probe) string { return p.Name })
}

// with is all with one more or another, sorted; all itself stays as it is.
func with[T any](all []*T, one *T, name func(*T) string) []*T {
	all = slices.DeleteFunc(slices.Clone(all), func(p *T) bool { return name(p) == name(one) })
	all = append(all, one)
	slices.SortFunc(all, func(a, b *T) int { return strings.Compare(name(a), name(b)) })
	return all
}

func without[T any](w *world, all []*T) []*T {
	if len(all) == 0 {
		return nil
	}
	i := w.IntN(len(all))
	return slices.Delete(slices.Clone(all), i, i+1)
}
