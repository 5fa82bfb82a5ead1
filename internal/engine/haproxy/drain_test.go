package haproxy_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/testload"
	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// TestRemovedEndpointFinishes: a slow request to an endpoint that is removed ends
// with 200, new ones go elsewhere, and then the server is deleted.
func TestRemovedEndpointFinishes(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.run()
	port := testnet.FreePort(t)
	began, release := make(chan struct{}), make(chan struct{})
	slow := handle(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		close(began)
		<-release
		w.Header().Set("Connection", "close") // one that is kept in HAProxy's pool delays the deletion
		fmt.Fprint(w, "slow")
	})
	b := httpBackend("home/web/shop/80/http", slow)
	e.apply(webState(port, b))
	answer := make(chan string, 1)
	go func() {
		c := newClient(port)
		defer c.Close()
		got, err := c.Post("shop.test", "/", true)
		answer <- fmt.Sprint(got, err)
	}()
	<-began

	other := serve(t, "other")
	e.apply(webState(port, httpBackend(b.Name, other)))
	for range 5 {
		if code, body := get(t, port, "shop.test", "/"); code != http.StatusOK || body != "other" {
			t.Errorf("a new request got %d %q", code, body)
		}
	}
	servers := func() string {
		return ask(t, filepath.Join(e.config.RunDir, "haproxy.sock"), "show servers state home:web:shop:80:http")
	}
	gone := fmt.Sprintf("127.0.0.1_%d", slow.Port())
	if !strings.Contains(servers(), gone) {
		t.Error("the server was deleted under its request")
	}
	close(release)
	if got := <-answer; got != "slow<nil>" {
		t.Errorf("the slow request ended with %s", got)
	}
	testwait.Until(t, "the server is deleted", func() bool { return !strings.Contains(servers(), gone) })
}

// TestDrainingEndpoint gets nothing new, over a reload too, and serves again when
// it no longer drains.
func TestDrainingEndpoint(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	port := testnet.FreePort(t)
	one, two := serve(t, "one"), serve(t, "two")
	state := func(drain bool) model.State {
		b := httpBackend("home/web/shop/80/http", one, two)
		b.Endpoints[0].Draining = drain
		return webState(port, b)
	}
	serving := func() (n int) {
		answers := map[string]bool{}
		for range 6 {
			_, body := get(t, port, "shop.test", "/")
			answers[body] = true
		}
		return len(answers)
	}
	for _, drain := range []bool{true, false, true} {
		e.apply(state(drain))
		if n := serving(); (n == 1) != drain {
			t.Errorf("draining %t, and %d serve", drain, n)
		}
	}
	more := state(true)
	more.Listeners = append(more.Listeners, tcpListener("home/web/other/1", testnet.FreePort(t)))
	sortState(&more)
	if done := e.apply(more); done.Way != engine.Reload || serving() != 1 {
		t.Errorf("after a %s the draining endpoint serves", done.Way)
	}
	stats, err := e.Stats(t.Context(), engine.Whole)
	if err != nil || stats.Backends["home/web/shop/80/http"].Endpoints[one].Health != "drain" {
		t.Errorf("it is shown as %+v, %v", stats.Backends, err)
	}
}

// TestOldWorkerLearns: a connection that is kept by a worker from before a reload
// does not go to an endpoint that was removed since, or with the reload.
func TestOldWorkerLearns(t *testing.T) {
	t.Parallel()
	for _, how := range []engine.Way{engine.Runtime, engine.Reload} {
		t.Run(string(how), func(t *testing.T) {
			t.Parallel()
			e := newEdge(t)
			port := testnet.FreePort(t)
			gone, stays := startEndpoint(t, "gone"), startEndpoint(t, "stays")
			const name = "home/web/shop/80/http"
			e.apply(webState(port, httpBackend(name, gone.Address)))
			var kept []*testload.Client
			for range 4 {
				c := newClient(port)
				defer c.Close()
				if _, err := c.Post("shop.test", "/", true); err != nil {
					t.Fatal(err)
				}
				kept = append(kept, c)
			}
			more := func(endpoint *testload.Server, ports int) model.State {
				s := webState(port, httpBackend(name, endpoint.Address))
				for i := range ports {
					s.Listeners = append(s.Listeners, tcpListener(fmt.Sprintf("home/web/other/%d", i), testnet.FreePort(t)))
				}
				sortState(&s)
				return s
			}
			want := more(stays, 1)
			if how == engine.Runtime { // the reload comes first
				want.Backends = []*model.Backend{httpBackend(name, gone.Address)}
				e.apply(want)
				want.Backends = []*model.Backend{httpBackend(name, stays.Address)}
			}
			if done := e.apply(want); done.Way != how {
				t.Fatalf("by %q: %s", done.Way, done.Cause)
			}
			before := gone.Asked.Load()
			for i, c := range kept {
				if !c.Open() {
					t.Fatal("the connection was not kept")
				}
				if answer, err := c.Post("shop.test", "/", true); err != nil || answer != "stays" {
					t.Errorf("kept connection %d: %q, %v", i, answer, err)
				}
			}
			if gone.Asked.Load() != before {
				t.Error("the removed endpoint was asked")
			}
		})
	}
}

// TestStopDrains: what was begun is finished, kept connections are answered once
// more and closed, new ones are refused, and then all is over.
func TestStopDrains(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	port := testnet.FreePort(t)
	began, release := make(chan struct{}, 1), make(chan struct{})
	pod := handle(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/slow" {
			began <- struct{}{}
			<-release
		}
		fmt.Fprint(w, "shop")
	})
	e.apply(webState(port, httpBackend("home/web/shop/80/http", pod)))
	kept := newClient(port)
	defer kept.Close()
	if _, err := kept.Post("shop.test", "/", true); err != nil {
		t.Fatal(err)
	}
	answer := make(chan string, 1)
	go func() {
		c := newClient(port)
		defer c.Close()
		got, err := c.Post("shop.test", "/slow", true)
		answer <- fmt.Sprint(got, err)
	}()
	<-began
	stopped := make(chan error, 1)
	go func() { stopped <- e.Stop(t.Context(), true) }()
	testwait.Until(t, "new connections are refused", func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	if got, err := kept.Post("shop.test", "/", true); err != nil || got != "shop" || kept.Open() {
		t.Errorf("the kept connection got %q, %v, and was closed: %t", got, err, !kept.Open())
	}
	close(release)
	if got := <-answer; got != "shop<nil>" {
		t.Errorf("what was begun ended with %s", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	have, err := e.Observe(t.Context())
	if err != nil || len(have.Listeners) != 0 {
		t.Errorf("after the end it serves %v, %v", have.Listeners, err)
	}
	if err := e.Cleanup(t.Context()); err != nil {
		t.Error(err)
	}
	for _, dir := range []string{e.config.Dir, e.config.RunDir} {
		if left, err := os.ReadDir(dir); err == nil && len(left) > 0 {
			t.Errorf("%s still has %v", dir, left)
		}
	}
}
