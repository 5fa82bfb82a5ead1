package kube_test

import (
	"errors"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source"
	"github.com/landfall-edge/landfall/internal/source/kube"
	"github.com/landfall-edge/landfall/internal/source/kube/translate"
	"github.com/landfall-edge/landfall/internal/source/kube/translate/translatetest"
	"github.com/landfall-edge/landfall/internal/testwait"
)

const world = `
apiVersion: v1
kind: Node
metadata:
  name: worker1
  labels: {kubernetes.io/hostname: worker1, example.org/rack: r7}
spec: {podCIDR: 10.1.0.0/24}
status:
  addresses: [{type: InternalIP, address: 192.0.2.11}, {type: Hostname, address: worker1}]
  conditions:
  - {type: Ready, status: "True", lastHeartbeatTime: "2026-01-01T00:00:00Z"}
  - {type: DiskPressure, status: "False"}
  images: [{names: [registry.example.org/shop:1], sizeBytes: 1000}]
---
apiVersion: v1
kind: Node
metadata:
  name: worker2
  labels: {node.kubernetes.io/exclude-from-external-load-balancers: ""}
status:
  addresses: [{type: InternalIP, address: 192.0.2.12}]
  conditions: [{type: Ready, status: "True"}]
---
apiVersion: v1
kind: Namespace
metadata: {name: web}
---
apiVersion: v1
kind: Service
metadata:
  name: shop
  namespace: web
  labels: {app: shop}
  annotations: {landfall.dev/balance: leastconn, example.org/owner: "a long story"}
spec:
  type: LoadBalancer
  loadBalancerClass: landfall.dev/edge
  selector: {app: shop}
  ports: [{name: http, port: 80}, {name: https, port: 443}]
---
apiVersion: v1
kind: Service
metadata: {name: marked, namespace: web, annotations: {landfall.dev/expose: "true"}}
spec:
  type: NodePort
  externalTrafficPolicy: Local
  selector: {app: marked}
  ports: [{port: 9000}]
---
apiVersion: v1
kind: Service
metadata: {name: theirs, namespace: web}
spec:
  type: LoadBalancer
  loadBalancerClass: example.org/other
  selector: {app: shop}
  ports: [{port: 90}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: marked-1
  namespace: web
  labels: {kubernetes.io/service-name: marked, app: marked}
addressType: IPv4
endpoints:
- addresses: [10.1.0.5]
  nodeName: worker1
  zone: a
  targetRef: {kind: Pod, name: marked-5d9f, namespace: web, uid: 5d9f}
ports: [{name: "", port: 9000}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: portal, namespace: web}
spec:
  ingressClassName: landfall
  rules:
  - host: portal.example.com
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: shop, port: {name: http}}}}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: nobodys, namespace: web}
spec:
  rules:
  - http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: shop, port: {name: http}}}}]}
`

// TestRead is one story on one API server, since a start costs seconds. The source
// has the role that is shipped, and nothing more.
func TestRead(t *testing.T) {
	c := startCluster(t)
	c.Apply(t, world)
	s := newSource(t, kube.Config{Kubeconfig: c.edgeKubeconfig(t), Options: options()})
	if _, err := s.Read(t.Context()); !errors.Is(err, source.ErrNotSynced) || !strings.Contains(err.Error(), "services") {
		t.Errorf("before Run: got %v", err)
	}
	r := runSource(t, s)
	f := r.synced(t)
	if s.Name() != "home" || f.Source != "home" {
		t.Errorf("name: got %q and %q", s.Name(), f.Source)
	}
	if n := r.changes.Load(); n != 1 {
		t.Errorf("the first whole answer: got %d changes, want 1", n)
	}
	if err := translatetest.Check(f); err != nil {
		t.Error(err)
	}
	want := translated(t, c)
	if got := translatetest.Format(f); got != want {
		t.Errorf("read:\n%s\nwant, from the objects as kubectl shows them:\n%s", got, want)
	}

	t.Run("change", func(t *testing.T) { testChange(t, c, r) })
	t.Run("heartbeat", func(t *testing.T) { testHeartbeat(t, c, r) })
	t.Run("delete", func(t *testing.T) { testDelete(t, c, r) })
	if got, want := translatetest.Format(r.synced(t)), translated(t, c); got != want {
		t.Errorf("read at last:\n%s\nwant:\n%s", got, want)
	}
}

// translated is what the translators make of what the administrator sees.
func translated(t *testing.T, c *cluster) string {
	t.Helper()
	opt := options()
	opt.Source = "home"
	tr := translate.New(opt)
	ctx, all := t.Context(), metav1.ListOptions{}
	services, err := c.admin.CoreV1().Services("").List(ctx, all)
	must(t, err)
	for i := range services.Items {
		tr.Set(&services.Items[i])
	}
	nodes, err := c.admin.CoreV1().Nodes().List(ctx, all)
	must(t, err)
	for i := range nodes.Items {
		tr.Set(&nodes.Items[i])
	}
	slices, err := c.admin.DiscoveryV1().EndpointSlices("").List(ctx, all)
	must(t, err)
	for i := range slices.Items {
		tr.Set(&slices.Items[i])
	}
	ingresses, err := c.admin.NetworkingV1().Ingresses("").List(ctx, all)
	must(t, err)
	for i := range ingresses.Items {
		tr.Set(&ingresses.Items[i])
	}
	classes, err := c.admin.NetworkingV1().IngressClasses().List(ctx, all)
	must(t, err)
	for i := range classes.Items {
		tr.Set(&classes.Items[i])
	}
	return translatetest.Format(tr.Fragment())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func testChange(t *testing.T, c *cluster, r *running) {
	before := r.synced(t)
	c.Apply(t, `
apiVersion: v1
kind: Service
metadata: {name: second, namespace: web}
spec: {type: LoadBalancer, loadBalancerClass: landfall.dev/edge, selector: {app: x}, ports: [{port: 81}]}
`)
	after, _ := r.await(t, "Service web/second", func(f model.Fragment, err error) bool {
		return err == nil && findPart(f, "Service", "second") != nil
	})
	if findPart(before, "Service", "second") != nil {
		t.Error("a fragment changed after it was read")
	}
	if a, b := findPart(before, "Service", "shop"), findPart(after, "Service", "shop"); a == nil || a != b {
		t.Error("what did not change is not shared")
	}
}

func findPart(f model.Fragment, kind, name string) *model.Part {
	for _, p := range f.Parts {
		if p.Origin.Kind == kind && p.Origin.Name == name {
			return p
		}
	}
	return nil
}

// testHeartbeat changes what nobody reads, then what somebody does: on the way
// there, one change is to be seen.
func testHeartbeat(t *testing.T, c *cluster, r *running) {
	before := r.changes.Load()
	nodes := c.admin.CoreV1().Nodes()
	for _, patch := range []string{
		`{"status":{"conditions":[{"type":"Ready","status":"True","lastHeartbeatTime":"2026-01-01T00:05:00Z"}]}}`,
		`{"status":{"images":[{"names":["registry.example.org/shop:2"],"sizeBytes":2000}]}}`,
	} {
		_, err := nodes.Patch(t.Context(), "worker1", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
		must(t, err)
	}
	patch := `{"metadata":{"labels":{"node.kubernetes.io/exclude-from-external-load-balancers":null,"example.org/rack":"r8"}}}`
	_, err := nodes.Patch(t.Context(), "worker2", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
	must(t, err)
	r.await(t, "worker2 to serve", func(f model.Fragment, _ error) bool {
		for _, b := range f.Backends {
			for _, e := range b.Endpoints {
				if e.Target == "worker2" && !e.Draining {
					return true
				}
			}
		}
		return false
	})
	if got := r.changes.Load() - before; got != 1 {
		t.Errorf("got %d changes, want 1", got)
	}
}

func testDelete(t *testing.T, c *cluster, r *running) {
	must(t, c.admin.CoreV1().Services("web").Delete(t.Context(), "second", metav1.DeleteOptions{}))
	r.await(t, "Service web/second to go", func(f model.Fragment, _ error) bool {
		return findPart(f, "Service", "second") == nil
	})
}

// TestTwoClusters has the same objects in two clusters, read by one process.
func TestTwoClusters(t *testing.T) {
	north, south := startCluster(t), startCluster(t)
	north.Apply(t, world)
	south.Apply(t, world)
	n := run(t, kube.Config{Name: "north", Kubeconfig: north.edgeKubeconfig(t), Options: options()})
	s := run(t, kube.Config{Name: "south", Kubeconfig: south.edgeKubeconfig(t), Options: options()})
	names := make(map[string]bool)
	for _, f := range []model.Fragment{n.synced(t), s.synced(t)} {
		if len(f.Backends) == 0 || len(f.Parts) == 0 {
			t.Errorf("%s: nothing was read", f.Source)
		}
		for _, b := range f.Backends {
			if names[b.Name] || !strings.HasPrefix(b.Name, f.Source+"/") {
				t.Errorf("backend %s of %s: not its own", b.Name, f.Source)
			}
			names[b.Name] = true
		}
	}

	// What is said of one cluster's Service is told there and nowhere else.
	origin := model.Origin{Source: "north", Kind: "Service", Namespace: "web", Name: "shop"}
	outcomes := []*model.Outcome{served(origin, "192.0.2.10", 80)}
	n.Report(t.Context(), outcomes, nil)
	s.Report(t.Context(), outcomes, nil)
	testwait.Until(t, "the status in the north", func() bool { return len(balancer(t, north, "shop")) == 1 })
	if got := balancer(t, south, "shop"); len(got) != 0 {
		t.Errorf("status in the south: got %v", got)
	}
}
