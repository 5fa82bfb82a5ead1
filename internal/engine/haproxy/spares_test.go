package haproxy_test

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// shops are so many backends with a route each, behind one listener.
func shops(t *testing.T, port uint16, n int) model.State {
	t.Helper()
	s := model.State{Listeners: []*model.Listener{httpListener(port)}}
	for i := range n {
		b := fmt.Sprintf("home/web/s%02d/80/http", i)
		s.Routes = append(s.Routes, httpRoute(fmt.Sprintf("s%02d.test", i), "/", false, b))
		s.Backends = append(s.Backends, httpBackend(b, serve(t, fmt.Sprintf("s%02d", i))))
	}
	sortState(&s)
	return s
}

func part(s model.State, from, to int) model.State {
	return model.State{Listeners: s.Listeners, Routes: s.Routes[from:to], Backends: s.Backends[from:to]}
}

func (e *edge) answersAs(port uint16, names ...string) {
	e.t.Helper()
	for _, n := range names {
		if code, body := get(e.t.(*testing.T), port, n+".test", "/"); code != 200 || body != n {
			e.t.Errorf("%s answers %d %q", n, code, body)
		}
	}
}

func TestSparesServeNewBackends(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.config.Spares = 3
	e.reopen()
	port := testnet.FreePort(t)
	s := shops(t, port, 6)
	e.apply(part(s, 0, 1))
	for n := 2; n <= 4; n++ {
		if done := e.apply(part(s, 0, n)); done.Way != engine.Runtime {
			t.Errorf("backend %d by %q (%s), want runtime", n, done.Way, done.Cause)
		}
	}
	e.answersAs(port, "s00", "s01", "s02", "s03")

	// The next agent knows who sits where.
	e.reopen()
	if done := e.apply(part(s, 0, 4)); done.Way != engine.Nothing {
		t.Errorf("a restarted agent did %q (%s), want nothing", done.Way, done.Cause)
	}
	e.answersAs(port, "s01", "s03")

	// Endpoints of a backend in a spare come and go as any.
	more := part(s, 0, 4)
	more.Backends = append([]*model.Backend(nil), more.Backends...)
	two := *more.Backends[3]
	two.Endpoints = append([]model.Endpoint{{Address: serve(t, "s03")}}, two.Endpoints...)
	sortEndpoints(&two)
	more.Backends[3] = &two
	if done := e.apply(more); done.Way != engine.Runtime {
		t.Errorf("an endpoint by %q (%s), want runtime", done.Way, done.Cause)
	}
	e.answersAs(port, "s03")

	// The pool is empty; a reload gives everyone his own and fills it again.
	done := e.apply(part(s, 0, 5))
	if done.Way != engine.Reload || !strings.Contains(done.Cause, "spare") {
		t.Errorf("by %q (%s), want a reload for want of spares", done.Way, done.Cause)
	}
	e.answersAs(port, "s00", "s01", "s02", "s03", "s04")
	stats, err := e.Stats(t.Context(), engine.Brief)
	if err != nil || stats.Spares != 48 || stats.FreeSpares != 48 {
		t.Errorf("%d spares of %d are free (%v), want 16 times as many as before", stats.FreeSpares, stats.Spares, err)
	}
	if done := e.apply(s); done.Way != engine.Runtime {
		t.Errorf("after the reload by %q (%s), want runtime", done.Way, done.Cause)
	}
	e.answersAs(port, "s04", "s05")

	// A reload of another cause brings the pool back to its size.
	s.Listeners = append(s.Listeners, tcpListener("home/web/other/1", testnet.FreePort(t)))
	sortState(&s)
	e.apply(s)
	if stats, err = e.Stats(t.Context(), engine.Brief); err != nil || stats.Spares != 3 {
		t.Errorf("%d spares (%v), want 3", stats.Spares, err)
	}
}

// A spare that was left serves again, without what was in it.
func TestSpareIsUsedAgain(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.config.Spares = 1
	e.reopen()
	port := testnet.FreePort(t)
	s := shops(t, port, 4)
	e.apply(part(s, 0, 1))
	for i := 1; i < 4; i++ {
		want := model.State{
			Listeners: s.Listeners,
			Routes:    []*model.Route{s.Routes[0], s.Routes[i]}, Backends: []*model.Backend{s.Backends[0], s.Backends[i]},
		}
		if done := e.apply(want); done.Way != engine.Runtime {
			t.Errorf("backend %d by %q (%s), want runtime", i, done.Way, done.Cause)
		}
		for range 3 {
			e.answersAs(port, fmt.Sprintf("s%02d", i))
		}
		e.apply(part(s, 0, 1))
		if code, _ := get(t, port, fmt.Sprintf("s%02d.test", i), "/"); code != 404 {
			t.Errorf("a route that went answers %d", code)
		}
		e.Bury()
	}
}

// What needs more than a spare has gets a section of its own.
func TestSpareIsPlain(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.config.Spares = 2
	e.reopen()
	port := testnet.FreePort(t)
	s := shops(t, port, 3)
	e.apply(part(s, 0, 1))
	picky := *s.Backends[1]
	picky.Balance = "leastconn"
	s.Backends[1] = &picky
	if done := e.apply(part(s, 0, 2)); done.Way != engine.Reload {
		t.Errorf("by %q, want reload", done.Way)
	}
	e.apply(s)
	// One that is in a spare asks for more.
	changed := *s.Backends[2]
	changed.Balance = "leastconn"
	s.Backends = []*model.Backend{s.Backends[0], s.Backends[1], &changed}
	if done := e.apply(s); done.Way != engine.Reload || !strings.Contains(done.Cause, "options") {
		t.Errorf("by %q (%s), want a reload for its options", done.Way, done.Cause)
	}
	e.answersAs(port, "s00", "s01", "s02")
}

// A route may be there before its backend.
func TestRouteBeforeItsSpare(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.config.Spares = 2
	e.reopen()
	port := testnet.FreePort(t)
	s := shops(t, port, 2)
	early := s
	early.Backends = s.Backends[:1]
	e.apply(early)
	if code, _ := get(t, port, "s01.test", "/"); code == 200 {
		t.Error("a route without a backend answers 200")
	}
	if done := e.apply(s); done.Way != engine.Runtime {
		t.Errorf("by %q (%s), want runtime", done.Way, done.Cause)
	}
	e.answersAs(port, "s00", "s01")
}

// An operator who reloads HAProxy by hand takes every backend out of its spare.
func TestReloadByHand(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.config.Spares = 2
	e.reopen()
	port := testnet.FreePort(t)
	s := shops(t, port, 2)
	e.apply(part(s, 0, 1))
	e.apply(s)
	pid := func() string {
		return regexp.MustCompile(`(?m)^Pid: \d+`).FindString(ask(t, e.config.RunDir+"/haproxy.sock", "show info"))
	}
	before := pid()
	ask(t, e.config.RunDir+"/haproxy-master.sock", "reload")
	testwait.Until(t, "another worker", func() bool { return pid() != before })
	testwait.Until(t, "the master is back", func() bool {
		c, err := net.Dial("unix", e.config.RunDir+"/haproxy-master.sock")
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	e.reopen()
	e.apply(s)
	e.answersAs(port, "s00", "s01")
	if done := e.apply(s); done.Way != engine.Nothing {
		t.Errorf("not settled: %q (%s)", done.Way, done.Cause)
	}
}

// An agent that died between HAProxy's change and its own notes leaves servers in a
// spare that nobody knows of.
func TestSpareWithStrangersIn(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.config.Spares = 1
	e.reopen()
	port := testnet.FreePort(t)
	s := shops(t, port, 2)
	e.apply(part(s, 0, 1))
	sock, stray := e.config.RunDir+"/haproxy.sock", serve(t, "stray")
	ask(t, sock, fmt.Sprintf("add server landfall-spare-0001/stray %s; set server landfall-spare-0001/stray state ready", stray))
	e.reopen()
	e.apply(part(s, 0, 1))
	e.Bury()
	if left := ask(t, sock, "show servers state landfall-spare-0001"); strings.Contains(left, "stray") {
		t.Errorf("still there: %s", left)
	}
	if done := e.apply(s); done.Way != engine.Runtime {
		t.Errorf("by %q (%s), want runtime", done.Way, done.Cause)
	}
	for range 4 {
		e.answersAs(port, "s01")
	}
}
