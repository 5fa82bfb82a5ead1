package source

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/landfall-edge/landfall/internal/model"
)

// fill sets every field below v to something that is not zero, so that a field
// that does not survive the disk is seen when it is added.
func fill(t *testing.T, v reflect.Value, n *int) {
	t.Helper()
	*n++
	switch v.Interface().(type) {
	case netip.Addr:
		v.Set(reflect.ValueOf(netip.AddrFrom4([4]byte{192, 0, 2, byte(*n)})))
		return
	case netip.AddrPort:
		v.Set(reflect.ValueOf(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(*n)}), 80)))
		return
	case netip.Prefix:
		v.Set(reflect.ValueOf(netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(*n)}), 32)))
		return
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(int64(*n), 0).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(t, v.Index(i), n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n)
	case reflect.String:
		v.SetString(fmt.Sprintf("\"<%04d>\"\n", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint16:
		v.SetUint(uint64(*n))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	default:
		t.Fatalf("no value for a %s", v.Type())
	}
}

func TestKeptRoundTrip(t *testing.T) {
	var f model.Fragment
	n := 0
	fill(t, reflect.ValueOf(&f).Elem(), &n)
	f.Source = "home"
	for _, p := range f.Parts {
		p.Origin.Source = "home"
	}
	for _, b := range f.Backends {
		b.Name = "home/" + b.Name
	}
	for _, p := range f.Probes {
		p.Name = "home/" + p.Name
	}
	k := &kept{source: "home", path: filepath.Join(t.TempDir(), "deep", "home.jsonl")}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := k.save(f, at); err != nil {
		t.Fatal(err)
	}
	wantKept(t, k, f, at)
	info, err := os.Stat(k.path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func wantKept(t *testing.T, k *kept, want model.Fragment, at time.Time) {
	t.Helper()
	other := &kept{source: k.source, path: k.path}
	got, when, err := other.load()
	if err != nil || !when.Equal(at) {
		t.Fatalf("loaded of %v, %v", when, err)
	}
	comparable := cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{})
	if diff := cmp.Diff(want, got, comparable, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("loaded (-want +got):\n%s", diff)
	}
}

// TestKeptChanges adds, changes and removes at every place of a fragment.
func TestKeptChanges(t *testing.T) {
	k := &kept{source: "s", path: filepath.Join(t.TempDir(), "s.jsonl")}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	objects := map[string]*model.Backend{}
	for step, names := range []string{"bcd", "abcd", "abcde", "abxde", "bxd", "BxD", "", "abcdefghij", "acegi", "bdfhj"} {
		f := model.Fragment{Source: "s"}
		for _, c := range names {
			name := "s/" + string(c)
			if objects[name] == nil || step%3 == 0 {
				objects[name] = &model.Backend{Name: name, SendProxy: step}
			}
			f.Backends = append(f.Backends, objects[name])
		}
		slices.SortFunc(f.Backends, func(a, b *model.Backend) int { return strings.Compare(a.Name, b.Name) })
		if step%2 == 0 {
			f.Findings = []model.Finding{{Reason: names}}
		}
		at = at.Add(time.Second)
		if err := k.save(f, at); err != nil {
			t.Fatal(err)
		}
		wantKept(t, k, f, at)
	}
}

// TestKeptCostsTheChange wants a save of one changed backend among many to write
// one backend, and the file to stay small however often it is saved.
func TestKeptCostsTheChange(t *testing.T) {
	k := &kept{source: "s", path: filepath.Join(t.TempDir(), "s.jsonl")}
	f := model.Fragment{Source: "s"}
	for i := range 2000 {
		f.Backends = append(f.Backends, &model.Backend{Name: fmt.Sprintf("s/%04d", i)})
	}
	save := func() int64 {
		if err := k.save(f, time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(k.path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	whole := save()
	largest := whole
	for i := range 2000 {
		f.Backends = slices.Clone(f.Backends)
		f.Backends[1000] = &model.Backend{Name: "s/1000", SendProxy: i}
		size := save()
		if i == 0 && size-whole > 400 {
			t.Errorf("one backend cost %d bytes", size-whole)
		}
		largest = max(largest, size)
	}
	if largest > 3*whole {
		t.Errorf("the file grew from %d to %d bytes", whole, largest)
	}
	wantKept(t, k, f, time.Unix(1, 0))
}

func FuzzKept(f *testing.F) {
	f.Add("head", `{"version":1,"source":"s","saved":"2026-01-02T03:04:05Z"}`)
	f.Add("backend s/x", `{"name":"s/x"}`)
	f.Add("part s/Service//x", `{"origin":{"source":"s","kind":"Service","name":"x"},"listeners":[null]}`)
	f.Add("part ", `null`)
	f.Fuzz(func(t *testing.T, key, value string) {
		var fragment model.Fragment
		var h head
		k := &kept{source: "s"}
		if k.loadValue(key, json.RawMessage(value), &fragment, &h) != nil {
			return
		}
		for _, b := range fragment.Backends {
			if keyBackend+b.Name != key || !strings.HasPrefix(b.Name, "s/") {
				t.Errorf("%q was loaded as %q", b.Name, key)
			}
		}
		for _, p := range fragment.Parts {
			if slices.Contains(p.Listeners, nil) || slices.Contains(p.Routes, nil) {
				t.Errorf("a part with holes: %+v", p)
			}
		}
	})
}
