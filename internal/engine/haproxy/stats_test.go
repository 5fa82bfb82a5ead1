package haproxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// TestCounters: what is counted is what a client sent, to the last request, for
// the listener, the backend and the endpoint; a new worker begins at 0.
func TestCounters(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	web, tcp := testnet.FreePort(t), testnet.FreePort(t)
	shop := testnet.Serve(t, "127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/broken" {
			w.WriteHeader(http.StatusBadGateway)
		}
	})).Address
	echo := acceptor(t, func(c net.Conn) { _, _ = io.Copy(c, c) })
	nobody := netip.MustParseAddrPort(fmt.Sprintf("127.0.0.1:%d", testnet.FreePort(t)))
	const shopName, echoName, goneName = "home/web/shop/80/http", "home/db/echo/7", "home/web/gone/80/http"
	want := model.State{
		Listeners: []*model.Listener{httpListener(web), tcpListener(echoName, tcp)},
		Routes: []*model.Route{
			httpRoute("shop.test", "/", false, shopName), httpRoute("gone.test", "/", false, goneName),
			{Name: echoName, Listener: echoName, Backends: []model.WeightedBackend{{Name: echoName, Weight: 1}}},
		},
		Backends: []*model.Backend{
			httpBackend(shopName, shop), httpBackend(goneName, nobody),
			{Name: echoName, Protocol: model.TCP, Endpoints: []model.Endpoint{{Address: echo}}},
		},
	}
	sortState(&want)
	e.apply(want)

	const good, bad, failing, talks = 37, 3, 2, 5
	for range good {
		get(t, web, "shop.test", "/")
	}
	for range bad {
		get(t, web, "shop.test", "/broken")
	}
	for range failing {
		get(t, web, "gone.test", "/")
	}
	for range talks {
		talk(t, tcp)
	}
	whole := e.counted(engine.Whole, func(s engine.Stats) bool {
		return s.Listeners["main/http"].Requests == good+bad+failing && s.Listeners[echoName].Requests == talks &&
			s.Backends[shopName].Requests == good+bad && s.Backends[shopName].Endpoints[shop].Requests == good+bad &&
			s.Backends[goneName].Requests == failing && s.Backends[echoName].Requests == talks
	})
	if l := whole.Listeners["main/http"]; l.Errors5xx != bad+failing || l.BytesIn == 0 || l.BytesOut == 0 || !l.Open {
		t.Errorf("the listener counts %+v", l)
	}
	if b := whole.Backends[shopName]; b.Active != 1 || b.Errors5xx != bad || b.Endpoints[shop].Errors5xx != bad || b.FailedConnects != 0 {
		t.Errorf("the shop counts %+v", b)
	}
	if b := whole.Backends[goneName]; b.FailedConnects < failing || b.Retries == 0 || b.Errors5xx != failing {
		t.Errorf("who does not answer counts %+v", b)
	}
	if whole.MaxConnections < 100 || len(whole.Workers) != 1 {
		t.Errorf("%d connections at most, workers %v", whole.MaxConnections, whole.Workers)
	}
	brief := e.counted(engine.Brief, func(engine.Stats) bool { return true })
	if b := brief.Backends[shopName]; b.Requests != good+bad || b.Endpoints != nil {
		t.Errorf("in brief the shop counts %+v", b)
	}

	want.Listeners = append(want.Listeners, tcpListener("home/web/other/1", testnet.FreePort(t)))
	sortState(&want)
	e.apply(want)
	get(t, web, "shop.test", "/")
	next := e.counted(engine.Brief, func(s engine.Stats) bool { return s.Listeners["main/http"].Requests == 1 })
	if next.Workers[0].PID == whole.Workers[0].PID {
		t.Error("the next worker is the one before")
	}
}

// counted waits for a connection's end to be counted, too.
func (e *edge) counted(depth engine.Depth, ok func(engine.Stats) bool) (s engine.Stats) {
	e.t.Helper()
	testwait.UntilSeen(e.t, "everything is counted", func() (bool, string) {
		var err error
		if s, err = e.Stats(e.t.Context(), depth); err != nil {
			return false, err.Error()
		}
		return ok(s), fmt.Sprintf("%+v %+v", s.Listeners, s.Backends)
	})
	return s
}

// talk says a line over a connection of its own and hears it again.
func talk(t *testing.T, port uint16) {
	t.Helper()
	c := dial(t, port)
	defer c.Close()
	fmt.Fprintln(c, "hello")
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || line != "hello\n" {
		t.Fatalf("heard %q, %v", line, err)
	}
}
