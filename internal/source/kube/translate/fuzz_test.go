package translate_test

import (
	"path/filepath"
	"reflect"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/kube/translate"
	"github.com/landfall-edge/landfall/internal/source/kube/translate/translatetest"
	"github.com/landfall-edge/landfall/internal/testgolden"
)

// Whatever the objects are, they make a fragment that holds together, and the
// same one whether they came at once or not. The seeds are the objects of all cases.
func FuzzFragment(f *testing.F) {
	for _, dir := range []string{"service", "ingress", "endpoints"} {
		i := uint8(0)
		for _, a := range testgolden.Cases(f, filepath.Join("..", dir, "testdata", "*.txtar")) {
			for _, part := range a.Files {
				if part.Name == "objects.yaml" {
					f.Add(part.Data, i)
				}
			}
			i++
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, flags uint8) {
		objects, _ := translatetest.Load(data, yaml.Unmarshal) // what is before an error counts
		opt := options(flags)
		tr := translate.New(opt)
		for _, o := range objects {
			tr.Set(o)
			tr.Fragment()
		}
		got := tr.Fragment()
		if err := translatetest.Check(got); err != nil {
			t.Error(err)
		}
		again := translate.New(opt)
		for _, o := range objects {
			again.Set(o)
		}
		if want := again.Fragment(); !reflect.DeepEqual(want, got) {
			t.Errorf("one by one:\n%s\nat once:\n%s", translatetest.Format(got), translatetest.Format(want))
		}
		for _, o := range objects {
			tr.Delete(o)
		}
		if left := tr.Fragment(); !reflect.DeepEqual(left, model.Fragment{Source: opt.Source}) {
			t.Errorf("left over:\n%s", translatetest.Format(left))
		}
	})
}

// options are the options that flags choose, one for each bit.
func options(flags uint8) translate.Options {
	opt := translate.Options{Source: "home", Unclassed: flags&1 != 0, AllowLoopback: flags&2 != 0}
	if flags&4 != 0 {
		opt.Reach = translate.Pods
	}
	if flags&8 != 0 {
		opt.Expose = translate.NodePorts
	}
	if flags&16 != 0 {
		opt.Probe = &translate.Probe{Port: 10256, Path: "/healthz"}
	}
	return opt
}
