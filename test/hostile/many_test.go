package hostile_test

import (
	"fmt"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// many is an Ingress with a rule for each number.
func many(name string, from, to int, host, path func(i int) string) *networkingv1.Ingress {
	var rules []string
	for i := from; i < to; i++ {
		rules = append(rules, host(i), path(i))
	}
	return ingress(name, rules...)
}

// TestMany: 5,000 paths on one host and 10,000 hosts are served, and nobody beside
// them notices.
func TestMany(t *testing.T) {
	serve := func(name string) string {
		return testnet.Serve(t, "127.0.0.1:0", tells(name)).Address.String()
	}
	w := newWorld(t, "")
	w.write("sites.yaml", neighbour(serve("good"), serve("public"))+"---"+site("evil", "evil.test", serve("evil"), "/"))
	w.answers("good.test", "/", "good /")
	asked := w.ask("good.test", "/private", "good /private")
	const paths, hosts, each = 5_000, 10_000, 1_000 // each: of one Ingress
	one, path := func(int) string { return "paths.test" }, func(i int) string { return fmt.Sprintf("/p%d", i) }
	for i := 0; i < paths; i += each {
		w.write(fmt.Sprintf("paths%d.yaml", i), docs(many(fmt.Sprint("paths", i), i, i+each, one, path)))
	}
	host, root := func(i int) string { return fmt.Sprintf("h%d.test", i) }, func(int) string { return "/" }
	for i := 0; i < hosts; i += each {
		w.write(fmt.Sprintf("hosts%d.yaml", i), docs(many(fmt.Sprint("hosts", i), i, i+each, host, root)))
	}
	w.write("too-many.yaml", docs(many("toomany", 0, each+1, func(i int) string { return fmt.Sprintf("t%d.test", i) }, root)))
	for i := 0; i < paths; i += each - 1 {
		w.answers("paths.test", path(i)+"/x", "evil "+path(i)+"/x")
	}
	for i := 0; i < hosts; i += each - 1 {
		w.answers(host(i), "/", "evil /")
	}
	w.answers(fmt.Sprintf("t%d.test", each-1), "/", "evil /")
	if code, body := w.get(fmt.Sprintf("t%d.test", each), "/"); code != 404 {
		t.Errorf("one path too many is answered %d %q", code, body)
	}
	if code, body := w.get("paths.test", "/p"); code != 404 {
		t.Errorf("a path that nobody asked for is answered %d %q", code, body)
	}
	testwait.UntilSeen(t, "a finding about one path too many", func() (bool, string) {
		said := w.findings()
		return strings.Contains(said, "TooMany") && strings.Count(said, "\n") == 1, said
	})
	asked.stop()
	s := w.app.Status(t.Context())
	t.Logf("%d routes, %d reloads, %d changes", len(s.Routes), s.HAProxy.Reloads, len(s.Changes))
}

// TestIPv6: an edge whose VIP, clients, source ranges and endpoints are all IPv6.
func TestIPv6(t *testing.T) {
	if !testnet.Inside(t, "2001:db8::10/128", "2001:db8::1:1/128", "2001:db8::1:2/128") {
		return
	}
	serve := func(address string) string {
		return testnet.Serve(t, address, tells(address)).Address.String()
	}
	one, two := serve("[2001:db8::1:1]:8080"), serve("[2001:db8::1:2]:8080")
	w := newWorld(t, `vips: [{name: main, addresses: ["2001:db8::10"]}]`)
	w.address = "[2001:db8::10]"
	sites := site("good", "good.test", one, "/") + `
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: landfall}
spec: {controller: landfall.dev/edge}
`
	w.write("good.yaml", sites)
	w.answers("good.test", "/", one+" /")
	asked := w.ask("good.test", "/x", one+" /x")
	port := testnet.FreePort(t)
	raw := strings.Replace(site("raw", "raw.test", two, "/"), "ports: [{port: 80}]", fmt.Sprintf(
		`type: LoadBalancer, loadBalancerClass: landfall.dev/edge, loadBalancerSourceRanges: ["2001:db8::/32"], ports: [{port: %d}]`, port), 1)
	raw = strings.Replace(raw, "number: 80", fmt.Sprint("number: ", port), 1)
	for i, address := range []string{"fe80::1", "::", "ff02::1", "::ffff:127.0.0.1", "2001:DB8:0::1:2", "2001:db8::1:2%lo"} {
		raw += fmt.Sprintf(`
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: none-%d, namespace: raw, labels: {kubernetes.io/service-name: shop}}
addressType: IPv6
ports: [{name: "", port: 8080}]
endpoints: [{addresses: [%q]}]
`, i, address)
	}
	w.write("raw.yaml", raw)
	w.answers("raw.test", "/", two+" /")
	direct := func() (int, string, error) {
		return testnet.Get(t.Context(), fmt.Sprintf("http://[2001:db8::10]:%d/", port), "any.test")
	}
	testwait.UntilSeen(t, "the port of its own answers", func() (bool, string) {
		code, body, err := direct()
		return body == two+" /", fmt.Sprint(code, body, err, "\n", w.findings())
	})
	for range 4 {
		if code, body, err := direct(); body != two+" /" {
			t.Errorf("an endpoint that is none was taken: %d %q %v", code, body, err)
		}
	}
	if said := w.findings(); strings.Count(said, "\n") != 6 {
		t.Errorf("the endpoints that are none have other findings than one each:\n%s", said)
	}
	asked.stop()
}
