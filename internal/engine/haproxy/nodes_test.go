package haproxy_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// node is a machine of a cluster: its kube-proxy, and a node port.
type node struct {
	name    string
	sick    atomic.Bool // kube-proxy answers 503
	asked   atomic.Int64
	health  netip.AddrPort
	port    netip.AddrPort
	service *endpoint
}

// startNode answers on an address of this machine; answers 127.0.0.0/8 and ::1.
func startNode(t testing.TB, name, address string) *node {
	t.Helper()
	n := &node{name: name, service: &endpoint{}}
	kubeProxy := &endpoint{}
	kubeProxy.start(t, net.JoinHostPort(address, "0"), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n.sick.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	n.service.start(t, net.JoinHostPort(address, "0"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.asked.Add(1)
		io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, "shop on "+name)
	}))
	n.health, n.port = kubeProxy.address, n.service.address
	return n
}

func (n *node) probe(assumed bool) *model.Probe {
	return &model.Probe{Name: "home/" + n.name, Address: n.health.Addr(), Port: n.health.Port(), Path: "/healthz", Assumed: assumed}
}

func nodesState(port uint16, assumed bool, nodes ...*node) model.State {
	b := httpBackend("home/web/shop/80/http")
	var probes []*model.Probe
	for _, n := range nodes {
		b.Endpoints = append(b.Endpoints, model.Endpoint{Address: n.port, Probe: "home/" + n.name, Target: n.name})
		probes = append(probes, n.probe(assumed))
	}
	s := webState(port, b)
	s.Probes = probes
	return s
}

// TestNodeDies: when the probe of a node fails, its endpoints get no request, and
// none is lost when they stop; when it answers again they serve again.
func TestNodeDies(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	changed, _ := e.run()
	port := testnet.FreePort(t)
	one, two := startNode(t, "n1", "127.0.0.21"), startNode(t, "n2", "127.0.0.22")
	want := nodesState(port, false, one, two)
	e.apply(want)
	up := func(n *node) bool { return e.Health()["home/"+n.name].Up }
	testwait.Until(t, "both nodes are up", func() bool { return up(one) && up(two) })
	select { // what was up is news
	case <-changed:
	default:
		t.Error("nobody was told that the nodes are up")
	}
	l := startLoad(t, port, 4, "shop.test")
	testwait.Until(t, "both nodes serve", func() bool { return one.asked.Load() > 0 && two.asked.Load() > 0 })

	one.sick.Store(true)
	<-changed
	if up(one) || !up(two) || !e.Health()["home/n1"].Answered {
		t.Errorf("after one died: %+v", e.Health())
	}
	stats, err := e.Stats(t.Context(), engine.Whole)
	if err != nil {
		t.Fatal(err)
	}
	health := stats.Backends["home/web/shop/80/http"].Endpoints
	if health[one.port].Health != "down" || health[two.port].Health != "up" {
		t.Errorf("endpoints are %+v", health)
	}
	// A server that ends loses what was sent to it at that moment.
	testwait.Until(t, "what the dead node was asked is answered", func() bool {
		stats, err := e.Stats(t.Context(), engine.Whole)
		return err == nil && stats.Backends["home/web/shop/80/http"].Endpoints[one.port].Sessions == 0
	})
	if err := one.service.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.After(100)

	back := &endpoint{}
	back.start(t, one.port.String(), one.service.Handler)
	before := one.asked.Load()
	one.sick.Store(false)
	<-changed
	testwait.Until(t, "the node serves again", func() bool { return one.asked.Load() > before })
	l.Stop()
}

// TestAssumedNodes: a node that is assumed to be up serves without being asked by
// HAProxy, and is asked by us; both ways round the switch takes no reload.
func TestAssumedNodes(t *testing.T) {
	t.Parallel()
	needMovingChecks(t)
	for _, address := range []string{"127.0.0.23", "::1"} {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t)
			changed, _ := e.run()
			port := testnet.FreePort(t)
			n := startNode(t, "n1", address)
			n.sick.Store(true)
			e.apply(nodesState(port, true, n))
			<-changed
			if h := e.Health()["home/n1"]; h.Up || h.Answered {
				t.Errorf("a node that never answered is %+v", h)
			}
			serves := func(want int) func() bool {
				return func() bool {
					code, _ := get(t, port, "shop.test", "/")
					return code == want
				}
			}
			testwait.Until(t, "an assumed node serves", serves(http.StatusOK))

			n.sick.Store(false)
			<-changed
			if h := e.Health()["home/n1"]; !h.Up || !h.Answered {
				t.Errorf("a node that answers is %+v", h)
			}
			turn := func(assumed bool) {
				t.Helper()
				if done := e.apply(nodesState(port, assumed, n)); done.Way != engine.Runtime {
					t.Fatalf("assumed %t by %q: %s", assumed, done.Way, done.Cause)
				}
			}
			turn(false)
			if !serves(http.StatusOK)() {
				t.Error("a node that answers does not serve")
			}
			n.sick.Store(true)
			testwait.Until(t, "a dead node leaves", serves(http.StatusServiceUnavailable))
			testwait.Until(t, "it is told", func() bool { return !e.Health()["home/n1"].Up })
			turn(true)
			testwait.Until(t, "an assumed node serves again", serves(http.StatusOK))

			e.reopen()
			if done := e.apply(nodesState(port, true, n)); done.Way != engine.Nothing {
				t.Errorf("a restarted agent did %q: %s", done.Way, done.Cause)
			}
		})
	}
}
