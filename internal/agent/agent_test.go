package agent_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/landfall-edge/landfall/internal/model"
)

func TestNothingBeforeTheSourcesAreReady(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.ask(site("a.test"))
		time.Sleep(time.Hour)
		if w.applies != 0 {
			t.Error("applied before the sources were ready")
		}
		if len(w.agent.Snapshot().Waiting) == 0 {
			t.Error("ready before anything was applied")
		}
		close(w.sources.ready)
		synctest.Wait()
		if got := w.routes(); len(got) != 1 {
			t.Errorf("routes %v", got)
		}
		if waiting := w.agent.Snapshot().Waiting; len(waiting) > 0 {
			t.Errorf("not ready: %v", waiting)
		}
	})
}

// Changes that come while a turn runs are served by one more turn.
func TestCoalescing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.begin(site("a.test"))
		w.machine.set(func(m *machine) { m.took = time.Second })
		before := w.reads
		w.ask(site("a.test", "b.test"))
		synctest.Wait() // the turn is in Apply now
		for range 50 {
			w.ask(site("a.test", "c.test"))
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if turns := w.reads - before; turns != 2 {
			t.Errorf("%d turns, want 2", turns)
		}
		if got := w.routes(); !slices.Equal(got, []string{"test/web/a.test/", "test/web/c.test/"}) {
			t.Errorf("routes %v", got)
		}
		last := w.agent.Snapshot().Changes[0]
		if last.MS < 1900 || last.Cause != "a source changed" || !strings.Contains(last.Objects, "web/c.test") {
			t.Errorf("the last change is %+v; it should count the wait too", last)
		}
	})
}

func TestRefusedObjectsAreSetAside(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.refuse["test/web/bad.test/"] = "unknown keyword"
		w.begin(site("a.test", "bad.test"))
		if got := w.routes(); !slices.Equal(got, []string{"test/web/a.test/"}) {
			t.Fatalf("routes %v: the good one should be live, the refused one not", got)
		}
		findings := w.reported[len(w.reported)-1]
		if len(findings) != 1 || findings[0].Origin.Name != "bad.test" || !strings.Contains(findings[0].Message, "unknown keyword") {
			t.Errorf("findings %+v", findings)
		}
		tries := w.tried()
		w.ask(site("a.test", "b.test", "bad.test"))
		synctest.Wait()
		if n := w.tried() - tries; n != 1 {
			t.Errorf("%d tries for another object's change: the refused one was tried again", n)
		}
		// Mended, it comes back.
		w.machine.set(func(m *machine) { delete(m.refuse, "test/web/bad.test/") })
		mended := site("a.test", "bad.test")
		mended.Parts[1].Routes[0].Match.Path = "/shop"
		time.Sleep(2 * time.Second)
		w.ask(mended)
		synctest.Wait()
		if got := w.routes(); len(got) != 2 {
			t.Errorf("routes %v", got)
		}
	})
}

// What only the machine stands in the way of comes back though nobody changes it.
func TestRefusedForAPassingReason(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.refuse["test/web/a.test/"], w.cause = "not an address of this machine", errors.New("EADDRNOTAVAIL")
		w.begin(site("a.test"))
		if got := w.routes(); len(got) != 0 {
			t.Fatalf("routes %v", got)
		}
		w.machine.set(func(m *machine) { clear(m.refuse) })
		time.Sleep(11 * time.Second)
		if got := w.routes(); len(got) != 1 {
			t.Errorf("routes %v: the address has come, and nobody looked", got)
		}
	})
}

// What the engine's own settings stood in the way of comes back with others.
func TestRefusedUntilTheSettingsChange(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.refuse["test/web/a.test/"] = "has the same name as another"
		w.begin(site("a.test"))
		if got := w.routes(); len(got) != 0 {
			t.Fatalf("routes %v", got)
		}
		w.machine.set(func(m *machine) { m.changes = "an extra file changed" })
		w.machine.changed()
		synctest.Wait()
		if got := w.routes(); len(got) != 0 {
			t.Errorf("routes %v: it is still refused", got)
		}
		w.machine.set(func(m *machine) { m.changes = "an extra file changed"; clear(m.refuse) })
		w.machine.changed()
		synctest.Wait()
		if got := w.routes(); len(got) != 1 {
			t.Errorf("routes %v: the settings changed, and nobody tried again", got)
		}
	})
}

// An object that changes all the time and is refused each time is not tried each
// time, and yet comes back when it is mended.
func TestRefusedObjectThatKeepsChanging(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.refuse["test/web/bad.test/"] = "unknown keyword"
		w.begin(site("bad.test"))
		tries := w.tried()
		for i := range 100 {
			f := site("bad.test")
			f.Backends[0].Endpoints[0].Weight = i + 2
			f.Parts[0].Routes[0].Match.Path = "/" + strings.Repeat("x", i)
			w.ask(f)
			time.Sleep(10 * time.Millisecond)
		}
		if n := w.tried() - tries; n > 2 {
			t.Errorf("%d tries in a second", n)
		}
		w.machine.set(func(m *machine) { delete(m.refuse, "test/web/bad.test/") })
		mended := site("bad.test")
		mended.Parts[0].Routes[0].Match.Path = "/mended"
		w.ask(mended)
		time.Sleep(2 * time.Second)
		if got := w.routes(); len(got) != 1 {
			t.Errorf("routes %v", got)
		}
	})
}

func TestHeldPort(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		held := []model.Held{{Address: netip.IPv4Unspecified(), Port: 80, Owner: "haproxy (pid 812)"}}
		w.machine.set(func(m *machine) { m.held = held })
		w.begin(site("a.test"))
		if got := w.routes(); len(got) != 0 {
			t.Fatalf("routes %v on a port that is held", got)
		}
		findings := w.reported[len(w.reported)-1]
		if len(findings) == 0 || !strings.Contains(findings[0].Message, "haproxy (pid 812)") {
			t.Errorf("findings %+v do not name the owner", findings)
		}
		asks := w.asks
		w.ask(site("a.test", "b.test"))
		synctest.Wait()
		if w.asks > asks+1 {
			t.Errorf("asked %d times for one change", w.asks-asks)
		}
		w.machine.set(func(m *machine) { m.held = nil })
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if got := w.routes(); len(got) != 2 {
			t.Errorf("routes %v after the port became free", got)
		}
		asks = w.asks
		w.ask(site("a.test"))
		synctest.Wait()
		if w.asks != asks {
			t.Error("asked for held ports though no port was to be opened")
		}
	})
}

func TestEngineErrorIsRetried(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.machine.set(func(m *machine) { m.fail = errBroken })
		w.begin(site("a.test"))
		if waiting := w.agent.Snapshot().Waiting; len(waiting) != 1 || !strings.Contains(waiting[0], errBroken.Error()) {
			t.Errorf("waiting for %v", waiting)
		}
		if len(w.reported) > 0 {
			t.Error("reported as served what is not")
		}
		time.Sleep(40 * time.Second)
		synctest.Wait()
		var pauses []time.Duration
		var at []time.Time
		w.machine.set(func(m *machine) { at = slices.Clone(m.tries) })
		for i := 1; i < len(at); i++ {
			pauses = append(pauses, at[i].Sub(at[i-1]))
		}
		if pauses[0] != 100*time.Millisecond || pauses[1] != 200*time.Millisecond || slices.Max(pauses) != 10*time.Second {
			t.Errorf("pauses %v", pauses)
		}
		// A source that changes all the time makes no storm of tries.
		tries := w.tried()
		for range 100 {
			w.ask(site("a.test", "b.test"))
			time.Sleep(10 * time.Millisecond)
		}
		if n := w.tried() - tries; n > 2 {
			t.Errorf("%d tries in a second", n)
		}
		w.machine.set(func(m *machine) { m.fail = nil; m.changed() })
		synctest.Wait()
		if got := w.routes(); len(got) != 2 {
			t.Errorf("routes %v, at once when the engine speaks", got)
		}
		if waiting := w.agent.Snapshot().Waiting; len(waiting) > 0 {
			t.Errorf("still waiting for %v", waiting)
		}
	})
}

// What an engine lost behind the agent's back comes back at the recheck.
func TestRecheck(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.begin(site("a.test"))
		w.machine.set(func(m *machine) { m.have = model.State{} })
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if got := w.routes(); len(got) != 1 {
			t.Errorf("routes %v", got)
		}
	})
}

// The loser of a conflict takes over in the turn in which the winner goes.
func TestTakeOver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		first, second := site("a.test"), site("a.test")
		second.Source = "other"
		p := *second.Parts[0]
		p.Origin.Source, p.Routes = "other", []*model.Route{{
			Name: "other/web/a.test/", Origin: model.Origin{Source: "other", Kind: "Ingress", Namespace: "web", Name: "a.test"},
			Match: model.Match{Host: "a.test", Path: "/"},
		}}
		second.Parts, second.Backends = []*model.Part{&p}, nil
		w.begin(first, second)
		if got := w.routes(); !slices.Equal(got, []string{"test/web/a.test/"}) {
			t.Fatalf("routes %v", got)
		}
		applies := w.applies
		w.ask(model.Fragment{Source: "test"}, second)
		synctest.Wait()
		if got := w.routes(); !slices.Equal(got, []string{"other/web/a.test/"}) || w.applies != applies+1 {
			t.Errorf("routes %v after %d turns", got, w.applies-applies)
		}
	})
}

// Reports are made when there is news, and a turn that changes nothing makes no
// history.
func TestNoNewsNoReport(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := site("a.test")
		w.begin(f)
		reports, changes := len(w.reported), len(w.agent.Snapshot().Changes)
		if reports != 1 || changes != 1 {
			t.Fatalf("%d reports, %d changes after the first turn", reports, changes)
		}
		w.ask(f)
		time.Sleep(5 * time.Minute)
		if len(w.reported) != reports || len(w.agent.Snapshot().Changes) != changes {
			t.Error("reported or remembered a turn that changed nothing")
		}
		changed := site("a.test")
		changed.Backends[0].Endpoints[0].Address = netip.MustParseAddrPort("10.0.0.2:80")
		changed.Parts = f.Parts
		w.ask(changed)
		synctest.Wait()
		if len(w.reported) != reports {
			t.Error("reported though only an endpoint changed")
		}
		if got := w.agent.Snapshot().Changes[0].Objects; got != "web/a.test: endpoint 10.0.0.2:80 added, endpoint 10.0.0.1:80 removed" {
			t.Errorf("the change reads %q", got)
		}
	})
}

func TestHistoryIsBounded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.begin()
		for i := range 150 {
			f := site("a.test")
			f.Backends[0].Endpoints[0].Weight = i + 2
			w.ask(f)
			synctest.Wait()
		}
		if n := len(w.agent.Snapshot().Changes); n != 100 {
			t.Errorf("%d changes are remembered", n)
		}
	})
}

// Sources or a monitor that end are begun again; what they say then counts.
func TestComponentsThatFail(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.begin(site("a.test"))
		time.Sleep(time.Second)
		w.ask(site("a.test", "b.test"))
		synctest.Wait()
		if got := w.routes(); len(got) != 2 {
			t.Errorf("routes %v", got)
		}
		w.machine.set(func(m *machine) { m.have = model.State{}; m.changed() })
		synctest.Wait()
		if got := w.routes(); len(got) != 2 {
			t.Errorf("routes %v after the engine died", got)
		}
	}, func(w *world) { w.sources.broken, w.machine.broken = errBroken, errBroken })
}
