package enginetest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/engine/enginetest"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
)

func TestMemory(t *testing.T) {
	enginetest.Run(t, func(t *testing.T) enginetest.Harness {
		machine := &enginetest.Machine{}
		return enginetest.Harness{
			Engine: enginetest.NewMemory(machine),
			Reopen: func() engine.Engine { return enginetest.NewMemory(machine) },
			Ports:  enginetest.FreePorts(t, enginetest.NeedPorts),
			Splits: true,
			Spoil: func(s *model.State) string {
				spoilt := *s.Backends[0]
				spoilt.Name = "home/web/spoilt/80"
				s.Backends[0] = &spoilt
				machine.Refuse(spoilt.Name, "no such thing")
				return spoilt.Name
			},
		}
	})
}

// faulty is a Memory that breaks the contract in one way.
type faulty struct {
	*enginetest.Memory
	fault string
}

func (f *faulty) Observe(ctx context.Context) (model.State, error) {
	s, err := f.Memory.Observe(ctx)
	if f.fault == "forgets probes" {
		s.Probes = nil
	}
	return s, err
}

func (f *faulty) Apply(ctx context.Context, want model.State, p plan.Plan) (engine.Applied, error) {
	switch {
	case f.fault == "does nothing":
		return engine.Applied{Way: engine.Runtime}, nil
	case f.fault == "keeps removed routes" && len(p.Routes) > 0 && p.Routes[0].Verb == plan.Remove:
		have, _ := f.Memory.Observe(ctx)
		want.Routes = have.Routes
	}
	done, err := f.Memory.Apply(ctx, want, p)
	var refused *engine.RefusedError
	if f.fault == "blames nobody" && errors.As(err, &refused) {
		return done, &engine.RefusedError{}
	}
	return done, err
}

// TestFaultyEngine is run by TestSuiteCatches, in a process of its own: it must
// fail.
func TestFaultyEngine(t *testing.T) {
	fault := os.Getenv("LANDFALL_TEST_FAULT")
	if fault == "" {
		return
	}
	enginetest.Run(t, func(t *testing.T) enginetest.Harness {
		machine := &enginetest.Machine{}
		open := func() engine.Engine { return &faulty{Memory: enginetest.NewMemory(machine), fault: fault} }
		h := enginetest.Harness{Engine: open(), Reopen: open, Ports: enginetest.FreePorts(t, enginetest.NeedPorts)}
		h.Spoil = func(*model.State) string {
			machine.Refuse("main/http", "no such thing")
			return "main/http"
		}
		if fault == "forgets when restarted" {
			h.Reopen = func() engine.Engine { return enginetest.NewMemory(&enginetest.Machine{}) }
		}
		return h
	})
}

// TestSuiteCatches plants faults in an engine: each must fail the suite.
func TestSuiteCatches(t *testing.T) {
	for _, fault := range []string{"forgets probes", "does nothing", "keeps removed routes", "blames nobody", "forgets when restarted"} {
		t.Run(fault, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestFaultyEngine$")
			cmd.Env = append(os.Environ(), "LANDFALL_TEST_FAULT="+fault)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) {
				t.Errorf("an engine that %s passes the suite (%v):\n%s", fault, err, out)
			}
		})
	}
}

func TestRestartReadsTheMachine(t *testing.T) {
	machine := &enginetest.Machine{}
	want := model.State{Listeners: []*model.Listener{{Name: "main/http", Port: 80}}}
	first := enginetest.NewMemory(machine)
	if _, err := first.Apply(context.Background(), want, plan.Diff(model.State{}, want)); err != nil {
		t.Fatal(err)
	}
	got, err := enginetest.NewMemory(machine).Observe(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if got.Listeners[0] == want.Listeners[0] || !plan.Diff(got, want).Empty() {
		t.Errorf("a restart must read an equal state afresh, got %v", got.Listeners[0])
	}
}
