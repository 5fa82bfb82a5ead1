// Package pipeline shows the whole path, feature by feature: an edge's file and
// Kubernetes objects in, every file that HAProxy would read out. Each case is
// also given to the real HAProxy, which must accept it.
package pipeline_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/landfall-edge/landfall/internal/desired"
	"github.com/landfall-edge/landfall/internal/engine/haproxy"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/file"
	"github.com/landfall-edge/landfall/internal/source/kube/translate"
	"github.com/landfall-edge/landfall/internal/source/manifests/parse"
	"github.com/landfall-edge/landfall/internal/spec"
	"github.com/landfall-edge/landfall/internal/testgolden"
	"github.com/landfall-edge/landfall/internal/testneed"
)

// out is where the files of a case begin; a case that wants to show the global
// file too has it there.
const out = "out/"

func TestPipeline(t *testing.T) {
	testgolden.Run(t, "testdata/*.txtar", run)
}

// run returns the archive with what comes out of its input.
func run(t *testing.T, in *txtar.Archive) *txtar.Archive {
	t.Helper()
	got := &txtar.Archive{Comment: in.Comment}
	keep := map[string]bool{}
	for _, f := range in.Files {
		if strings.HasPrefix(f.Name, out) {
			keep[f.Name] = true
		} else {
			got.Files = append(got.Files, f)
		}
	}
	o := build(t, got.Files)
	state := haproxy.Settings{
		Features: haproxy.Features{Version: "2.6.12", Major: 2, Minor: 6}, Dir: "/var/lib/landfall/haproxy",
		RunDir: "/run/landfall", OpenFiles: 20000, IPv6: true, OKPort: 9181, Generation: "1",
	}
	files := haproxy.Render(state, o.State)
	accepted(t, state, o.State)
	for _, f := range files {
		name := out + f.Path
		if strings.HasSuffix(f.Path, "-global.cfg") && !keep[name] || f.Content == "" {
			continue
		}
		got.Files = append(got.Files, txtar.File{Name: name, Data: []byte(rulesCut(f.Content, keep[out+"whole"]))})
	}
	var findings strings.Builder
	for _, f := range o.Findings {
		fmt.Fprintf(&findings, "%s %s: %s: %s\n", f.Origin.Key(), f.Field, f.Reason, f.Message)
	}
	if findings.Len() > 0 {
		got.Files = append(got.Files, txtar.File{Name: out + "findings", Data: []byte(findings.String())})
	}
	return got
}

// rulesCut leaves out of an HTTP listener what is the same in each.
func rulesCut(content string, whole bool) string {
	const first, last = "  http-request deny deny_status 400", "  default_backend landfall-not-found\n"
	i, j := strings.Index(content, first), strings.Index(content, last)
	if whole || i < 0 || j < 0 {
		return content
	}
	return content[:i] + "  # the rules of every HTTP listener: see http.txtar of the renderer\n" + content[j+len(last):]
}

// build goes the way of a turn: spec, sources, desired.
func build(t *testing.T, files []txtar.File) *desired.Output {
	t.Helper()
	var edge *spec.Edge
	for _, f := range files {
		if f.Name == "edge.yaml" {
			var err error
			if edge, err = spec.Parse(f.Data, f.Name); err != nil {
				t.Fatal(err)
			}
		}
	}
	in := desired.Input{HTTPPort: edge.HTTP.Port, HTTPSPort: edge.HTTPS.Port, DefaultBackend: file.BackendName(edge.DefaultBackend), Health: map[string]model.ProbeHealth{}}
	for _, v := range edge.VIPs {
		vip := model.VIP{Name: v.Name, Addresses: v.Addresses}
		if len(v.Addresses) == 0 {
			vip.Any, vip.Addresses = true, []netip.Addr{netip.MustParseAddr("192.0.2.10")}
		}
		in.VIPs = append(in.VIPs, vip)
	}
	for _, s := range edge.Sources {
		f := fragment(t, s, files)
		for _, p := range f.Probes {
			in.Health[p.Name] = model.ProbeHealth{Answered: true, Up: true}
		}
		in.Fragments = append(in.Fragments, f)
	}
	return desired.Build(in)
}

// fragment reads the files below the source's name as the source would.
func fragment(t *testing.T, s spec.Source, files []txtar.File) model.Fragment {
	t.Helper()
	var objects spec.Objects
	switch {
	case s.Kubernetes != nil:
		objects = s.Kubernetes.Objects
	case s.Manifests != nil:
		objects = s.Manifests.Objects
	default:
		return file.Fragment(s.Name, s.Services)
	}
	o := translate.Options{
		Source: s.Name, Expose: translate.Expose(objects.Expose), Unclassed: objects.Unclassed,
		Reach: translate.Reach(objects.Reach), AllowLoopback: objects.AllowLoopback,
	}
	if objects.Probe != nil {
		o.Probe = &translate.Probe{Port: objects.Probe.Port, Path: objects.Probe.Path}
	}
	tr := translate.New(o)
	reader, err := parse.New(translate.Kinds())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasPrefix(f.Name, s.Name+"/") {
			continue
		}
		read := reader.Read(f.Data, parse.File{})
		for _, p := range read.Problems {
			t.Errorf("%s:%d: %s", f.Name, p.Line, p.Message)
		}
		for _, o := range read.Objects {
			tr.Set(o.Object)
		}
	}
	return tr.Fragment()
}

// accepted gives the files to the real HAProxy, in a folder of their own.
func accepted(t *testing.T, s haproxy.Settings, state model.State) {
	t.Helper()
	binary := testneed.Binary(t, "haproxy")
	s.Dir, s.RunDir = t.TempDir(), t.TempDir()
	for _, f := range haproxy.Render(s, state) {
		path := filepath.Join(s.Dir, f.Path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(f.Content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := exec.CommandContext(t.Context(), binary, "-c", "-L", "landfall", "-f", filepath.Join(s.Dir, "current")).CombinedOutput()
	if err != nil || strings.Contains(string(got), "[WARNING]") {
		t.Errorf("HAProxy refuses the files, or warns of them: %v\n%s", err, got)
	}
}
