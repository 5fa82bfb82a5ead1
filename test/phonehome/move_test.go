package phonehome_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/landfall-edge/landfall/internal/testnet"
	"github.com/landfall-edge/landfall/internal/testwait"
)

// busy asks a front port over new connections until it is stopped.
type busy struct {
	asked  atomic.Int64
	mu     sync.Mutex
	failed []string
	stop   func()
}

func startBusy(t *testing.T, port int) *busy {
	t.Helper()
	l := &busy{}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				code, body, err := testnet.Get(context.WithoutCancel(ctx), url(port), "")
				if l.asked.Add(1); err != nil || code != http.StatusOK {
					l.mu.Lock()
					l.failed = append(l.failed, fmt.Sprint(code, " ", body, " ", err))
					l.mu.Unlock()
				}
			}
		})
	}
	l.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})
	t.Cleanup(l.stop)
	l.more(t)
	return l
}

// more waits until the load has gone on for a while.
func (l *busy) more(t *testing.T) {
	t.Helper()
	until := l.asked.Load() + 100
	testwait.Until(t, "more requests", func() bool { return l.asked.Load() >= until })
}

func (l *busy) end(t *testing.T) {
	t.Helper()
	l.more(t)
	l.stop()
	if len(l.failed) > 0 {
		t.Errorf("%d of %d requests failed, the first: %s", len(l.failed), l.asked.Load(), l.failed[0])
	}
}

// leave ends a server as a pod ends: it finishes what it answers.
func leave(t *testing.T, s *testnet.Server) {
	t.Helper()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// drained waits until an address gets nothing new.
func (e *edge) drained(t *testing.T, address string) {
	t.Helper()
	testwait.UntilSeen(t, address+" drains", func() (bool, string) {
		s := e.app.Status(t.Context())
		for _, b := range s.Backends {
			for _, p := range b.Endpoints {
				if p.Address.Addr().String() == address && p.Health != "drain" {
					return false, fmt.Sprint(s.Backends)
				}
			}
		}
		return true, ""
	})
}

// TestMoves: a workload that goes from machine to machine loses no request, in
// whichever form it says so.
func TestMoves(t *testing.T) {
	if !testnet.Inside(t, addresses()...) {
		return
	}
	type form struct {
		register, takeBack func(t *testing.T, address string)
	}
	for name, form := range map[string]form{
		"old": {
			func(t *testing.T, address string) { oldCall(t, tokenA, address, 8443, 30843, "add", "mover", "") },
			func(t *testing.T, address string) { oldCall(t, tokenA, address, 8443, 30843, "delete", "mover", "") },
		},
		"own": {
			func(t *testing.T, address string) {
				put(t, tokenA, "mover", address, 8443, 30843, "", http.StatusCreated)
			},
			func(t *testing.T, address string) {
				ask(t, tokenA, http.MethodDelete, "/v1/registrations/mover?address="+address, "")
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEdge(t)
			at := serve(t, "203.0.113.1:30843", "1")
			form.register(t, "203.0.113.1")
			answers(t, 8443, "", "1")
			l := startBusy(t, 8443)
			for i, next := range []string{"2", "3"} {
				there := serve(t, "203.0.113."+next+":30843", next)
				form.register(t, "203.0.113."+next)
				answers(t, 8443, "", next)
				before := fmt.Sprintf("203.0.113.%d", i+1)
				form.takeBack(t, before)
				e.drained(t, before)
				leave(t, at)
				l.more(t)
				at = there
			}
			l.end(t)
		})
	}
}
