package enginetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
	"github.com/landfall-edge/landfall/internal/testnet"
)

// Harness is one engine over a real thing that serves nothing yet. What it
// starts, its test cleans up.
type Harness struct {
	Engine engine.Engine
	// Reopen is a restart of the program: a new Engine over the same real thing,
	// in place of the one before.
	Reopen func() engine.Engine
	// Ports are free ports of 127.0.0.1 for listeners, at least NeedPorts.
	Ports []uint16
	// Spoil changes a state into one that the engine refuses, and returns the name
	// of the object that it must blame. Nil leaves that part of the suite out.
	Spoil func(*model.State) string
	// Splits is set when the engine can share a route's traffic between backends.
	Splits bool
}

// NeedPorts is how many ports the suite listens on.
const NeedPorts = 3

// FreePorts finds ports that nobody holds.
func FreePorts(t testing.TB, n int) []uint16 {
	t.Helper()
	ports := make([]uint16, n)
	for i := range ports {
		ports[i] = testnet.FreePort(t)
	}
	return ports
}

// Run checks an engine against the contract.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	tests := []struct {
		name string
		run  func(*runner)
	}{
		{"nothing is served at first", (*runner).nothing},
		{"each change twice", (*runner).story},
		{"each change after a restart", (*runner).restarts},
		{"from any state to any other", (*runner).jumps},
		{"refused", (*runner).refused},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := open(t)
			if len(h.Ports) < NeedPorts {
				t.Fatalf("the harness has %d ports, %d are needed", len(h.Ports), NeedPorts)
			}
			tt.run(&runner{t: t, Harness: h})
		})
	}
}

type runner struct {
	t *testing.T
	Harness
}

func (r *runner) nothing() {
	r.observe("at first", model.State{})
	done := r.apply("nothing", model.State{})
	r.observe("after nothing was asked for", model.State{})
	if done.Way == engine.Runtime || done.Way == engine.Reload {
		r.t.Errorf("to serve nothing the engine made a %s; there was nothing to change", done.Way)
	}
}

// story goes through the states one by one, and asks for each of them twice.
func (r *runner) story() {
	for _, c := range chapters(r.Ports, r.Splits) {
		r.apply(c.name, c.state)
		r.observe(c.name, c.state)
		done := r.apply(c.name+", again", c.state)
		if done.Way != engine.Nothing {
			r.t.Errorf("%s, again: the engine made a %s (%s); there was nothing to do", c.name, done.Way, done.Cause)
		}
		r.observe(c.name+", again", c.state)
	}
}

func (r *runner) restarts() {
	for _, c := range chapters(r.Ports, r.Splits) {
		r.apply(c.name, c.state)
		r.Engine = r.Reopen()
		r.observe(c.name+", after a restart", c.state)
	}
}

// jumps takes the states in other orders, so that removals are tried as much as
// additions, and several changes at once.
func (r *runner) jumps() {
	all := chapters(r.Ports, r.Splits)
	for seed := range uint64(2) {
		for _, i := range rand.New(rand.NewPCG(seed, 0)).Perm(len(all)) {
			c := all[i]
			r.apply("to "+c.name, c.state)
			r.observe("to "+c.name, c.state)
		}
	}
}

// refused asks for something that the engine does not accept, between two things
// that it does.
func (r *runner) refused() {
	if r.Spoil == nil {
		r.t.Skip("the harness knows nothing that this engine would refuse")
	}
	all := chapters(r.Ports, r.Splits)
	have, good := all[1], all[2]
	r.apply(have.name, have.state)
	bad := clone(r.t, good.state)
	name := r.Spoil(&bad)
	_, err := r.Engine.Apply(r.t.Context(), bad, plan.Diff(r.look("before"), bad))
	var refused *engine.RefusedError
	if !errors.As(err, &refused) {
		r.t.Fatalf("Apply of a spoilt %s: got %v, want a RefusedError", name, err)
	}
	if !slices.ContainsFunc(refused.Objects, func(o engine.Refused) bool { return o.Name == name && o.Message != "" }) {
		r.t.Errorf("%s is not blamed, with a message: %+v", name, refused.Objects)
	}
	if len(refused.Objects) != 1 {
		r.t.Errorf("%d objects are blamed, and one is spoilt: %+v", len(refused.Objects), refused.Objects)
	}
	r.observe("after the refusal", have.state)
	r.Engine = r.Reopen()
	r.observe("after the refusal and a restart", have.state)
	r.apply("without what was refused", good.state)
	r.observe("without what was refused", good.state)
}

// apply makes want so as the agent does: with the difference to what is.
func (r *runner) apply(step string, want model.State) engine.Applied {
	r.t.Helper()
	p := plan.Diff(r.look(step), want)
	if p.Empty() {
		if u, ok := r.Engine.(engine.Unsettled); !ok || u.Unsettled() == "" {
			return engine.Applied{Way: engine.Nothing}
		}
	}
	done, err := r.Engine.Apply(r.t.Context(), want, p)
	if err != nil {
		r.t.Fatalf("%s: apply: %v\nthe plan was\n%s", step, err, p)
	}
	return done
}

// observe holds the law: what is served is what was wanted.
func (r *runner) observe(step string, want model.State) {
	r.t.Helper()
	got := r.look(step)
	if p := plan.Diff(got, want); !p.Empty() {
		r.t.Fatalf("%s: what is observed differs from what was applied; to make it so would take\n%s\n(-want +observed):\n%s",
			step, p, cmp.Diff(want, got, exact))
	}
}

func (r *runner) look(step string) model.State {
	r.t.Helper()
	have, err := r.Engine.Observe(context.WithoutCancel(r.t.Context()))
	if err != nil {
		r.t.Fatalf("%s: observe: %v", step, err)
	}
	return have
}

// exact compares addresses as values, not by what is inside of them.
var exact = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}
