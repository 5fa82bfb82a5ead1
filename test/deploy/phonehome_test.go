// Package deploy asks a real kube-apiserver whether it takes what is shipped below
// deploy.
package deploy_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/landfall-edge/landfall/internal/phonehome"
	"github.com/landfall-edge/landfall/internal/testkube"
)

const root = "../../deploy/phone-home"

type object = map[string]any

// at walks down into an object.
func at(t *testing.T, o any, path ...any) any {
	t.Helper()
	for _, p := range path {
		switch key := p.(type) {
		case string:
			o = o.(object)[key]
		case int:
			o = o.([]any)[key]
		}
		if o == nil {
			t.Fatalf("there is no %v", path)
		}
	}
	return o
}

// build is what kubectl kustomize makes of a folder, of what is used there: resources
// and images.
func build(t *testing.T, dir string) (all []object) {
	t.Helper()
	var k struct {
		APIVersion, Kind string
		Resources        []string
		Images           []struct{ Name, NewName, NewTag string }
	}
	if err := yaml.UnmarshalStrict(read(t, filepath.Join(dir, "kustomization.yaml")), &k); err != nil {
		t.Fatal(err)
	}
	for _, r := range k.Resources {
		if filepath.Ext(r) == "" {
			all = append(all, build(t, filepath.Join(dir, r))...)
			continue
		}
		for text := range strings.SplitSeq(string(read(t, filepath.Join(dir, r))), "\n---\n") {
			var o object
			if err := yaml.UnmarshalStrict([]byte(text), &o); err != nil {
				t.Fatalf("%s: %v", r, err)
			}
			all = append(all, o)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name := filepath.Base(f); name != "kustomization.yaml" && !slices.Contains(k.Resources, name) {
			t.Errorf("%s is in no kustomization", f)
		}
	}
	for _, o := range all {
		for _, i := range k.Images {
			if o["kind"] != "Deployment" {
				continue
			}
			for _, c := range at(t, o, "spec", "template", "spec", "containers").([]any) {
				if c.(object)["image"] == i.Name {
					c.(object)["image"] = i.NewName + ":" + i.NewTag
				}
			}
		}
	}
	return all
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t *testing.T, o object) string {
	t.Helper()
	text, err := yaml.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// pod is what a Deployment makes of its template.
func pod(t *testing.T, deployment object) object {
	t.Helper()
	template := at(t, deployment, "spec", "template").(object)
	metadata := at(t, template, "metadata").(object)
	metadata["name"], metadata["namespace"] = at(t, deployment, "metadata", "name"), at(t, deployment, "metadata", "namespace")
	return object{"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
}

// TestPhoneHome: a cluster takes both forms, and their pods into a namespace where Pod
// Security is at its strictest; the agent's flags are right.
func TestPhoneHome(t *testing.T) {
	for _, form := range []string{"sidecar", "affinity"} {
		t.Run(form, func(t *testing.T) {
			all := build(t, filepath.Join(root, form))
			agents := 0
			var pods []object
			for _, o := range all {
				if o["kind"] != "Deployment" {
					continue
				}
				pods = append(pods, pod(t, o))
				for _, c := range at(t, o, "spec", "template", "spec", "containers").([]any) {
					if at(t, c, "name") == "phone-home" {
						agents++
						checkAgent(t, c.(object))
					}
				}
			}
			if agents != 1 {
				t.Errorf("%d agents", agents)
			}
			server := testkube.Start(t)
			for _, o := range append(all, pods...) {
				server.Apply(t, write(t, o))
			}
		})
	}
}

// checkAgent: what Pod Security does not ask for, and what the agent makes of its flags.
func checkAgent(t *testing.T, c object) {
	t.Helper()
	if at(t, c, "image") != "localhost/landfall:dev" || at(t, c, "securityContext", "readOnlyRootFilesystem") != true {
		t.Errorf("%v", c)
	}
	for _, path := range [][]any{
		{"resources", "limits", "memory"}, {"resources", "limits", "cpu"}, {"resources", "requests", "memory"}, {"livenessProbe", "httpGet", "path"},
	} {
		at(t, c, path...)
	}
	args := at(t, c, "args").([]any)
	if args[0] != "phone-home" {
		t.Errorf("args: %v", args)
	}
	var s phonehome.Settings
	for _, a := range args[1:] {
		name, value, _ := strings.Cut(a.(string), "=")
		switch name {
		case "--edge":
			s.Edges = append(s.Edges, value)
		case "--port":
			s.Ports = append(s.Ports, value)
		case "--name":
			s.Name = value
		}
	}
	config, err := s.Config()
	if err != nil || len(config.Edges) != 2 || config.Ports[0].TargetPort != 30843 {
		t.Errorf("%+v, %v", config, err)
	}
}
