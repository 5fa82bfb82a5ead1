package demo_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"github.com/landfall-edge/landfall/internal/demo"
	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
)

var update = flag.Bool("update", false, "rewrite what is wanted in testdata")

// TestNarrate tells each case: "have.yaml" and "want.yaml" are States, "done.yaml"
// is how one became the other, and "lines.txt" what is told.
func TestNarrate(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatal("no cases", err)
	}
	for _, path := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if lines := bytes.Count(text, []byte("\n")); lines > 150 {
				t.Errorf("%s has %d lines, and a case at most 150", path, lines)
			}
			a := txtar.Parse(text)
			var have, want model.State
			var done struct{ Way, Cause, Took string }
			into := map[string]any{"have.yaml": &have, "want.yaml": &want, "done.yaml": &done}
			lines := ""
			kept := a.Files[:0]
			for _, f := range a.Files {
				if f.Name == "lines.txt" {
					lines = string(f.Data)
					continue
				}
				kept = append(kept, f)
				if err := yaml.UnmarshalStrict(f.Data, into[f.Name]); err != nil {
					t.Fatalf("%s: %v", f.Name, err)
				}
			}
			took, err := time.ParseDuration(done.Took)
			if err != nil {
				t.Fatal(err)
			}
			told := demo.Narrate(plan.Diff(have, want), engine.Applied{Way: engine.Way(done.Way), Cause: done.Cause, Took: took})
			got := strings.Join(append(told, ""), "\n")
			if *update {
				a.Files = append(kept, txtar.File{Name: "lines.txt", Data: []byte(got)})
				if err := os.WriteFile(path, txtar.Format(a), 0o666); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(lines, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
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
