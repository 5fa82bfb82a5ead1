package edge_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/landfall-edge/landfall/internal/testnet"
)

// services is how many others there are besides those that change; the API server
// of the tests has room for 250.
const services = 150

// busyEdge is an edge in front of services that one answers for, and their cluster.
func busyEdge(b *testing.B, one string) *cluster {
	b.Helper()
	c := newCluster(b)
	serve(b, "198.51.100.1:8080", "one")
	serve(b, "198.51.100.2:8080", "two")
	startEdge(b, fmt.Sprintf(`
apiVersion: landfall.dev/v1alpha1
kind: Edge
stateDir: %s
vips: [{name: main, addresses: ["192.0.2.10"]}]
sources: [{name: home, kubernetes: {kubeconfig: %s, reach: pods}}]
admin: {socket: %s/admin.sock, listen: ""}
`, b.TempDir(), c.UserKubeconfig(b, account), testnet.Folder(b)))
	docs := []string{one + "---" + slice("shop", 8080, "198.51.100.1")}
	for i := range services {
		named := strings.NewReplacer("name: shop", fmt.Sprint("name: s", i), "shop.test", fmt.Sprintf("s%d.test", i))
		docs = append(docs, named.Replace(one)+"---"+strings.ReplaceAll(slice("shop", 8080, "198.51.100.1"), "shop", fmt.Sprint("s", i)))
	}
	c.Apply(b, strings.Join(docs, "---"))
	answers(b, "http://192.0.2.10/", "shop.test", "one")
	answers(b, "http://192.0.2.10/", fmt.Sprintf("s%d.test", services-1), "one")
	return c
}

// report gives the median and the 99th percentile.
func report(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// site is a Service with its Ingress.
func site() string { return shop[:strings.LastIndex(shop, "---")] }

// BenchmarkEndpointLive takes the time from the API's acknowledgement of an
// endpoint change until the first answer by the new endpoint, over a connection of
// its own.
func BenchmarkEndpointLive(b *testing.B) {
	if !testnet.Inside(b, "198.51.100.1/32", "198.51.100.2/32", "192.0.2.10/32") {
		return
	}
	c := busyEdge(b, site())
	endpointSlices := c.clients.DiscoveryV1().EndpointSlices("web")
	addresses := map[string]string{"one": "198.51.100.1", "two": "198.51.100.2"}
	want := "one"
	var took []time.Duration
	for b.Loop() {
		want = map[string]string{"one": "two", "two": "one"}[want]
		s, err := endpointSlices.Get(b.Context(), "shop-1", metav1.GetOptions{})
		if err != nil {
			b.Fatal(err)
		}
		s.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{addresses[want]}, Conditions: s.Endpoints[0].Conditions}}
		if _, err := endpointSlices.Update(b.Context(), s, metav1.UpdateOptions{}); err != nil {
			b.Fatal(err)
		}
		begin := time.Now()
		for body := ""; body != want; {
			_, body = get(b, "http://192.0.2.10/", "shop.test")
		}
		took = append(took, time.Since(begin))
	}
	report(b, took)
}

// BenchmarkIngressLive takes the time from the API's acknowledgement of a new
// Ingress, the last object of it and its Service, until its first answer. Run it
// with fewer rounds than there are spare backends: -benchtime 40x.
func BenchmarkIngressLive(b *testing.B) {
	if !testnet.Inside(b, "198.51.100.1/32", "198.51.100.2/32", "192.0.2.10/32") {
		return
	}
	c := busyEdge(b, site())
	var took []time.Duration
	for b.Loop() {
		n := fmt.Sprint("new", len(took))
		named := strings.NewReplacer("name: shop", "name: "+n, "shop.test", n+".test").Replace(site())
		service, ingress, _ := strings.Cut(named, "---")
		c.Apply(b, service+"---"+strings.ReplaceAll(slice("shop", 8080, "198.51.100.1"), "shop", n))
		c.Apply(b, ingress)
		begin := time.Now()
		for body := ""; body != "one"; {
			_, body = get(b, "http://192.0.2.10/", n+".test")
		}
		took = append(took, time.Since(begin))
	}
	report(b, took)
}
