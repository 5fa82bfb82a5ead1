package testkube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

// applyTimeout bounds one Apply, so that a stopped apiserver ends the test.
const applyTimeout = 30 * time.Second

// writer writes objects of any kind.
type writer struct {
	client dynamic.Interface
	mapper meta.ResettableRESTMapper
}

func newWriter(t testing.TB, config *rest.Config) *writer {
	t.Helper()
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatalf("make client: %v", err)
	}
	kinds, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatalf("make client: %v", err)
	}
	return &writer{client, restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(kinds))}
}

// Apply writes every document of a YAML text, in its order, by server-side apply:
// what is there is changed, what is not is created, and what an earlier Apply set
// and this one leaves out is removed. A status in a document is written as well,
// as a controller or kubelet would. An object without a namespace gets into
// "default". After a CustomResourceDefinition, objects of its kind may follow.
func (s *Server) Apply(t testing.TB, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), applyTimeout)
	defer cancel()
	objects, err := decode(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range objects {
		if err := s.writer.apply(ctx, object); err != nil {
			t.Fatalf("apply %s %s: %v", object.GetKind(), object.GetName(), err)
		}
	}
}

func decode(text string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for n := 1; ; n++ {
		var raw runtime.RawExtension
		if err := decoder.Decode(&raw); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, fmt.Errorf("read document %d: %w", n, err)
		}
		if len(raw.Raw) == 0 || string(raw.Raw) == "null" { // only comments
			continue
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(raw.Raw); err != nil {
			return nil, fmt.Errorf("read document %d: %w", n, err)
		}
		objects = append(objects, object)
	}
}

func (w *writer) apply(ctx context.Context, object *unstructured.Unstructured) error {
	kind := object.GroupVersionKind()
	mapping, err := w.mapping(kind)
	if err != nil {
		return err
	}
	var client dynamic.ResourceInterface = w.client.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		if object.GetNamespace() == "" {
			object.SetNamespace(metav1.NamespaceDefault)
		}
		client = w.client.Resource(mapping.Resource).Namespace(object.GetNamespace())
	}

	// Only the status subresource takes a status; some kinds refuse one elsewhere.
	status, hasStatus := object.Object["status"]
	unstructured.RemoveNestedField(object.Object, "status")
	options := metav1.ApplyOptions{FieldManager: "testkube", Force: true}
	if _, err := client.Apply(ctx, object.GetName(), object, options); err != nil {
		return err
	}
	if hasStatus {
		object.Object = statusOnly(object, status)
		if _, err := client.ApplyStatus(ctx, object.GetName(), object, options); err != nil {
			return fmt.Errorf("write status: %w", err)
		}
	}
	if kind.GroupKind() == (schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}) {
		return w.awaitServed(ctx, object)
	}
	return nil
}

// mapping finds the resource of a kind. What the mapper knows is older than a
// definition written since, so it asks again before it gives up.
func (w *writer) mapping(kind schema.GroupVersionKind) (*meta.RESTMapping, error) {
	mapping, err := w.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if !meta.IsNoMatchError(err) {
		return mapping, err
	}
	w.mapper.Reset()
	return w.mapper.RESTMapping(kind.GroupKind(), kind.Version)
}

// statusOnly returns what identifies the object, and its status. A manager that
// repeated the rest at the subresource would own it a second time.
func statusOnly(object *unstructured.Unstructured, status any) map[string]any {
	only := &unstructured.Unstructured{Object: map[string]any{"status": status}}
	only.SetGroupVersionKind(object.GroupVersionKind())
	only.SetNamespace(object.GetNamespace())
	only.SetName(object.GetName())
	return only.Object
}

// awaitServed waits until the objects of a definition can be written. Discovery,
// the mapper's source, follows a definition by a moment.
func (w *writer) awaitServed(ctx context.Context, definition *unstructured.Unstructured) error {
	group, _, _ := unstructured.NestedString(definition.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(definition.Object, "spec", "names", "kind")
	versions, _, _ := unstructured.NestedSlice(definition.Object, "spec", "versions")
	for _, v := range versions {
		version, _ := v.(map[string]any)
		if served, _ := version["served"].(bool); !served {
			continue
		}
		name, _ := version["name"].(string)
		err := wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
			return w.served(ctx, schema.GroupVersionKind{Group: group, Version: name, Kind: kind})
		})
		if err != nil {
			return fmt.Errorf("wait for %s %s: %w", kind, name, err)
		}
	}
	return nil
}

func (w *writer) served(ctx context.Context, kind schema.GroupVersionKind) (bool, error) {
	mapping, err := w.mapping(kind)
	if meta.IsNoMatchError(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, err = w.client.Resource(mapping.Resource).List(ctx, metav1.ListOptions{Limit: 1})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}
