package haproxy_test

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/engine/haproxy"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/testneed"
	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// TestManyLeaveOneIsBusy: 2.6 puts no empty line between the replies to "del
// server", and yet each is told from the next.
func TestManyLeaveOneIsBusy(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	port := testnet.FreePort(t)
	began, release := make(chan struct{}), make(chan struct{})
	busy := handle(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		close(began)
		<-release
		w.Header().Set("Connection", "close") // one that is kept in HAProxy's pool delays the deletion
		fmt.Fprint(w, "slow")
	})
	const name = "home/web/shop/80/http"
	e.apply(webState(port, httpBackend(name, busy)))
	answer := make(chan string, 1)
	go func() {
		c := newClient(port)
		defer c.Close()
		got, err := c.Post("shop.test", "/", true)
		answer <- fmt.Sprint(got, err)
	}()
	<-began
	stays := serve(t, "stays")
	e.apply(webState(port, httpBackend(name, busy, serve(t, "a"), serve(t, "b"), serve(t, "c"), stays)))
	e.apply(webState(port, httpBackend(name, stays)))
	servers := func() (names []string) {
		reply := ask(t, filepath.Join(e.config.RunDir, "haproxy.sock"), "show servers state home:web:shop:80:http")
		for line := range strings.Lines(reply) {
			if f := strings.Fields(line); len(f) > 20 && f[0] != "#" {
				names = append(names, f[3])
			}
		}
		return names
	}
	e.Bury()
	left := fmt.Sprint(servers())
	if len(servers()) != 2 || !strings.Contains(left, fmt.Sprintf("_%d", busy.Port())) {
		t.Errorf("left are %s, want the busy one (port %d) and %s", left, busy.Port(), stays)
	}
	close(release)
	if got := <-answer; got != "slow<nil>" {
		t.Errorf("the slow request ended with %s", got)
	}
	testwait.Until(t, "the busy server is deleted", func() bool {
		e.Bury()
		return len(servers()) == 1
	})
}

// binaries are the HAProxy of this machine and the one before it on PATH, where
// "make versions" puts another version.
func binaries(t *testing.T) (machines, other string) {
	t.Helper()
	var all []string
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		path, err := filepath.EvalSymlinks(filepath.Join(dir, "haproxy"))
		if err == nil && !slices.Contains(all, path) {
			all = append(all, path)
		}
	}
	if len(all) < 2 {
		testneed.Need(t, "other-haproxy", "run make versions")
	}
	return all[len(all)-1], all[0]
}

// TestAnotherVersionIsInstalled: a reload brings in a HAProxy that was installed in
// the place of the one that runs, newer or older, and no client notices.
func TestAnotherVersionIsInstalled(t *testing.T) {
	t.Parallel()
	machines, other := binaries(t)
	e := newEdge(t)
	e.config.Binary = filepath.Join(t.TempDir(), "haproxy")
	install := func(binary string) {
		t.Helper()
		os.Remove(e.config.Binary)
		if err := os.Symlink(binary, e.config.Binary); err != nil {
			t.Fatal(err)
		}
	}
	version := func() string {
		t.Helper()
		stats, err := e.Stats(t.Context(), engine.Brief)
		if err != nil {
			t.Fatal(err)
		}
		return stats.Version
	}
	install(machines)
	e.reopen()
	port, want := oneShop(t)
	e.apply(want)
	for i, binary := range []string{other, machines} {
		kept := newClient(port)
		defer kept.Close()
		if _, err := kept.Post("shop.test", "/", true); err != nil {
			t.Fatal(err)
		}
		before := version()
		install(binary)
		if now := version(); now != before {
			t.Errorf("%s runs, and %s is told", before, now)
		}
		want.Listeners = append(want.Listeners, tcpListener(fmt.Sprintf("home/web/other/%d", i), testnet.FreePort(t)))
		sortState(&want)
		if done := e.apply(want); done.Way != engine.Reload {
			t.Errorf("a new port by %q", done.Way)
		}
		if answer, err := kept.Post("shop.test", "/", true); err != nil || answer != "shop" {
			t.Errorf("a kept connection: %q, %v", answer, err)
		}
		if code, _ := get(t, port, "shop.test", "/"); code != http.StatusOK {
			t.Errorf("status %d", code)
		}
		e.reopen()
		if done := e.apply(want); done.Way != engine.Nothing {
			t.Errorf("the next agent did %q: %s", done.Way, done.Cause)
		}
		if now := version(); now != e.Version() {
			t.Errorf("%s runs, and not the installed %s", now, e.Version())
		}
	}
}

// chroot is what 3.4 says to whoever starts it as root. A container may lack the
// right to do as it says, and HAProxy would not start.
var chroot = regexp.MustCompile(`(?m)^\[WARNING\].* without any 'chroot' directive.*$`)

// needMovingChecks ends a test of what a version cannot do, so that a reload does it.
func needMovingChecks(t *testing.T) {
	t.Helper()
	f, err := haproxy.Detect(t.Context(), testneed.Binary(t, "haproxy"))
	if err != nil {
		t.Fatal(err)
	}
	if !f.MovesChecks() {
		t.Skipf("HAProxy %s changes no check's address at run time", f.Version)
	}
}

// TestNoVersionWarns of what we write into the configuration, at the start or at a
// reload.
func TestNoVersionWarns(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.config.Spares = 4
	e.reopen()
	port, want := oneShop(t)
	b := want.Backends[0]
	for i, change := range []func(*model.Backend){
		func(b *model.Backend) { b.Affinity = time.Hour },
		func(b *model.Backend) { b.Balance = "source" },
		func(b *model.Backend) { b.Balance, b.Check = "leastconn", &model.Check{HTTP: "/health", Port: 1} },
		func(b *model.Backend) { b.Protocol, b.SendProxy = model.TCP, 2 },
		func(b *model.Backend) { b.Protocol = model.HTTPS },
		func(b *model.Backend) { b.Protocol = model.H2C },
	} {
		x := *b
		x.Name = fmt.Sprintf("home/web/shop/%d", i)
		x.Endpoints = []model.Endpoint{{Address: b.Endpoints[0].Address, Probe: "home/node"}}
		change(&x)
		want.Backends = append(want.Backends, &x)
	}
	want.Probes = []*model.Probe{{Name: "home/node", Address: loopback[0], Port: 1, Path: "/healthz"}}
	ranges := tcpListener("home/web/raw/1", testnet.FreePort(t))
	ranges.SourceRanges = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	want.Listeners = append(want.Listeners, ranges)
	want.Routes = append(want.Routes, &model.Route{
		Name: "home/web/raw/1", Listener: ranges.Name, Backends: []model.WeightedBackend{{Name: "home/web/shop/3", Weight: 1}},
	})
	sortState(&want)
	for _, way := range []engine.Way{engine.Start, engine.Reload} {
		if done := e.apply(want); done.Way != way {
			t.Errorf("by %q, want %q", done.Way, way)
		}
		said := ask(t, filepath.Join(e.config.RunDir, "haproxy.sock"), "show startup-logs")
		said = chroot.ReplaceAllString(said, "")
		if strings.Contains(said, "[WARNING]") || strings.Contains(said, "[ALERT]") {
			t.Errorf("at the %s HAProxy says:\n%s", way, said)
		}
		if code, _ := get(t, port, "shop.test", "/"); code != http.StatusOK {
			t.Errorf("after the %s it answers %d", way, code)
		}
		want.Listeners = append(want.Listeners, tcpListener("home/web/more/1", testnet.FreePort(t)))
		sortState(&want)
	}
}
