package haproxy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"github.com/landfall-edge/landfall/internal/engine/haproxy"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/testgolden"
	"github.com/landfall-edge/landfall/internal/testneed"
)

const (
	renderDir    = "/var/lib/landfall/haproxy"
	renderRunDir = "/run/landfall"
)

var renderSettings = haproxy.Settings{
	Features:   haproxy.Features{Prometheus: true},
	Dir:        renderDir,
	RunDir:     renderRunDir,
	OpenFiles:  20000,
	IPv6:       true,
	OKPort:     9181,
	Generation: "1",
}

// TestRender: each case holds a state, the list of all files that it becomes, and
// those of them that matter to it. HAProxy checks all of them. In a case with a
// file "refused" it must not accept them, and the file holds its words.
func TestRender(t *testing.T) {
	t.Parallel()
	testgolden.Run(t, "testdata/render/*.txtar", func(t *testing.T, a *txtar.Archive) *txtar.Archive {
		t.Parallel()
		files := map[string]string{}
		var paths strings.Builder
		var state model.State
		for _, f := range a.Files {
			if f.Name == "state.yaml" {
				state = decodeState(t, f.Data)
			}
		}
		for _, f := range haproxy.Render(renderSettings, state) {
			files[f.Path] = f.Content
			paths.WriteString(f.Path + "\n")
		}
		refused := checkFiles(t, files)
		expected := false
		for i, f := range a.Files {
			switch content, ok := files[f.Name]; {
			case f.Name == "state.yaml":
			case f.Name == "files":
				a.Files[i].Data = []byte(paths.String())
			case f.Name == "refused":
				expected = true
				a.Files[i].Data = []byte(refused)
			case !ok:
				t.Errorf("nothing is rendered as %s", f.Name)
			default:
				a.Files[i].Data = []byte(content)
			}
		}
		if refused != "" && !expected {
			t.Errorf("HAProxy refuses it:\n%s", refused)
		}
		if refused == "" && expected {
			t.Error("HAProxy should have refused it")
		}
		return a
	})
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

// alert is a line of HAProxy's about a line of a file.
var alert = regexp.MustCompile(`(?m)^\[ALERT\] +\(\d+\) : (?:config : )?(\[/.*\n)`)

// checkFiles returns what HAProxy says against the files, in folders of their own.
func checkFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	binary := testneed.Binary(t, "haproxy")
	dir := t.TempDir()
	moved := strings.NewReplacer(renderDir, dir, renderRunDir, dir)
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(moved.Replace(content)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(binary, "-c", "-L", "landfall", "-f", filepath.Join(dir, "current")).CombinedOutput()
	if err == nil {
		if strings.Contains(string(out), "[WARNING]") {
			t.Errorf("HAProxy warns of it:\n%s", out)
		}
		return ""
	}
	var alerts []string
	for _, m := range alert.FindAllStringSubmatch(strings.ReplaceAll(string(out), dir, renderDir), -1) {
		alerts = append(alerts, m[1])
	}
	return strings.Join(alerts, "")
}
