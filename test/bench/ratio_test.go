package bench_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// oneCore keeps a HAProxy to one processor, so that the client has the other.
const oneCore = `
global
  nbthread 1
`

// byHand is what somebody who knows HAProxy would write for the same routes.
func (w *world) byHand() (string, error) {
	dir := w.folder()
	var hosts, backends strings.Builder
	for i := range w.services {
		fmt.Fprintf(&hosts, "%s %s\n", host(i), name(i))
		fmt.Fprintf(&backends, "backend %s\n  balance roundrobin\n", name(i))
		for j := range 4 {
			fmt.Fprintf(&backends, "  server p%d %s:%d\n", j, pod(i, j), podPort)
		}
	}
	hostMap := filepath.Join(dir, "hosts.map")
	config := oneCore + fmt.Sprintf(`
  maxconn 4000
defaults
  mode http
  http-reuse safe
  timeout connect 3s
  timeout client 1m
  timeout server 1m
  timeout http-request 10s
  timeout http-keep-alive 1m
frontend web
  bind %s:80
  option forwardfor
  http-request set-header X-Forwarded-Proto http
  use_backend %%[req.hdr(host),lower,map_str(%s)]
`, handVIP, hostMap) + backends.String()
	if err := os.WriteFile(hostMap, []byte(hosts.String()), 0o600); err != nil {
		return "", err
	}
	file := filepath.Join(dir, "byhand.cfg")
	return file, os.WriteFile(file, []byte(config), 0o600)
}

// measureRatio asks through the edge and through the file written by hand, in
// turns, with as many requests as they take.
func measureRatio(ctx context.Context, w *world, _ *edge) error {
	file, err := w.byHand()
	if err != nil {
		return err
	}
	byHand := foreground(w.t, w.haproxy, "-db", "-f", file)
	extra := filepath.Join(filepath.Dir(file), "onecore.cfg")
	if err := os.WriteFile(extra, []byte(oneCore), 0o600); err != nil {
		return err
	}
	e := &edge{world: w}
	if err := e.start(ctx, "pods", extra); err != nil {
		return err
	}
	worker, err := e.worker(ctx)
	if err != nil {
		return err
	}
	if _, err := until(ctx, handVIP+":80", host(0), good(0)); err != nil {
		return err
	}
	var rate, p99, cpu []float64
	var first, firstByHand throughput
	for n := range 5 {
		ours := w.saturate(ctx, vip, worker)
		theirs := w.saturate(ctx, handVIP, byHand.Process.Pid)
		if ours.bad+theirs.bad > 0 || ctx.Err() != nil {
			return fmt.Errorf("%d and %d requests went wrong", ours.bad, theirs.bad)
		}
		if n == 0 {
			first, firstByHand = ours, theirs
		}
		rate = append(rate, ours.rate/theirs.rate)
		p99 = append(p99, float64(ours.p99)/float64(theirs.p99))
		cpu = append(cpu, float64(ours.cpu)/float64(theirs.cpu))
	}
	w.record(w.services, "requests/s : by hand (m/m/m)", ratios(rate), ">= 0.98", median(rate) >= 0.98)
	w.record(w.services, "p99 : by hand (m/m/m)", ratios(p99), "<= 1.05", median(p99) <= 1.05)
	w.note(w.services, "CPU/request : by hand (m/m/m)", ratios(cpu))
	w.note(w.services, "requests/s, and by hand", fmt.Sprintf("%.0f, %.0f", first.rate, firstByHand.rate))
	w.note(w.services, "CPU/request, and by hand", fmt.Sprintf("%.1f us, %.1f us", microseconds(first.cpu), microseconds(firstByHand.cpu)))
	return nil
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func median(x []float64) float64 { return slices.Sorted(slices.Values(x))[len(x)/2] }

// ratios are the smallest, the median and the largest.
func ratios(x []float64) string {
	return fmt.Sprintf("%.2f / %.2f / %.2f", slices.Min(x), median(x), slices.Max(x))
}

// throughput is what came through a HAProxy that was kept busy.
type throughput struct {
	rate     float64       // requests per second
	p99, cpu time.Duration // cpu of HAProxy, per request
	bad      int
}

// saturate asks over 64 connections, each as soon as its last answer is there.
func (w *world) saturate(ctx context.Context, address string, haproxy int) throughput {
	const connections = 64
	ctx, cancel := context.WithTimeout(ctx, w.duration/6)
	defer cancel()
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		took []time.Duration
		bad  int
	)
	sample := w.sample()
	before, began := cpuOf(haproxy), time.Now()
	for n := range connections {
		wg.Go(func() {
			mine, wrong := busy(ctx, address+":80", sample, n)
			mu.Lock()
			took, bad = append(took, mine...), bad+wrong
			mu.Unlock()
		})
	}
	wg.Wait()
	elapsed, used := time.Since(began), cpuOf(haproxy)-before
	n := max(len(took), 1)
	return throughput{float64(n) / elapsed.Seconds(), spreadOf(took).p99, used / time.Duration(n), bad}
}

// busy is one connection of saturate.
func busy(ctx context.Context, address string, services []int, first int) (took []time.Duration, bad int) {
	c, err := dial(ctx, address)
	if err != nil && ctx.Err() != nil {
		return nil, 0
	}
	if err != nil {
		return nil, 1
	}
	defer c.close()
	for k := first; ctx.Err() == nil; k++ {
		service := services[k%len(services)]
		began := time.Now()
		a, err := c.ask(host(service), false)
		if ctx.Err() != nil {
			break
		}
		if err != nil || !good(service)(a) {
			return took, 1
		}
		took = append(took, time.Since(began))
	}
	return took, 0
}
