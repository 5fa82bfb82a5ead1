package desired_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"github.com/landfall-edge/landfall/internal/desired"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
	"github.com/landfall-edge/landfall/internal/testgolden"
)

// step is what a case file holds: an Input. In a second step only what changes
// is written; fragments replace those of the same source.
type step struct {
	Fragments      []model.Fragment             `json:"fragments"`
	VIPs           []model.VIP                  `json:"vips"`
	HTTPPort       *uint16                      `json:"httpPort"`
	HTTPSPort      *uint16                      `json:"httpsPort"`
	DefaultBackend *string                      `json:"defaultBackend"`
	Reserved       []netip.AddrPort             `json:"reserved"`
	Held           []model.Held                 `json:"held"`
	Serving        []*model.Listener            `json:"serving"`
	Health         map[string]model.ProbeHealth `json:"health"`
	SetAside       map[string]string            `json:"setAside"`
}

func (s step) apply(in *desired.Input) {
	for _, f := range s.Fragments {
		replaced := false
		for i := range in.Fragments {
			if in.Fragments[i].Source == f.Source {
				in.Fragments[i], replaced = f, true
			}
		}
		if !replaced {
			in.Fragments = append(in.Fragments, f)
		}
	}
	if s.VIPs != nil {
		in.VIPs = s.VIPs
	}
	if s.HTTPPort != nil {
		in.HTTPPort = *s.HTTPPort
	}
	if s.HTTPSPort != nil {
		in.HTTPSPort = *s.HTTPSPort
	}
	if s.DefaultBackend != nil {
		in.DefaultBackend = *s.DefaultBackend
	}
	if s.Reserved != nil {
		in.Reserved = s.Reserved
	}
	if s.Held != nil {
		in.Held = s.Held
	}
	if s.Serving != nil {
		in.Serving = s.Serving
	}
	if s.Health != nil {
		in.Health = s.Health
	}
	if s.SetAside != nil {
		in.SetAside = s.SetAside
	}
}

// TestBuild runs each case: files "*.yaml" are steps, each followed by the ".txt"
// of the same name with what Build makes of it.
func TestBuild(t *testing.T) {
	testgolden.Run(t, "testdata/*.txtar", build)
}

func build(t *testing.T, a *txtar.Archive) *txtar.Archive {
	t.Helper()
	result := &txtar.Archive{Comment: a.Comment}
	in := desired.Input{
		VIPs:     []model.VIP{{Name: "main", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.10")}}},
		HTTPPort: 80, HTTPSPort: 443,
	}
	for _, f := range a.Files {
		name, isStep := strings.CutSuffix(f.Name, ".yaml")
		if !isStep {
			continue
		}
		var s step
		if err := yaml.UnmarshalStrict(f.Data, &s); err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		s.apply(&in)
		out := desired.Build(in)
		in.Prev = nil
		if d := cmp.Diff(visible(desired.Build(in)), visible(out), cmpOptions); d != "" {
			t.Errorf("%s: with memory it is not the same (-without +with):\n%s", f.Name, d)
		}
		in.Prev = out
		result.Files = append(result.Files, f, txtar.File{Name: name + ".txt", Data: []byte(text(out))})
	}
	return result
}

// visible is all of an Output that others see.
func visible(o *desired.Output) any {
	return struct {
		State    model.State
		Findings []model.Finding
		Outcomes []*model.Outcome
		Asked    []*model.Listener
	}{o.State, o.Findings, o.Outcomes, o.Asked}
}

var cmpOptions = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

// text is an Output for people: the state as the plan that makes it from nothing.
func text(o *desired.Output) string {
	var b strings.Builder
	b.WriteString(plan.Diff(model.State{}, o.State).String())
	for _, f := range o.Findings {
		fmt.Fprintf(&b, "! %s %s: %s: %s\n", line(f.Origin.Key()), f.Field, f.Reason, f.Message)
		if f.Accepted != "" {
			fmt.Fprintf(&b, "  served: %s\n", f.Accepted)
		}
	}
	for _, o := range o.Outcomes {
		fmt.Fprintf(&b, "= %s", line(o.Origin.Key()))
		for _, a := range o.Addresses {
			fmt.Fprintf(&b, " %s", a)
		}
		for _, p := range o.Ports {
			fmt.Fprintf(&b, " :%d", p.Port)
			if p.Error != "" {
				fmt.Fprintf(&b, "(%s)", p.Error)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func line(s string) string { return strings.ReplaceAll(s, "\n", "\\n") }
