package haproxy_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/testload"
	"github.com/landfall-edge/landfall/internal/testnet"
)

// These tests are the law of no lost request: clients that never retry, on kept
// and on new connections, while everything about the edge changes.

// TestEndpointChurn: endpoints come and go, ten changes a second, and those that
// went really stop 300 ms later.
func TestEndpointChurn(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.run()
	port := testnet.FreePort(t)
	const name = "home/web/shop/80/http"
	var pods []*testload.Server
	state := func() model.State {
		b := httpBackend(name)
		for _, p := range pods {
			b.Endpoints = append(b.Endpoints, model.Endpoint{Address: p.Address})
		}
		return webState(port, b)
	}
	for range 3 {
		pods = append(pods, startEndpoint(t, "shop"))
	}
	e.apply(state())
	l := startLoad(t, port, 6, "shop.test")

	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for i := range 40 {
		<-tick.C
		var gone *testload.Server
		if i%2 == 0 {
			pods = append(pods, startEndpoint(t, "shop"))
		} else {
			gone, pods = pods[0], pods[1:]
		}
		if done := e.apply(state()); done.Way != engine.Runtime {
			t.Fatalf("change %d by %q: %s", i, done.Way, done.Cause)
		}
		if gone != nil {
			time.AfterFunc(300*time.Millisecond, func() { gone.Shutdown(t.Context()) })
		}
	}
	l.After(200)
	l.Stop()
	for i, p := range pods {
		if p.Asked.Load() == 0 {
			t.Errorf("endpoint %d got no request", i)
		}
	}
	stats, err := e.Stats(t.Context(), engine.Brief)
	if err != nil {
		t.Fatal(err)
	}
	if stats.Reloads != 0 || len(stats.Workers) != 1 {
		t.Errorf("%d reloads, workers %v, want none and one", stats.Reloads, stats.Workers)
	}
}

// TestReloadsUnderLoad: ports open and close, a reload each, and with each all
// endpoints are replaced; the ones before really stop 300 ms later.
func TestReloadsUnderLoad(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.run()
	port := testnet.FreePort(t)
	pod := startEndpoint(t, "shop")
	e.apply(webState(port, httpBackend("home/web/shop/80/http", pod.Address)))
	l := startLoad(t, port, 6, "shop.test")
	for i := range 10 {
		gone := pod
		pod = startEndpoint(t, "shop")
		want := webState(port, httpBackend("home/web/shop/80/http", pod.Address))
		want.Listeners = append(want.Listeners, tcpListener(fmt.Sprintf("home/web/other/%d", i), testnet.FreePort(t)))
		sortState(&want)
		if done := e.apply(want); done.Way != engine.Reload {
			t.Fatalf("a new port by %q", done.Way)
		}
		time.AfterFunc(300*time.Millisecond, func() { gone.Shutdown(t.Context()) })
		l.After(200)
	}
	l.Stop()
}

// TestNewRoutesUnderLoad: a route serves as soon as Apply returns, and no request
// meets another's backend.
func TestNewRoutesUnderLoad(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.run()
	port := testnet.FreePort(t)
	var want model.State
	want.Listeners = []*model.Listener{httpListener(port)}
	for _, name := range []string{"red", "green", "blue"} {
		want.Backends = append(want.Backends, httpBackend("home/web/"+name+"/80/http", serve(t, name)))
		want.Routes = append(want.Routes, httpRoute(name+".test", "/", false, "home/web/"+name+"/80/http"))
	}
	hosts := []string{"red.test", "green.test", "blue.test"}
	sortState(&want)
	e.apply(want)
	l := startLoad(t, port, 6, hosts...)
	for i := range 30 {
		color := []string{"red", "green", "blue"}[i%3]
		host := fmt.Sprintf("%s.n%d.test", color, i)
		if i%2 == 0 { // a wildcard, and an exact path beside it
			want.Routes = append(slices.Clone(want.Routes),
				httpRoute(fmt.Sprintf("*.n%d.test", i), "/", false, "home/web/"+color+"/80/http"),
				httpRoute(host, "/x", true, "home/web/"+color+"/80/http"))
		} else {
			want.Routes = append(slices.Clone(want.Routes), httpRoute(host, "/", false, "home/web/"+color+"/80/http"))
		}
		sortState(&want)
		if done := e.apply(want); done.Way != engine.Runtime {
			t.Fatalf("route %d by %q: %s", i, done.Way, done.Cause)
		}
		if code, answer := get(t, port, host, "/x"); code != http.StatusOK || answer != color {
			t.Fatalf("%s is answered %d %q", host, code, answer)
		}
		more := append(slices.Clone(hosts), host)
		l.SetHosts(more...)
		hosts = more
		l.After(30)
	}
	l.Stop()
}

// TestRouteLeavesAnEmptiedBackend: in one change a route goes to another backend
// and the one before loses all its endpoints. No request meets it empty.
func TestRouteLeavesAnEmptiedBackend(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	port := testnet.FreePort(t)
	const a, b = "home/web/a/80/http", "home/web/b/80/http"
	pod := &endpoint{}
	pod.start(t, "0.0.0.0:0", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "shop") }))
	var pods []netip.AddrPort
	for i := range 200 {
		pods = append(pods, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 1, byte(i)}), pod.address.Port()))
	}
	state := func(full, empty string) model.State {
		s := webState(port, httpBackend(full, pods...))
		s.Backends = append(s.Backends, httpBackend(empty))
		sortState(&s)
		return s
	}
	e.apply(state(a, b))
	l := startLoad(t, port, 8, "shop.test")
	for i := range 20 {
		want := state(a, b)
		if i%2 == 0 {
			want = state(b, a)
		}
		if done := e.apply(want); done.Way != engine.Runtime {
			t.Fatalf("change %d by %q: %s", i, done.Way, done.Cause)
		}
		l.After(20)
	}
	l.Stop()
}
