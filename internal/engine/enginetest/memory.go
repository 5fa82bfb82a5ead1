package enginetest

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
)

var _ engine.Engine = (*Memory)(nil)

// Machine is what a Memory drives. It outlives the Memory, as a daemon outlives
// the program, and knows nothing of its pointers.
type Machine struct {
	mu     sync.Mutex
	served []byte
	refuse map[string]string
}

// Refuse makes the machine refuse the objects of a name, with these words.
func (m *Machine) Refuse(name, words string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refuse == nil {
		m.refuse = map[string]string{}
	}
	m.refuse[name] = words
}

// Memory is an engine that serves nobody. Its zero value is unusable.
type Memory struct {
	machine *Machine

	mu    sync.Mutex
	known bool
	have  model.State
}

// NewMemory is an engine over a machine, which may have been another's before.
func NewMemory(machine *Machine) *Memory { return &Memory{machine: machine} }

// Observe asks the machine at the start only.
func (m *Memory) Observe(context.Context) (model.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known {
		return m.have, nil
	}
	m.machine.mu.Lock()
	defer m.machine.mu.Unlock()
	if m.machine.served != nil {
		if err := json.Unmarshal(m.machine.served, &m.have); err != nil {
			return model.State{}, fmt.Errorf("read what the machine serves: %w", err)
		}
	}
	m.known = true
	return m.have, nil
}

// Apply serves want unless the machine refuses some of it.
func (m *Memory) Apply(_ context.Context, want model.State, p plan.Plan) (engine.Applied, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.machine.mu.Lock()
	defer m.machine.mu.Unlock()
	if refused := m.machine.refused(want); len(refused) > 0 {
		return engine.Applied{}, &engine.RefusedError{Objects: refused}
	}
	served, err := json.Marshal(want)
	if err != nil {
		return engine.Applied{}, fmt.Errorf("write what the machine serves: %w", err)
	}
	m.machine.served, m.have, m.known = served, want, true
	switch {
	case p.Empty():
		return engine.Applied{Way: engine.Nothing}, nil
	case len(p.Listeners) > 0:
		return engine.Applied{Way: engine.Reload, Cause: "listeners"}, nil
	}
	return engine.Applied{Way: engine.Runtime}, nil
}

// refused looks for objects to refuse, in the order of kinds and names.
func (m *Machine) refused(s model.State) []engine.Refused {
	var all []engine.Refused
	seen := map[string]bool{}
	check := func(name string) {
		if words, ok := m.refuse[name]; ok && !seen[name] {
			seen[name] = true
			all = append(all, engine.Refused{Name: name, Message: words})
		}
	}
	for _, l := range s.Listeners {
		check(l.Name)
	}
	for _, r := range s.Routes {
		check(r.Name)
	}
	for _, b := range s.Backends {
		check(b.Name)
	}
	for _, p := range s.Probes {
		check(p.Name)
	}
	return all
}
