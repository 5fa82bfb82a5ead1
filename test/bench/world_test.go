package bench_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/landfall-edge/landfall/internal/testkube"
	"github.com/landfall-edge/landfall/internal/testneed"
	"github.com/landfall-edge/landfall/internal/testnet"
)

const (
	vip       = "192.0.2.10" // of the edge
	pollVIP   = "192.0.2.11" // of the script that polls
	handVIP   = "192.0.2.12" // of the file written by hand
	nodeNet   = "198.51.100.0/24"
	account   = "system:serviceaccount:landfall-system:landfall-edge"
	namespace = "web"

	podPort       = 8080
	firstNode     = 11000                 // node port of the first Service, and first of all
	nodePorts     = 100                   // Services whose node port is known, and answered
	spareNodePort = firstNode + nodePorts // of a Service that comes and goes
	probePort     = 10256
	changing      = 100_000 // number of the first Service that is changed
	perService    = 8       // pod addresses that a Service has for itself
)

// world is a cluster, the network around it and the program to be measured.
type world struct {
	options
	*recorder
	t          *testing.T // of what is measured now
	whole      *testing.T // of the whole run
	cluster    *testkube.Server
	clients    kubernetes.Interface
	kubeconfig string
	binary     string
	haproxy    string
	origin     *origin
	services   int
	smallest   time.Duration // CPU of an endpoint change at the smallest size
	next       int           // number of the next Service that a row makes
}

func newWorld(t *testing.T, o options, r *recorder) *world {
	w := &world{options: o, recorder: r, t: t, whole: t, haproxy: testneed.Binary(t, "haproxy"), next: changing + 1000}
	w.network()
	w.say("building landfall, starting etcd and kube-apiserver")
	w.build()
	w.cluster = testkube.Start(t, "service-cluster-ip-range=10.96.0.0/12", "service-node-port-range=11000-30999")
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
		w.cluster.Apply(t, string(text))
	}
	w.cluster.Apply(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: "+namespace+"}\n")
	for n := 1; n <= 3; n++ {
		w.cluster.Apply(t, nodeText(n))
	}
	w.kubeconfig = w.cluster.UserKubeconfig(t, account)
	config := w.cluster.Config()
	config.QPS = -1 // as fast as it takes them
	config.ContentType = "application/vnd.kubernetes.protobuf"
	if w.clients, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	w.origin = startOrigin(t, w.haproxy, "0.0.0.0")
	if v, err := exec.Command(w.haproxy, "-v").Output(); err == nil {
		r.machine(string(v))
	}
	return w
}

// network gives addresses to the loopback interface, and a place where packets to
// a node that has gone are lost without a word.
func (w *world) network() {
	ip := testneed.Binary(w.t, "ip")
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"address", "add", vip + "/32", "dev", "lo"},
		{"address", "add", pollVIP + "/32", "dev", "lo"},
		{"address", "add", handVIP + "/32", "dev", "lo"},
		{"address", "add", "10.32.0.1/12", "dev", "lo"}, // every pod
		{"link", "add", "lost", "type", "veth", "peer", "name", "found"},
		{"link", "set", "lost", "arp", "off", "up"},
		{"link", "set", "found", "up"},
		{"route", "add", nodeNet, "dev", "lost", "src", vip},
		{"address", "add", nodeAddress(1) + "/32", "dev", "lo"},
		{"address", "add", nodeAddress(2) + "/32", "dev", "lo"},
		{"address", "add", nodeAddress(3) + "/32", "dev", "lo"},
	} {
		if out, err := exec.Command(ip, args...).CombinedOutput(); err != nil {
			w.t.Fatalf("ip %v: %v: %s", args, err, out)
		}
	}
	// Many short connections; node ports lie below.
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("31000 65000"), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// link takes a node's address away, or gives it back.
func (w *world) link(node int, up bool) error {
	verb := "delete"
	if up {
		verb = "add"
	}
	if out, err := exec.Command("ip", "address", verb, nodeAddress(node)+"/32", "dev", "lo").CombinedOutput(); err != nil {
		return fmt.Errorf("ip address %s: %w: %s", verb, err, out)
	}
	return nil
}

func (w *world) build() {
	w.binary = filepath.Join(w.t.TempDir(), "landfall")
	build := exec.CommandContext(w.t.Context(), "go", "build", "-buildvcs=false", "-trimpath", "-o", w.binary, "../../cmd/landfall")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		w.t.Fatalf("build landfall: %v\n%s", err, out)
	}
}

// folder is one for sockets and state, which goes with what is measured.
func (w *world) folder() string { return testnet.Folder(w.t) }

// fresh is the number of a Service that there was not before.
func (w *world) fresh() int {
	w.next++
	return w.next
}

// grow makes the Services up to n, each with an Ingress and four endpoints, and
// beside them those that are changed, each with one endpoint.
func (w *world) grow(ctx context.Context, n int) error {
	numbers := make([]int, 0, n)
	for i := w.services; i < n; i++ {
		numbers = append(numbers, i)
	}
	if w.services == 0 {
		for i := range changedServices {
			numbers = append(numbers, changing+i)
		}
	}
	err := each(ctx, numbers, func(ctx context.Context, i int) error {
		if i >= changing {
			return w.create(ctx, i, pod(i, 0))
		}
		return w.create(ctx, i, pod(i, 0), pod(i, 1), pod(i, 2), pod(i, 3))
	})
	w.services = n
	return err
}

// each calls do for each number, several at a time.
func each(ctx context.Context, numbers []int, do func(context.Context, int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(32)
	for _, i := range numbers {
		g.Go(func() error { return do(ctx, i) })
	}
	return g.Wait()
}

// create makes a Service with its endpoints, and then its Ingress.
func (w *world) create(ctx context.Context, i int, pods ...string) error {
	if err := w.createService(ctx, i, pods...); err != nil {
		return err
	}
	_, err := w.clients.NetworkingV1().Ingresses(namespace).Create(ctx, ingress(name(i), i), metav1.CreateOptions{})
	return err
}

func (w *world) createService(ctx context.Context, i int, pods ...string) error {
	if _, err := w.clients.CoreV1().Services(namespace).Create(ctx, service(i), metav1.CreateOptions{}); err != nil {
		return err
	}
	_, err := w.clients.DiscoveryV1().EndpointSlices(namespace).Create(ctx, slice(i, pods...), metav1.CreateOptions{})
	return err
}

// remove deletes what create made.
func (w *world) remove(ctx context.Context, i int) error {
	if err := w.clients.NetworkingV1().Ingresses(namespace).Delete(ctx, name(i), metav1.DeleteOptions{}); err != nil {
		return err
	}
	return w.removeService(ctx, i)
}

func (w *world) removeService(ctx context.Context, i int) error {
	if err := w.clients.CoreV1().Services(namespace).Delete(ctx, name(i), metav1.DeleteOptions{}); err != nil {
		return err
	}
	return w.clients.DiscoveryV1().EndpointSlices(namespace).Delete(ctx, name(i), metav1.DeleteOptions{})
}

// replace makes other pods the endpoints of a Service.
func (w *world) replace(ctx context.Context, i int, pods ...string) (*discoveryv1.EndpointSlice, error) {
	return w.clients.DiscoveryV1().EndpointSlices(namespace).Update(ctx, slice(i, pods...), metav1.UpdateOptions{})
}

// pod is the j-th address of the i-th Service.
func pod(i, j int) string {
	n := 10<<24 + 32<<16 + i*perService + j
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}).String()
}

// serviceOf is the number of the Service that an answer came from, -1 if none.
func serviceOf(body string) int {
	a, err := netip.ParseAddrPort(body)
	if err != nil {
		return -1
	}
	b := a.Addr().As4()
	if b[0] != 10 {
		return int(a.Port()) - firstNode
	}
	return (int(b[0])<<24 + int(b[1])<<16 + int(b[2])<<8 + int(b[3]) - 10<<24 - 32<<16) / perService
}

func nodeAddress(n int) string { return fmt.Sprintf("198.51.100.%d", n) }
