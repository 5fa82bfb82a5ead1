package app_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/landfall-edge/landfall/internal/app"
	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/spec"
	"github.com/landfall-edge/landfall/internal/status"
	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// looks are all looks of a watch.
type looks struct {
	mu  sync.Mutex
	all []status.Look
}

func (l *looks) show(one status.Look) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, one)
	return nil
}

func (l *looks) at(i int) status.Look {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[i]
}

// after waits for a look that is right, and returns what all looks from one on have
// seen of requests and errors by their rates, and the number of looks.
func (l *looks) after(t *testing.T, from int, ok func(status.Look) bool) (requests, errors float64, n int) {
	t.Helper()
	testwait.UntilSeen(t, "a look that sees it", func() (bool, string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if n = len(l.all); n == 0 {
			return false, ""
		}
		last := l.all[n-1]
		return ok(last), fmt.Sprintf("%+v %+v", last.Status, last.Rates)
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range l.all[from:n] {
		if one.Rates == nil {
			continue
		}
		e := one.Rates.Edge
		if e.Requests < 0 || e.Errors5xx < 0 || e.BytesIn < 0 || e.BytesOut < 0 {
			t.Errorf("a rate is negative: %+v", e)
		}
		requests += e.Requests * one.Rates.Seconds
		errors += e.Errors5xx * one.Rates.Seconds
	}
	return requests, errors, n
}

// watching watches an edge until the test ends.
func watching(t *testing.T, edge *spec.Edge, depth engine.Depth) *looks {
	t.Helper()
	l := &looks{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- app.Watch(ctx, edge, 100*time.Millisecond, depth, l.show) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("watch: %v", err)
		}
	})
	return l
}

// TestWatch: totals and rates are those of the requests that a client sent, to the
// last one, before and after a reload.
func TestWatch(t *testing.T) {
	needHAProxy(t)
	manifests, port := t.TempDir(), testnet.FreePort(t)
	shop := testnet.Serve(t, "127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/broken" {
			w.WriteHeader(http.StatusBadGateway)
		}
	})).Address
	if err := os.WriteFile(filepath.Join(manifests, "shop.yaml"), []byte(site(shop)), 0o600); err != nil {
		t.Fatal(err)
	}
	edge := load(t, port, "  - {name: files, manifests: {path: "+manifests+", allowLoopback: true}}\n")
	a := start(t, edge)
	testwait.Until(t, "the edge is ready", func() bool { return a.Status(t.Context()).HAProxy.MaxConnections > 0 })
	// The shop is the only backend that is asked, behind the only listener for HTTP.
	counts := func(n int64) func(status.Look) bool {
		return func(l status.Look) bool {
			listener, backend := int64(0), int64(0)
			for _, x := range l.Listeners {
				listener += x.Requests
			}
			for _, b := range l.Backends {
				backend += b.Requests
			}
			return listener == n && backend == n
		}
	}
	total := int64(0)
	for _, depth := range []engine.Depth{engine.Brief, engine.Whole} {
		l := watching(t, edge, depth)
		_, _, from := l.after(t, 0, counts(total))
		const good, bad, again = 300, 20, 50
		send(t, port, "/", good)
		send(t, port, "/broken", bad)
		requests, errors, now := l.after(t, from, counts(total+good+bad))
		if !near(requests, good+bad) || !near(errors, bad) {
			t.Errorf("by the rates there were %f requests and %f errors, want %d and %d", requests, errors, good+bad, bad)
		}
		one := l.at(now - 1)
		if whole := depth == engine.Whole; (one.Routes != nil) != whole || (one.Backends[0].Endpoints != nil) != whole {
			t.Errorf("depth %d: routes %v, endpoints %v", depth, one.Routes, one.Backends[0].Endpoints)
		}

		more := fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {name: tcp%d}\n"+
			"spec: {type: LoadBalancer, loadBalancerClass: landfall.dev/edge, ports: [{port: %d}]}\n", depth, testnet.FreePort(t))
		if err := os.WriteFile(filepath.Join(manifests, fmt.Sprintf("tcp%d.yaml", depth)), []byte(more), 0o600); err != nil {
			t.Fatal(err)
		}
		worker := one.HAProxy.Workers[0].PID
		_, _, from = l.after(t, now, func(l status.Look) bool { return l.Counted() && l.HAProxy.Workers[0].PID != worker })
		send(t, port, "/", again)
		if requests, _, _ := l.after(t, from, counts(again)); !near(requests, again) {
			t.Errorf("after a reload there were %f requests by the rates, want %d", requests, again)
		}
		total = again
	}
}

func near(got float64, want int) bool { return math.Abs(got-float64(want)) < 1e-6 }

// send asks shop.test so many times over one connection.
func send(t *testing.T, port uint16, path string, times int) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for range times {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", port, path), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "shop.test"
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
}
