package kube_test

import (
	"encoding/pem"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source"
	"github.com/landfall-edge/landfall/internal/source/kube"
	"github.com/landfall-edge/landfall/internal/source/kube/translate/translatetest"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// TestOutage stops the API server and starts it again, then takes the rights away.
func TestOutage(t *testing.T) {
	c := startCluster(t)
	c.Apply(t, world)
	r := run(t, kube.Config{Kubeconfig: c.edgeKubeconfig(t), Options: options()})
	before := r.synced(t)

	c.Stop()
	during, _ := r.failing(t, "out of date since 20", "no answer from the API server at https://127.0.0.1")
	if got, want := translatetest.Format(during), translatetest.Format(before); got != want {
		t.Errorf("while the API server is away:\n%s\nwant:\n%s", got, want)
	}
	// What is to be written now is written later.
	r.Report(t.Context(), []*model.Outcome{served(originOf("Service", "shop"), "192.0.2.10", 80)}, nil)

	c.Restart(t)
	r.synced(t)
	testwait.Until(t, "the status", func() bool { return len(balancer(t, c, "shop")) == 1 })
	c.Apply(t, "{apiVersion: v1, kind: Namespace, metadata: {name: other}}\n---\n"+
		strings.ReplaceAll(bare, "NAME", "after"))
	after, _ := r.await(t, "a Service made after the outage", func(f model.Fragment, err error) bool {
		return err == nil && findPart(f, "Service", "after") != nil
	})
	if a, b := findPart(before, "Service", "shop"), findPart(after, "Service", "shop"); a == nil || a != b {
		t.Error("what did not change is not shared with what was before the outage")
	}

	// Without the role, and a watch that was allowed when it began is not begun again.
	c.Apply(t, "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: landfall-edge}, rules: []}")
	c.Restart(t)
	without, err := r.failing(t, "does not allow it to user system:serviceaccount:landfall-system:landfall-edge")
	if got, want := parts(without), parts(after); !slices.Equal(got, want) || len(got) == 0 {
		t.Errorf("without the role (%v): got %v, want %v", err, got, want)
	}
	c.Apply(t, shipped(t, "rbac.yaml"))
	r.synced(t)
}

const bare = `
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: other}
spec: {type: LoadBalancer, loadBalancerClass: landfall.dev/edge, ports: [{port: 82}]}
`

// TestCredentials has credentials that are not good for everything, or anything.
func TestCredentials(t *testing.T) {
	c := startCluster(t)
	c.Apply(t, world)
	t.Run("token", func(t *testing.T) { testToken(t, c) })
	t.Run("stranger", func(t *testing.T) { testStranger(t, c) })
	t.Run("reading", func(t *testing.T) { testReading(t, c) })
	t.Run("writing", func(t *testing.T) { testWriting(t, c) })
}

const can = "kubectl auth can-i "

// testReading takes away one permission to read after the other. The message
// names which, and how to look.
func testReading(t *testing.T, c *cluster) {
	kubeconfig := c.edgeKubeconfig(t)
	role := shipped(t, "rbac.yaml")
	for _, tc := range []struct {
		name, resources, verbs, less, want string
		attributes                         authorizationv1.ResourceAttributes
	}{
		{
			"watch", "endpointslices", "list, watch", "list", can + "watch endpointslices.discovery.k8s.io --all-namespaces --as=system:serviceaccount:",
			authorizationv1.ResourceAttributes{Verb: "watch", Group: "discovery.k8s.io", Resource: "endpointslices"},
		},
		{
			"nothing", "services, nodes, namespaces", "list, watch", "get", can + "list ",
			authorizationv1.ResourceAttributes{Verb: "list", Resource: "nodes"},
		},
		{
			"classes", "ingresses, ingressclasses", "list, watch", "list", can + "watch ingress",
			authorizationv1.ResourceAttributes{Verb: "watch", Group: "networking.k8s.io", Resource: "ingressclasses"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c.Apply(t, without(t, role, tc.resources, tc.verbs, tc.less))
			c.awaitRight(t, tc.attributes, false)
			r := run(t, kube.Config{Kubeconfig: kubeconfig, Options: options()})
			f, err := r.failing(t, tc.want, "apply deploy/kubernetes/rbac.yaml")
			if errors.Is(err, source.ErrNotSynced) != (len(f.Parts) == 0) {
				t.Errorf("got %d parts with %v", len(f.Parts), err)
			}
			c.Apply(t, role)
			r.synced(t)
			c.awaitRight(t, tc.attributes, true)
		})
	}
}

// testWriting is testReading for the permissions to write.
func testWriting(t *testing.T, c *cluster) {
	kubeconfig := c.edgeKubeconfig(t)
	role := shipped(t, "rbac.yaml")
	for i, tc := range []struct {
		name, resources, verbs, want string
		attributes                   authorizationv1.ResourceAttributes
	}{
		{
			"services", "services/status", "patch", can + "patch services --subresource=status --all-namespaces --as=",
			authorizationv1.ResourceAttributes{Verb: "patch", Resource: "services", Subresource: "status"},
		},
		{
			"ingresses", "ingresses/status", "patch", can + "patch ingresses.networking.k8s.io --subresource=status",
			authorizationv1.ResourceAttributes{Verb: "patch", Group: "networking.k8s.io", Resource: "ingresses", Subresource: "status"},
		},
		{
			"events", "events", "create, patch", can + "create events",
			authorizationv1.ResourceAttributes{Verb: "create", Resource: "events"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c.Apply(t, without(t, role, tc.resources, tc.verbs, "get"))
			c.awaitRight(t, tc.attributes, false)
			r := run(t, kube.Config{Kubeconfig: kubeconfig, Options: options()})
			r.synced(t)
			testSilent(t, r, fmt.Sprintf("192.0.2.%d", 20+i), tc.want)
			c.Apply(t, role)
			c.awaitRight(t, tc.attributes, true)
		})
	}
}

// awaitRight waits until the API server has taken notice of a changed role.
func (c *cluster) awaitRight(t *testing.T, attributes authorizationv1.ResourceAttributes, want bool) {
	t.Helper()
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: "system:serviceaccount:landfall-system:landfall-edge", ResourceAttributes: &attributes,
	}}
	testwait.Until(t, "the role to count", func() bool {
		got, err := c.admin.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{})
		must(t, err)
		return got.Status.Allowed == want
	})
}

// without is the role with one list of verbs replaced.
func without(t *testing.T, role, resources, verbs, less string) string {
	t.Helper()
	before := "resources: [" + resources + "]\n    verbs: [" + verbs + "]"
	if !strings.Contains(role, before) {
		t.Fatalf("the shipped role does not say %q", before)
	}
	return strings.Replace(role, before, "resources: ["+resources+"]\n    verbs: ["+less+"]", 1)
}

// testSilent reports where nothing can be told: the edge itself is told, and goes
// on to read.
func testSilent(t *testing.T, r *running, address, want string) {
	t.Helper()
	shop, portal := originOf("Service", "shop"), originOf("Ingress", "portal")
	outcomes := []*model.Outcome{served(portal, address, 80), served(shop, address, 80)}
	findings := []model.Finding{{Origin: shop, Reason: "Silent", Message: "x"}}
	r.Report(t.Context(), outcomes, findings)
	f, err := r.await(t, "a finding with "+want, func(f model.Fragment, _ error) bool {
		return slices.ContainsFunc(f.Findings, func(x model.Finding) bool {
			return x.Reason == "CannotReport" && strings.Contains(x.Message, want) && x.Origin == model.Origin{Source: "home"}
		})
	})
	if err != nil || len(f.Parts) == 0 {
		t.Errorf("got %d parts with error %v", len(f.Parts), err)
	}
}

// testToken begins with a token that the API server does not know, as after one
// has expired; a new one in the file is found without a restart.
func testToken(t *testing.T, c *cluster) {
	path := filepath.Join(t.TempDir(), "edge.kubeconfig")
	writeKubeconfig(t, path, c.Config(), "expired")
	r := run(t, kube.Config{Kubeconfig: path, Options: options()})
	_, err := r.failing(t, "does not accept the credentials in "+path, "without a restart")
	if !errors.Is(err, source.ErrNotSynced) || !errors.Is(err, kube.ErrCredentials) {
		t.Errorf("got %v, want ErrNotSynced and ErrCredentials", err)
	}
	good, err := os.ReadFile(c.edgeKubeconfig(t))
	must(t, err)
	must(t, os.WriteFile(path, good, 0o600))
	if f := r.synced(t); len(f.Parts) == 0 {
		t.Error("nothing was read")
	}
}

// testStranger knows another certificate than that of the API server.
func testStranger(t *testing.T, c *cluster) {
	other := httptest.NewTLSServer(nil)
	defer other.Close()
	config := c.Config()
	config.CAData = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: other.Certificate().Raw})
	path := filepath.Join(t.TempDir(), "edge.kubeconfig")
	writeKubeconfig(t, path, config, "x")
	r := run(t, kube.Config{Kubeconfig: path, Options: options()})
	r.failing(t, "the certificate of the API server at https://127.0.0.1", "is not trusted", "certificate-authority")
}
