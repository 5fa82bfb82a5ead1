package plan_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
	"github.com/landfall-edge/landfall/internal/testgolden"
)

// TestDiff reads have and want from each case and compares the plan's text, and the
// news of it.
func TestDiff(t *testing.T) {
	testgolden.Run(t, "testdata/*.txtar", func(t *testing.T, in *txtar.Archive) *txtar.Archive {
		var have, want model.State
		out := &txtar.Archive{Comment: in.Comment}
		for _, f := range in.Files {
			switch f.Name {
			case "have.yaml":
				decode(t, f.Data, &have)
			case "want.yaml":
				decode(t, f.Data, &want)
			case "plan.txt", "news.txt":
				continue
			default:
				t.Fatalf("unknown file %s", f.Name)
			}
			out.Files = append(out.Files, f)
		}
		p := plan.Diff(have, want)
		var news strings.Builder
		for _, n := range p.News() {
			fmt.Fprintln(&news, n)
		}
		out.Files = append(out.Files, txtar.File{Name: "plan.txt", Data: []byte(p.String())},
			txtar.File{Name: "news.txt", Data: []byte(news.String())})
		return out
	})
}

func decode(t *testing.T, data []byte, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict(data, into); err != nil {
		t.Fatal(err)
	}
}

// TestEveryKindIsCompared fails when a kind is added to State and forgotten here.
func TestEveryKindIsCompared(t *testing.T) {
	state := reflect.TypeFor[model.State]()
	for i := range state.NumField() {
		field := state.Field(i)
		var want model.State
		slice := reflect.ValueOf(&want).Elem().Field(i)
		object := reflect.New(field.Type.Elem().Elem())
		object.Elem().FieldByName("Name").SetString("home/web/shop/80")
		if a := object.Elem().FieldByName("Address"); a.IsValid() {
			a.Set(reflect.ValueOf(netip.MustParseAddr("192.0.2.2")))
		}
		slice.Set(reflect.Append(slice, object))

		p := plan.Diff(model.State{}, want)
		if p.Empty() {
			t.Errorf("Diff or Empty forgets State.%s", field.Name)
			continue
		}
		steps := reflect.ValueOf(p).FieldByName(field.Name)
		if !steps.IsValid() || steps.Len() != 1 {
			t.Errorf("Plan has no step for State.%s", field.Name)
		}
		if !strings.HasPrefix(p.String(), "+ ") {
			t.Errorf("String forgets State.%s: %q", field.Name, p.String())
		}
		for path, mutated := range mutations(object.Elem()) {
			other := model.State{}
			reflect.ValueOf(&other).Elem().Field(i).Set(reflect.Append(reflect.Zero(field.Type), mutated.Addr()))
			p := plan.Diff(want, other)
			if p.Empty() {
				t.Errorf("Diff does not see a change of %s.%s", field.Name, path)
			}
			if text := p.String(); !strings.Contains(text, "  ") || strings.HasSuffix(text, "  \n") {
				if !strings.HasSuffix(path, "Name") {
					t.Errorf("String does not say what changed in %s.%s: %q", field.Name, path, text)
				}
			}
		}
	}
}

// mutations yields a copy of v for each of its fields, with that field changed.
func mutations(v reflect.Value) map[string]reflect.Value {
	out := map[string]reflect.Value{}
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		f := v.Field(i)
		if f.Kind() == reflect.Struct && f.Type() != reflect.TypeFor[time.Time]() && f.Type().PkgPath() != "net/netip" {
			for path, inner := range mutations(f) {
				c := reflect.New(v.Type()).Elem()
				c.Set(v)
				c.Field(i).Set(inner)
				out[name+"."+path] = c
			}
			continue
		}
		c := reflect.New(v.Type()).Elem()
		c.Set(v)
		c.Field(i).Set(changed(f.Type()))
		out[name] = c
	}
	return out
}

// changed is a value of the type that is not its zero.
func changed(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	switch {
	case t == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)))
	case t == reflect.TypeFor[netip.Addr]():
		v.Set(reflect.ValueOf(netip.MustParseAddr("192.0.2.1")))
	case t == reflect.TypeFor[netip.AddrPort]():
		v.Set(reflect.ValueOf(netip.MustParseAddrPort("192.0.2.1:80")))
	case t.Kind() == reflect.String:
		v.SetString("x")
	case t.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.CanInt():
		v.SetInt(2)
	case v.CanUint():
		v.SetUint(2)
	case t.Kind() == reflect.Slice:
		v.Set(reflect.Append(v, reflect.Zero(t.Elem())))
	case t.Kind() == reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
	default:
		panic("no value for " + t.String())
	}
	return v
}

func TestEndpointAndCheckFieldsAreCompared(t *testing.T) {
	base := model.Backend{Name: "b", Check: &model.Check{}, Endpoints: []model.Endpoint{{}}}
	state := func(b model.Backend) model.State { return model.State{Backends: []*model.Backend{&b}} }
	for path, e := range mutations(reflect.ValueOf(base.Endpoints[0])) {
		other := base
		other.Endpoints = []model.Endpoint{e.Interface().(model.Endpoint)}
		if plan.Diff(state(base), state(other)).Empty() {
			t.Errorf("Diff does not see a change of Endpoint.%s", path)
		}
	}
	for path, c := range mutations(reflect.ValueOf(*base.Check)) {
		other := base
		check := c.Interface().(model.Check)
		other.Check = &check
		if plan.Diff(state(base), state(other)).Empty() {
			t.Errorf("Diff does not see a change of Check.%s", path)
		}
	}
}

// TestNilAndEmptyAreEqual matters because a state that was read back from a file
// may have either.
func TestNilAndEmptyAreEqual(t *testing.T) {
	local := time.FixedZone("elsewhere", 3600)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	have := model.State{
		Listeners: []*model.Listener{{Name: "a", Origin: model.Origin{Created: at}}},
		Routes:    []*model.Route{{Name: "a"}},
		Backends:  []*model.Backend{{Name: "a"}},
	}
	want := model.State{
		Listeners: []*model.Listener{{
			Name: "a", Origin: model.Origin{Created: at.In(local)},
			Addresses: []netip.Addr{}, SourceRanges: []netip.Prefix{},
		}},
		Routes:   []*model.Route{{Name: "a", Backends: []model.WeightedBackend{}}},
		Backends: []*model.Backend{{Name: "a", Endpoints: []model.Endpoint{}}},
		Probes:   []*model.Probe{},
	}
	if p := plan.Diff(have, want); !p.Empty() {
		t.Errorf("plan is not empty:\n%s", p)
	}
}

func TestPlanAsJSON(t *testing.T) {
	p := plan.Diff(model.State{}, model.State{Probes: []*model.Probe{{
		Name: "home/n1", Address: netip.MustParseAddr("192.0.2.1"), Port: 10256, Path: "/healthz",
	}}})
	raw, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"probes":[{"verb":"add","want":{"name":"home/n1","origin":{"source":""},"address":"192.0.2.1","port":10256,"path":"/healthz"}}]}`
	if string(raw) != want {
		t.Errorf("got  %s\nwant %s", raw, want)
	}
}

func BenchmarkDiffOneChange(b *testing.B) {
	for _, n := range []int{100, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			have := large(n)
			want := have
			want.Backends = append([]*model.Backend(nil), have.Backends...)
			changed := *have.Backends[n/2]
			changed.Endpoints = append([]model.Endpoint(nil), changed.Endpoints...)
			changed.Endpoints[0].Draining = true
			want.Backends[n/2] = &changed
			b.ReportAllocs()
			for b.Loop() {
				if p := plan.Diff(have, want); len(p.Backends) != 1 {
					b.Fatal("one step expected")
				}
			}
		})
	}
}

func large(n int) model.State {
	var s model.State
	for i := range n {
		name := fmt.Sprintf("home/web/shop-%06d/80", i)
		address := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 8080)
		s.Listeners = append(s.Listeners, &model.Listener{Name: name, Port: uint16(i)})
		s.Routes = append(s.Routes, &model.Route{Name: name, Listener: name})
		s.Backends = append(s.Backends, &model.Backend{Name: name, Endpoints: []model.Endpoint{{Address: address}}})
	}
	return s
}
