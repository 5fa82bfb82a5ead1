package haproxy_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"testing"

	"github.com/landfall-edge/landfall/internal/testload"
	"github.com/landfall-edge/landfall/internal/testnet"
)

func newClient(port uint16) *testload.Client {
	return &testload.Client{Address: fmt.Sprintf("127.0.0.1:%d", port)}
}

// getFrom asks shop.test from an address of this machine.
func getFrom(t testing.TB, from string, port uint16) string {
	t.Helper()
	c := newClient(port)
	c.From = from
	defer c.Close()
	answer, err := c.Post("shop.test", "/", false)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// startLoad starts as many clients with kept connections as with a new connection
// per request; none of their requests may fail.
func startLoad(t *testing.T, port uint16, clients int, hosts ...string) *testload.Load {
	t.Helper()
	return testload.Start(t, testload.Config{Address: fmt.Sprintf("127.0.0.1:%d", port), Clients: clients, Hosts: hosts})
}

// startEndpoint starts a server that can really stop.
func startEndpoint(t testing.TB, name string) *testload.Server {
	t.Helper()
	return testload.Serve(t, "127.0.0.1:0", name)
}

// endpoint is a server of the test's own making.
type endpoint struct {
	*http.Server
	address   netip.AddrPort
	protocols *http.Protocols
}

func (e *endpoint) start(t testing.TB, address string, h http.Handler) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	e.address = netip.MustParseAddrPort(l.Addr().String())
	e.Server = &http.Server{Handler: h, Protocols: e.protocols}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := e.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("endpoint: %v", err)
		}
	}()
	t.Cleanup(func() {
		e.Close()
		<-done
	})
}

// handle is an endpoint of the test's own making.
func handle(t testing.TB, h http.HandlerFunc) netip.AddrPort {
	t.Helper()
	return testnet.Serve(t, "127.0.0.1:0", h).Address
}
