package haproxy_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/engine/haproxy"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/testneed"
	"github.com/landfall-edge/landfall/internal/testnet"
)

// bad is an object that HAProxy refuses, and a part of what it says.
type bad struct {
	says string
	add  func(t *testing.T, s *model.State) (names []string)
}

func badObjects() map[string]bad {
	backend := func(change func(*model.Backend)) func(*testing.T, *model.State) []string {
		return func(t *testing.T, s *model.State) []string {
			b := httpBackend("home/evil/a/80/http", netip.MustParseAddrPort("127.0.0.1:9"))
			change(b)
			s.Backends = append(s.Backends, b)
			s.Routes = append(s.Routes, httpRoute("evil.test", "/", false, b.Name))
			return []string{b.Name}
		}
	}
	return map[string]bad{
		"a server line":         {"is not within 0 and 256", backend(func(b *model.Backend) { b.Endpoints[0].Weight = 300 })},
		"a line of the section": {"timer overflow", backend(func(b *model.Backend) { b.Affinity = 1e6 * time.Hour })},
		"a reference":           {"unable to find required server", backend(func(b *model.Backend) { b.Endpoints[0].Probe = "home/nobody" })},
		"no line": {"unable to find required default_backend: 'home:evil:nowhere:1'", func(t *testing.T, s *model.State) []string {
			l := tcpListener("home/evil/raw/9", testnet.FreePort(t))
			s.Listeners = append(s.Listeners, l)
			s.Routes = append(s.Routes, &model.Route{Name: l.Name, Listener: l.Name, Backends: []model.WeightedBackend{{Name: "home/evil/nowhere/1", Weight: 1}}})
			return []string{l.Name}
		}},
		"several in a file": {"is not within 0 and 256", func(t *testing.T, s *model.State) []string {
			names := sameFile(s, s.Backends[0].Name, 2)
			for _, n := range names {
				b := httpBackend(n, netip.MustParseAddrPort("127.0.0.1:9"))
				b.Endpoints[0].Weight = 300
				s.Backends = append(s.Backends, b)
			}
			return names
		}},
		"a probe": {"has neither service port nor check port", func(t *testing.T, s *model.State) []string {
			p := &model.Probe{Name: "home/n1", Address: netip.MustParseAddr("127.0.0.1"), Path: "/healthz"} // port 0
			s.Probes = append(s.Probes, p)
			return []string{p.Name}
		}},
	}
}

// sameFile are names of backends that come into the same file as that one.
func sameFile(s *model.State, as string, n int) []string {
	file := func(name string) string {
		for _, f := range haproxy.Render(haproxy.Settings{}, model.State{Backends: []*model.Backend{{Name: name}}}) {
			if strings.Contains(f.Path, "backends") {
				return f.Path
			}
		}
		return ""
	}
	var names []string
	for i := 0; len(names) < n; i++ {
		if name := fmt.Sprintf("home/evil/b%d/80/http", i); file(name) == file(as) {
			names = append(names, name)
		}
	}
	return names
}

// TestBlame: what HAProxy refuses is traced to the objects that it came from, in its
// words, whatever it was and whether HAProxy ran before; without them the rest is served.
func TestBlame(t *testing.T) {
	t.Parallel()
	for name, c := range badObjects() {
		for _, running := range []bool{false, true} {
			t.Run(map[bool]string{true: "running ", false: "starting "}[running]+name, func(t *testing.T) {
				t.Parallel()
				e := newEdge(t)
				port, good := oneShop(t)
				if running {
					e.apply(good)
				}
				want := good
				want.Listeners, want.Routes, want.Backends = slices.Clone(good.Listeners), slices.Clone(good.Routes), slices.Clone(good.Backends)
				names := c.add(t, &want)
				sortState(&want)
				blamed(t, e, want, c.says, names...)
				if running {
					if code, body := get(t, port, "shop.test", "/"); code != 200 || body != "shop" {
						t.Errorf("meanwhile the neighbour answers %d %q", code, body)
					}
				}
				e.apply(good)
				if code, body := get(t, port, "shop.test", "/"); code != 200 || body != "shop" {
					t.Errorf("without them the neighbour answers %d %q", code, body)
				}
			})
		}
	}
}

// blamed tries want, and expects these objects to be refused with these words.
func blamed(t *testing.T, e *edge, want model.State, says string, names ...string) {
	t.Helper()
	_, err := e.try(want)
	var refused *engine.RefusedError
	if !asRefused(err, &refused) {
		t.Fatalf("error %v, want objects refused", err)
	}
	var got []string
	for _, o := range refused.Objects {
		got = append(got, o.Name)
		if !strings.Contains(o.Message, says) {
			t.Errorf("%s: %q does not quote %q", o.Name, o.Message, says)
		}
	}
	if slices.Sort(names); !slices.Equal(got, names) {
		t.Errorf("refused are %v, want %v", got, names)
	}
}

// TestBlameWithoutWords: when HAProxy does not say what it has against a
// configuration, or blames what has run all along, the change that it refuses is
// found by trying.
func TestBlameWithoutWords(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	// A HAProxy that is struck dumb by two backends.
	real, dumb := testneed.Binary(t, "haproxy"), filepath.Join(t.TempDir(), "haproxy")
	script := fmt.Sprintf(`#!/bin/sh
case "$*" in *-c*)
	for path; do
		case $path in /*) grep -qrE 'backend home:evil:(b7|b31):' "$path" && kill -KILL $$ ;; esac
	done ;;
esac
exec %s "$@"
`, real)
	if err := os.WriteFile(dumb, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	e.config.Binary = dumb
	e.reopen()
	port, good := oneShop(t)
	e.apply(good)
	want := good
	want.Backends = slices.Clone(good.Backends)
	for i := range 40 {
		b := httpBackend(fmt.Sprintf("home/evil/b%d/80/http", i), netip.MustParseAddrPort("127.0.0.1:9"))
		want.Backends = append(want.Backends, b)
	}
	sortState(&want)
	for _, name := range []string{"home/evil/b31/80/http", "home/evil/b7/80/http"} {
		blamed(t, e, want, "signal: killed", name)
		want.Backends = slices.DeleteFunc(want.Backends, func(b *model.Backend) bool { return b.Name == name })
	}
	e.apply(want)
	if code, body := get(t, port, "shop.test", "/"); code != 200 || body != "shop" {
		t.Errorf("the neighbour answers %d %q", code, body)
	}
}

// TestBlameRuntime: what the worker refuses at run time is tried by a reload, and
// when that is refused too, nothing of the change stays.
func TestBlameRuntime(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	port, good := oneShop(t)
	e.apply(good)
	want := good
	heavy := *good.Backends[0]
	heavy.Endpoints = append(slices.Clone(heavy.Endpoints), model.Endpoint{Address: netip.MustParseAddrPort("127.0.0.1:9"), Weight: 300})
	want.Backends = []*model.Backend{&heavy}
	sortEndpoints(&heavy)
	blamed(t, e, want, "is not within 0 and 256", heavy.Name)
	e.apply(good)
	// An entry of a map that somebody took away cannot be set; a reload brings it back.
	sock, maps := filepath.Join(e.config.RunDir, "haproxy.sock"), filepath.Join(e.config.Dir, "maps")
	ask(t, sock, "del map "+filepath.Join(maps, "main:http.prefix.map")+" shop.test/")
	want.Backends = []*model.Backend{good.Backends[0], httpBackend("home/web/two/80/http", serve(t, "two"))}
	want.Routes = []*model.Route{httpRoute("shop.test", "/", false, "home/web/two/80/http")}
	if done := e.apply(want); done.Way != engine.Reload {
		t.Errorf("by %q: %s", done.Way, done.Cause)
	}
	if code, body := get(t, port, "shop.test", "/"); code != 200 || body != "two" {
		t.Errorf("then the neighbour answers %d %q", code, body)
	}
}

// TestBlameExtra: what the operator's files do, no object is blamed for, and the
// other way round.
func TestBlameExtra(t *testing.T) {
	t.Parallel()
	const head = "defaults mine\n  mode http\n  timeout client 5s\n  timeout connect 5s\n  timeout server 5s\n"
	for name, c := range map[string]struct{ config, says string }{
		"a line":          {head + "backend own from mine\n  bogus keyword\n", "line 7: unknown keyword 'bogus'"},
		"no line":         {head + "frontend own from mine\n  bind 127.0.0.1:%d\n  default_backend nowhere\n", "unable to find required default_backend: 'nowhere'"},
		"a name of ours":  {head + "backend home:web:shop:80:http from mine\n", "has the same name as"},
		"zero-warning":    {"global\n  zero-warning\n" + head + "backend own from mine\n  option httplog\n", "line 9: backend 'own'"},
		"only a warning":  {head + "backend own from mine\n  option httplog\n", ""},
		"unclosed quotes": {head + "backend own from mine\n  server \"x 127.0.0.1:1\n", "unmatched quote"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "own.cfg")
			e := newEdge(t, file)
			port, want := oneShop(t)
			e.apply(want)
			if strings.Contains(c.config, "%d") {
				c.config = fmt.Sprintf(c.config, testnet.FreePort(t))
			}
			if err := os.WriteFile(file, []byte(c.config), 0o600); err != nil {
				t.Fatal(err)
			}
			e.RereadExtras()
			e.apply(want)
			if code, body := get(t, port, "shop.test", "/"); code != 200 || body != "shop" {
				t.Errorf("the neighbour answers %d %q", code, body)
			}
			switch f := e.Findings(); {
			case c.says == "" && len(f) > 0:
				t.Errorf("findings %v", f)
			case c.says != "" && (len(f) != 1 || !strings.Contains(f[0].Message, c.says)):
				t.Errorf("findings %v, want %q", f, c.says)
			}
			// An object that comes while the operator's file is bad is served.
			want.Backends = append(slices.Clone(want.Backends), httpBackend("home/web/two/80/http", serve(t, "two")))
			e.apply(want)
		})
	}
}
