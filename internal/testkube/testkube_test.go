package testkube_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/landfall-edge/landfall/internal/testkube"
	"github.com/landfall-edge/landfall/internal/testwait"
)

const service = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: LoadBalancer
  ports: [{name: http, port: 80}]
`

// TestServer is one story, since a start costs seconds.
func TestServer(t *testing.T) {
	start := time.Now()
	server := testkube.Start(t)
	t.Logf("started in %v", time.Since(start))
	admin := client(t, server.Config())

	t.Run("allocates", func(t *testing.T) { testAllocates(t, server, admin) })
	t.Run("status", func(t *testing.T) { testStatus(t, server, admin) })
	t.Run("definition", func(t *testing.T) { testDefinition(t, server) })
	t.Run("users", func(t *testing.T) { testUsers(t, server) })
	t.Run("restart", func(t *testing.T) { testRestart(t, server, admin) })
}

func testAllocates(t *testing.T, server *testkube.Server, admin kubernetes.Interface) {
	server.Apply(t, "# Only a comment.\n---"+service)
	first := readService(t, admin)
	if port := first.Spec.Ports[0].NodePort; port < 30000 || port > 32767 {
		t.Errorf("node port: got %d", port)
	}
	server.Apply(t, service)
	if again := readService(t, admin); again.ResourceVersion != first.ResourceVersion {
		t.Errorf("a second Apply of the same changed the service")
	}
	server.Apply(t, service+"status: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}\n")
	ingress := readService(t, admin).Status.LoadBalancer.Ingress
	if len(ingress) != 1 || ingress[0].IP != "192.0.2.1" {
		t.Errorf("service status: got %v", ingress)
	}
}

func testStatus(t *testing.T, server *testkube.Server, admin kubernetes.Interface) {
	server.Apply(t, `
apiVersion: v1
kind: Node
metadata: {name: worker1}
status:
  addresses: [{type: InternalIP, address: 192.0.2.11}]
  conditions: [{type: Ready, status: "True"}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: web-1
  labels: {kubernetes.io/service-name: web}
addressType: IPv4
endpoints: [{addresses: [10.1.0.5], nodeName: worker1}]
ports: [{name: http, port: 8080}]
`)
	node, err := admin.CoreV1().Nodes().Get(t.Context(), "worker1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if a := node.Status.Addresses; len(a) != 1 || a[0].Address != "192.0.2.11" || len(node.Status.Conditions) != 1 {
		t.Errorf("node status: got %+v", node.Status)
	}
	slices, err := admin.DiscoveryV1().EndpointSlices("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(slices.Items) != 1 || slices.Items[0].Endpoints[0].Addresses[0] != "10.1.0.5" {
		t.Errorf("endpoint slices: got %v", slices.Items)
	}
}

// testDefinition writes a kind and an object of it at once.
func testDefinition(t *testing.T, server *testkube.Server) {
	server.Apply(t, `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: harbours.example.org}
spec:
  group: example.org
  names: {kind: Harbour, plural: harbours}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
apiVersion: v1
kind: Namespace
metadata: {name: coast}
---
apiVersion: example.org/v1
kind: Harbour
metadata: {name: north, namespace: coast}
status: {ships: 3}
`)
	objects, err := dynamic.NewForConfig(server.Config())
	if err != nil {
		t.Fatal(err)
	}
	harbours := objects.Resource(schema.GroupVersionResource{Group: "example.org", Version: "v1", Resource: "harbours"})
	north, err := harbours.Namespace("coast").Get(t.Context(), "north", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	status, _ := north.Object["status"].(map[string]any)
	if status["ships"] != int64(3) {
		t.Errorf("status: got %v", status)
	}
}

func testUsers(t *testing.T, server *testkube.Server) {
	if _, err := services(t.Context(), client(t, fromFile(t, server.Kubeconfig(t)))); err != nil {
		t.Errorf("admin by file: %v", err)
	}
	nobody := client(t, server.User(t, "nobody"))
	if _, err := services(t.Context(), nobody); !apierrors.IsForbidden(err) {
		t.Errorf("user without rights: got %v, want it refused", err)
	}
	server.Apply(t, `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: services}
rules: [{apiGroups: [""], resources: [services], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: services}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: services}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: readers}]
`)
	reader := client(t, fromFile(t, server.UserKubeconfig(t, "somebody", "readers")))
	// The apiserver reads its own RBAC objects through a watch.
	testwait.Until(t, "the group's right", func() bool {
		_, err := services(t.Context(), reader)
		return err == nil
	})
}

func testRestart(t *testing.T, server *testkube.Server, admin kubernetes.Interface) {
	before := readService(t, admin)
	watcher, err := admin.CoreV1().Services("default").Watch(t.Context(), metav1.ListOptions{
		ResourceVersion: before.ResourceVersion,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()

	start := time.Now()
	server.Stop()
	server.Stop()
	t.Logf("stopped in %v", time.Since(start))
	awaitEnd(t, watcher)
	address := strings.TrimSuffix(strings.TrimPrefix(server.Config().Host, "https://"), "/")
	if _, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial a stopped apiserver: got %v, want it refused", err)
	}

	start = time.Now()
	server.Restart(t)
	t.Logf("restarted in %v", time.Since(start))
	if after := readService(t, admin); after.UID != before.UID || after.Spec.Ports[0].NodePort != before.Spec.Ports[0].NodePort {
		t.Errorf("after the restart: got %v, want %v", after, before)
	}
	server.Apply(t, service)
}

// awaitEnd waits until a watch ends, as it must when the apiserver goes.
func awaitEnd(t *testing.T, watcher watch.Interface) {
	t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		select {
		case _, open := <-watcher.ResultChan():
			if !open {
				return
			}
		case <-timeout:
			t.Fatal("the watch goes on without an apiserver")
		}
	}
}

func client(t *testing.T, config *rest.Config) kubernetes.Interface {
	t.Helper()
	c, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func fromFile(t *testing.T, kubeconfig string) *rest.Config {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func services(ctx context.Context, c kubernetes.Interface) (*corev1.ServiceList, error) {
	return c.CoreV1().Services("default").List(ctx, metav1.ListOptions{})
}

func readService(t *testing.T, c kubernetes.Interface) *corev1.Service {
	t.Helper()
	s, err := c.CoreV1().Services("default").Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
