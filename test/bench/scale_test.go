package bench_test

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// measureStart starts an edge that has never run, three times, and leaves the last
// one running. The first also tells every object where it is served.
func measureStart(ctx context.Context, w *world, e *edge) error {
	var took []time.Duration
	for range 3 {
		e.stop()
		began := time.Now()
		if err := e.launch("pods"); err != nil {
			return err
		}
		at, err := e.untilServed(ctx)
		if err != nil {
			return err
		}
		took = append(took, at.Sub(began))
		if err := e.settle(ctx); err != nil {
			return err
		}
	}
	now, peak := memoryOf(e.cmd.Process.Pid) // before it is asked for all it knows
	s, err := e.status(ctx)
	if err != nil {
		return err
	}
	if want := w.services + changedServices; len(s.Routes) != want {
		return fmt.Errorf("%d routes are served, want %d", len(s.Routes), want)
	}
	spread := spreadOf(took)
	w.record(w.services, "start -> everything served", spread.String(), "3 s", spread.max <= 3*time.Second)
	w.record(w.services, "memory of the agent", fmt.Sprintf("%.0f MB, at most %.0f MB", now, peak), "150 MB", now <= 150)
	if pid, err := e.worker(ctx); err == nil {
		now, _ := memoryOf(pid)
		w.note(w.services, "memory of HAProxy's worker", fmt.Sprintf("%.0f MB", now))
	}
	return nil
}

// measureReloads makes many endpoint changes and counts HAProxy's reloads.
func measureReloads(ctx context.Context, w *world, e *edge) error {
	turns, err := w.turns(ctx)
	if err != nil {
		return err
	}
	before, err := e.reloads(ctx)
	if err != nil {
		return err
	}
	n := min(1000, 5*w.samples)
	for i := range n {
		if _, err := turns[i%len(turns)].change(ctx); err != nil {
			return err
		}
	}
	for _, t := range turns {
		if err := t.untilLive(ctx); err != nil {
			return err
		}
	}
	after, err := e.reloads(ctx)
	if err != nil {
		return err
	}
	w.record(w.services, "reloads for endpoint changes", fmt.Sprintf("%d for %s", after-before, thousands(n)), "0", after == before)
	return nil
}

// measureBurst makes a thousand backends wanted at once, by one Ingress for a
// thousand Services, which is more than there are spares.
func measureBurst(ctx context.Context, w *world, e *edge) error {
	numbers := make([]int, 0, 1000)
	for range min(1000, 5*w.samples) {
		numbers = append(numbers, w.fresh())
	}
	err := each(ctx, numbers, func(ctx context.Context, i int) error { return w.createService(ctx, i, pod(i, 0)) })
	if err != nil {
		return err
	}
	if err := e.settle(ctx); err != nil {
		return err
	}
	before, err := e.reloads(ctx)
	if err != nil {
		return err
	}
	object := fmt.Sprint("burst", numbers[0])
	in := ingress(object, numbers...)
	if _, err := w.clients.NetworkingV1().Ingresses(namespace).Create(ctx, in, metav1.CreateOptions{}); err != nil {
		return err
	}
	acknowledged := time.Now()
	var at time.Time
	for _, i := range numbers {
		if at, err = w.awaitHost(ctx, i, good(i)); err != nil {
			return err
		}
	}
	if err := e.settle(ctx); err != nil {
		return err
	}
	after, err := e.reloads(ctx)
	if err != nil {
		return err
	}
	took := at.Sub(acknowledged)
	w.record(w.services, "many new Services -> served", fmt.Sprintf("%s: %.2f s, reloads: %d", thousands(len(numbers)), took.Seconds(), after-before),
		"2 s, 1", took <= 2*time.Second && after-before <= 1)
	if err := w.clients.NetworkingV1().Ingresses(namespace).Delete(ctx, object, metav1.DeleteOptions{}); err != nil {
		return err
	}
	return each(ctx, numbers, w.removeService)
}

// measureMemory changes endpoints and routes for long.
func measureMemory(ctx context.Context, w *world, e *edge) error {
	if err := e.settle(ctx); err != nil {
		return err
	}
	start, _ := memoryOf(e.cmd.Process.Pid)
	c := &changer{world: w, endpoints: 20, routes: 2}
	changing, cancel := context.WithTimeout(ctx, w.churn)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- c.run(changing) }()
	tick := time.NewTicker(max(w.churn/10, time.Second))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			now, _ := memoryOf(e.cmd.Process.Pid)
			w.say("  %d endpoint changes, %d routes: %.1f MB", c.changed.Load(), c.routed.Load(), now)
			continue
		case err := <-ended:
			if err != nil {
				return err
			}
		}
		break
	}
	if err := e.settle(ctx); err != nil {
		return err
	}
	end, _ := memoryOf(e.cmd.Process.Pid)
	w.record(w.services, "memory while much changes", fmt.Sprintf("%.0f -> %.0f MB, %s", start, end, w.churn), "flat", end <= start*1.1+5)
	w.note(w.services, "changes in that time", fmt.Sprintf("%d endpoints, %d routes", c.changed.Load(), c.routed.Load()))
	return nil
}
