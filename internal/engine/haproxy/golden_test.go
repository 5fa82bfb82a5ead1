package haproxy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/yaml"

	"github.com/landfall-edge/landfall/internal/engine/haproxy"
	"github.com/landfall-edge/landfall/internal/model"
)

const maxCaseLines = 150

// goldens runs each case of a folder. run replaces the expected files of the
// archive by what it found; what differs is an error, or is written with -update.
func goldens(t *testing.T, folder string, run func(t *testing.T, a *txtar.Archive)) {
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			archive := txtar.Parse(raw)
			run(t, archive)
			got := txtar.Format(archive)
			if n := strings.Count(string(got), "\n"); n > maxCaseLines {
				t.Errorf("%s has %d lines, at most %d can be reviewed: split it", file, n, maxCaseLines)
			}
			if diff := cmp.Diff(string(raw), string(got)); diff != "" && !haproxy.Update() {
				t.Errorf("%s (-want +got, rewrite with -update):\n%s", file, diff)
			} else if diff != "" {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func decodeState(t *testing.T, data []byte) model.State {
	t.Helper()
	var s model.State
	if err := yaml.UnmarshalStrict(data, &s); err != nil {
		t.Fatal(err)
	}
	sortState(&s)
	for _, b := range s.Backends {
		sortEndpoints(b)
	}
	return s
}
