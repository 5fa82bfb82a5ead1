package edge_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source"
	"github.com/landfall-edge/landfall/internal/source/kube"
	"github.com/landfall-edge/landfall/internal/source/kube/translate"
	"github.com/landfall-edge/landfall/internal/source/manifests"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// TestSameFromAFolder writes every object that an API server has into a folder,
// as "kubectl get -o yaml" would, and as a person would have written it. The
// folder must ask for the same as the API.
func TestSameFromAFolder(t *testing.T) {
	c := newCluster(t)
	objects := shop + "---" + slice("shop", 8080, "10.1.0.7", "10.1.0.8") + "---" + slice("raw", 8080, "10.1.0.9") +
		fmt.Sprintf("---"+node, "n1", "198.51.100.1", "") + `---
apiVersion: v1
kind: Service
metadata: {name: wrong, namespace: web, annotations: {landfall.dev/balence: leastconn}}
spec: {type: LoadBalancer, loadBalancerClass: landfall.dev/edge, ports: [{port: 53, protocol: UDP}], selector: {app: dns}}
`
	c.Apply(t, objects)
	for _, reach := range []translate.Reach{translate.Nodes, translate.Pods} {
		t.Run(string(reach), func(t *testing.T) {
			options := translate.Options{Source: "home", Reach: reach, Expose: translate.Marked, Probe: &translate.Probe{Port: 10256, Path: "/healthz"}}
			log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
			api, err := kube.New(kube.Config{Name: "home", Kubeconfig: c.UserKubeconfig(t, account), Options: options, Edge: "test", Logger: log})
			if err != nil {
				t.Fatal(err)
			}
			folder := t.TempDir()
			dump(t, c, folder)
			files, err := manifests.New(manifests.Config{Name: "home", Path: folder, Options: options, Logger: log})
			if err != nil {
				t.Fatal(err)
			}
			want, got := read(t, api), read(t, files)
			if len(want.Parts) != 3 {
				t.Errorf("%d parts from the API, want 3", len(want.Parts))
			}
			if diff := cmp.Diff(text(t, want), text(t, got)); diff != "" {
				t.Errorf("the folder differs (-API +folder):\n%s", diff)
			}
		})
	}
}

func text(t *testing.T, f model.Fragment) string {
	t.Helper()
	out, err := yaml.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// read runs a source until it has its first whole answer.
func read(t *testing.T, s source.Source) model.Fragment {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testwait.Patience)
	defer cancel()
	changed := make(chan struct{}, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- s.Run(ctx, func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		})
	}()
	defer func() { cancel(); <-ended }()
	for {
		if f, err := s.Read(ctx); err == nil {
			return f
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatal("no answer from the source")
		}
	}
}

// dump writes the objects of every kind that a source watches.
func dump(t *testing.T, c *cluster, folder string) {
	t.Helper()
	client, err := dynamic.NewForConfig(c.Config())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []schema.GroupVersionResource{
		{Version: "v1", Resource: "nodes"},
		{Version: "v1", Resource: "services"},
		{Version: "v1", Resource: "namespaces"},
		{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"},
		{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"},
		{Group: "networking.k8s.io", Version: "v1", Resource: "ingressclasses"},
	} {
		list, err := client.Resource(r).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var docs []string
		for _, o := range list.Items {
			doc, err := yaml.Marshal(o.Object)
			if err != nil {
				t.Fatal(err)
			}
			docs = append(docs, string(doc))
		}
		if err := os.WriteFile(filepath.Join(folder, r.Resource+".yaml"), []byte(strings.Join(docs, "---\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
