package file_test

import (
	"context"
	"encoding/json"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/landfall-edge/landfall/internal/source/file"
	"github.com/landfall-edge/landfall/internal/spec"
	"github.com/landfall-edge/landfall/internal/testgolden"
)

// TestFragment reads edge.yaml of each case and wants a fragment for each of its
// sources, and the name of the default backend.
func TestFragment(t *testing.T) {
	testgolden.Run(t, "testdata/*.txtar", func(t *testing.T, in *txtar.Archive) *txtar.Archive {
		if len(in.Files) == 0 || in.Files[0].Name != "edge.yaml" {
			t.Fatal("the case must begin with the file edge.yaml")
		}
		in.Files = append(in.Files[:1], results(t, in.Files[0].Data)...)
		return in
	})
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
