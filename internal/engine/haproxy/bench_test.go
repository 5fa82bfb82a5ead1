package haproxy_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
	"github.com/landfall-edge/landfall/internal/testnet"
)

// manyServices are so many backends of four endpoints on fifty nodes, with a route
// each.
func manyServices(port uint16, n int) model.State {
	s := model.State{Listeners: []*model.Listener{httpListener(port)}}
	for i := range 50 {
		s.Probes = append(s.Probes, &model.Probe{
			Name: fmt.Sprintf("home/n%d", i), Port: 10256, Path: "/healthz", Assumed: true,
			Address: netip.AddrFrom4([4]byte{127, 2, 0, byte(i)}),
		})
	}
	for i := range n {
		b := httpBackend(fmt.Sprintf("home/web/s%d/80/http", i))
		for j := range 4 {
			node := (i + j) % 50
			b.Endpoints = append(b.Endpoints, model.Endpoint{
				Probe:   fmt.Sprintf("home/n%d", node),
				Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 2, 0, byte(node)}), uint16(20000+i)),
			})
		}
		sortEndpoints(b)
		s.Backends = append(s.Backends, b)
		s.Routes = append(s.Routes, httpRoute(fmt.Sprintf("s%d.test", i), "/", false, b.Name))
	}
	sortState(&s)
	return s
}

// TestManyServices: HAProxy starts and reloads with more services than it could
// load files, and one that it refuses is found among those of its file.
func TestManyServices(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	port := testnet.FreePort(t)
	want := manyServices(port, 3000)
	e.apply(want)
	want.Listeners = append(slices.Clone(want.Listeners), tcpListener("home/web/other/1", testnet.FreePort(t)))
	sortState(&want)
	if done := e.apply(want); done.Way != engine.Reload {
		t.Errorf("a new port by %q", done.Way)
	}
	e.reopen()
	if done := e.apply(want); done.Way != engine.Nothing {
		t.Errorf("a restarted agent did %q: %s", done.Way, done.Cause)
	}

	bad := *want.Backends[1234]
	bad.Endpoints = slices.Clone(bad.Endpoints)
	bad.Endpoints[2].Probe = "home/nowhere"
	bad.Protocol, bad.Affinity = model.H2C, time.Hour // a reload
	spoilt := want
	spoilt.Backends = slices.Clone(want.Backends)
	spoilt.Backends[1234] = &bad
	_, err := e.try(spoilt)
	var refused *engine.RefusedError
	if !asRefused(err, &refused) || len(refused.Objects) != 1 || refused.Objects[0].Name != bad.Name {
		t.Errorf("error %v, want %s refused and nothing else", err, bad.Name)
	}
}

func startMany(b *testing.B, n int) (*edge, model.State) {
	b.Helper()
	e := newEdge(b)
	e.config.Log = slog.New(slog.DiscardHandler)
	e.reopen()
	want := manyServices(testnet.FreePort(b), n)
	e.apply(want)
	return e, want
}

// cpu is what this process, which is the agent here, has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (e *edge) must(b *testing.B, have, want model.State) {
	done, err := e.Apply(context.Background(), want, plan.Diff(have, want))
	if err != nil || done.Way != engine.Runtime {
		b.Fatalf("by %q: %s, %v", done.Way, done.Cause, err)
	}
}

// BenchmarkRuntimeEndpointChange: one endpoint of one backend of many is another.
// The cost is that of the change.
func BenchmarkRuntimeEndpointChange(b *testing.B) {
	for _, n := range []int{100, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			e, have := startMany(b, n)
			e.run() // it deletes what left
			b.ReportAllocs()
			i, before := 0, cpu(b)
			for b.Loop() {
				want := have
				want.Backends = slices.Clone(have.Backends)
				at := i % n
				changed := *have.Backends[at]
				changed.Endpoints = slices.Clone(changed.Endpoints)
				last := &changed.Endpoints[3]
				last.Address = netip.AddrPortFrom(last.Address.Addr(), 10000+uint16(i/n%2)+last.Address.Port()%10000)
				sortEndpoints(&changed)
				want.Backends[at] = &changed
				e.must(b, have, want)
				have = want
				i++
			}
			b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkRuntimeRouteChange: one route of many comes and goes.
func BenchmarkRuntimeRouteChange(b *testing.B) {
	for _, n := range []int{100, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			e, base := startMany(b, n)
			e.run() // it writes files behind
			more := base
			more.Routes = append(slices.Clone(base.Routes), httpRoute("zz.test", "/", false, base.Backends[0].Name))
			sortState(&more)
			b.ReportAllocs()
			have, want := base, more
			before := cpu(b)
			for b.Loop() {
				e.must(b, have, want)
				have, want = want, have
			}
			b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkReload: a port opens and closes beside many.
func BenchmarkReload(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			e, base := startMany(b, n)
			more := base
			more.Listeners = append(slices.Clone(base.Listeners), tcpListener("home/web/other/1", testnet.FreePort(b)))
			sortState(&more)
			have, want := base, more
			for b.Loop() {
				done, err := e.Apply(context.Background(), want, plan.Diff(have, want))
				if err != nil || done.Way != engine.Reload {
					b.Fatalf("by %q: %v", done.Way, err)
				}
				have, want = want, have
			}
		})
	}
}
