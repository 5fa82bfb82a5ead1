package haproxy_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
	"github.com/landfall-edge/landfall/internal/testnet"
)

// alphabet is what means something to HAProxy somewhere, and what only looks like
// a space.
var alphabet = append(strings.Split(`a b z A . - _ ~ 0 : ; \ \\ ' " # % %[ %[src] ] { } ( ) < << > ! , @ ? & = + $ * ^ | é`, " "),
	"\u00a0", "\u0085", "\u2028", "\xff", "/")

func word(r *rand.Rand, longest int) string {
	var b strings.Builder
	for range 1 + r.IntN(longest) {
		b.WriteString(alphabet[r.IntN(len(alphabet))])
	}
	return b.String()
}

// TestHostileRoutes gives thousands of hosts and paths to HAProxy, most of them
// made to be misread, and reads them back.
func TestHostileRoutes(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	const name = "home/web/shop/80/http"
	base := webState(testnet.FreePort(t), httpBackend(name, serve(t, "shop")))
	e.apply(base)

	want := hostileRoutes(base, name)
	_, err := e.try(want)
	var refused *engine.RefusedError
	if !asRefused(err, &refused) {
		t.Fatalf("of all that was made up nothing was refused: %v", err)
	}
	for _, o := range refused.Objects {
		want.Routes = slices.DeleteFunc(want.Routes, func(r *model.Route) bool { return r.Name == o.Name })
	}
	if len(want.Routes) < 1000 {
		t.Fatalf("%d routes are too few", len(want.Routes))
	}
	check := func(step string, want model.State, way engine.Way) {
		t.Helper()
		if done := e.apply(want); done.Way != way {
			t.Fatalf("%s: by %q: %s", step, done.Way, done.Cause)
		}
		e.reopen()
		got, err := e.Observe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if p := plan.Diff(got, want); !p.Empty() {
			t.Fatalf("%s: HAProxy understood otherwise:\n%.2000s", step, p)
		}
	}
	check("added", want, engine.Runtime)
	fewer := want
	fewer.Routes = nil
	for i, r := range want.Routes {
		if i%2 == 0 || r.Match.Host == "shop.test" {
			fewer.Routes = append(fewer.Routes, r)
		}
	}
	check("half removed", fewer, engine.Runtime)
	fewer.Listeners = append(slices.Clone(fewer.Listeners), tcpListener("home/web/other/1", testnet.FreePort(t)))
	sortState(&fewer)
	check("loaded from the files", fewer, engine.Reload)
	check("added again", model.State{Listeners: fewer.Listeners, Routes: want.Routes, Backends: want.Backends}, engine.Runtime)
	if code, _ := get(t, base.Listeners[0].Port, "shop.test", "/"); code != 200 {
		t.Errorf("an ordinary route answers %d among them", code)
	}
}

func hostileRoutes(s model.State, backend string) model.State {
	r := rand.New(rand.NewPCG(1, 2))
	seen := map[string]bool{}
	s.Routes = slices.Clone(s.Routes)
	for len(seen) < 3000 {
		host, path, exact := word(r, 4), "/"+word(r, 6), r.IntN(2) == 0
		if r.IntN(4) == 0 {
			host = "*." + host
		}
		if !exact { // as desired does
			path = strings.TrimRight(path, "/")
		}
		name := fmt.Sprintf("%q %q %t", host, path, exact)
		if seen[name] {
			continue
		}
		seen[name] = true
		route := httpRoute(host, path, exact, backend)
		route.Name = name
		s.Routes = append(s.Routes, route)
	}
	sortState(&s)
	return s
}

// TestRouteThatLooksLikeAPayload: a command that ends with "<<" makes HAProxy
// wait for more.
func TestRouteThatLooksLikeAPayload(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	const name = "home/web/shop/80/http"
	base := webState(testnet.FreePort(t), httpBackend(name, serve(t, "shop")))
	e.apply(base)
	for _, path := range []string{"/x<<", "/<<", "/<<EOF", `/x\`, "/x;"} {
		more := base
		more.Routes = append(slices.Clone(base.Routes), httpRoute("shop.test", path, true, name))
		sortState(&more)
		for _, want := range []model.State{more, base} {
			if done := e.apply(want); done.Way != engine.Runtime {
				t.Fatalf("%s: by %q: %s", path, done.Way, done.Cause)
			}
			e.reopen()
			got, err := e.Observe(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if p := plan.Diff(got, want); !p.Empty() {
				t.Fatalf("%s: HAProxy understood otherwise:\n%s", path, p)
			}
		}
	}
}
