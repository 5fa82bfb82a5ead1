package hostile_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/landfall-edge/landfall/internal/testkube"
	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

const account = "system:serviceaccount:landfall-system:landfall-edge"

// newClusterWorld is an edge in front of an API server that holds the neighbour, and
// a namespace evil with a Service. The extra file is the operator's.
func newClusterWorld(t *testing.T, extra string) (*world, *testkube.Server) {
	t.Helper()
	c := testkube.Start(t)
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
	for _, n := range []string{"good", "public", "evil"} {
		c.Apply(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: "+n+"}\n")
	}
	serve := func(address, name string) string { return testnet.Serve(t, address, tells(name)).Address.String() }
	good, public, evil := serve("198.51.100.1:8080", "good"), serve("198.51.100.1:8081", "public"), serve("198.51.100.2:8080", "evil")
	w := &world{t: t, address: "192.0.2.10", http: 80}
	w.app = startEdge(t, fmt.Sprintf(`
apiVersion: landfall.dev/v1alpha1
kind: Edge
stateDir: %s
vips: [{name: main, addresses: ["192.0.2.10"]}]
sources: [{name: home, kubernetes: {kubeconfig: %s, reach: pods}}]
haproxy: {extra: [%s]}
`, t.TempDir(), c.UserKubeconfig(t, account), extra))
	c.Apply(t, site("good", "good.test", good, "/", "/private")+"---"+site("public", "good.test", public, "/public"))
	w.answers("good.test", "/", "good /")
	w.answers("good.test", "/public", "public /public")
	c.Apply(t, site("evil", "evil.test", evil, "/"))
	w.answers("evil.test", "/", "evil /")
	return w, c
}

// admitted are objects that an API server takes.
func admitted() map[string]string {
	all := map[string]string{}
	control := "a\n  bind :1\r\n%[src]'\"\\;<<{}$HOME#\u2028\x1b[31m"
	for _, name := range []string{"expose", "ports", "vip", "balance", "proxy-protocol", "limit-rps", "limit-connections", "unheard-of"} {
		for kind, value := range map[string]string{"control characters": control, "256 kB": strings.Repeat("x", 255<<10)} {
			a := map[string]string{"landfall.dev/" + name: value}
			all[name+" of "+kind] = docs(annotated(ingress("noted", "held.test", "/"), a), annotated(balancer("noted", corev1.ServicePort{Port: 9001}), a))
		}
	}
	for _, path := range []string{
		"/%[src]", "/../private", "//private", "/a/../../b", "/%2e%2e%2fprivate", `/a"b'c\d`, "/a;b<<", "/a b", "/a\tb", "/a\nb", "/x\r\nHost: good.test", "/#", "/?x", "/é", "/" + strings.Repeat("x", 200<<10),
	} {
		all[fmt.Sprintf("path %.20q", path)] = docs(ingress("pathological", "held.test", path))
	}
	for _, host := range []string{"xn--bcher-kva.test", "*.good.test", "*.test", strings.Repeat("a.", 126) + "a", "good.test"} {
		all["host "+host] = docs(ingress("hostile", host, "/private"))
	}
	long := ingress("x", "long.test", "/")
	long.Name = strings.Repeat("a", 253)
	all["name of 253 characters"] = docs(long)
	ranged := balancer("ranged", corev1.ServicePort{Port: 9001})
	for i := range 1000 {
		ranged.Spec.LoadBalancerSourceRanges = append(ranged.Spec.LoadBalancerSourceRanges, fmt.Sprintf("2001:db8:%x::/48", i))
	}
	all["source ranges"] = docs(ranged)
	dns := balancer("shop-dns")
	dns.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "good.test"}
	all["a name for another"] = docs(dns)
	return all
}

// TestAPI writes what an API server takes, beside a neighbour who is asked all the
// time. Then HAProxy itself refuses an object: it is told so in its status and by an
// Event, everything else goes live, and it comes back when nothing stands in its way.
func TestAPI(t *testing.T) {
	if !testnet.Inside(t, "198.51.100.1/32", "198.51.100.2/32", "192.0.2.10/32") {
		return
	}
	extra := filepath.Join(t.TempDir(), "own.cfg")
	own := func(more string) {
		t.Helper()
		config := "defaults own\n  mode tcp\n  timeout client 5s\n  timeout connect 5s\n  timeout server 5s\n" + more
		if err := os.WriteFile(extra, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	own("backend home:evil:shop:80 from own\n") // a name that only an object should have
	w, c := newClusterWorld(t, extra)
	asked := w.ask("good.test", "/private", "good /private")
	all := admitted()
	for i, name := range slices.Sorted(maps.Keys(all)) {
		c.Apply(t, all[name])
		host := fmt.Sprintf("n%d.test", i)
		c.Apply(t, docs(ingress("later", host, "/")))
		w.answers(host, "/", "evil /")
		for path, want := range map[string]string{"/": "good /", "/public": "public /public"} {
			if code, body := w.get("good.test", path); body != want {
				t.Errorf("%s: the neighbour's %s is answered %d %q", name, path, code, body)
			}
		}
	}
	t.Logf("%d kinds of objects", len(all))

	refused := balancer("shop", corev1.ServicePort{Port: 80})
	refused.Annotations = map[string]string{"landfall.dev/ports": "9002:80"}
	c.Apply(t, docs(refused))
	testwait.UntilSeen(t, "a finding in HAProxy's words", func() (bool, string) {
		said := w.findings()
		return strings.Contains(said, "Service evil/shop : Refused") && strings.Contains(said, "has the same name as"), said
	})
	c.Apply(t, docs(ingress("later", "meanwhile.test", "/")))
	w.answers("meanwhile.test", "/", "evil /")
	client, err := kubernetes.NewForConfig(c.Config())
	if err != nil {
		t.Fatal(err)
	}
	testwait.UntilSeen(t, "an Event", func() (bool, string) {
		list, err := client.CoreV1().Events("evil").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return false, err.Error()
		}
		seen := ""
		for _, e := range list.Items {
			if e.InvolvedObject.Name == "shop" && e.Reason == "Refused" && strings.Contains(e.Message, "has the same name as") {
				return true, ""
			}
			seen += e.InvolvedObject.Name + " " + e.Reason + "\n"
		}
		return false, seen
	})
	own("")
	testwait.UntilSeen(t, "it comes back", func() (bool, string) {
		_, body, err := testnet.Get(t.Context(), "http://192.0.2.10:9002/", "any.test")
		return body == "evil /", fmt.Sprint(body, err, w.findings())
	})
	asked.stop()
}
