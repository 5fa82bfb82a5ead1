package survival_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/status"
	"github.com/landfall-edge/landfall/internal/testkube"
	"github.com/landfall-edge/landfall/internal/testload"
	"github.com/landfall-edge/landfall/internal/testnet"
)

const account = "system:serviceaccount:landfall-system:landfall-edge"

// twoNodes are a Service on a port of two nodes, and its Ingress.
const twoNodes = `
apiVersion: v1
kind: Namespace
metadata: {name: web}
---
apiVersion: v1
kind: Node
metadata: {name: n1}
status:
  addresses: [{type: InternalIP, address: 198.51.100.1}]
  conditions: [{type: Ready, status: "True", reason: KubeletReady, message: ready}]
---
apiVersion: v1
kind: Node
metadata: {name: n2}
status:
  addresses: [{type: InternalIP, address: 198.51.100.2}]
  conditions: [{type: Ready, status: "True", reason: KubeletReady, message: ready}]
---
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: web}
spec: {type: NodePort, selector: {app: shop}, ports: [{port: 80, nodePort: 30080}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop, namespace: web}
spec:
  ingressClassName: landfall
  rules:
  - host: shop.test
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: shop, port: {number: 80}}}}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: shop-1, namespace: web, labels: {kubernetes.io/service-name: shop}}
addressType: IPv4
ports: [{name: "", port: 8080}]
endpoints: [{addresses: ["10.1.0.7"], conditions: {ready: true}}]
`

func startCluster(t *testing.T) *testkube.Server {
	t.Helper()
	c := testkube.Start(t)
	shipped, _ := filepath.Glob("../../deploy/kubernetes/*.yaml")
	slices.Reverse(shipped) // the role with its namespace first
	for _, file := range shipped {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c.Apply(t, string(text))
	}
	c.Apply(t, twoNodes)
	return c
}

// TestAPIServerGone: the API server goes away under load. Nodes are probed all the
// same; an agent that is killed and started meanwhile knows the last state from
// disk, and so does one on a machine that starts with neither agent nor HAProxy.
func TestAPIServerGone(t *testing.T) {
	t.Parallel()
	if _, err := buildProgram(); err != nil {
		t.Fatal(err)
	}
	if !testnet.Inside(t, "198.51.100.1/32", "198.51.100.2/32", "192.0.2.10/32") {
		return
	}
	c := startCluster(t)
	probes := map[string]*testnet.Server{}
	shop := map[string]*testload.Server{}
	for _, n := range []string{"1", "2"} {
		probes[n] = testnet.Serve(t, "198.51.100."+n+":10256", testnet.Text("ok"))
		shop[n] = testload.Serve(t, "198.51.100."+n+":30080", "shop on n"+n)
	}
	e := prepareEdge(t, "")
	e.configure(fmt.Sprintf("[{name: home, kubernetes: {kubeconfig: %s}}]", c.UserKubeconfig(t, account)), "192.0.2.10")
	e.start()
	health := func(n string, want string) func(status.Status) bool {
		return func(s status.Status) bool {
			for _, b := range s.Backends {
				for _, x := range b.Endpoints {
					if x.Address.String() == "198.51.100."+n+":30080" {
						return x.Health == want
					}
				}
			}
			return false
		}
	}
	e.await("n1 serves", health("1", "up"))
	e.await("n2 serves", health("2", "up"))
	load := func() *testload.Load {
		return testload.Start(t, testload.Config{Address: fmt.Sprintf("192.0.2.10:%d", e.port), Clients: 3, Hosts: []string{"shop.test"}})
	}
	stale := func(s status.Status) bool {
		return s.Ready && s.Sources[0].Stale && strings.Contains(s.Sources[0].Message, "no answer from the API server")
	}

	l := load()
	c.Stop()
	e.await("the source is stale", stale)
	probes["2"].Close()
	e.await("n2 leaves by its probe", health("2", "down"))
	asked := shop["2"].Asked.Load()
	l.After(100)
	if now := shop["2"].Asked.Load(); now != asked {
		t.Errorf("n2 got %d requests after it left", now-asked)
	}
	testnet.Serve(t, "198.51.100.2:10256", testnet.Text("ok"))
	e.await("n2 comes back", health("2", "up"))

	e.kill()
	l.After(100)
	e.start()
	s := e.await("the new agent knows the last state", stale)
	e.noReload("an agent that is started without the API")
	l.After(100)
	l.Stop()
	t.Logf("status: %s", s.Sources[0].Message)

	e.kill()
	e.killHAProxy()
	e.start()
	e.await("HAProxy is started with the last state", func(s status.Status) bool {
		return stale(s) && len(s.Changes) == 1 && s.Changes[0].Way == engine.Start && health("1", "up")(s) && health("2", "up")(s)
	})
	l = load()
	c.Restart(t)
	e.await("the API is back", func(s status.Status) bool { return s.Ready && s.Sources[0].Synced && !s.Sources[0].Stale })
	c.Apply(t, `
apiVersion: v1
kind: Service
metadata: {name: more, namespace: web, annotations: {landfall.dev/expose: "true"}}
spec: {type: NodePort, selector: {app: shop}, ports: [{port: 8001}]}
`)
	e.await("a change of the API is live", func(s status.Status) bool { return len(s.Listeners) == 2 })
	l.After(100)
	l.Stop()
}
