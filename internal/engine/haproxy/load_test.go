package haproxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// client is one HTTP/1.1 client that never retries: a kept connection that is
// closed without an announcement is a failed request.
type client struct {
	from    string // source address
	port    uint16
	conn    net.Conn
	answers *bufio.Reader
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// post sends one request and returns who answered.
func (c *client) post(host, path string, keep bool) (string, error) {
	if c.conn == nil {
		d := net.Dialer{Timeout: testwait.Patience}
		if c.from != "" {
			d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(c.from)}
		}
		conn, err := d.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", c.port))
		if err != nil {
			return "", err
		}
		c.conn, c.answers = conn, bufio.NewReader(conn)
	}
	c.conn.SetDeadline(time.Now().Add(testwait.Patience))
	connection := ""
	if !keep {
		connection = "Connection: close\r\n"
	}
	const body = "what a client sends"
	_, err := fmt.Fprintf(c.conn, "POST %s HTTP/1.1\r\nHost: %s\r\n%sContent-Length: %d\r\n\r\n%s", path, host, connection, len(body), body)
	if err != nil {
		c.close()
		return "", err
	}
	resp, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		c.close()
		return "", err
	}
	answer, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.Close {
		c.close()
	}
	if err == nil && resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d: %s", resp.StatusCode, answer)
	}
	return string(answer), err
}

// getFrom asks shop.test from an address of this machine.
func getFrom(t testing.TB, from string, port uint16) string {
	t.Helper()
	c := client{from: from, port: port}
	defer c.close()
	answer, err := c.post("shop.test", "/", false)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// load is clients at work until stop. Each request goes to one of hosts and must
// be answered by a server whose name begins with the host's.
type load struct {
	t       *testing.T
	hosts   atomic.Pointer[[]string]
	sent    atomic.Int64
	stopped context.CancelFunc
	wg      sync.WaitGroup
}

// startLoad starts as many clients with kept connections as with a new connection
// per request.
func startLoad(t *testing.T, port uint16, clients int, hosts ...string) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{t: t, stopped: cancel}
	l.hosts.Store(&hosts)
	for i := range 2 * clients {
		l.wg.Go(func() { l.work(ctx, &client{port: port}, i%2 == 0, i) })
	}
	t.Cleanup(func() { l.stop() })
	testwait.Until(t, "load has begun", func() bool { return l.sent.Load() > int64(10*clients) })
	return l
}

func (l *load) work(ctx context.Context, c *client, keep bool, n int) {
	defer c.close()
	tick := time.NewTicker(8 * time.Millisecond)
	defer tick.Stop()
	for ; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		hosts := *l.hosts.Load()
		host := hosts[n%len(hosts)]
		answer, err := c.post(host, "/x", keep)
		l.sent.Add(1)
		if err != nil {
			l.t.Errorf("request failed (kept connection: %t): %v", keep, err)
		} else if want, _, _ := strings.Cut(host, "."); !strings.HasPrefix(answer, want) {
			l.t.Errorf("a request for %s was answered by %q", host, answer)
		}
	}
}

// after waits until so many requests more have been answered.
func (l *load) after(requests int64) {
	l.t.Helper()
	until := l.sent.Load() + requests
	testwait.Until(l.t, "load goes on", func() bool { return l.sent.Load() >= until })
}

func (l *load) stop() {
	l.stopped()
	l.wg.Wait()
}

// endpoint is a server that can really stop, as a pod does: it refuses
// connections, closes idle ones, and finishes what it is answering.
type endpoint struct {
	*http.Server
	address   netip.AddrPort
	protocols *http.Protocols
	asked     atomic.Int64
}

func startEndpoint(t testing.TB, name string) *endpoint {
	t.Helper()
	e := &endpoint{}
	e.start(t, "127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.asked.Add(1)
		io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, name)
	}))
	return e
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
