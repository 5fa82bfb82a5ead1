package demo_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"github.com/landfall-edge/landfall/internal/demo"
	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
	"github.com/landfall-edge/landfall/internal/testgolden"
)

// TestNarrate tells each case: "have.yaml" and "want.yaml" are States, "done.yaml"
// is how one became the other, and "lines.txt" what is told.
func TestNarrate(t *testing.T) {
	testgolden.Run(t, "testdata/*.txtar", func(t *testing.T, in *txtar.Archive) *txtar.Archive {
		in.Files = slices.DeleteFunc(in.Files, func(f txtar.File) bool { return f.Name == "lines.txt" })
		var have, want model.State
		var done struct{ Way, Cause, Took string }
		into := map[string]any{"have.yaml": &have, "want.yaml": &want, "done.yaml": &done}
		for _, f := range in.Files {
			if err := yaml.UnmarshalStrict(f.Data, into[f.Name]); err != nil {
				t.Fatalf("%s: %v", f.Name, err)
			}
		}
		took, err := time.ParseDuration(done.Took)
		if err != nil {
			t.Fatal(err)
		}
		told := demo.Narrate(plan.Diff(have, want), engine.Applied{Way: engine.Way(done.Way), Cause: done.Cause, Took: took})
		in.Files = append(in.Files, txtar.File{Name: "lines.txt", Data: []byte(strings.Join(append(told, ""), "\n"))})
		return in
	})
}

// TestNarrateMuch counts what nobody would read.
func TestNarrateMuch(t *testing.T) {
	var want model.State
	for i := range 100 {
		name := "o" + string(rune('a'+i/10)) + string(rune('a'+i%10))
		want.Listeners = append(want.Listeners, &model.Listener{
			Name: "s/" + name, Port: uint16(i + 1), Origin: model.Origin{Source: "s", Kind: "Service", Namespace: "n", Name: name + "\n"},
		})
	}
	lines := demo.Narrate(plan.Diff(model.State{}, want), engine.Applied{Way: engine.Start, Took: time.Second})
	if len(lines) != 21 || lines[20] != "and 80 more, live in 1000 ms, HAProxy started" {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
	for _, l := range lines {
		if strings.Contains(l, "\n") {
			t.Errorf("%q is more than a line", l)
		}
	}
	if lines := demo.Narrate(plan.Plan{}, engine.Applied{}); len(lines) != 0 {
		t.Errorf("of nothing it tells %q", lines)
	}
}
