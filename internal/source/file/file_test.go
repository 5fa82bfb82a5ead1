package file_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/landfall-edge/landfall/internal/source/file"
	"github.com/landfall-edge/landfall/internal/spec"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const maxCaseLines = 150

// TestFragment reads edge.yaml of each case and wants a fragment for each of its
// sources, and the name of the default backend.
func TestFragment(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			archive := txtar.Parse(data)
			if len(archive.Files) == 0 || archive.Files[0].Name != "edge.yaml" {
				t.Fatal("the case must begin with the file edge.yaml")
			}
			archive.Files = append(archive.Files[:1:1], results(t, archive.Files[0].Data)...)
			got := txtar.Format(archive)
			if n := bytes.Count(got, []byte("\n")); n > maxCaseLines {
				t.Errorf("the case has %d lines, more than %d: split it", n, maxCaseLines)
			}
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(data), string(got)); diff != "" {
				t.Errorf("run with -update if this is meant (-want +got):\n%s", diff)
			}
		})
	}
}

func results(t *testing.T, data []byte) []txtar.File {
	t.Helper()
	edge, err := spec.Parse(data, "edge.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var out []txtar.File
	for _, src := range edge.Sources {
		text, err := json.MarshalIndent(file.Fragment(src.Name, src.Services), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, txtar.File{Name: src.Name + ".json", Data: append(text, '\n')})
	}
	if name := file.BackendName(edge.DefaultBackend); name != "" {
		out = append(out, txtar.File{Name: "defaultBackend", Data: []byte(name + "\n")})
	}
	return out
}

func TestSource(t *testing.T) {
	s := file.New("legacy", []spec.Service{{Name: "portal"}})
	ctx, cancel := context.WithCancel(t.Context())
	first, err := s.Read(ctx)
	if err != nil || s.Name() != "legacy" || first.Source != "legacy" || len(first.Backends) != 1 {
		t.Errorf("got %q, %+v, %v", s.Name(), first, err)
	}
	second, _ := s.Read(ctx)
	if &first.Backends[0] != &second.Backends[0] {
		t.Error("a second Read returned other objects")
	}
	cancel()
	if err := s.Run(ctx, func() { t.Error("changed") }); err != nil {
		t.Error(err)
	}
}
