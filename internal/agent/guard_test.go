package agent_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/landfall-edge/landfall/internal/model"
)

// hosts are n of them, from the i-th on.
func hosts(i, n int) []string {
	var all []string
	for ; n > 0; n, i = n-1, i+1 {
		all = append(all, fmt.Sprintf("%03d.test", i))
	}
	return all
}

// serves wants n routes to be served, and so many to be held back.
func (w *world) serves(t *testing.T, n, held int) {
	t.Helper()
	synctest.Wait()
	got := 0
	for _, h := range w.agent.Snapshot().Held {
		got += h.Routes + h.Backends
	}
	if routes := len(w.routes()); routes != n || got != held {
		t.Fatalf("%d routes are served and %d held, want %d and %d", routes, got, n, held)
	}
}

// says returns the finding about what is held, or "".
func (w *world) says() string {
	for _, f := range w.agent.Snapshot().Findings() {
		if f.Reason == "RemovalHeld" {
			return f.Origin.Source + ": " + f.Message
		}
	}
	return ""
}

func TestSmallRemovalsPass(t *testing.T) {
	for _, tt := range []struct{ of, left int }{{20, 19}, {100, 95}, {9, 0}} {
		inWorld(t, func(t *testing.T, w *world) {
			w.begin(site(hosts(0, tt.of)...))
			w.ask(site(hosts(0, tt.left)...))
			w.serves(t, tt.left, 0)
		})
	}
}

func TestRemovalIsHeldUntilApproved(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.begin(site(hosts(0, 20)...))
		if told, err := w.agent.Approve(t.Context(), ""); len(told) > 0 || err != nil {
			t.Errorf("approved %v, %v of nothing", told, err)
		}
		w.ask(site(append(hosts(0, 8), "new.test")...)) // a namespace with 12 of 20 is deleted
		w.serves(t, 21, 12)
		want := "test: since 2000-01-01T00:00:00Z it no longer asks for 12 of its 20 routes: web/008.test (008.test/), web/009.test (009.test/), " +
			"web/010.test (010.test/) and 9 more. If that is meant: landfall approve --source test. If not, bring the objects back, and this ends by itself. " +
			"They go at 2000-01-01T00:15:00Z, if it asks for just this until then"
		if got := w.says(); got != want {
			t.Errorf("it says %q, want\n%q", got, want)
		}
		for _, o := range w.outcomes {
			if o.Origin.Name == "008.test" {
				t.Error("an object that is gone is told where it is served")
			}
		}
		if told, err := w.agent.Approve(t.Context(), "other"); len(told) > 0 || err != nil {
			t.Errorf("approved %v, %v of another source", told, err)
		}
		told, err := w.agent.Approve(t.Context(), "test")
		if err != nil || len(told) != 1 || told[0].Routes != 12 || told[0].AllRoutes != 20 || len(told[0].Examples) != 3 {
			t.Errorf("approved %+v, %v", told, err)
		}
		w.serves(t, 9, 0)
		if got := w.says(); got != "" {
			t.Errorf("it still says %q", got)
		}
		if got := w.agent.Snapshot().Changes[0]; got.Cause != "a removal was approved" {
			t.Errorf("the last change is %+v", got)
		}
	})
}

// While it is held everything else of the source goes live.
func TestTheRestIsLiveDuringAHold(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.begin(site(hosts(0, 20)...))
		w.ask(model.Fragment{Source: "test"})
		w.serves(t, 20, 20)
		f := site("new.test")
		w.ask(f)
		w.serves(t, 21, 20)
		f.Backends[0].Endpoints = []model.Endpoint{{Address: netip.MustParseAddrPort("10.0.0.9:80")}}
		w.ask(site("new.test", "newer.test"))
		w.serves(t, 22, 20)
	})
}

func TestHoldEndsWhenTheObjectsAreBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		whole := site(hosts(0, 20)...)
		w.begin(whole)
		applies := w.applies
		w.ask(model.Fragment{Source: "test"})
		w.serves(t, 20, 20)
		for n := 1; n < 20; n++ { // one by one, and what is left is never too little
			w.ask(site(hosts(0, n)...))
			w.serves(t, 20, 20-n)
		}
		w.ask(whole)
		w.serves(t, 20, 0)
		if got := w.says(); got != "" {
			t.Errorf("it still says %q", got)
		}
		if w.applies != applies {
			t.Errorf("the engine was told %d times of nothing", w.applies-applies)
		}
	})
}

func TestHoldSurvivesARestart(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.begin(site(hosts(0, 20)...))
		w.ask(model.Fragment{Source: "test"})
		w.serves(t, 20, 20)
		w.end()
		w.start(t)
		w.serves(t, 20, 20)
		if _, err := w.agent.Approve(t.Context(), ""); err != nil {
			t.Error(err)
		}
		w.serves(t, 0, 0)
	})
}

// The engine that died is started with what is held.
func TestHoldSurvivesTheEngine(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.begin(site(hosts(0, 20)...))
		w.ask(model.Fragment{Source: "test"})
		w.serves(t, 20, 20)
		w.machine.set(func(m *machine) { m.have = model.State{}; m.changed() })
		w.serves(t, 20, 20)
	})
}

// So is one that does not run when the agent starts, as after a boot.
func TestHoldAfterABoot(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.begin(site(hosts(0, 20)...))
		w.end()
		w.machine.set(func(m *machine) { m.have, m.last = model.State{}, m.have })
		w.ask(site("new.test"))
		w.start(t)
		w.serves(t, 21, 20)
		w.ask(site(hosts(0, 20)...))
		w.serves(t, 20, 0)
	})
}

// A source that has not answered, and of which nothing is on disk, takes nothing
// away, however little. Once it answers, little goes at once.
func TestSilentSource(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		silent := func(is bool) {
			w.sources.mu.Lock()
			w.silent = is
			w.sources.mu.Unlock()
		}
		w.begin(site(hosts(0, 3)...))
		w.end()
		silent(true)
		w.ask(model.Fragment{Source: "test"})
		w.start(t)
		w.serves(t, 3, 3)
		want := "test: it has not answered yet, so what is served of it stays until it does: 3 of its 3 routes: web/000.test (000.test/), " +
			"web/001.test (001.test/), web/002.test (002.test/). If nothing of it is wanted any more: landfall approve --source test"
		if got := w.says(); got != want {
			t.Errorf("it says %q, want\n%q", got, want)
		}
		time.Sleep(time.Hour)
		w.serves(t, 3, 3)
		silent(false)
		w.ask(site(hosts(0, 2)...))
		w.serves(t, 2, 0)
	})
}

// A source that asks for the same for long enough, and is in sync, means it.
func TestRemovalIsConfirmed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.begin(site(hosts(0, 20)...))
		w.ask(model.Fragment{Source: "test"})
		time.Sleep(14 * time.Minute)
		w.serves(t, 20, 20)
		w.ask(site("000.test")) // something else than before
		time.Sleep(14 * time.Minute)
		w.serves(t, 20, 19)
		w.sources.mu.Lock()
		w.stale = true
		w.sources.mu.Unlock()
		w.ask(site("000.test"))
		time.Sleep(time.Hour)
		w.serves(t, 20, 19)
		if got := w.says(); !strings.HasSuffix(got, "They go once it is in sync and has asked for just this for 15m0s") {
			t.Errorf("it says %q", got)
		}
		w.sources.mu.Lock()
		w.stale = false
		w.sources.mu.Unlock()
		w.ask(site("000.test"))
		time.Sleep(15*time.Minute - time.Second)
		w.serves(t, 20, 19)
		time.Sleep(time.Second)
		w.serves(t, 1, 0)
		if got := w.agent.Snapshot().Changes[0]; !strings.HasPrefix(got.Cause, "a removal was confirmed") {
			t.Errorf("the last change is %+v", got)
		}
	})
}

// An approval counts until the engine has done it, and not for what comes after.
func TestApprovalOutlivesAFailure(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.begin(site(hosts(0, 20)...))
		w.ask(model.Fragment{Source: "test"})
		w.serves(t, 20, 20)
		w.machine.set(func(m *machine) { m.fail = errBroken })
		if _, err := w.agent.Approve(t.Context(), ""); !errors.Is(err, errBroken) {
			t.Errorf("approve: %v", err)
		}
		w.serves(t, 20, 0)
		w.machine.set(func(m *machine) { m.fail = nil; m.changed() })
		w.serves(t, 0, 0)
		w.ask(site(hosts(0, 20)...))
		w.serves(t, 20, 0)
		w.ask(model.Fragment{Source: "test"})
		w.serves(t, 20, 20)
	})
}

// What is held and refused by the engine is let go: it cannot be helped.
func TestHeldAndRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.begin(site(hosts(0, 20)...))
		w.refuse["test/web/003.test/"] = "no longer known"
		w.ask(site("new.test"))
		w.serves(t, 20, 19)
	})
}

// A source that the edge's file no longer names was taken out by a person.
func TestUnguardedSources(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.begin(site(hosts(0, 20)...), model.Fragment{Source: "other"})
		w.ask(model.Fragment{Source: "other"})
		w.serves(t, 0, 0)
	})
}
