package bench_test

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// changedServices are there for the rows that change endpoints. Each has one, so
// that the next request is answered by another one as soon as it is replaced.
const changedServices = 20

// turn is a changed Service, which goes through its pods.
type turn struct {
	*world
	service, pod int
}

// turns are the changed Services as they were left by the row before.
func (w *world) turns(ctx context.Context) ([]*turn, error) {
	var all []*turn
	for i := range changedServices {
		t := &turn{w, changing + i, 0}
		if _, err := t.replace(ctx, t.service, t.address()); err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	for _, t := range all {
		if err := t.untilLive(ctx); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (t *turn) address() string { return pod(t.service, t.pod) }

// change replaces the endpoint by another and returns when the API said so.
func (t *turn) change(ctx context.Context) (time.Time, error) {
	t.pod = (t.pod + 1) % perService
	_, err := t.replace(ctx, t.service, t.address())
	return time.Now(), err
}

func (t *turn) untilLive(ctx context.Context) error {
	_, err := t.live(ctx)
	return err
}

func (t *turn) live(ctx context.Context) (time.Time, error) {
	ctx, cancel := patiently(ctx)
	defer cancel()
	return until(ctx, vip+":80", host(t.service), from(t.address()))
}

// measureEndpoint takes the time from the API's answer to the write of an endpoint
// until the first request that it answers, and what a change costs the agent.
func measureEndpoint(ctx context.Context, w *world, e *edge) error {
	turns, err := w.turns(ctx)
	if err != nil {
		return err
	}
	if err := e.settle(ctx); err != nil {
		return err
	}
	idle := e.idle(ctx)
	var took []time.Duration
	before, began := e.cpu(), time.Now()
	for n := range w.samples {
		t := turns[n%len(turns)]
		acknowledged, err := t.change(ctx)
		if err != nil {
			return err
		}
		at, err := t.live(ctx)
		if err != nil {
			return err
		}
		took = append(took, at.Sub(acknowledged))
		// Not in step with anything of the edge, which also works after the answer.
		if err := pause(ctx, time.Duration(20+n%7*5)*time.Millisecond); err != nil {
			return err
		}
	}
	if err := pause(ctx, time.Second); err != nil {
		return err
	}
	used := e.cpu() - before - time.Duration(idle*float64(time.Since(began)))
	each := used / time.Duration(w.samples)
	s := spreadOf(took)
	w.record(w.services, "endpoint change -> served", s.String(), "2 / 10 ms", s.p50 <= 2*time.Millisecond && s.p99 <= 10*time.Millisecond)
	w.record(w.services, "CPU per endpoint change", fmt.Sprintf("%.2f ms", milliseconds(each)), "2 ms", each <= 2*time.Millisecond)
	w.note(w.services, "CPU of an idle agent", fmt.Sprintf("%.1f %% of a core", 100*idle))
	w.ratioOfCPU(each)
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// ratioOfCPU compares the cost of a change with that at the smallest size.
func (w *world) ratioOfCPU(each time.Duration) {
	if w.services == w.sizes[0] {
		w.smallest = each
		return
	}
	ratio := float64(each) / float64(w.smallest)
	w.record(w.services, "that : that at the smallest", fmt.Sprintf("%.2f (at %s)", ratio, thousands(w.sizes[0])), "2", ratio <= 2)
}

// measureIngress takes the time from the API's answer to the write of an Ingress,
// the last object of a new Service, until its first answer. Each goes again.
func measureIngress(ctx context.Context, w *world, e *edge) error {
	if err := e.settle(ctx); err != nil {
		return err
	}
	reloads, err := e.reloads(ctx)
	if err != nil {
		return err
	}
	var took []time.Duration
	for range max(w.samples/2, 1) {
		i := w.fresh()
		if err := w.create(ctx, i, pod(i, 0)); err != nil {
			return err
		}
		acknowledged := time.Now()
		at, err := w.awaitHost(ctx, i, good(i))
		if err != nil {
			return err
		}
		took = append(took, at.Sub(acknowledged))
		if err := w.remove(ctx, i); err != nil {
			return err
		}
		if _, err := w.awaitHost(ctx, i, func(a answer) bool { return a.code == 404 }); err != nil {
			return err
		}
		if err := pause(ctx, 30*time.Millisecond); err != nil {
			return err
		}
	}
	after, err := e.reloads(ctx)
	if err != nil {
		return err
	}
	s := spreadOf(took)
	w.record(w.services, "new Ingress -> served", s.String(), "5 / 25 ms", s.p50 <= 5*time.Millisecond && s.p99 <= 25*time.Millisecond)
	w.record(w.services, "reloads for them", fmt.Sprintf("%d for %d", after-reloads, len(took)), "0", after == reloads)
	return nil
}

func (w *world) awaitHost(ctx context.Context, i int, right func(answer) bool) (time.Time, error) {
	ctx, cancel := patiently(ctx)
	defer cancel()
	return until(ctx, vip+":80", host(i), right)
}

// measurePort takes the time from the API's answer to the write of a Service with
// a port of its own until its first answer.
func measurePort(ctx context.Context, w *world, e *edge) error {
	if err := e.settle(ctx); err != nil {
		return err
	}
	const first = 2000 // of the front ports
	var took []time.Duration
	for n := range max(w.samples/5, 1) {
		i := w.fresh()
		if _, err := w.clients.DiscoveryV1().EndpointSlices(namespace).Create(ctx, slice(i, pod(i, 0)), metav1.CreateOptions{}); err != nil {
			return err
		}
		if _, err := w.clients.CoreV1().Services(namespace).Create(ctx, portService(i, int32(first+n)), metav1.CreateOptions{}); err != nil {
			return err
		}
		acknowledged := time.Now()
		bound, cancel := patiently(ctx)
		at, err := until(bound, fmt.Sprintf("%s:%d", vip, first+n), host(i), good(i))
		cancel()
		if err != nil {
			return err
		}
		took = append(took, at.Sub(acknowledged))
		if err := w.removeService(ctx, i); err != nil {
			return err
		}
		if err := e.settle(ctx); err != nil {
			return err
		}
	}
	e.told = time.Now() // each had its reload
	s := spreadOf(took)
	w.record(w.services, "new port -> served", s.String(), "p99 300 ms", s.p99 <= 300*time.Millisecond)
	return nil
}
