package phonehome

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// settle is what a call under way gets to finish when the agent is to end: one that
// is cut off might reach the edge after what takes it back.
const settle = time.Second

// teller tells one edge. Only its own goroutine changes it, but for
// what is said otherwise.
type teller struct {
	config Config
	edge   Edge
	token  *token
	caller caller
	log    *slog.Logger
	random func() float64
	wake   chan struct{} // tell it now

	failures int
	held     bool // the edge may have what we announced
	silent   time.Time
	local    netip.Addr // from which a call would come; Agent.watch keeps it

	mu  sync.Mutex
	now state
}

// state is what others see of a teller, and what was logged last.
type state struct {
	asked   bool
	address netip.Addr
	until   time.Time // the lease ends
	line    line
	wrong   string
	notes   []string
}

func (t *teller) state() state {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now
}

// run announces until ctx is done; hard ends what is still under way then.
func (t *teller) run(ctx, hard context.Context) {
	for ctx.Err() == nil {
		r := t.announce(ctx, hard)
		wait := next(t.config.Interval, r, t.failures, t.random())
		if r.retryAfter > 0 {
			t.silent = time.Now().Add(wait)
		}
		t.pause(ctx, wait)
	}
}

// pause ends early when there is news, unless the edge asked for silence.
func (t *teller) pause(ctx context.Context, wait time.Duration) {
	for end := time.Now().Add(wait); ; {
		timer := time.NewTimer(time.Until(end))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-t.wake:
			end = time.Now()
			if t.silent.After(end) {
				end = t.silent
				timer.Stop()
				continue
			}
		}
		timer.Stop()
		return
	}
}

// announce tells the edge once, and keeps what it said.
func (t *teller) announce(ctx, hard context.Context) result {
	// Finished, not cut off, when ctx ends.
	hard, cancel := context.WithCancel(hard)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(settle, cancel) })
	defer stop()

	began, before := time.Now(), t.state()
	address, r := t.address(hard)
	if r.ok() {
		r = t.calls(hard, t.config.announcing(t.edge, address))
		t.held = t.held || !r.refused && !r.unsent
	}
	if r.ok() {
		if t.edge.Old {
			r.address, r.lease = address, t.config.Lease
		}
		t.failures = 0
		t.record(r, began)
		t.leave(hard, before, r.address)
		return r
	}
	t.failures++
	t.record(r, began)
	return r
}

// address is what to announce; in our own form it may be left to the edge.
func (t *teller) address(ctx context.Context) (netip.Addr, result) {
	if t.config.Address.IsValid() || !t.edge.Old {
		return t.config.Address, result{}
	}
	return t.seen(ctx)
}

// seen asks the edge which address it sees.
func (t *teller) seen(ctx context.Context) (netip.Addr, result) {
	r := t.calls(ctx, []request{t.config.asking(t.edge)})
	if !r.ok() {
		r.wrong = "the address of this machine is not known, and asked for it the edge " + r.wrong + "; to announce without asking, set HOST_IP or --address"
	}
	return r.address, r
}

// leave takes back what was announced for the address that we had before. The old
// form cannot: there a delete may end the port for everybody.
func (t *teller) leave(ctx context.Context, before state, now netip.Addr) {
	if t.edge.Old || !before.address.IsValid() || before.address == now || time.Now().After(before.until) {
		return
	}
	r := t.calls(ctx, t.config.takingBack(t.edge, before.address))
	if !r.ok() {
		t.log.Warn("the address before was not taken back; it ends with its lease", "address", before.address, "reason", r.wrong)
	}
}

// calls makes calls one after the other, and returns the first that went wrong, or
// the last.
func (t *teller) calls(ctx context.Context, requests []request) result {
	var whole result
	token, err := t.token.read()
	if token == "" {
		return result{wrong: err.Error(), unsent: true}
	}
	for _, req := range requests {
		a, used := t.caller.call(ctx, req, token)
		if used.peer.IsValid() {
			t.mu.Lock()
			t.now.line = used
			t.mu.Unlock()
		}
		if r := judge(req, a, time.Now()); whole.ok() {
			whole = r
		}
	}
	if err != nil {
		whole.notes = append(whole.notes, err.Error()+"; the last one is used on")
	}
	return whole
}

// record keeps a result, and logs it if it is news.
func (t *teller) record(r result, began time.Time) {
	t.mu.Lock()
	before := t.now
	after := before
	after.asked, after.wrong, after.notes = true, r.wrong, r.notes
	if r.ok() {
		lease := r.lease
		if lease == 0 {
			lease = t.config.Lease
		}
		after.address, after.until = r.address, began.Add(lease)
	}
	t.now = after
	t.mu.Unlock()
	for _, n := range news(before, after) {
		t.log.Log(context.Background(), n.level, n.message, n.args...) //nolint:sloglint // one of the constants of news
	}
}

// told is one line of the log.
type told struct {
	level   slog.Level
	message string
	args    []any
}

// news are the lines that tell how one state became another.
func news(before, after state) []told {
	var lines []told
	switch {
	case after.wrong != "" && after.wrong != before.wrong:
		args := []any{"reason", after.wrong}
		if after.until.After(time.Time{}) {
			args = append(args, "registered_until", after.until.UTC().Format(time.RFC3339))
		}
		return append(lines, told{slog.LevelWarn, "not registered", args})
	case after.wrong != "":
		return nil
	case !before.asked || before.wrong != "":
		lines = append(lines, told{slog.LevelInfo, "registered", []any{"address", after.address}})
	case before.address != after.address:
		lines = append(lines, told{slog.LevelInfo, "registered with another address", []any{"address", after.address, "before", before.address}})
	}
	for _, n := range after.notes {
		if !slices.Contains(before.notes, n) {
			lines = append(lines, told{slog.LevelWarn, "registered, but", []any{"reason", n}})
		}
	}
	if len(after.notes) == 0 && len(before.notes) > 0 {
		lines = append(lines, told{slog.LevelInfo, "registered in full", nil})
	}
	return lines
}

// takeBack ends what was announced, and tries again until ctx is done.
func (t *teller) takeBack(ctx context.Context) error {
	address := t.config.Address
	if !address.IsValid() {
		address = t.state().address
	}
	for wait := 250 * time.Millisecond; ; wait *= 2 {
		var r result
		if !address.IsValid() {
			address, r = t.seen(ctx)
		}
		if r.ok() {
			r = t.calls(ctx, t.config.takingBack(t.edge, address))
		}
		if r.ok() {
			t.log.Info("taken back", "address", address)
			return nil
		}
		if r.refused || !sleep(ctx, wait) {
			t.log.Warn("not taken back; it ends with its lease", "reason", r.wrong)
			return fmt.Errorf("%s %s", t.edge.URL, r.wrong)
		}
	}
}

// tryOnce announces until the edge took it, refused it, or ctx is done.
func (t *teller) tryOnce(ctx context.Context) error {
	for {
		r := t.announce(ctx, ctx)
		if r.ok() {
			return nil
		}
		if r.refused || !sleep(ctx, next(0, r, t.failures, t.random())) {
			return fmt.Errorf("%s %s", t.edge.URL, r.wrong)
		}
	}
}

// sleep reports whether ctx went on for so long.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
