package bench_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// deadAfter is how long a pod still answers after its Service was told to use
// another one.
const deadAfter = 300 * time.Millisecond

// changer changes endpoints and routes at a rate.
type changer struct {
	*world
	endpoints, routes int // per second
	// die: pods that left their Service end after a while.
	die             bool
	changed, routed atomic.Int64

	mu   sync.Mutex
	took []time.Duration // until live, when timed
	// timed: it is measured when each endpoint change is live.
	timed bool
}

// run changes until ctx ends.
func (c *changer) run(ctx context.Context) error {
	turns, err := c.turns(ctx)
	if err != nil {
		return ended(ctx, err)
	}
	g, ctx := errgroup.WithContext(ctx)
	for n, t := range turns {
		g.Go(func() error {
			interval := time.Second * time.Duration(len(turns)) / time.Duration(c.endpoints)
			return c.every(ctx, interval, interval*time.Duration(n)/time.Duration(len(turns)), func() error { return c.endpoint(ctx, t) })
		})
	}
	if c.routes > 0 {
		g.Go(func() error {
			interval := time.Second / time.Duration(c.routes)
			return c.every(ctx, interval, 0, func() error { return c.route(ctx) })
		})
	}
	return ended(ctx, g.Wait())
}

// ended takes the end of ctx for no error.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (c *changer) every(ctx context.Context, interval, first time.Duration, do func() error) error {
	if err := pause(ctx, first); err != nil {
		return nil
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if err := do(); err != nil {
			return ended(ctx, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// endpoint replaces one endpoint.
func (c *changer) endpoint(ctx context.Context, t *turn) error {
	old := t.address()
	acknowledged, err := t.change(ctx)
	if err != nil {
		return err
	}
	c.changed.Add(1)
	if c.timed {
		at, err := t.live(ctx)
		if err != nil {
			return err
		}
		c.mu.Lock()
		c.took = append(c.took, at.Sub(acknowledged))
		c.mu.Unlock()
	}
	if c.die {
		_ = pause(ctx, deadAfter)
		err := c.origin.kill(old)
		_ = pause(ctx, deadAfter) // long before its turn comes again
		return errors.Join(err, c.origin.revive(old))
	}
	return nil
}

// route makes a Service with an Ingress; it goes again after a while.
func (c *changer) route(ctx context.Context) error {
	i := c.fresh()
	if err := c.create(ctx, i, pod(i, 0)); err != nil {
		return err
	}
	c.routed.Add(1)
	_ = pause(ctx, 300*time.Millisecond)
	return c.remove(context.WithoutCancel(ctx), i)
}

// measureChurn counts what clients lose while endpoints and routes change.
func measureChurn(ctx context.Context, w *world, e *edge) error {
	if err := e.settle(ctx); err != nil {
		return err
	}
	before, err := e.reloads(ctx)
	if err != nil {
		return err
	}
	l := w.load(vip)
	c := &changer{world: w, endpoints: 10, routes: 2, die: true}
	timed, cancel := context.WithTimeout(ctx, w.duration)
	defer cancel()
	g, timed := errgroup.WithContext(timed)
	g.Go(func() error { return c.run(timed) })
	g.Go(func() error { l.run(timed); return nil })
	if err := g.Wait(); err != nil {
		return err
	}
	after, err := e.reloads(ctx)
	if err != nil {
		return err
	}
	w.record(w.services, "failed/misrouted/kept closed", l.String(), "0 / 0 / 0", l.failed+l.misrouted+l.closed == 0)
	w.note(w.services, "answers meanwhile", spreadOf(l.took).String())
	w.note(w.services, "changes meanwhile", fmt.Sprintf("%d + %d routes, reloads: %d", c.changed.Load(), c.routed.Load(), after-before))
	if l.example != "" {
		w.say("  %s", l.example)
	}
	return nil
}

// load is 1,000 requests per second for the Services that change and for some
// others.
func (w *world) load(address string) *load {
	l := &load{
		address: address + ":80", kept: 12, keptRate: 750, newRate: 250,
		right: func(service int, a answer) bool { return serviceOf(a.body) == service },
	}
	for n, i := range w.sample() {
		l.services = append(l.services, i, changing+n%changedServices)
	}
	return l
}

// measureStress changes endpoints ten times as fast as ought to be.
func measureStress(ctx context.Context, w *world, e *edge) error {
	if err := e.settle(ctx); err != nil {
		return err
	}
	c := &changer{world: w, endpoints: 100, timed: true}
	timed, cancel := context.WithTimeout(ctx, 2*w.duration)
	defer cancel()
	before, began := e.cpu(), time.Now()
	if err := c.run(timed); err != nil {
		return err
	}
	share := float64(e.cpu()-before) / float64(time.Since(began))
	s := spreadOf(c.took)
	rate := float64(c.changed.Load()) / time.Since(began).Seconds()
	w.record(w.services, "100 changes/s -> served", s.String(), "p99 50 ms", s.p99 <= 50*time.Millisecond)
	w.record(w.services, "the agent's CPU then", fmt.Sprintf("%.2f cores, %.0f/s", share, rate), "0.5", share <= 0.5)
	return nil
}
