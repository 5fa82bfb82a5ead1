package haproxy_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/engine/haproxy"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
	"github.com/landfall-edge/landfall/internal/testneed"
	"github.com/landfall-edge/landfall/internal/testnet"
)

// edge is an engine over a real HAProxy in folders of its own.
type edge struct {
	t      testing.TB
	config haproxy.Config
	*haproxy.Engine
}

func newEdge(t testing.TB, extra ...string) *edge {
	t.Helper()
	e := &edge{t: t, config: haproxy.Config{
		Binary: testneed.Binary(t, "haproxy"),
		Dir:    t.TempDir(),
		RunDir: testnet.Folder(t),
		Extra:  extra,
		Log:    slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}}
	e.reopen()
	t.Cleanup(func() {
		if err := e.Stop(context.Background(), false); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return e
}

// reopen is a restart of the agent.
func (e *edge) reopen() {
	e.t.Helper()
	var err error
	if e.Engine, err = haproxy.New(e.t.Context(), e.config); err != nil {
		e.t.Fatal(err)
	}
}

// apply brings want about as the agent does, and checks the law.
func (e *edge) apply(want model.State) engine.Applied {
	e.t.Helper()
	done, err := e.try(want)
	if err != nil {
		e.t.Fatal(err)
	}
	got, err := e.Observe(e.t.Context())
	if err != nil {
		e.t.Fatal(err)
	}
	if p := plan.Diff(got, want); !p.Empty() {
		e.t.Fatalf("after Apply, Observe differs from what was wanted:\n%s", p)
	}
	return done
}

func (e *edge) try(want model.State) (engine.Applied, error) {
	e.t.Helper()
	have, err := e.Observe(e.t.Context())
	if err != nil {
		return engine.Applied{}, err
	}
	p := plan.Diff(have, want)
	if p.Empty() && e.Unsettled() == "" {
		return engine.Applied{Way: engine.Nothing}, nil
	}
	return e.Apply(e.t.Context(), want, p)
}

// serve answers every request with its name.
func serve(t testing.TB, name string) netip.AddrPort {
	t.Helper()
	return testnet.Serve(t, "127.0.0.1:0", testnet.Text(name)).Address
}

func get(t testing.TB, port uint16, host, path string) (int, string) {
	t.Helper()
	code, body, err := testnet.Get(t.Context(), fmt.Sprintf("http://127.0.0.1:%d%s", port, path), host)
	if err != nil {
		t.Fatal(err)
	}
	return code, body
}

var loopback = []netip.Addr{netip.MustParseAddr("127.0.0.1")}

func httpListener(port uint16) *model.Listener {
	return &model.Listener{Name: "main/http", VIP: "main", Port: port, Protocol: model.HTTP, Addresses: loopback}
}

func httpRoute(host, path string, exact bool, backend string) *model.Route {
	name := "home/web/shop/" + host + path
	if exact {
		name = "home/web/shop/" + host + "=" + path
	}
	return &model.Route{
		Name: name, Listener: "main/http",
		Match: model.Match{Host: host, Path: path, Exact: exact}, Backends: []model.WeightedBackend{{Name: backend, Weight: 1}},
	}
}

func httpBackend(name string, endpoints ...netip.AddrPort) *model.Backend {
	b := &model.Backend{Name: name, Protocol: model.HTTP}
	for _, e := range endpoints {
		b.Endpoints = append(b.Endpoints, model.Endpoint{Address: e})
	}
	return b
}

func TestFromNothingToTrafficAndBack(t *testing.T) {
	e := newEdge(t)
	port := testnet.FreePort(t)
	one, two := serve(t, "one"), serve(t, "two")
	if one.Compare(two) > 0 {
		one, two = two, one
	}
	want := model.State{
		Listeners: []*model.Listener{httpListener(port)},
		Routes:    []*model.Route{httpRoute("shop.test", "/", false, "home/web/shop/80/http")},
		Backends:  []*model.Backend{httpBackend("home/web/shop/80/http", one)},
	}
	if done := e.apply(want); done.Way != engine.Start {
		t.Errorf("way %q, want start", done.Way)
	}
	if code, _ := get(t, port, "shop.test", "/x"); code != 200 {
		t.Errorf("status %d, want 200", code)
	}
	if code, _ := get(t, port, "other.test", "/"); code != 404 {
		t.Errorf("no route: status %d, want 404", code)
	}

	want.Backends = []*model.Backend{httpBackend("home/web/shop/80/http", one, two)}
	if done := e.apply(want); done.Way != engine.Runtime {
		t.Errorf("endpoint added by %q (%s), want runtime", done.Way, done.Cause)
	}
	want.Backends = []*model.Backend{httpBackend("home/web/shop/80/http", two)}
	want.Routes = []*model.Route{
		httpRoute("shop.test", "/", false, "home/web/shop/80/http"),
		httpRoute("shop.test", "/login", true, "home/web/shop/80/http"),
	}
	if done := e.apply(want); done.Way != engine.Runtime {
		t.Errorf("route added by %q (%s), want runtime", done.Way, done.Cause)
	}
	_, before := get(t, port, "shop.test", "/login")

	e.reopen()
	if done := e.apply(want); done.Way != engine.Nothing {
		t.Errorf("a restarted agent did %q (%s), want nothing", done.Way, done.Cause)
	}
	if _, after := get(t, port, "shop.test", "/login"); after != before {
		t.Errorf("answer %q became %q", before, after)
	}

	if done := e.apply(model.State{}); done.Way != engine.Reload {
		t.Errorf("closed by %q, want reload", done.Way)
	}
	if _, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
		t.Error("the port is still open")
	}
}

func TestRoutingOrder(t *testing.T) {
	e := newEdge(t)
	port := testnet.FreePort(t)
	s := model.State{Listeners: []*model.Listener{httpListener(port)}}
	add := func(host, path string, exact bool, answer string) {
		b := "home/web/" + answer + "/80/http"
		s.Routes = append(s.Routes, httpRoute(host, path, exact, b))
		s.Backends = append(s.Backends, httpBackend(b, serve(t, answer)))
	}
	add("", "/", false, "any")
	add("", "/exact", true, "anyexact")
	add("*.w.test", "/", false, "wild")
	add("*.w.test", "/exact", true, "wildexact")
	add("a.test", "/", false, "root")
	add("a.test", "/foo", false, "foo")
	add("a.test", "/foo/bar", false, "foobar")
	add("a.test", "/foo/bar", true, "foobarexact")
	add("b.w.test", "/only", false, "bonly")
	sortState(&s)
	e.apply(s)
	for _, c := range []struct{ host, path, want string }{
		{"a.test", "/", "root"},
		{"A.TEST:8080", "/foo", "foo"},
		{"a.test.", "/foo/", "foo"},
		{"a.test", "/foobar", "root"},
		{"a.test", "/foo/bar", "foobarexact"},
		{"a.test", "/foo/bar/", "foobar"},
		{"a.test", "/foo/bar/x?q=/", "foobar"},
		{"x.w.test", "/y", "wild"},
		{"x.w.test", "/exact", "wildexact"},
		{"y.x.w.test", "/", "any"},
		{"w.test", "/exact", "anyexact"},
		{"b.w.test", "/only/x", "bonly"},
		{"b.w.test", "/else", "wild"},
		{"nobody.test", "/exact/x", "any"},
	} {
		if _, got := get(t, port, c.host, c.path); got != c.want {
			t.Errorf("%s%s went to %q, want %q", c.host, c.path, got, c.want)
		}
	}
	for _, host := range []string{"a.test/foo", "a.test/foo/../x:80"} {
		if line := rawStatus(t, port, host); !strings.Contains(line, "400") {
			t.Errorf("Host %q: %q, want 400", host, line)
		}
	}
}

func TestAgentDiesAnywhere(t *testing.T) {
	e := newEdge(t)
	port := testnet.FreePort(t)
	one, two := serve(t, "one"), serve(t, "two")
	want := model.State{
		Listeners: []*model.Listener{httpListener(port)},
		Routes:    []*model.Route{httpRoute("shop.test", "/", false, "home/web/shop/80/http")},
		Backends:  []*model.Backend{httpBackend("home/web/shop/80/http", one)},
	}
	e.apply(want)
	// What a person did on the socket, and what an agent that died did not write.
	sock := filepath.Join(e.config.RunDir, "haproxy.sock")
	be := "home:web:shop:80:http"
	ask(t, sock, "add server "+be+"/stray "+two.String()+" weight 1; set server "+be+"/stray state ready")
	ask(t, sock, "del map "+filepath.Join(e.config.Dir, "maps", "main:http.prefix.map")+" shop.test/")
	ask(t, sock, "add map "+filepath.Join(e.config.Dir, "maps", "main:http.prefix.map")+" stray.test/ "+be)
	e.reopen()
	have, err := e.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if p := plan.Diff(have, want); len(p.Backends) != 1 || len(p.Routes) != 1 {
		t.Fatalf("plan does not see what was done behind our back:\n%s", p)
	}
	if done := e.apply(want); done.Way != engine.Runtime {
		t.Errorf("mended by %q (%s), want runtime", done.Way, done.Cause)
	}
	for range 4 {
		if code, body := get(t, port, "shop.test", "/"); code != 200 || body != "one" {
			t.Errorf("answer %d %q, want one", code, body)
		}
	}
	if code, _ := get(t, port, "stray.test", "/"); code != 404 {
		t.Errorf("a stray map entry still routes: %d", code)
	}
}

func TestRefusedIsTraced(t *testing.T) {
	e := newEdge(t)
	port := testnet.FreePort(t)
	want := model.State{
		Listeners: []*model.Listener{httpListener(port)},
		Routes:    []*model.Route{httpRoute("bad.test", "/", false, "home/web/bad/80/http"), httpRoute("shop.test", "/", false, "home/web/shop/80/http")},
		Backends:  []*model.Backend{httpBackend("home/web/bad/80/http", serve(t, "bad")), httpBackend("home/web/shop/80/http", serve(t, "one"))},
	}
	// A probe that nobody has: HAProxy refuses to track it.
	want.Backends[0].Endpoints[0].Probe = "home/nowhere"
	_, err := e.try(want)
	var refused *engine.RefusedError
	if !asRefused(err, &refused) || len(refused.Objects) != 1 || refused.Objects[0].Name != "home/web/bad/80/http" {
		t.Fatalf("error %v, want the bad backend refused", err)
	}
	want.Backends, want.Routes = want.Backends[1:], want.Routes[1:]
	e.apply(want)
	if code, _ := get(t, port, "shop.test", "/"); code != 200 {
		t.Errorf("status %d, want 200", code)
	}
}

func TestAddressThatCannotBeBound(t *testing.T) {
	e := newEdge(t)
	l := httpListener(testnet.FreePort(t))
	l.Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.77")}
	_, err := e.try(model.State{Listeners: []*model.Listener{l}})
	var refused *engine.RefusedError
	if !asRefused(err, &refused) || !strings.Contains(refused.Objects[0].Message, "not an address of this machine") {
		t.Fatalf("error %v", err)
	}
}

func TestExtraFiles(t *testing.T) {
	port, own := testnet.FreePort(t), testnet.FreePort(t)
	file := filepath.Join(t.TempDir(), "own.cfg")
	config := fmt.Sprintf("frontend own\n  mode http\n  timeout client 5s\n  bind 127.0.0.1:%d\n  http-request return status 200 content-type text/plain string own\n", own)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	e := newEdge(t, file)
	want := model.State{
		Listeners: []*model.Listener{httpListener(port)},
		Routes:    []*model.Route{httpRoute("shop.test", "/", false, "home/web/shop/80/http")},
		Backends:  []*model.Backend{httpBackend("home/web/shop/80/http", serve(t, "one"))},
	}
	e.apply(want)
	if _, body := get(t, own, "", "/"); body != "own" {
		t.Errorf("the operator's frontend answers %q", body)
	}
	held, err := e.Held(t.Context(), []*model.Listener{{Port: own}, {Port: port}})
	if err != nil {
		t.Fatal(err)
	}
	if len(held) == 0 || held[0].Port != own || !strings.Contains(held[0].Owner, "own.cfg line 4") {
		t.Errorf("held %v, want port %d by own.cfg", held, own)
	}

	if err := os.WriteFile(file, []byte(config+"  bogus keyword\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e.Engine.RereadExtras()
	want.Backends = append(want.Backends, httpBackend("home/web/two/80/http", serve(t, "two")))
	e.apply(want)
	if _, body := get(t, own, "", "/"); body != "own" {
		t.Errorf("after a bad edit the operator's frontend answers %q", body)
	}
	if f := e.Findings(); len(f) != 1 || !strings.Contains(f[0].Message, "line 6") || f[0].Accepted == "" {
		t.Errorf("findings %v", f)
	}
	if why := e.Unsettled(); why != "" {
		t.Errorf("unsettled after the file was set aside: %s", why)
	}
}

func TestHeldByAnother(t *testing.T) {
	e := newEdge(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := netip.MustParseAddrPort(l.Addr().String()).Port()
	held, err := e.Held(t.Context(), []*model.Listener{{Port: port}})
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("(pid %d)", os.Getpid())
	if len(held) != 1 || !strings.Contains(held[0].Owner, want) || held[0].Address != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("held %v, want by %s", held, want)
	}
}

func TestStateSurvivesInTheJournal(t *testing.T) {
	e := newEdge(t)
	want := model.State{
		Listeners: []*model.Listener{httpListener(testnet.FreePort(t))},
		Routes:    []*model.Route{httpRoute("*.w.test", "/a b", false, "home/web/shop/80/http")},
	}
	if _, err := e.try(want); err == nil {
		t.Fatal("a path with a space was accepted")
	}
	want.Routes[0].Match.Path = `/a;b\c"d'e%[x]<<`
	want.Routes[0].Backends[0].Name = "home/web/shop/80/http"
	want.Backends = []*model.Backend{httpBackend("home/web/shop/80/http", serve(t, "one"))}
	e.apply(want)
	more := want
	more.Routes = append(more.Routes[:1:1], httpRoute("x.test", `/a;b\c"d'e%[x]<<`, true, "home/web/shop/80/http"))
	if done := e.apply(more); done.Way != engine.Runtime {
		t.Errorf("by %q: %s", done.Way, done.Cause)
	}
	e.reopen()
	got, err := e.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(more, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

// run starts what watches HAProxy, until the test ends or stop is called. The
// channel gets a value after every change.
func (e *edge) run() (changed <-chan struct{}, stop func()) {
	e.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	news := make(chan struct{}, 1)
	done := make(chan struct{})
	running := e.Engine
	go func() {
		defer close(done)
		err := running.Run(ctx, func() {
			select {
			case news <- struct{}{}:
			default:
			}
		})
		if err != nil {
			e.t.Errorf("run: %v", err)
		}
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	e.t.Cleanup(stop)
	return news, stop
}

func TestOlderObjectOnASharedPort(t *testing.T) {
	e := newEdge(t)
	want := model.State{Listeners: []*model.Listener{httpListener(testnet.FreePort(t))}}
	e.apply(want)
	older := *want.Listeners[0]
	older.Origin = model.Origin{Source: "home", Kind: "Ingress", Namespace: "web", Name: "older"}
	if done := e.apply(model.State{Listeners: []*model.Listener{&older}}); done.Way != engine.Runtime {
		t.Errorf("by %q (%s), want runtime", done.Way, done.Cause)
	}
}
