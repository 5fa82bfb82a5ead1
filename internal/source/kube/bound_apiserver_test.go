package kube_test

import (
	"fmt"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/kube"
)

// TestTooManyObjects: of a real cluster's Ingresses, those are taken that were there
// first, and when one of them goes the next one takes its place.
func TestTooManyObjects(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	s := newSource(t, kube.Config{Kubeconfig: c.edgeKubeconfig(t)})
	s.Bound(2, kube.MostBytes)
	for _, name := range []string{"a", "b", "c"} {
		c.Apply(t, fmt.Sprintf(`
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {namespace: default, name: %s}
spec: {ingressClassName: landfall, defaultBackend: {service: {name: shop, port: {number: 80}}}}
`, name))
	}
	r := runSource(t, s)
	served := func(tooMany bool, want ...string) func(model.Fragment, error) bool {
		return func(f model.Fragment, err error) bool {
			var names []string
			for _, p := range f.Parts {
				names = append(names, p.Origin.Name)
			}
			told := slices.ContainsFunc(f.Findings, func(f model.Finding) bool {
				return f.Reason == "TooManyObjects" && f.Field == "ingresses.networking.k8s.io"
			})
			return err == nil && slices.Equal(names, want) && told == tooMany
		}
	}
	r.await(t, "the two oldest are taken, and that is told", served(true, "a", "b"))
	if err := c.admin.NetworkingV1().Ingresses("default").Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.await(t, "the third takes the place of the first", served(false, "b", "c"))
}
