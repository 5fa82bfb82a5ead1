package kube_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/kube"
	"github.com/landfall-edge/landfall/internal/testwait"
)

func served(o model.Origin, address string, ports ...uint16) *model.Outcome {
	out := &model.Outcome{Origin: o, Addresses: []netip.Addr{netip.MustParseAddr(address)}}
	for _, p := range ports {
		out.Ports = append(out.Ports, model.PortOutcome{Port: p})
	}
	return out
}

func originOf(kind, name string) model.Origin {
	return model.Origin{Source: "home", Kind: kind, Namespace: "web", Name: name}
}

func (c *cluster) service(t *testing.T, name string) *corev1.Service {
	t.Helper()
	s, err := c.admin.CoreV1().Services("web").Get(t.Context(), name, metav1.GetOptions{})
	must(t, err)
	return s
}

func balancer(t *testing.T, c *cluster, name string) []corev1.LoadBalancerIngress {
	t.Helper()
	return c.service(t, name).Status.LoadBalancer.Ingress
}

func condition(t *testing.T, c *cluster, name string) metav1.Condition {
	t.Helper()
	found := meta.FindStatusCondition(c.service(t, name).Status.Conditions, "landfall.dev/Exposed")
	if found == nil {
		return metav1.Condition{}
	}
	return *found
}

// ingressAddress is what the status of an Ingress says, "192.0.2.10 80:error".
func ingressAddress(t *testing.T, c *cluster, name string) string {
	t.Helper()
	i, err := c.admin.NetworkingV1().Ingresses("web").Get(t.Context(), name, metav1.GetOptions{})
	must(t, err)
	var all []string
	for _, e := range i.Status.LoadBalancer.Ingress {
		s := e.IP
		for _, p := range e.Ports {
			s += fmt.Sprintf(" %d", p.Port)
			if p.Error != nil {
				s += ":" + *p.Error
			}
		}
		all = append(all, s)
	}
	return strings.Join(all, ", ")
}

// events are those about an object, "Warning PortConflict x1: ...".
func (c *cluster) events(t *testing.T, name string) []string {
	t.Helper()
	list, err := c.admin.CoreV1().Events("web").List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=" + name})
	must(t, err)
	var all []string
	for _, e := range list.Items {
		all = append(all, fmt.Sprintf("%s %s x%d: %s", e.Type, e.Reason, e.Count, e.Message))
	}
	return all
}

func (c *cluster) awaitEvent(t *testing.T, name, text string) {
	t.Helper()
	testwait.Until(t, "Event "+text, func() bool {
		for _, e := range c.events(t, name) {
			if strings.Contains(e, text) {
				return true
			}
		}
		return false
	})
}

// TestReport is one story on one API server, with the role that is shipped.
func TestReport(t *testing.T) {
	c := startCluster(t)
	c.Apply(t, world)
	kubeconfig := c.edgeKubeconfig(t)
	r := run(t, kube.Config{Kubeconfig: kubeconfig, Options: options()})
	r.synced(t)
	t.Run("status", func(t *testing.T) { testStatus(t, c, r) })
	t.Run("portErrors", func(t *testing.T) { testPortErrors(t, c, r) })
	t.Run("findings", func(t *testing.T) { testFindings(t, c, r) })
	t.Run("unmarked", func(t *testing.T) { testUnmarked(t, c, r) })
	r.stop()
	t.Run("restart", func(t *testing.T) { testRestart(t, c, kubeconfig) })
}

func testStatus(t *testing.T, c *cluster, r *running) {
	c.Apply(t, theirStatus)
	shop := served(originOf("Service", "shop"), "192.0.2.10", 80, 443)
	shop.Addresses = append(shop.Addresses, netip.MustParseAddr("2001:db8::10"))
	r.Report(t.Context(), []*model.Outcome{
		served(originOf("Ingress", "portal"), "192.0.2.10", 80),
		served(originOf("Service", "marked"), "192.0.2.10", 9000),
		shop,
		// A report about somebody else's Service changes nothing there.
		served(originOf("Service", "theirs"), "192.0.2.10", 90),
		served(originOf("Service", "gone"), "192.0.2.10", 91),
	}, nil)
	testwait.Until(t, "the status of the LoadBalancer", func() bool { return len(balancer(t, c, "shop")) == 2 })
	got := balancer(t, c, "shop")
	if e := got[0]; e.IP != "192.0.2.10" || e.IPMode == nil || *e.IPMode != corev1.LoadBalancerIPModeProxy ||
		len(e.Ports) != 2 || e.Ports[1].Port != 443 || e.Ports[1].Protocol != corev1.ProtocolTCP || e.Ports[1].Error != nil {
		t.Errorf("status of the LoadBalancer: got %+v", e)
	}
	if got[1].IP != "2001:db8::10" {
		t.Errorf("second address: got %s", got[1].IP)
	}
	testwait.Until(t, "the status of the Ingress", func() bool { return ingressAddress(t, c, "portal") == "192.0.2.10 80" })
	testwait.Until(t, "the condition", func() bool { return condition(t, c, "marked").Status == metav1.ConditionTrue })
	if m := condition(t, c, "marked"); m.Message != "192.0.2.10:9000" || m.Reason != "Served" {
		t.Errorf("condition: got %+v", m)
	}
	c.awaitEvent(t, "shop", "Normal Exposed x1: Served at 192.0.2.10:80, [2001:db8::10]:80, 192.0.2.10:443")
	c.awaitEvent(t, "portal", "Normal Exposed")
	c.awaitEvent(t, "marked", "Normal Exposed")
	expectTheirs(t, c)
}

const theirStatus = `
apiVersion: v1
kind: Service
metadata: {name: theirs, namespace: web}
spec:
  type: LoadBalancer
  loadBalancerClass: example.org/other
  selector: {app: shop}
  ports: [{port: 90}]
status: {loadBalancer: {ingress: [{ip: 198.51.100.90}]}}
`

func expectTheirs(t *testing.T, c *cluster) {
	t.Helper()
	if got := balancer(t, c, "theirs"); len(got) != 1 || got[0].IP != "198.51.100.90" || len(condition(t, c, "theirs").Type) > 0 {
		t.Errorf("status of another class: got %v", got)
	}
}

func testPortErrors(t *testing.T, c *cluster, r *running) {
	shop := served(originOf("Service", "shop"), "192.0.2.10", 80, 443)
	shop.Ports[1].Error = "PortConflict"
	portal := served(originOf("Ingress", "portal"), "192.0.2.10", 80, 443)
	portal.Ports[1].Error = "not a word\n"
	marked := &model.Outcome{
		Origin: originOf("Service", "marked"), Ports: []model.PortOutcome{{Port: 9000, Error: "PortConflict"}},
	}
	r.Report(t.Context(), []*model.Outcome{portal, marked, shop}, nil)
	testwait.Until(t, "the error of a port", func() bool {
		e := balancer(t, c, "shop")
		return len(e) == 1 && e[0].Ports[1].Error != nil && *e[0].Ports[1].Error == "landfall.dev/PortConflict"
	})
	testwait.Until(t, "the error of the Ingress", func() bool {
		return ingressAddress(t, c, "portal") == "192.0.2.10 80 443:landfall.dev/Refused"
	})
	testwait.Until(t, "the condition to be false", func() bool { return condition(t, c, "marked").Status == metav1.ConditionFalse })
	if m := condition(t, c, "marked").Message; m != "Not served. port 9000: PortConflict" {
		t.Errorf("message: got %q", m)
	}
	c.awaitEvent(t, "marked", "Normal Withdrawn")
	c.awaitEvent(t, "shop", "Served at 192.0.2.10:80; not served: 443 (PortConflict)")
}

// testFindings reports the same findings again and again. That nothing is repeated
// shows when an Event that was asked for later is there.
func testFindings(t *testing.T, c *cluster, r *running) {
	conflict := model.Finding{
		Origin: originOf("Service", "shop"), Field: "spec.ports[1]", Reason: "PortTaken",
		Message: "port 443 is held by web/old; " + strings.Repeat("é", 2000), Accepted: "port 80",
	}
	shop := []*model.Outcome{served(originOf("Service", "shop"), "192.0.2.10", 80, 443)}
	node := model.Finding{Origin: model.Origin{Source: "home", Kind: "Node", Name: "worker1"}, Reason: "NoProbe", Message: "x"}
	other := conflict
	other.Origin.Source = "away"
	other.Reason = "NotOurs"
	for range 5 {
		r.Report(t.Context(), shop, []model.Finding{conflict, conflict, node, other, {Origin: model.Origin{Source: "home"}, Reason: "X"}})
	}
	c.awaitEvent(t, "shop", "Warning PortTaken x1: spec.ports[1]: port 443 is held by web/old; éé")
	// Before it is gone: a finding that went before it was told is not told.
	ofNode := func() []corev1.Event {
		list, err := c.admin.CoreV1().Events("default").List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.kind=Node"})
		must(t, err)
		return list.Items
	}
	testwait.Until(t, "the Event of the node", func() bool { return len(ofNode()) > 0 })
	later := conflict
	later.Reason, later.Message = "Later", "and another"
	r.Report(t.Context(), shop, []model.Finding{conflict, later})
	c.awaitEvent(t, "shop", "Warning Later x1: spec.ports[1]: and another (served all the same: port 80)")
	// Gone and back again is worth telling again, on the same Event.
	r.Report(t.Context(), shop, []model.Finding{conflict})
	last := conflict
	last.Reason = "Last"
	r.Report(t.Context(), shop, []model.Finding{last})
	c.awaitEvent(t, "shop", "Warning Last x1")
	r.Report(t.Context(), shop, []model.Finding{conflict, later, last})
	c.awaitEvent(t, "shop", "Warning Later x2")

	for _, e := range c.events(t, "shop") {
		if strings.Contains(e, "NotOurs") || strings.Contains(e, "Last x2") {
			t.Errorf("told: %s", e)
		}
		if len(e) > 1024+len("Warning PortTaken x1: ") {
			t.Errorf("an Event of %d bytes", len(e))
		}
	}
	if events := ofNode(); len(events) != 1 || events[0].Reason != "NoProbe" {
		t.Errorf("events of the node: got %v", events)
	}
}

// testUnmarked takes away what a Service asked for: what was said of it goes.
func testUnmarked(t *testing.T, c *cluster, r *running) {
	shop := served(originOf("Service", "shop"), "192.0.2.10", 80, 443)
	// Without an outcome, but still asking: whoever reports has not seen it yet.
	r.Report(t.Context(), []*model.Outcome{shop}, nil)
	unmark := `{"metadata":{"annotations":{"landfall.dev/expose":null}}}`
	_, err := c.admin.CoreV1().Services("web").Patch(t.Context(), "marked", types.StrategicMergePatchType, []byte(unmark), metav1.PatchOptions{})
	must(t, err)
	testwait.Until(t, "the condition to go", func() bool { return condition(t, c, "marked").Type == "" })
	if got := ingressAddress(t, c, "portal"); got == "" {
		t.Error("the Ingress lost its status while it asks to be served")
	}
	expectTheirs(t, c)
}

// testRestart begins with what another process left: it has to find out by itself
// what is there of its own.
func testRestart(t *testing.T, c *cluster, kubeconfig string) {
	patch := `{"spec":{"ingressClassName":"somebody-elses"}}`
	_, err := c.admin.NetworkingV1().Ingresses("web").Patch(t.Context(), "portal", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	must(t, err)
	before := c.events(t, "shop")
	version := c.service(t, "shop").ResourceVersion
	r := run(t, kube.Config{Kubeconfig: kubeconfig, Options: options()})
	// Before it has read anything, it knows nothing, whatever it is told.
	r.Report(t.Context(), nil, nil)
	r.synced(t)
	finding := model.Finding{Origin: originOf("Service", "shop"), Field: "spec.ports[1]", Reason: "Later", Message: "and another", Accepted: "port 80"}
	r.Report(t.Context(), []*model.Outcome{served(originOf("Service", "shop"), "192.0.2.10", 80, 443)}, []model.Finding{finding})
	testwait.Until(t, "the status of the Ingress to go", func() bool { return ingressAddress(t, c, "portal") == "" })
	c.awaitEvent(t, "portal", "Normal Withdrawn x1: No longer served by edge shore")

	marker := finding
	marker.Reason = "AfterRestart"
	r.Report(t.Context(), []*model.Outcome{served(originOf("Service", "shop"), "192.0.2.10", 80, 443)}, []model.Finding{finding, marker})
	c.awaitEvent(t, "shop", "AfterRestart")
	if after := c.events(t, "shop"); len(after) != len(before)+1 {
		t.Errorf("a restart told again: got\n%s\nbefore\n%s", strings.Join(after, "\n"), strings.Join(before, "\n"))
	}
	if now := c.service(t, "shop").ResourceVersion; now != version {
		t.Errorf("a restart wrote a status that was right")
	}
	expectTheirs(t, c)
}
