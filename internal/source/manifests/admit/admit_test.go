package admit_test

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/landfall-edge/landfall/internal/source/kube/translate"
	"github.com/landfall-edge/landfall/internal/source/manifests/parse"
	"github.com/landfall-edge/landfall/internal/testkube"
)

// head is what the lines of a file of objects.txtar leave out.
var head = map[string]struct {
	text      string
	resource  schema.GroupVersionResource
	clustered bool
}{
	"service":   {text: "apiVersion: v1\nkind: Service\n", resource: schema.GroupVersionResource{Version: "v1", Resource: "services"}},
	"endpoints": {text: "apiVersion: v1\nkind: Endpoints\n", resource: schema.GroupVersionResource{Version: "v1", Resource: "endpoints"}},
	"slice": {
		text:     "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n",
		resource: schema.GroupVersionResource{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"},
	},
	"ingress": {
		text:     "apiVersion: networking.k8s.io/v1\nkind: Ingress\n",
		resource: schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"},
	},
	"class": {
		text:     "apiVersion: networking.k8s.io/v1\nkind: IngressClass\n",
		resource: schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "ingressclasses"}, clustered: true,
	},
	"namespace": {text: "apiVersion: v1\nkind: Namespace\n", resource: schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}, clustered: true},
	"node":      {text: "apiVersion: v1\nkind: Node\n", resource: schema.GroupVersionResource{Version: "v1", Resource: "nodes"}, clustered: true},
}

// TestAsAPIServer reads each object of testdata/objects.txtar, one a line under
// its kind, and sends it to an API server: both must take it or refuse it, and
// fill in the same.
func TestAsAPIServer(t *testing.T) {
	server := testkube.Start(t)
	config := server.Config()
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := parse.New(translate.Kinds())
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/objects.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range txtar.Parse(text).Files {
		h := head[file.Name]
		for line := range strings.Lines(string(file.Data)) {
			line = strings.TrimSpace(line)
			t.Run(line, func(t *testing.T) {
				f := reader.Read([]byte(h.text+unwrap(line)), parse.File{})
				var object map[string]any
				if err := yaml.Unmarshal([]byte(h.text+unwrap(line)), &object); err != nil {
					t.Fatal(err)
				}
				var to dynamic.ResourceInterface = client.Resource(h.resource)
				if !h.clustered {
					to = client.Resource(h.resource).Namespace("default")
				}
				made, err := to.Create(t.Context(), &unstructured.Unstructured{Object: object},
					metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
				if err != nil && !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) {
					t.Fatal(err)
				}
				if taken := len(f.Objects) == 1; taken != (err == nil) {
					t.Fatalf("here it is taken: %v (%+v), and by an API server: %v", taken, f.Problems, err)
				}
				if err == nil {
					if d := cmp.Diff(content(t, made.Object), content(t, f.Objects[0].Object)); d != "" {
						t.Errorf("(-API server +here)\n%s", d)
					}
				}
			})
		}
	}
}

// unwrap makes the fields of a flow mapping those of the document.
func unwrap(line string) string {
	var fields map[string]json.RawMessage
	out, err := yaml.YAMLToJSON([]byte(line))
	if err != nil || json.Unmarshal(out, &fields) != nil {
		return line
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		b.WriteString(name + ": " + string(fields[name]) + "\n")
	}
	return b.String()
}

// content is an object without what only a cluster can fill in.
func content(t *testing.T, object any) map[string]any {
	t.Helper()
	text, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	delete(all, "status")
	if list, _ := all["endpoints"].([]any); len(list) == 0 {
		delete(all, "endpoints")
	}
	if meta, ok := all["metadata"].(map[string]any); ok {
		for _, name := range []string{"uid", "creationTimestamp", "managedFields", "resourceVersion", "generation"} {
			delete(meta, name)
		}
	}
	spec, ok := all["spec"].(map[string]any)
	if !ok {
		return all
	}
	for _, name := range []string{"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort", "finalizers", "taints"} {
		delete(spec, name)
	}
	ports, _ := spec["ports"].([]any)
	for _, p := range ports {
		delete(p.(map[string]any), "nodePort")
	}
	if len(spec) == 0 {
		delete(all, "spec")
	}
	return all
}
