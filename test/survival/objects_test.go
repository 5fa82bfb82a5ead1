package survival_test

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/landfall-edge/landfall/internal/atomicfile"
	"github.com/landfall-edge/landfall/internal/testload"
)

// write puts a file into the folder of manifests at one stroke.
func (e *edge) write(name, text string) {
	e.t.Helper()
	if err := atomicfile.WriteUnsynced(filepath.Join(e.objects, name), []byte(text), 0o600); err != nil {
		e.t.Fatal(err)
	}
}

// site writes an Ingress for a host of the name, <name>.test, and what is behind it.
func (e *edge) site(name string, servers ...*testload.Server) {
	e.t.Helper()
	e.write(name+".yaml", site(name, addresses(servers)...))
}

// tcp writes a Service with a front port of its own.
func (e *edge) tcp(name string, port uint16, servers ...*testload.Server) {
	e.t.Helper()
	e.write(name+".yaml", tcp(name, port, addresses(servers)...))
}

func addresses(servers []*testload.Server) []netip.AddrPort {
	var list []netip.AddrPort
	for _, s := range servers {
		list = append(list, s.Address)
	}
	return list
}

func tcp(name string, port uint16, endpoints ...netip.AddrPort) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: %s, namespace: web}
spec: {type: LoadBalancer, loadBalancerClass: landfall.dev/edge, ports: [{name: main, port: %d}]}
`, name, port) + endpointSlices(name, endpoints)
}

func site(name string, endpoints ...netip.AddrPort) string {
	return fmt.Sprintf(`
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: %[1]s, namespace: web}
spec:
  ingressClassName: landfall
  rules:
  - host: %[1]s.test
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: %[1]s, port: {name: main}}}}]}
---
apiVersion: v1
kind: Service
metadata: {name: %[1]s, namespace: web}
spec: {ports: [{name: main, port: 80}]}
`, name) + endpointSlices(name, endpoints)
}

// endpointSlices are EndpointSlices, one for each endpoint, since each has its own port.
func endpointSlices(name string, endpoints []netip.AddrPort) string {
	var b strings.Builder
	for i, a := range endpoints {
		fmt.Fprintf(&b, `---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %[1]s-%[2]d, namespace: web, labels: {kubernetes.io/service-name: %[1]s}}
addressType: IPv4
ports: [{name: main, port: %[4]d}]
endpoints: [{addresses: ["%[3]s"]}]
`, name, i, a.Addr(), a.Port())
	}
	return b.String()
}
