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
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/engine/haproxy"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/testload"
	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// limited is an edge with a limited route and its neighbours, all by one backend.
type limited struct {
	*edge
	port    uint16
	backend *model.Backend
	held    chan struct{} // one for each request to /hold that is under way
	release chan struct{}
}

func newLimited(t *testing.T) *limited {
	l := &limited{edge: newEdge(t), port: testnet.FreePort(t), held: make(chan struct{}, 100), release: make(chan struct{})}
	l.backend = httpBackend("home/web/shop/80/http", handle(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			l.held <- struct{}{}
			select {
			case <-l.release:
			case <-r.Context().Done():
			}
		}
	}))
	return l
}

// state limits shop.test and more.shop.test, which one object asked for, and not
// free.test.
func (l *limited) state(limit model.Limit) model.State {
	s := webState(l.port, l.backend)
	for _, host := range []string{"more.shop.test", "free.test"} {
		s.Routes = append(s.Routes, httpRoute(host, "/", false, l.backend.Name))
	}
	for _, r := range s.Routes {
		r.Origin = model.Origin{Source: "home", Kind: "Ingress", Namespace: "web", Name: "free"}
		if r.Match.Host != "free.test" {
			r.Origin.Name, r.Limit = "shop", limit
		}
	}
	sortState(&s)
	return s
}

// get asks from an address of this machine, over a connection of its own.
func (l *limited) get(from, host, path string) (int, http.Header) {
	l.t.Helper()
	resp, err := getAs(l.t.Context(), from, l.port, host, path)
	if err != nil {
		l.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode, resp.Header
}

func getAs(ctx context.Context, from string, port uint16, host, path string) (*http.Response, error) {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c := http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", port, path), nil)
	if err != nil {
		return nil, err
	}
	req.Host = host
	return c.Do(req)
}

// exhaust asks until one client gets no more.
func (l *limited) exhaust(from, host string) (answered int) {
	l.t.Helper()
	testwait.Until(l.t, "request over the limit is refused", func() bool {
		code, header := l.get(from, host, "/")
		if code == http.StatusTooManyRequests && header.Get("Retry-After") == "" {
			l.t.Error("a 429 says no Retry-After")
		}
		answered++
		return code == http.StatusTooManyRequests
	})
	return answered - 1
}

// others checks that nobody else is refused anything.
func (l *limited) others(client string) {
	l.t.Helper()
	for _, who := range [][2]string{{client, "free.test"}, {"127.0.0.99", "free.test"}, {"127.0.0.99", "shop.test"}} {
		if code, _ := l.get(who[0], who[1], "/"); code != http.StatusOK {
			l.t.Errorf("%s at %s gets %d", who[0], who[1], code)
		}
	}
}

const limitedClient = "127.0.0.2"

// TestRateLimit: one client is refused what is too much at the routes of one
// object, and nobody else anything. The limit changes at run time.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	l := newLimited(t)
	l.apply(l.state(model.Limit{}))
	if done := l.apply(l.state(model.Limit{Rate: 1})); done.Way != engine.Runtime {
		t.Fatalf("a limit by %q: %s", done.Way, done.Cause)
	}
	if n := l.exhaust(limitedClient, "shop.test"); n < haproxy.LimitWindow {
		t.Errorf("refused after %d requests", n)
	}
	l.others(limitedClient)
	l.exhaust(limitedClient, "more.shop.test")
	l.reopen()
	if done, err := l.try(l.state(model.Limit{Rate: 1})); err != nil || done.Way != engine.Nothing {
		t.Fatalf("a new agent makes a %q: %s, %v", done.Way, done.Cause, err)
	}
	l.exhaust(limitedClient, "shop.test")
	for _, limit := range []model.Limit{{Rate: 100_000}, {}} {
		if done := l.apply(l.state(limit)); done.Way != engine.Runtime {
			t.Fatalf("another limit by %q: %s", done.Way, done.Cause)
		}
		if code, _ := l.get(limitedClient, "shop.test", "/"); code != http.StatusOK {
			t.Errorf("with %+v: %d", limit, code)
		}
	}
}

// TestConnectionLimit: as many requests as are allowed are under way, one more is
// refused, and others are not.
func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	l := newLimited(t)
	l.apply(l.state(model.Limit{Connections: 3}))
	done := make(chan error)
	for range 3 {
		go func() {
			resp, err := getAs(t.Context(), limitedClient, l.port, "shop.test", "/hold")
			if err == nil && resp.StatusCode != http.StatusOK {
				err = fmt.Errorf("a held request gets %d", resp.StatusCode)
			}
			done <- err
		}()
		<-l.held
	}
	for _, host := range []string{"shop.test", "more.shop.test"} {
		if code, header := l.get(limitedClient, host, "/"); code != http.StatusTooManyRequests || header.Get("Retry-After") == "" {
			t.Errorf("a fourth request at %s gets %d %v", host, code, header)
		}
	}
	l.others(limitedClient)
	close(l.release)
	for range 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	testwait.Until(t, "client may ask again", func() bool {
		code, _ := l.get(limitedClient, "shop.test", "/")
		return code == http.StatusOK
	})
}

// TestLimitSurvivesReload: what a client used up stays used up.
func TestLimitSurvivesReload(t *testing.T) {
	t.Parallel()
	l := newLimited(t)
	want := l.state(model.Limit{Rate: 1})
	l.apply(want)
	stats := filepath.Join(l.config.RunDir, "haproxy.sock")
	learnt := func() bool { return resynced(ask(t, stats, "show peers")) }
	testwait.Until(t, "first worker gives up learning", learnt)
	for round := 0; ; round++ {
		client := fmt.Sprintf("127.0.1.%d", round+1)
		l.exhaust(client, "shop.test")
		start := time.Now()
		want.Listeners = append(want.Listeners, tcpListener(fmt.Sprintf("home/web/other/%d", round), testnet.FreePort(t)))
		sortState(&want)
		if done := l.apply(want); done.Way != engine.Reload {
			t.Fatalf("a new port by %q", done.Way)
		}
		testwait.Until(t, "new worker learns", learnt)
		if !strings.Contains(ask(t, stats, "show table landfall-limits"), "key="+client+"/") {
			t.Fatal("the new worker does not know the client")
		}
		code, _ := l.get(client, "shop.test", "/")
		if time.Since(start) > haproxy.LimitWindow*time.Second/2 && round < 10 {
			continue // by then it may ask again
		}
		if code != http.StatusTooManyRequests {
			t.Errorf("after a reload: %d", code)
		}
		return
	}
}

// TestOldWorkerCountsNothing: a request on a connection from before a reload is
// counted by the new worker, with the client's own address, and by nobody else.
func TestOldWorkerCountsNothing(t *testing.T) {
	t.Parallel()
	l := newLimited(t)
	want := l.state(model.Limit{Rate: 100})
	l.apply(want)
	c := &testload.Client{From: limitedClient, Address: fmt.Sprintf("127.0.0.1:%d", l.port)}
	defer c.Close()
	if _, err := c.Post("free.test", "/", true); err != nil {
		t.Fatal(err)
	}
	go getAs(t.Context(), "127.0.0.3", l.port, "free.test", "/hold") // so that the old worker stays
	<-l.held
	want.Listeners = append(want.Listeners, tcpListener("home/web/other/1", testnet.FreePort(t)))
	sortState(&want)
	l.apply(want)
	stats, err := l.Stats(t.Context(), engine.Brief)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Post("shop.test", "/", true); err != nil {
		t.Fatal(err)
	}
	table := ask(t, filepath.Join(l.config.RunDir, "haproxy.sock"), "show table landfall-limits")
	if !strings.Contains(table, "key="+limitedClient+"/") || !strings.Contains(table, "gpc0_rate(5000)=1 ") {
		t.Errorf("the new worker counts:\n%s", table)
	}
	if len(stats.Workers) < 2 {
		t.Fatal("the old worker is gone, though a connection to it was kept")
	}
	for _, w := range stats.Workers[1:] {
		old := ask(t, filepath.Join(l.config.RunDir, "haproxy-master.sock"), fmt.Sprintf("@!%d show table landfall-limits", w.PID))
		if !strings.Contains(old, "landfall-limits") || strings.Contains(old, "key="+limitedClient+"/") {
			t.Errorf("old worker %d counts:\n%s", w.PID, old)
		}
	}
}

// TestTCPLimit: connections to a TCP port are refused beyond a limit, over all
// ports of one object, and those of others are not.
func TestTCPLimit(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	var want model.State
	ports := map[string]uint16{"a": testnet.FreePort(t), "b": testnet.FreePort(t), "free": testnet.FreePort(t)}
	for name, port := range ports {
		full := "home/db/" + name + "/1"
		r := &model.Route{Name: full, Listener: full, Backends: []model.WeightedBackend{{Name: full, Weight: 1}}}
		if name != "free" {
			r.Origin, r.Limit = model.Origin{Name: "shared"}, model.Limit{Connections: 2, Rate: 100_000}
		}
		want.Listeners = append(want.Listeners, tcpListener(full, port))
		want.Routes = append(want.Routes, r)
		want.Backends = append(want.Backends, &model.Backend{Name: full, Protocol: model.TCP, Endpoints: []model.Endpoint{{Address: tcpEcho(t)}}})
	}
	sortState(&want)
	e.apply(want)
	// talks reports whether a connection is taken.
	talks := func(from, name string) (net.Conn, bool) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		conn, err := d.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ports[name]))
		if err != nil {
			return nil, false
		}
		t.Cleanup(func() { conn.Close() })
		fmt.Fprintln(conn, "hello")
		line, err := bufio.NewReader(conn).ReadString('\n')
		return conn, err == nil && line == "hello\n"
	}
	first, ok := talks(limitedClient, "a")
	if !ok {
		t.Fatal("the first connection is refused")
	}
	if _, ok := talks(limitedClient, "b"); !ok {
		t.Fatal("the second connection is refused")
	}
	for _, name := range []string{"a", "b"} {
		if _, ok := talks(limitedClient, name); ok {
			t.Errorf("a third connection is taken by %s", name)
		}
		if _, ok := talks("127.0.0.3", name); !ok {
			t.Errorf("another client is refused by %s", name)
		}
	}
	if _, ok := talks(limitedClient, "free"); !ok {
		t.Error("another port is refused")
	}
	first.Close()
	testwait.Until(t, "client may connect again", func() bool { _, ok := talks(limitedClient, "a"); return ok })
}

// TestLimitTableIsBounded: 200,000 different clients are not remembered, and who
// asks next is served and counted.
func TestLimitTableIsBounded(t *testing.T) {
	t.Parallel()
	l := newLimited(t)
	var want model.State
	want.Listeners = []*model.Listener{httpListener(l.port)}
	const objects, clients = 200, 1000
	for i := range objects {
		r := httpRoute(fmt.Sprintf("h%d.test", i), "/", false, "")
		r.Backends = nil // HAProxy itself answers
		r.Origin, r.Limit = model.Origin{Name: r.Match.Host}, model.Limit{Rate: 1, Connections: 1}
		want.Routes = append(want.Routes, r)
	}
	sortState(&want)
	l.apply(want)
	stats := filepath.Join(l.config.RunDir, "haproxy.sock")
	var requests strings.Builder
	for i := range objects {
		fmt.Fprintf(&requests, "GET / HTTP/1.1\r\nHost: h%d.test\r\n\r\n", i)
	}
	var rss [2]int
	for i := range clients {
		if i == clients/2 {
			rss[0] = memory(t, stats)
		}
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(i/250), byte(1+i%250))}}
		conn, err := d.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", l.port))
		if err != nil {
			t.Fatal(err)
		}
		go io.WriteString(conn, requests.String())
		answers := bufio.NewReader(conn)
		for range objects {
			resp, err := http.ReadResponse(answers, nil)
			if err != nil || resp.StatusCode != http.StatusServiceUnavailable {
				t.Fatalf("client %d: %v %v", i, resp, err)
			}
			io.Copy(io.Discard, resp.Body)
		}
		conn.Close()
	}
	rss[1] = memory(t, stats)
	head, _, _ := strings.Cut(ask(t, stats, "show table landfall-limits"), "\n")
	var used int
	if _, text, ok := strings.Cut(head, "used:"); ok {
		used, _ = strconv.Atoi(text)
	}
	if used == 0 || used > haproxy.LimitTableSize {
		t.Errorf("%d clients are remembered: %s", used, head)
	}
	t.Logf("%s; resident %d kB with half of the clients, %d kB with all", head, rss[0], rss[1])
	if grown := rss[1] - rss[0]; grown > 8<<10 {
		t.Errorf("the second half of the clients takes %d kB", grown)
	}
	l.exhaust("127.2.0.1", "h0.test")
}

// memory is what the worker holds, in kB.
func memory(t *testing.T, stats string) int {
	t.Helper()
	pid := regexp.MustCompile(`(?m)^Pid: (\d+)$`).FindStringSubmatch(ask(t, stats, "show info"))
	if pid == nil {
		t.Fatal("no pid in show info")
	}
	return resident(t, pid[1])
}

// resident is the memory of a process, in kB.
func resident(t *testing.T, pid string) int {
	t.Helper()
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		t.Fatal(err)
	}
	rss := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	if rss == nil {
		t.Fatalf("no VmRSS in %s", status)
	}
	n, _ := strconv.Atoi(string(rss[1]))
	return n
}
