package haproxy_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// TestSourceRanges: who may connect does, and who may not is cut off before it
// has said anything; the list is that of the state after a change too.
func TestSourceRanges(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	port := testnet.FreePort(t)
	want := webState(port, httpBackend("home/web/shop/80/http", serve(t, "shop")))
	allow := func(prefixes ...string) {
		l := *want.Listeners[0]
		l.SourceRanges = nil
		for _, p := range prefixes {
			l.SourceRanges = append(l.SourceRanges, netip.MustParsePrefix(p))
		}
		want.Listeners = []*model.Listener{&l}
		e.apply(want)
	}
	passes := func(from string) bool {
		c := newClient(port)
		c.From = from
		defer c.Close()
		_, err := c.Post("shop.test", "/", false)
		return err == nil
	}
	allow("127.0.0.4/31", "2001:db8::/32")
	for from, want := range map[string]bool{"127.0.0.3": false, "127.0.0.4": true, "127.0.0.5": true, "127.0.0.6": false} {
		if got := passes(from); got != want {
			t.Errorf("client %s passes: %t, want %t", from, got, want)
		}
	}
	allow("127.0.0.6/32")
	if passes("127.0.0.4") || !passes("127.0.0.6") {
		t.Error("the list is that of before")
	}
	allow()
	if !passes("127.0.0.4") {
		t.Error("without a list not everybody passes")
	}
}

// TestProxyProtocol: endpoints are told the client's address, in both versions
// and for endpoints that are there from the start as for those that come later.
func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	for version, read := range map[int]func(*bufio.Reader) (string, error){1: readProxyV1, 2: readProxyV2} {
		t.Run(fmt.Sprintf("v%d", version), func(t *testing.T) {
			t.Parallel()
			told := make(chan string, 10)
			pod := func(name string) netip.AddrPort {
				return acceptor(t, func(c net.Conn) {
					r := bufio.NewReader(c)
					source, err := read(r)
					if err != nil {
						source = err.Error()
					}
					if _, err := http.ReadRequest(r); err != nil {
						source = err.Error()
					}
					told <- source
					fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(name), name)
				})
			}
			e := newEdge(t)
			port := testnet.FreePort(t)
			first, later := pod("first"), pod("later")
			for i, p := range []netip.AddrPort{first, later} {
				b := httpBackend("home/web/shop/80/http", p)
				b.SendProxy = version
				done := e.apply(webState(port, b))
				if i == 1 && done.Way != engine.Runtime {
					t.Errorf("an endpoint by %q: %s", done.Way, done.Cause)
				}
				getFrom(t, "127.0.0.9", port)
				if got := <-told; got != "127.0.0.9" {
					t.Errorf("the endpoint was told %q, want 127.0.0.9", got)
				}
			}
		})
	}
}

func readProxyV1(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if f := strings.Fields(line); err == nil && len(f) == 6 && f[0] == "PROXY" && f[1] == "TCP4" {
		return f[2], nil
	}
	return "", fmt.Errorf("%q is no PROXY line: %w", line, err)
}

// readProxyV2 reads the binary header of the PROXY protocol, section 2.2.
func readProxyV2(r *bufio.Reader) (string, error) {
	head := make([]byte, 16)
	if _, err := io.ReadFull(r, head); err != nil {
		return "", err
	}
	if string(head[:12]) != "\r\n\r\n\x00\r\nQUIT\n" || head[12] != 0x21 || head[13] != 0x11 {
		return "", fmt.Errorf("% x is no PROXY header of TCP over IPv4", head)
	}
	addresses := make([]byte, binary.BigEndian.Uint16(head[14:]))
	if _, err := io.ReadFull(r, addresses); err != nil {
		return "", err
	}
	return netip.AddrFrom4([4]byte(addresses)).String(), nil
}

// TestCheckOnAnotherPort: as with externalTrafficPolicy Local, a node port answers
// on every node, and another port tells whether the node has an endpoint.
func TestCheckOnAnotherPort(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.run()
	port := testnet.FreePort(t)
	one, two := startNode(t, "n1", "127.0.0.31"), &node{name: "n2"}
	two.health = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.32"), one.health.Port())
	second := &endpoint{}
	second.start(t, two.health.String(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if two.sick.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	service := &endpoint{}
	service.start(t, "127.0.0.32:0", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "shop on n2") }))
	two.port, two.service = service.address, service

	b := httpBackend("home/web/shop/80/http", one.port, two.port)
	b.Check = &model.Check{HTTP: "/healthz", Port: one.health.Port()}
	e.apply(webState(port, b))
	seen := func(n int) bool {
		answers := map[string]bool{}
		for range 6 {
			if code, body := get(t, port, "shop.test", "/"); code == http.StatusOK {
				answers[body] = true
			}
		}
		return len(answers) == n
	}
	testwait.Until(t, "both serve", func() bool { return seen(2) })
	two.sick.Store(true)
	testwait.Until(t, "the node without an endpoint leaves", func() bool { return seen(1) })
	two.sick.Store(false)
	testwait.Until(t, "it comes back", func() bool { return seen(2) })
}
