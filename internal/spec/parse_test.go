package spec_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/landfall-edge/landfall/internal/spec"
	"github.com/landfall-edge/landfall/internal/testgolden"
)

// TestParse reads edge.yaml of each case and wants edge.json or problems.
func TestParse(t *testing.T) {
	testgolden.Run(t, "testdata/*.txtar", func(t *testing.T, in *txtar.Archive) *txtar.Archive {
		if len(in.Files) == 0 || in.Files[0].Name != "edge.yaml" {
			t.Fatal("the case must begin with the file edge.yaml")
		}
		in.Files = append(in.Files[:1], result(t, in.Files[0].Data))
		return in
	})
}

func result(t *testing.T, data []byte) txtar.File {
	t.Helper()
	edge, err := spec.Parse(data, "edge.yaml")
	if err != nil {
		var problems spec.Problems
		if !errors.As(err, &problems) || len(problems) == 0 {
			t.Fatalf("the error is no Problems: %v", err)
		}
		return txtar.File{Name: "problems", Data: []byte(err.Error() + "\n")}
	}
	out, err := json.MarshalIndent(edge, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return txtar.File{Name: "edge.json", Data: append(out, '\n')}
}

func TestParseRefusesHugeFile(t *testing.T) {
	_, err := spec.Parse(bytes.Repeat([]byte("#"), 1<<20+1), "edge.yaml")
	if err == nil || !strings.Contains(err.Error(), "edge.yaml:1:1: the file has 1048577 bytes") {
		t.Errorf("got %v", err)
	}
}

func TestParseRefusesWhatIsNotUTF8(t *testing.T) {
	_, err := spec.Parse([]byte("apiVersion: x\nname: \xff\n"), "edge.yaml")
	if err == nil || !strings.HasPrefix(err.Error(), "edge.yaml:2:7: this is not UTF-8 text") {
		t.Errorf("got %v", err)
	}
}

// TestParseRefusesAliasBomb has lists of aliases to lists of aliases, as deep as
// the fields of a file go.
func TestParseRefusesAliasBomb(t *testing.T) {
	var b strings.Builder
	b.WriteString("apiVersion: landfall.dev/v1alpha1\nkind: Edge\nsources:\n")
	b.WriteString("- name: a\n  services:\n  - &service\n    name: b\n    endpoints: &endpoints\n")
	b.WriteString(strings.Repeat("    - 198.51.100.7:80\n", 1000))
	b.WriteString(strings.Repeat("  - *service\n", 1000))
	b.WriteString("- &source {name: c, services: &services [" + strings.Repeat("*service, ", 1000) + "]}\n")
	b.WriteString(strings.Repeat("- *source\n", 1000))
	_, err := spec.Parse([]byte(b.String()), "edge.yaml")
	if err == nil || !strings.Contains(err.Error(), "unfold to more than 200000 values") && !strings.Contains(err.Error(), "more problems") {
		t.Errorf("got %v", err)
	}
	if n := len(err.Error()); n > 1<<16 {
		t.Errorf("the message has %d bytes", n)
	}
}

// TestParseTellsOfManyProblems tells of a bounded number of them.
func TestParseTellsOfManyProblems(t *testing.T) {
	var b strings.Builder
	b.WriteString("apiVersion: landfall.dev/v1alpha1\nkind: Edge\n")
	for i := range 1000 {
		b.WriteString("x" + strings.Repeat("y", i) + ": 1\n")
	}
	_, err := spec.Parse([]byte(b.String()), "edge.yaml")
	lines := strings.Split(err.Error(), "\n")
	if last := lines[len(lines)-1]; len(lines) != 51 || last != "edge.yaml: and 950 more problems" {
		t.Errorf("%d lines, the last is %q", len(lines), last)
	}
}

func examples(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("../../examples/edge-*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	return files
}

func TestExamples(t *testing.T) {
	for _, file := range examples(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := spec.Parse(data, filepath.Base(file)); err != nil {
				t.Error(err)
			}
		})
	}
}

// FuzzParse wants an edge that has its defaults and can be written out, or
// problems that have a place.
func FuzzParse(f *testing.F) {
	for _, a := range testgolden.Cases(f, "testdata/*.txtar") {
		f.Add(a.Files[0].Data)
	}
	for _, file := range examples(f) {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("&a {sources: [*a, *a]}"))
	f.Add([]byte("? [a]\n: b\n<<: {kind: Edge}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		edge, err := spec.Parse(data, "f")
		if err == nil {
			if len(edge.VIPs) == 0 || edge.HAProxy.Binary == "" || edge.StateDir == "" {
				t.Errorf("an edge without its defaults: %+v", edge)
			}
			if _, err := json.Marshal(edge); err != nil {
				t.Error(err)
			}
			return
		}
		var problems spec.Problems
		if !errors.As(err, &problems) || len(problems) == 0 {
			t.Fatalf("the error is no Problems: %v", err)
		}
		for _, p := range problems {
			if p.Line < 1 || p.Column < 1 || p.Message == "" || strings.ContainsAny(p.String(), "\n\x00") {
				t.Errorf("a bad problem: %q", p.String())
			}
		}
	})
}
