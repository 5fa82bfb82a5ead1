package bench_test

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// load asks at a constant rate, over connections that are kept and over new ones.
// It never asks twice for an answer that did not come.
type load struct {
	address  string
	services []int // asked for in turn
	right    func(service int, a answer) bool
	kept     int // connections
	keptRate int // requests per second over all of them
	newRate  int

	mu        sync.Mutex
	sent      int
	failed    int       // no answer, or an error
	misrouted int       // answered by somebody else
	closed    int       // kept connections that the other side closed
	slow      int       // answered after more than a second
	lastBad   time.Time // when the last request began that failed or was slow
	took      []time.Duration
	example   string // of what went wrong
}

// run asks until ctx ends.
func (l *load) run(ctx context.Context) {
	var wg sync.WaitGroup
	for n := range l.kept {
		wg.Go(func() { l.keep(ctx, n) })
	}
	const perWorker = 10 // requests per second
	workers := max(1, l.newRate/perWorker)
	for n := range workers {
		wg.Go(func() {
			l.every(ctx, time.Second*time.Duration(workers)/time.Duration(l.newRate), n, workers, func(service int) {
				began := time.Now()
				a, err := ask(ctx, l.address, host(service))
				l.count(ctx, service, began, a, err)
			})
		})
	}
	wg.Wait()
}

// every calls do at a rate. Workers begin one after the other, so that all
// together ask evenly.
func (l *load) every(ctx context.Context, interval time.Duration, n, workers int, do func(service int)) {
	if pause(ctx, interval*time.Duration(n)/time.Duration(workers)) != nil {
		return
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for k := n; ctx.Err() == nil; k += workers {
		do(l.services[k%len(l.services)])
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// keep asks over one connection, and over a new one only when it was closed.
func (l *load) keep(ctx context.Context, n int) {
	var c *client
	defer func() {
		if c != nil {
			c.close()
		}
	}()
	l.every(ctx, time.Second*time.Duration(l.kept)/time.Duration(l.keptRate), n, l.kept, func(service int) {
		if c != nil && c.closed() {
			l.lost()
			c.close()
			c = nil
		}
		began := time.Now()
		if c == nil {
			var err error
			if c, err = dial(ctx, l.address); err != nil {
				c = nil
				l.count(ctx, service, began, answer{}, err)
				return
			}
		}
		a, err := c.ask(host(service), false)
		l.count(ctx, service, began, a, err)
		if ctx.Err() != nil {
			return
		}
		if err != nil || a.last {
			l.lost()
			c.close()
			c = nil
		}
	})
}

func (l *load) lost() {
	l.mu.Lock()
	l.closed++
	l.mu.Unlock()
}

func (l *load) count(ctx context.Context, service int, began time.Time, a answer, err error) {
	took := time.Since(began)
	if end, ok := ctx.Deadline(); err != nil && ok && time.Until(end) <= 0 && took < time.Second {
		return // it was the end that cut it short
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent++
	l.took = append(l.took, took)
	bad := true
	switch {
	case err != nil || a.code != 200:
		l.failed++
		l.example = fmt.Sprintf("%s: %d %q %v", host(service), a.code, a.body, err)
	case !l.right(service, a):
		l.misrouted++
		l.example = fmt.Sprintf("%s was answered by %s", host(service), a.body)
	case took > time.Second:
		l.slow++
	default:
		bad = false
	}
	if bad && began.After(l.lastBad) {
		l.lastBad = began
	}
}

func (l *load) String() string {
	return fmt.Sprintf("%d / %d / %d of %d", l.failed, l.misrouted, l.closed, l.sent)
}
