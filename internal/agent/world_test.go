package agent_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/landfall-edge/landfall/internal/agent"
	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
	"github.com/landfall-edge/landfall/internal/source"
)

// sources is a Set whose answer the test decides.
type sources struct {
	ready chan struct{}

	mu       sync.Mutex
	changed  func()
	unheard  bool // there was an answer before there was a changed
	answer   []model.Fragment
	reads    int
	reported [][]model.Finding
	outcomes []*model.Outcome
	broken   error // what Run returns, once
	stale    bool
	silent   bool // it has never answered
}

func (s *sources) Run(ctx context.Context, changed func()) error {
	s.mu.Lock()
	s.changed = changed
	broken := s.broken
	s.broken = nil
	unheard := s.unheard
	s.unheard = false
	s.mu.Unlock()
	if unheard {
		changed()
	}
	if broken != nil {
		return broken
	}
	<-ctx.Done()
	return nil
}

func (s *sources) Ready() <-chan struct{} { return s.ready }

func (s *sources) Read(context.Context) []model.Fragment {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	return s.answer
}

func (s *sources) Report(_ context.Context, outcomes []*model.Outcome, findings []model.Finding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reported = append(s.reported, findings)
	s.outcomes = outcomes
}

func (s *sources) Status() []source.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []source.Status{{Name: "test", Synced: !s.silent, Stale: s.stale}}
}

// ask changes the answer and says so.
func (s *sources) ask(f ...model.Fragment) {
	s.mu.Lock()
	s.answer = f
	changed := s.changed
	s.unheard = changed == nil
	s.mu.Unlock()
	if changed != nil {
		changed()
	}
}

// machine is an engine in memory that can be slow, refuse and fail.
type machine struct {
	mu      sync.Mutex
	have    model.State
	applies int
	tries   []time.Time
	took    time.Duration
	fail    error
	refuse  map[string]string
	cause   error  // of what is refused
	changes string // what Unsettled says until the next Apply
	held    []model.Held
	asks    int
	health  map[string]model.ProbeHealth
	changed func()
	broken  error // what Run returns, once
	own     []model.Finding
	last    model.State // what an engine that does not run was told last
}

// tried counts the calls of Apply.
func (m *machine) tried() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.tries)
}

func (m *machine) Findings() []model.Finding {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.own
}

func (m *machine) Unsettled() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changes
}

func (m *machine) Remembered() model.State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last
}

func (m *machine) Observe(context.Context) (model.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.have, nil
}

func (m *machine) Apply(_ context.Context, want model.State, _ plan.Plan) (engine.Applied, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tries = append(m.tries, time.Now())
	time.Sleep(m.took)
	if m.fail != nil {
		return engine.Applied{}, m.fail
	}
	refused := &engine.RefusedError{}
	for _, r := range want.Routes {
		if words, ok := m.refuse[r.Name]; ok {
			refused.Objects = append(refused.Objects, engine.Refused{Name: r.Name, Message: words, Cause: m.cause})
		}
	}
	if len(refused.Objects) > 0 {
		return engine.Applied{}, refused
	}
	m.have, m.changes = want, ""
	m.applies++
	return engine.Applied{Way: engine.Runtime, Took: m.took}, nil
}

func (m *machine) Held(_ context.Context, listeners []*model.Listener) ([]model.Held, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asks++
	var held []model.Held
	for _, h := range m.held {
		if slices.ContainsFunc(listeners, func(l *model.Listener) bool { return l.Port == h.Port }) {
			held = append(held, h)
		}
	}
	return held, nil
}

func (m *machine) Run(ctx context.Context, changed func()) error {
	m.mu.Lock()
	m.changed = changed
	broken := m.broken
	m.broken = nil
	m.mu.Unlock()
	if broken != nil {
		return broken
	}
	<-ctx.Done()
	return nil
}

func (m *machine) Health() map[string]model.ProbeHealth {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.health
}

func (m *machine) Stats(context.Context, engine.Depth) (engine.Stats, error) {
	return engine.Stats{}, nil
}

// set changes the machine under its lock.
func (m *machine) set(change func(m *machine)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m)
}

// world is an agent that runs in a bubble of its own time.
type world struct {
	*sources
	*machine
	agent *agent.Agent
	log   *slog.Logger // nil: nowhere
	end   func()       // ends the agent; what is served stays
}

var errBroken = errors.New("no such luck")

// inWorld tells a story of an agent that runs; before is done before it starts.
func inWorld(t *testing.T, story func(t *testing.T, w *world), before ...func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			sources: &sources{ready: make(chan struct{})},
			machine: &machine{refuse: map[string]string{}},
		}
		for _, f := range before {
			f(w)
		}
		if w.log == nil {
			w.log = slog.New(slog.DiscardHandler)
		}
		w.start(t)
		story(t, w)
		w.end()
	})
}

// start starts an agent, also when there was one before.
func (w *world) start(t *testing.T) {
	t.Helper()
	a, err := agent.New(agent.Config{
		Name: "shore", Sources: w.sources, Engine: w.machine, HTTPPort: 80,
		VIPs: func() []model.VIP {
			return []model.VIP{{Name: "main", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.10")}}}
		},
		Guard: agent.Guard{Limits: plan.Limits{Share: 33, AtLeast: 10}, Confirm: 15 * time.Minute, Sources: []string{"test"}},
		Log:   w.log,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	w.agent, w.end = a, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	synctest.Wait()
}

// begin lets the first turn happen with this answer.
func (w *world) begin(f ...model.Fragment) {
	w.ask(f...)
	close(w.sources.ready)
	synctest.Wait()
}

// routes that are served, by name.
func (w *world) routes() []string {
	w.machine.mu.Lock()
	defer w.machine.mu.Unlock()
	var names []string
	for _, r := range w.machine.have.Routes {
		names = append(names, r.Name)
	}
	return names
}

// site is a fragment with an HTTP route for each host.
func site(hosts ...string) model.Fragment {
	f := model.Fragment{Source: "test"}
	slices.Sort(hosts)
	for _, host := range hosts {
		o := model.Origin{Source: "test", Kind: "Ingress", Namespace: "web", Name: host}
		backend := "test/web/" + host + "/80/http"
		f.Parts = append(f.Parts, &model.Part{Origin: o, Report: true, Routes: []*model.Route{{
			Name: "test/web/" + host + "/", Origin: o, Match: model.Match{Host: host, Path: "/"},
			Backends: []model.WeightedBackend{{Name: backend, Weight: 1}},
		}}})
		f.Backends = append(f.Backends, &model.Backend{
			Name: backend, Origin: o, Protocol: model.HTTP,
			Endpoints: []model.Endpoint{{Address: netip.MustParseAddrPort("10.0.0.1:80")}},
		})
	}
	return f
}
