package bench_test

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"time"
)

// measureNode lets a node die under load and looks when the last request began
// that it took along. Requests go to node ports; the others of three nodes stay.
func measureNode(ctx context.Context, w *world, _ *edge) error {
	w.origin.stop()
	defer func() { w.origin = startOrigin(w.whole, w.haproxy, "0.0.0.0") }()
	nodes := map[int]*origin{}
	for n := 1; n <= 3; n++ {
		nodes[n] = startOrigin(w.t, w.haproxy, nodeAddress(n))
	}
	e := &edge{world: w}
	if err := e.start(ctx, "nodes"); err != nil {
		return err
	}
	rounds := min(5, max(1, w.samples/40))
	for _, death := range []struct {
		what      string
		die, back func() error
	}{
		{"silent", func() error { return w.link(2, false) }, func() error { return w.link(2, true) }},
		{"hung", func() error { return nodes[2].cmd.Process.Signal(syscall.SIGSTOP) }, func() error { return nodes[2].cmd.Process.Signal(syscall.SIGCONT) }},
		{"refusing", func() error { nodes[2].stop(); return nil }, func() error { nodes[2] = startOrigin(w.t, w.haproxy, nodeAddress(2)); return nil }},
	} {
		var last []time.Duration
		failed, slow, sent := 0, 0, 0
		for range rounds {
			l, after, err := w.dieOnce(ctx, e, death.die, death.back)
			if err != nil {
				return err
			}
			last = append(last, after)
			failed, slow, sent = failed+l.failed, slow+l.slow, sent+l.sent
		}
		s := spreadOf(last)
		w.record(w.services, "node dies ("+death.what+") -> well", s.String(), "2 s", s.max <= 2*time.Second)
		w.note(w.services, death.what+": failed / over 1 s", fmt.Sprintf("%d / %d of %d", failed, slow, sent))
	}
	return nil
}

// dieOnce returns when, after the death, the last request began that failed or
// was slow.
func (w *world) dieOnce(ctx context.Context, e *edge, die, back func() error) (*load, time.Duration, error) {
	l := w.load(vip)
	l.keptRate, l.newRate = 150, 50
	l.services = nil
	for i := range min(w.services, nodePorts) {
		l.services = append(l.services, i)
	}
	loaded, cancel := context.WithTimeout(ctx, w.duration/2)
	defer cancel()
	ended := make(chan struct{})
	go func() { l.run(loaded); close(ended) }()
	_ = pause(loaded, w.duration/30)
	died := time.Now()
	err := die()
	<-ended
	if backErr := back(); err == nil {
		err = backErr
	}
	if err != nil {
		return nil, 0, err
	}
	if l.example != "" {
		w.say("  %s", l.example)
	}
	if l.lastBad.Sub(died) > 2*time.Second {
		w.say("  after %.1f s still; the edge says: %s", l.lastBad.Sub(died).Seconds(), e.log())
	}
	if err := w.untilUp(ctx, e); err != nil {
		return nil, 0, err
	}
	return l, max(0, l.lastBad.Sub(died)), nil
}

// untilUp waits until every node serves again.
func (w *world) untilUp(ctx context.Context, e *edge) error {
	ctx, cancel := patiently(ctx)
	defer cancel()
	if err := pause(ctx, w.duration/15); err != nil {
		return err
	}
	for n := 1; n <= 3; n++ {
		if _, err := until(ctx, vip+":80", host(0), func(a answer) bool { return strings.HasPrefix(a.body, nodeAddress(n)+":") }); err != nil {
			return fmt.Errorf("node %d does not come back: %w; the edge says: %s", n, err, e.log())
		}
	}
	return nil
}

// stop ends it at once, as if it were killed.
func (o *origin) stop() {
	_ = o.cmd.Process.Kill()
	_ = o.cmd.Wait()
}
