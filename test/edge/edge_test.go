// Package edge shows the whole way on real parts: an object in a kube-apiserver,
// read with the role that is shipped and nothing more, becomes bytes on a
// socket of HAProxy, and the object is told.
package edge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/landfall-edge/landfall/internal/app"
	"github.com/landfall-edge/landfall/internal/spec"
	"github.com/landfall-edge/landfall/internal/status"
	"github.com/landfall-edge/landfall/internal/testkube"
	"github.com/landfall-edge/landfall/internal/testneed"
	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

const account = "system:serviceaccount:landfall-system:landfall-edge"

// cluster is an API server with what we ship applied to it.
type cluster struct {
	*testkube.Server
	clients kubernetes.Interface
}

func newCluster(t testing.TB) *cluster {
	t.Helper()
	c := &cluster{Server: testkube.Start(t)}
	c.ship(t)
	var err error
	if c.clients, err = kubernetes.NewForConfig(c.Config()); err != nil {
		t.Fatal(err)
	}
	return c
}

// ship applies what we ship, and a namespace.
func (c *cluster) ship(t testing.TB) {
	t.Helper()
	shipped, err := filepath.Glob("../../deploy/kubernetes/*.yaml")
	if err != nil || len(shipped) == 0 {
		t.Fatal("nothing is shipped", err)
	}
	slices.Reverse(shipped) // the role with its namespace first
	for _, f := range shipped {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		c.Apply(t, string(text))
	}
	c.Apply(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: web}\n")
}

// startEdge runs an edge of a file until the test ends.
func startEdge(t testing.TB, file string) *app.App {
	t.Helper()
	testneed.Binary(t, "haproxy")
	edge, err := spec.Parse([]byte(file), "edge.yaml")
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(t.Context(), edge, app.Options{Version: "test", Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	ctx := context.WithoutCancel(t.Context())
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		if err := a.Stop(ctx, 0); err != nil {
			t.Errorf("stop the edge: %v", err)
		}
		if err := <-ended; err != nil {
			t.Errorf("the edge ended: %v", err)
		}
	})
	return a
}

// serve answers every request at an address with a text.
func serve(t testing.TB, address, text string) *testnet.Server {
	t.Helper()
	return testnet.Serve(t, address, testnet.Text(text))
}

// get asks once; what went wrong is the body, for it is told.
func get(t testing.TB, url, host string) (code int, body string) {
	t.Helper()
	code, body, err := testnet.Get(t.Context(), url, host)
	if err != nil {
		return 0, err.Error()
	}
	return code, body
}

func answers(t testing.TB, url, host, want string) {
	t.Helper()
	testwait.UntilSeen(t, host+" at "+url+" answers "+want, func() (bool, string) {
		code, body := get(t, url, host)
		return code == http.StatusOK && body == want, fmt.Sprint(code, " ", body)
	})
}

func refuses(t *testing.T, address string) {
	t.Helper()
	testwait.UntilSeen(t, address+" is closed", func() (bool, string) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err != nil, "open"
	})
}

const shop = `
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: web}
spec: {selector: {app: shop}, ports: [{name: http, port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop, namespace: web}
spec:
  ingressClassName: landfall
  rules:
  - host: shop.test
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: shop, port: {name: http}}}}]}
---
apiVersion: v1
kind: Service
metadata: {name: raw, namespace: web}
spec: {type: LoadBalancer, loadBalancerClass: landfall.dev/edge, selector: {app: shop}, ports: [{port: 9000}]}
`

func slice(service string, port int, endpoints ...string) string {
	var list []string
	for _, e := range endpoints {
		list = append(list, fmt.Sprintf("{addresses: [%q], conditions: {ready: true}}", e))
	}
	portName := "http"
	if service == "raw" {
		portName = ""
	}
	return fmt.Sprintf(`
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %[1]s-1, namespace: web, labels: {kubernetes.io/service-name: %[1]s}}
addressType: IPv4
ports: [{name: %[4]q, port: %[2]d}]
endpoints: [%[3]s]
`, service, port, strings.Join(list, ", "), portName)
}

func TestFromTheAPIToASocket(t *testing.T) {
	if !testnet.Inside(t, "198.51.100.1/32", "198.51.100.2/32", "192.0.2.10/32") {
		return
	}
	c := newCluster(t)
	state, sockets := t.TempDir(), testnet.Folder(t)
	serve(t, "198.51.100.1:8080", "one")
	serve(t, "198.51.100.2:8080", "two")
	a := startEdge(t, fmt.Sprintf(`
apiVersion: landfall.dev/v1alpha1
kind: Edge
name: test
stateDir: %s
vips: [{name: main, addresses: ["192.0.2.10"]}]
sources: [{name: home, kubernetes: {kubeconfig: %s, reach: pods}}]
admin: {socket: %s/admin.sock, listen: ""}
`, state, c.UserKubeconfig(t, account), sockets))

	c.Apply(t, shop+"---"+slice("shop", 8080, "198.51.100.1")+"---"+slice("raw", 8080, "198.51.100.2"))
	answers(t, "http://192.0.2.10/", "shop.test", "one")
	answers(t, "http://192.0.2.10:9000/", "any", "two")

	t.Run("the Service is told its address", func(t *testing.T) {
		testwait.UntilSeen(t, "status", func() (bool, string) {
			s, err := c.clients.CoreV1().Services("web").Get(t.Context(), "raw", metav1.GetOptions{})
			if err != nil {
				return false, err.Error()
			}
			in := s.Status.LoadBalancer.Ingress
			ok := len(in) == 1 && in[0].IP == "192.0.2.10" && in[0].IPMode != nil && *in[0].IPMode == corev1.LoadBalancerIPModeProxy
			return ok, fmt.Sprint(in)
		})
	})
	t.Run("an endpoint change needs no reload", func(t *testing.T) {
		before := a.Status(t.Context()).HAProxy.Reloads
		c.Apply(t, slice("shop", 8080, "198.51.100.2"))
		answers(t, "http://192.0.2.10/", "shop.test", "two")
		c.Apply(t, slice("shop", 8080, "198.51.100.1"))
		answers(t, "http://192.0.2.10/", "shop.test", "one")
		if got := a.Status(t.Context()).HAProxy.Reloads; got != before {
			t.Errorf("%d reloads became %d", before, got)
		}
	})
	t.Run("two objects, one port", func(t *testing.T) {
		c.Apply(t, strings.ReplaceAll(shop[strings.LastIndex(shop, "---"):], "name: raw", "name: rival"))
		testwait.UntilSeen(t, "Event", func() (bool, string) { return hasEvent(t, c, "rival", "PortConflict") })
		if err := c.clients.CoreV1().Services("web").Delete(t.Context(), "raw", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		testwait.UntilSeen(t, "rival takes over", func() (bool, string) {
			s, err := c.clients.CoreV1().Services("web").Get(t.Context(), "rival", metav1.GetOptions{})
			return err == nil && len(s.Status.LoadBalancer.Ingress) == 1 && s.Status.LoadBalancer.Ingress[0].Ports == nil ||
				err == nil && len(s.Status.LoadBalancer.Ingress) == 1 && s.Status.LoadBalancer.Ingress[0].Ports[0].Error == nil, fmt.Sprint(s.Status, err)
		})
	})
	t.Run("the API goes away, what is served stays", func(t *testing.T) {
		c.Stop()
		testwait.UntilSeen(t, "the source is stale", func() (bool, string) {
			s := a.Status(t.Context()).Sources
			return len(s) == 1 && s[0].Stale, fmt.Sprint(s)
		})
		if code, body := get(t, "http://192.0.2.10/", "shop.test"); body != "one" {
			t.Errorf("answer %d %q", code, body)
		}
		c.Restart(t)
		c.Apply(t, slice("shop", 8080, "198.51.100.2"))
		answers(t, "http://192.0.2.10/", "shop.test", "two")
	})
	t.Run("what is deleted goes", func(t *testing.T) {
		if err := c.clients.CoreV1().Services("web").Delete(t.Context(), "rival", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		refuses(t, "192.0.2.10:9000")
		if err := c.clients.NetworkingV1().Ingresses("web").Delete(t.Context(), "shop", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		refuses(t, "192.0.2.10:80")
	})
}

func hasEvent(t *testing.T, c *cluster, object, reason string) (bool, string) {
	t.Helper()
	list, err := c.clients.CoreV1().Events("web").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		return false, err.Error()
	}
	var seen []string
	for _, e := range list.Items {
		if e.InvolvedObject.Name == object && e.Reason == reason {
			return true, ""
		}
		seen = append(seen, e.InvolvedObject.Name+" "+e.Reason)
	}
	return false, strings.Join(seen, ", ")
}

const node = `
apiVersion: v1
kind: Node
metadata: {name: %[1]s, labels: {%[3]s}}
status:
  addresses: [{type: InternalIP, address: %[2]s}]
  conditions: [{type: Ready, status: "True", reason: KubeletReady, message: ready}]
`

// TestNodes goes through node ports, and through the death of a node.
func TestNodes(t *testing.T) {
	if !testnet.Inside(t, "198.51.100.1/32", "198.51.100.2/32", "198.51.100.3/32", "192.0.2.10/32") {
		return
	}
	c := newCluster(t)
	state, sockets := t.TempDir(), testnet.Folder(t)
	probes := map[string]*testnet.Server{}
	for _, n := range []string{"1", "2", "3"} {
		serve(t, "198.51.100."+n+":30080", "n"+n)
		c.Apply(t, fmt.Sprintf(node, "n"+n, "198.51.100."+n, ""))
	}
	for _, n := range []string{"1", "2"} { // n3 runs no kube-proxy
		probes[n] = serve(t, "198.51.100."+n+":10256", "ok")
	}
	a := startEdge(t, fmt.Sprintf(`
apiVersion: landfall.dev/v1alpha1
kind: Edge
stateDir: %s
vips: [{name: main, addresses: ["192.0.2.10"]}]
sources: [{name: home, kubernetes: {kubeconfig: %s}}]
admin: {socket: %s/admin.sock, listen: ""}
`, state, c.UserKubeconfig(t, account), sockets))
	c.Apply(t, `
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: web, annotations: {landfall.dev/expose: "true"}}
spec: {type: NodePort, selector: {app: shop}, ports: [{port: 8000, nodePort: 30080}]}
`+"---"+strings.Replace(slice("shop", 8080, "10.1.0.7"), `"http"`, `""`, 1))

	served := func() map[string]bool {
		names := map[string]bool{}
		for range 12 {
			code, body := get(t, "http://192.0.2.10:8000/", "any")
			if code != http.StatusOK {
				return map[string]bool{body: true}
			}
			names[body] = true
		}
		return names
	}
	by := func(what string, want ...string) {
		t.Helper()
		testwait.UntilSeen(t, what, func() (bool, string) {
			got := served()
			if len(got) != len(want) {
				return false, fmt.Sprint(got)
			}
			for _, w := range want {
				if !got[w] {
					return false, fmt.Sprint(got)
				}
			}
			return true, ""
		})
	}
	by("three nodes serve, also the one that never answered its probe", "n1", "n2", "n3")
	testwait.UntilSeen(t, "a finding about n3", func() (bool, string) {
		f := a.Status(t.Context()).Findings
		return slices.ContainsFunc(f, func(f status.Finding) bool { return f.Name == "n3" && strings.Contains(f.Message, "never answered") }), fmt.Sprint(f)
	})
	testwait.UntilSeen(t, "n1 and n2 are probed", func() (bool, string) {
		text, err := os.ReadFile(filepath.Join(state, "haproxy", "current", "20-probes.cfg"))
		n := strings.Count(string(text), " port 10256")
		return err == nil && n == 2, string(text)
	})
	probes["2"].Close()
	by("n2 leaves when its probe fails", "n1", "n3")
	reloads := a.Status(t.Context()).HAProxy.Reloads
	probes["1"].Close()
	by("the last node that answers does not take the others along", "n1", "n2", "n3")
	serve(t, "198.51.100.1:10256", "ok")
	by("n1 came back, n2 did not", "n1", "n3")
	c.Apply(t, fmt.Sprintf(node, "n3", "198.51.100.3", `node.kubernetes.io/exclude-from-external-load-balancers: ""`))
	by("a label takes a node out", "n1")
	if got := a.Status(t.Context()).HAProxy.Reloads; got != reloads {
		t.Errorf("%d reloads became %d by what nodes did", reloads, got)
	}
	testwait.UntilSeen(t, "the Service has its condition", func() (bool, string) {
		s, err := c.clients.CoreV1().Services("web").Get(t.Context(), "shop", metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		text, _ := json.Marshal(s.Status.Conditions)
		return slices.ContainsFunc(s.Status.Conditions, func(c metav1.Condition) bool {
			return c.Type == "landfall.dev/Exposed" && c.Status == metav1.ConditionTrue && strings.Contains(c.Message, "192.0.2.10:8000")
		}), string(text)
	})
}
