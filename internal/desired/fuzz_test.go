package desired_test

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/landfall-edge/landfall/internal/desired"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/testgolden"
)

// FuzzBuild feeds Build what no source should hand in: whatever it is, the state
// keeps its promises to the engines, and memory changes nothing.
func FuzzBuild(f *testing.F) {
	for _, a := range testgolden.Cases(f, "testdata/*.txtar") {
		var steps [][]byte
		for _, part := range a.Files {
			if strings.HasSuffix(part.Name, ".yaml") {
				seed, err := yaml.YAMLToJSON(part.Data)
				if err != nil {
					f.Fatal(err)
				}
				steps = append(steps, seed)
			}
		}
		f.Add(steps[0], steps[len(steps)-1])
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		in := desired.Input{
			VIPs:     []model.VIP{{Name: "main", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.10")}}},
			HTTPPort: 80, HTTPSPort: 443,
		}
		for _, raw := range [][]byte{first, second} {
			var s step
			if json.Unmarshal(raw, &s) != nil || hasNil(s) {
				return
			}
			s.apply(&in)
			out := desired.Build(in)
			in.Prev = nil
			if d := cmp.Diff(visible(desired.Build(in)), visible(out), cmpOptions); d != "" {
				t.Errorf("with memory it is not the same (-without +with):\n%s", d)
			}
			checkState(t, out.State)
			in.Prev = out
		}
	})
}

// hasNil reports whether JSON put a nil where every source puts an object.
func hasNil(s step) bool {
	bad := slices.Contains(s.Serving, nil)
	for _, f := range s.Fragments {
		bad = bad || slices.Contains(f.Parts, nil) || slices.Contains(f.Backends, nil) || slices.Contains(f.Probes, nil)
		for _, p := range f.Parts {
			bad = bad || p == nil || slices.Contains(p.Listeners, nil) || slices.Contains(p.Routes, nil)
		}
	}
	return bad
}
