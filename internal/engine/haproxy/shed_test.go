package haproxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/testload"
	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// TestSlowClients: 500 clients that send a byte of a header now and then are told so
// after ten seconds, however many bytes they sent, and somebody else is served
// meanwhile.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	port := testnet.FreePort(t)
	e.apply(webState(port, httpBackend("home/web/shop/80/http", serve(t, "shop"))))
	start := time.Now()
	var slow sync.WaitGroup
	for range 500 {
		conn := dial(t, port)
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: shop.test\r\nX: ")
		ctx, gone := context.WithCancel(t.Context())
		slow.Go(func() {
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
					conn.Write([]byte("x"))
				}
			}
		})
		slow.Go(func() {
			defer gone()
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || resp.StatusCode != http.StatusRequestTimeout {
				t.Errorf("a slow client gets %v, %v", resp, err)
			}
			if took := time.Since(start); took < 9*time.Second { // its clock is a little coarse
				t.Errorf("a slow client is gone after %s, and may take 10s", took)
			}
		})
	}
	done := make(chan struct{})
	go func() { slow.Wait(); close(done) }()
	served := 0
	for {
		select {
		case <-done:
			t.Logf("the last of them went after %s; %d others were served meanwhile", time.Since(start), served)
			if served == 0 {
				t.Error("nobody else was served")
			}
			return
		default:
			if code, _ := get(t, port, "shop.test", "/"); code != http.StatusOK {
				t.Fatalf("somebody else gets %d", code)
			}
			served++
		}
	}
}

// TestFull: clients that have all connections that they may leave room for what
// changes the edge and what holds its nodes up. One more is refused, those that are
// served go on, and when one goes another may come.
func TestFull(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	port, tcpPort := testnet.FreePort(t), testnet.FreePort(t)
	const db = "home/db/pg/1"
	b := httpBackend("home/web/shop/80/http", serve(t, "shop"))
	b.Endpoints[0].Probe = "home/n1"
	want := webState(port, b)
	want.Listeners = append(want.Listeners, tcpListener(db, tcpPort))
	want.Routes = append(want.Routes, &model.Route{Name: db, Listener: db, Backends: []model.WeightedBackend{{Name: db, Weight: 1}}})
	pg := &model.Backend{Name: db, Protocol: model.TCP, Endpoints: []model.Endpoint{{Address: tcpEcho(t)}}}
	want.Backends = append(want.Backends, pg)
	want.Probes = []*model.Probe{{Name: "home/n1", Address: loopback[0], Port: 1, Path: "/healthz", Assumed: true}}
	sortState(&want)
	e.apply(want)
	stats := filepath.Join(e.config.RunDir, "haproxy.sock")
	// As if there were few files: 200 connections in all, of which clients have 100.
	ask(t, stats, "set maxconn global 200")
	ask(t, stats, "experimental-mode on; set var proc.clients int(100)")
	kept := &testload.Client{Address: fmt.Sprintf("127.0.0.1:%d", port)}
	defer kept.Close()
	stillServed := func() {
		t.Helper()
		if answer, err := kept.Post("shop.test", "/", true); err != nil || answer != "shop" || !kept.Open() {
			t.Errorf("a kept connection: %q, %v", answer, err)
		}
	}
	stillServed()
	var held []net.Conn
	for range 300 {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", tcpPort))
		if err == nil {
			t.Cleanup(func() { conn.Close() })
			held = append(held, conn)
		}
	}
	testwait.Until(t, "clients have all that they may", func() bool { return !connects(tcpPort) })

	asked := func() int { return okRequests(t, stats) }
	before := asked()
	testwait.Until(t, "node is asked again", func() bool { return asked() > before+6 })
	more := *b
	more.Endpoints = append([]model.Endpoint{{Address: serve(t, "shop"), Probe: "home/n1"}}, b.Endpoints...)
	sortEndpoints(&more)
	want.Backends = []*model.Backend{&more, pg}
	sortState(&want)
	if done := e.apply(want); done.Way != engine.Runtime {
		t.Errorf("an endpoint by %q: %s", done.Way, done.Cause)
	}
	stillServed()
	s, err := e.Stats(t.Context(), engine.Whole)
	if err != nil || len(s.Workers) == 0 || s.Workers[0].Connections > 150 {
		t.Errorf("%+v, %v", s.Workers, err)
	}
	if connects(tcpPort) || connects(port) {
		t.Error("one connection more is taken")
	}
	for _, c := range held {
		c.Close()
	}
	testwait.Until(t, "others may come", func() bool { return connects(tcpPort) })
}

// connects reports whether a connection is taken, and not closed at once.
func connects(port uint16) bool {
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(testwait.Patience))
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
	_, err = bufio.NewReader(conn).ReadString('\n')
	return err == nil
}

// okRequests is how often HAProxy answered for nodes that are assumed to be up.
func okRequests(t *testing.T, stats string) int {
	t.Helper()
	var header []string
	for line := range strings.Lines(ask(t, stats, "show stat")) {
		fields := strings.Split(strings.TrimPrefix(line, "# "), ",")
		if header == nil {
			header = fields
		}
		for i, name := range header {
			if fields[0] == "landfall-ok" && fields[1] == "FRONTEND" && name == "req_tot" {
				var n int
				fmt.Sscan(fields[i], &n)
				return n
			}
		}
	}
	t.Fatal("no landfall-ok in show stat")
	return 0
}

// TestRequestSizes: what fits is served, and what does not gets a client's error; so
// does nobody else.
func TestRequestSizes(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	port := testnet.FreePort(t)
	e.apply(webState(port, httpBackend("home/web/shop/80/http", handle(t, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
	}))))
	many := func(n int) string { return strings.Repeat("X: a\r\n", n) }
	for _, c := range []struct {
		what, path, headers string
		codes               string
	}{
		{"a header of 14,000 bytes", "/", "X: " + strings.Repeat("a", 14_000) + "\r\n", "200"},
		{"one of 16,000", "/", "X: " + strings.Repeat("a", 16_000) + "\r\n", "400 431"},
		{"one of 1,000,000", "/", "X: " + strings.Repeat("a", 1_000_000) + "\r\n", "400 431"},
		{"a path of 14,000 bytes", "/" + strings.Repeat("a", 14_000), "", "200"},
		{"one of 20,000", "/" + strings.Repeat("a", 20_000), "", "400 414"},
		{"97 headers", "/", many(96), "200"},
		{"more than 100", "/", many(101), "400 431"},
	} {
		conn := dial(t, port)
		go fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: shop.test\r\n%s\r\n", c.path, c.headers)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || !strings.Contains(c.codes, fmt.Sprint(resp.StatusCode)) {
			t.Errorf("%s: %v %v, want %s", c.what, resp, err, c.codes)
		}
		if code, _ := get(t, port, "shop.test", "/"); code != http.StatusOK {
			t.Errorf("after %s others get %d", c.what, code)
		}
	}
	// A body is as long as it likes: this one is many times what HAProxy holds of it.
	const size = 64 << 20
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, fmt.Sprintf("http://127.0.0.1:%d/", port), io.LimitReader(zeros{}, size))
	if err != nil {
		t.Fatal(err)
	}
	req.Host, req.ContentLength = "shop.test", size
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("a body of %d bytes: %s", size, resp.Status)
	}
}

// zeros are without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestLargerHeaders: an operator who needs larger ones says so in a file of his own.
func TestLargerHeaders(t *testing.T) {
	t.Parallel()
	own := filepath.Join(t.TempDir(), "own.cfg")
	if err := os.WriteFile(own, []byte("global\n  tune.bufsize 65536\n  tune.http.maxhdr 500\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := newEdge(t, own)
	port := testnet.FreePort(t)
	e.apply(webState(port, httpBackend("home/web/shop/80/http", serve(t, "shop"))))
	conn := dial(t, port)
	go fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: shop.test\r\n%sY: %s\r\n\r\n", strings.Repeat("X: a\r\n", 300), strings.Repeat("a", 40_000))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%v, %v", resp, err)
	}
}
