package haproxy

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
	"github.com/landfall-edge/landfall/internal/testgolden"
)

// TestActions: in each case the first state is loaded; each further file "N.yaml"
// is wanted next, and "N.txt" says how: the cause of a reload, or the commands.
func TestActions(t *testing.T) {
	t.Parallel()
	testgolden.Run(t, "testdata/actions/*.txtar", actionsCase)
}

func actionsCase(t *testing.T, archive *txtar.Archive) *txtar.Archive {
	settings := Settings{Dir: "/var/lib/landfall/haproxy", RunDir: "/run/landfall", OKPort: 9181}
	var l loaded
	var have, want model.State
	n := newNames(newBindings())
	for i, f := range archive.Files {
		if strings.HasSuffix(f.Name, ".txt") {
			archive.Files[i].Data = []byte(act(settings, &l, n, have, want))
			have = want
			continue
		}
		want = model.State{}
		if err := yaml.UnmarshalStrict(f.Data, &want); err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		sortAll(want)
		if i == 0 {
			l, have = newRenderer(settings, want.Probes).shapes(want, ""), want
		}
	}
	return archive
}

// act says how have becomes want, and takes the consequences.
func act(settings Settings, l *loaded, n names, have, want model.State) string {
	p := plan.Diff(have, want)
	r := newRenderer(settings, want.Probes)
	if cause := r.reloadCause(*l, n, want, p); cause != "" {
		*l = r.shapes(want, "")
		clear(n.other)
		clear(n.zombies)
		clear(n.slots)
		return "reload: " + cause + "\n"
	}
	var b strings.Builder
	b.WriteString("runtime\n")
	p = n.bind(*l, r.probes, want, p)
	r.slots = n.slots
	for _, c := range r.runtimeCommands(p, n) {
		b.WriteString(c.text + "\n")
	}
	n.unbind(p)
	return b.String()
}

func sortAll(s model.State) {
	slices.SortFunc(s.Listeners, func(a, b *model.Listener) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Routes, func(a, b *model.Route) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Backends, func(a, b *model.Backend) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Probes, func(a, b *model.Probe) int { return cmp.Compare(a.Name, b.Name) })
	for _, x := range s.Backends {
		slices.SortFunc(x.Endpoints, func(a, b model.Endpoint) int { return a.Address.Compare(b.Address) })
	}
}
