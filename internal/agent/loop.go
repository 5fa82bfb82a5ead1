package agent

import (
	"context"
	"strings"
	"sync"
	"time"
)

// When a turn is due though nobody asked for one.
const (
	heldEvery   = 10 * time.Second // while a port is held by something else
	recheck     = time.Minute
	firstRetry  = 100 * time.Millisecond
	lastRetry   = 10 * time.Second
	hurriedOnce = time.Second // between tries while the engine fails and sources change
)

// wakeUp says why there is a turn, and since when it has been wanted.
type wakeUp struct {
	since                                             time.Time
	source, health, held, recheck, retried, confirmed bool
	approvals                                         []approval
}

// cause is the wake-up in words, for the history of changes.
func (w wakeUp) cause() string {
	var words []string
	for _, c := range []struct {
		is   bool
		text string
	}{
		{w.source, "a source changed"},
		{w.health, "health changed"},
		{len(w.approvals) > 0, "a removal was approved"},
		{w.confirmed, "a removal was confirmed"},
		{w.held, "a held port was looked at"},
		{w.recheck, "everything was looked at again"},
		{w.retried, "another try"},
	} {
		if c.is {
			words = append(words, c.text)
		}
	}
	return strings.Join(words, ", ")
}

// Run turns until ctx ends. What is served stays served: ending it is the
// engine's Stop.
func (a *Agent) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() {
		a.keep(ctx, "sources", func() error {
			return a.Sources.Run(ctx, func() { a.wakeFor(wakeUp{source: true}) })
		})
	})
	if a.monitor != nil {
		wg.Go(func() {
			a.keep(ctx, "monitor", func() error {
				return a.monitor.Run(ctx, func() { a.wakeFor(wakeUp{health: true}) })
			})
		})
	}
	select {
	case <-ctx.Done():
	case <-a.Sources.Ready():
		a.loop(ctx)
	}
	return nil
}

// keep runs what should run until ctx ends, again after an error: what is served
// must not depend on it.
func (a *Agent) keep(ctx context.Context, component string, run func() error) {
	for pause := firstRetry; ctx.Err() == nil; pause = min(2*pause, lastRetry) {
		err := run()
		if err == nil || ctx.Err() != nil {
			return
		}
		a.Log.Error("a component ended", "component", component, "error", err, "again", pause.String())
		sleep(ctx, pause)
	}
}

func (a *Agent) loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	due := schedule{recheck: time.Now()} // the first turn looks at everything
	for {
		timer.Reset(time.Until(due.next()))
		woken := false
		select {
		case <-ctx.Done():
			return
		case <-a.wake:
			woken = true
		case <-timer.C:
		}
		if woken && due.putOff(a.peek()) {
			continue
		}
		a.once(ctx, &due)
	}
}

// once runs one turn and decides when the next is due.
func (a *Agent) once(ctx context.Context, due *schedule) {
	began := time.Now()
	w := a.take()
	due.mark(&w, began)
	if w.since.IsZero() {
		w.since = began
	}
	err := a.turn(ctx, w)
	defer func() {
		for _, ok := range w.approvals {
			ok.done <- err
		}
	}()
	if ctx.Err() != nil {
		return
	}
	ended := time.Now()
	if err != nil {
		a.Log.Error("a turn failed", "error", err, "again", due.pause().String())
	}
	a.publish(err)
	a.logFindings(ended)
	due.plan(ended, err != nil, len(a.held) > 0, earliest(a.setAside.again(), a.due()))
	if a.OnTurn != nil {
		a.OnTurn(ended.Sub(began), err)
	}
}

func (a *Agent) wakeFor(w wakeUp) {
	a.mu.Lock()
	if a.pending.since.IsZero() {
		a.pending.since = time.Now()
	}
	a.pending.source = a.pending.source || w.source
	a.pending.health = a.pending.health || w.health
	a.pending.approvals = append(a.pending.approvals, w.approvals...)
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *Agent) peek() wakeUp {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pending
}

func (a *Agent) take() wakeUp {
	select { // what is pending is done in this turn
	case <-a.wake:
	default:
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.pending
	a.pending = wakeUp{}
	return w
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// schedule is when the next turn is due by itself; a zero time is never.
type schedule struct {
	recheck, held, retry, mend time.Time
	failures                   int
}

func (s *schedule) next() time.Time {
	at := s.recheck
	for _, t := range []time.Time{s.held, s.retry, s.mend} {
		if !t.IsZero() && t.Before(at) {
			at = t
		}
	}
	if s.failures > 0 { // nothing else is worth a try before
		return s.retry
	}
	return at
}

// putOff decides that a wake-up waits for the retry: an engine that fails is not
// tried for every change of a source. It is tried at once when it speaks itself.
func (s *schedule) putOff(w wakeUp) bool {
	if s.failures == 0 || w.health {
		return false
	}
	if soon := time.Now().Add(hurriedOnce); soon.Before(s.retry) {
		s.retry = soon
	}
	return time.Now().Before(s.retry)
}

// mark notes what is due by now as a reason for the turn.
func (s *schedule) mark(w *wakeUp, now time.Time) {
	is := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	w.recheck, w.held, w.retried = is(s.recheck), is(s.held), s.failures > 0
}

func (s *schedule) pause() time.Duration {
	return min(firstRetry<<min(s.failures, 10), lastRetry)
}

func (s *schedule) plan(now time.Time, failed, held bool, mend time.Time) {
	if failed {
		s.retry = now.Add(s.pause())
		s.failures++
		return
	}
	s.failures, s.retry, s.mend = 0, time.Time{}, mend
	if !now.Before(s.recheck) {
		s.recheck = now.Add(recheck)
	}
	switch {
	case !held:
		s.held = time.Time{}
	case s.held.IsZero() || !now.Before(s.held):
		s.held = now.Add(heldEvery)
	}
}
